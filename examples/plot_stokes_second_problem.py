"""
A fluid above an oscillating plate
==================================

Stokes' second problem: a plate oscillates, and the fluid above it follows, in a layer that gets
thinner the less viscous it is. The speed of the plate is known at every time, and so is that of the
fluid which touches it. A Fourier neural operator predicts the speed over time *and* height at once;
:class:`~skphys.BoundaryEnforcedOperator` lets it obey the plate at every time.

Run as a script, this prints a table and saves the figure as ``stokes_second_problem.png``;
``--quick`` trains smaller networks on fewer flows.
"""

# %%
# Fields over time and height
# ---------------------------
#
# With several times, the fields of :func:`~skphys.datasets.make_stokes` live on a grid of ``t``
# and ``x``. The columns of the data are the profile at time 0, ``u0_0``, ``u0_1``, ..., then the
# speeds at both ends at each of the times, ``left_0``, ..., ``right_0``, ...; the conditions take
# their values there. The flows differ in the frequency and the speed of the plate. In the last
# test it moves faster than in any training flow.

import argparse
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline

from skphys import BoundaryEnforcedOperator, FNORegressor
from skphys.datasets import make_stokes
from skphys.metrics import boundary_error
from skphys.preprocessing import GridFeatures

parser = argparse.ArgumentParser(description="Predict Stokes' second problem over time.")
parser.add_argument("--quick", action="store_true", help="fewer flows, smaller networks")
parser.add_argument("--output", default="stokes_second_problem.png", help="where the figure goes")
args = parser.parse_args()
N_TRAIN, WIDTH, EPOCHS = (50, 10, 40) if args.quick else (150, 16, 80)

times = np.linspace(0.1, 2.0, 20)
fluid = {"nu": 0.02, "t": times, "n_points": 65, "as_frame": True}
train = make_stokes(N_TRAIN, amplitude=(1.0, 3.0), **fluid, random_state=0)
tests = {
    "plates as in training": make_stokes(100, amplitude=(1.0, 3.0), **fluid, random_state=1),
    "faster plates": make_stokes(100, amplitude=(3.0, 5.0), **fluid, random_state=2),
}
grid, boundary = train.grid, train.boundary
print(grid)
print(train.data.columns[[0, 64, 65, 84, 85, 104]].tolist())

# %%
# Channels that do not fill the grid
# ----------------------------------
#
# The first profile runs along ``x`` and the speeds of the ends along ``t``. ``along`` says so, and
# repeats them over the other axis. All models see the same channels, the plate's speed included.

FNO, PROJECTED, OURS = "FNO", "FNO, projected", "FNO, wrapped"


def make_operator():
    """Return an untrained operator, a pipeline."""
    return make_pipeline(
        GridFeatures(
            grid,
            fields=["u0", "left", "right"],
            along={"u0": "x", "left": "t", "right": "t"},
        ),
        FNORegressor(
            n_modes=(6, 12), hidden_channels=WIDTH, grid=grid, max_epochs=EPOCHS, random_state=0
        ),
    )


models = {
    "ridge regression": RidgeCV(np.logspace(-12, 2, 15)),
    FNO: make_operator(),
    PROJECTED: BoundaryEnforcedOperator(make_operator(), boundary, grid, method="project"),
    OURS: BoundaryEnforcedOperator(make_operator(), boundary, grid),
}

# %%
# Errors
# ------
#
# Relative to the norm of the exact profile at the same time; and the largest difference between the
# speed of a plate and that of the fluid on it.


def errors_in_time(fields, data):
    """Return the relative error of each profile, (n_samples, n_times)."""
    shape = (-1, *grid.shape)
    truth = data.target.to_numpy().reshape(shape)
    misses = np.linalg.norm(fields.reshape(shape) - truth, axis=-1)
    return misses / np.linalg.norm(truth, axis=-1)


predictions = {title: {} for title in tests}
print(f"\n{'':18}{'plates as in training':>24}{'faster plates':>20}")
print(f"{'':18}{'error':>12}{'slip':>12}{'error':>10}{'slip':>10}{'seconds':>10}")
for name, model in models.items():
    start = perf_counter()
    model.fit(train.data, train.target)
    seconds, line = perf_counter() - start, f"{name:20}"
    for title, data in tests.items():
        fields = predictions[title][name] = model.predict(data.data)
        slip = boundary_error(fields, boundary, grid, data.data, kind="absolute").max()
        line += f"{errors_in_time(fields, data).mean():10.1e} {slip:10.1e}"
    print(f"{line}{seconds:9.1f}")
print(f"Background of the wrapped operator: {models[OURS].background_.kind_}")

# %%
# What the table says
# -------------------
#
# **The plain network** knows the speed of the plate, as a channel, and still the fluid slips.
# Projecting its prediction onto the boundary, which works with any regressor, ends that, and hardly
# changes anything else.
#
# **Wrapped**, it is better by orders of magnitude, and there is no magic in it: with one viscosity,
# the flow is a linear function of the first profile and of the speeds at the ends. The wrapper
# always looks whether that is so. If it is, a linear background takes over nearly everything, also
# for plates that move faster than any in training, where networks have never been. Ridge regression
# alone, on the same columns, is then the best model of all. If the viscosity varied too, it would
# be the worst; ``plot_insulated_rod`` in the examples has both cases.

# %%
# A look at a flow
# ----------------
#
# The flow among those of faster plates on which the plain network's error is the median one: its
# profiles at three times, and the speed of the fluid at the plate. Below, the errors over time:
# the mean over all test flows.

STYLE = {
    "ridge regression": {"color": "0.5", "linestyle": "-.", "linewidth": 1.4},
    FNO: {"color": "#d55e00", "linestyle": "--", "linewidth": 1.8},
    PROJECTED: {"color": "#009e73", "linestyle": ":", "linewidth": 2.2},
    OURS: {"color": "#0072b2", "linestyle": "-", "linewidth": 2.2},
    "exact": {"color": "black", "linestyle": "-", "linewidth": 1.0, "zorder": 3},
}
fast, fields = tests["faster plates"], dict(predictions["faster plates"])
errors = errors_in_time(fields[FNO], fast).mean(axis=1)
typical = int(errors.argsort()[len(errors) // 2])
fields["exact"] = fast.target.to_numpy()
flow = {name: values[typical].reshape(grid.shape) for name, values in fields.items()}
shown = (FNO, OURS, "exact")

plt.rcParams.update({"axes.titlesize": "medium", "axes.spines.top": False})
plt.rcParams.update({"axes.spines.right": False, "legend.frameon": False})
figure, axes = plt.subplots(2, 2, figsize=(10, 6.4), layout="constrained")
profiles, plate = axes[0]
for name in shown:
    for i in (0, 6, 12):
        profiles.plot(grid["x"], flow[name][i], label=name if i == 0 else None, **STYLE[name])
    plate.plot(times, flow[name][:, 0], label=name, **STYLE[name])
for i in (0, 6, 12):
    u = flow["exact"][i, 0]
    profiles.annotate(f"$t$ = {times[i]:.1f}", (0, u), (-6, 0), textcoords="offset points",
                      ha="right", va="center")  # fmt: skip
profiles.set(xlim=(-0.14, 0.7), xlabel="height $x$", ylabel="speed $u$", title="Profiles")
profiles.legend()
plate.set(xlabel="time $t$", ylabel="speed $u$", title="The fluid at the plate")
plate.legend()
for ax, (title, data) in zip(axes[1], tests.items(), strict=True):
    for name, values in predictions[title].items():
        ax.semilogy(times, errors_in_time(values, data).mean(axis=0), label=name, **STYLE[name])
    ax.set(xlabel="time $t$", ylabel="relative error", title=f"Errors: {title}")
axes[1, 0].sharey(axes[1, 1])
handles, labels = axes[1, 1].get_legend_handles_labels()
axes[1, 1].legend(handles, labels, loc="center right", bbox_to_anchor=(1.0, 0.62))
figure.savefig(args.output, dpi=110)
print(f"\nThe figure is in {args.output}")
