"""
Any regressor, and conservation of mass
=======================================

A front melts its way into a rod: the Stefan problem. Its exact solution jumps to zero at the
moving front, and its mass, the integral over the rod, is known at every time, since it is known
what flows in on the left. Three regressors are fitted to 100 scattered measurements; none of them
knows about mass. :class:`~skphys.ConservationConstrainedRegressor` conditions their predictions
on it, so that means, standard deviations and samples all obey the law.

The law always holds then. Whether the prediction also gets *better* depends on the regressor and
on the data, so each regressor is scored with and without the law, in three situations, over ten
draws of the training data.

Run as a script, this prints the table and saves the figure as ``stefan_conservation.png``.
"""

# %%
# The problem
# -----------
#
# The measurements are a table with one row a point: time, position, and the field with an error of
# 0.02. ``make_stefan`` also knows the exact solution, the mass and the position of the front.

import argparse

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import ConservationConstrainedRegressor, EnsembleRegressor
from skphys.constraints import ConservationLaw
from skphys.datasets import make_stefan
from skphys.grids import ColumnGrid
from skphys.metrics import conservation_error, coverage, crps, gaussian_nll, shock_position

parser = argparse.ArgumentParser(description="Constrain three regressors to conserve mass.")
parser.add_argument("--output", default="stefan_conservation.png", help="where the figure goes")
parser.add_argument("--draws", type=int, default=10, help="training sets to average over")
args = parser.parse_args()

NOISE = 0.02


def measure(n_points, last_time, seed):
    """Return scattered measurements between time 0.01 and the last one."""
    return make_stefan(n_points, t=(0.01, last_time), noise=NOISE, as_frame=True, random_state=seed)


stefan = measure(100, 0.1, seed=0)
print(stefan.frame.head(3).round(3).to_string(index=False), "\n")

# %%
# The law, and what a field is
# ----------------------------
#
# Integrated over ``x``, the field equals the known mass; rows that share ``t`` are one field.

law = ConservationLaw(over="x", total=stefan.mass)
grid = ColumnGrid(space="x", by="t", domain=(0, 1))
x = np.linspace(0, 1, 201)


def fields_at(times):
    """Return a table of whole fields, one for each time."""
    return pd.DataFrame({"t": np.repeat(times, x.size), "x": np.tile(x, np.size(times))})


# %%
# Three regressors that state an uncertainty
# ------------------------------------------
#
# They do so in different ways, and the law acts through it. The Gaussian process has a
# covariance along the field; its kernel is the roughest of the Matérn family, because the field
# jumps. The neural networks and the trees are members of ensembles, whose spread is a covariance.

backbones = {
    "Gaussian process": GaussianProcessRegressor(
        ConstantKernel(0.3, (1e-2, 1e2)) * Matern([0.05, 0.2], (1e-2, 1e2), nu=0.5),
        alpha=NOISE**2,
    ),
    "20 neural networks": EnsembleRegressor(
        make_pipeline(
            StandardScaler(),
            MLPRegressor(
                hidden_layer_sizes=(32, 32), solver="lbfgs", alpha=0.01, tol=1e-3, max_iter=3000
            ),
        ),
        n_members=20,
        bootstrap=True,
        n_jobs=2,
        random_state=0,
    ),
    "random forest": RandomForestRegressor(n_estimators=100, random_state=0),
}


def with_and_without_law(backbone, data):
    """Fit a backbone once, and put it into a model without and a model with the law."""
    X, y = data.frame[["t", "x"]], data.frame["u"]
    free = ConservationConstrainedRegressor(backbone, grid=grid).fit(X, y)
    trained = FrozenEstimator(free.estimator_)
    return free, ConservationConstrainedRegressor(trained, constraints=law, grid=grid).fit(X, y)


# %%
# Scores
# ------
#
# Against the exact solution, at points and times that were not measured: the largest error of the
# mass, the log-likelihood (per point), the mean squared error, the CRPS (in units of the field),
# and the fraction of points inside the 90 % intervals.

COLUMNS = ["mass error", "log-lik.", "MSE", "CRPS", "coverage"]


def scores(model, query):
    """Compare a model's fields with the exact solution."""
    truth = stefan.solution(query["t"].to_numpy(), query["x"].to_numpy())
    mean, std = model.predict(query, return_std=True)
    return [
        np.abs(conservation_error(mean, law, grid, X=query)).max(),
        -gaussian_nll(truth, mean, std),
        np.mean((mean - truth) ** 2),
        crps(truth, mean, std),
        coverage(truth, *model.predict_interval(query, coverage=0.9)),
    ]


def compare(backbone, n_points, last_time, query):
    """Return scores of shape (draws, without and with the law, columns)."""
    draws = (measure(n_points, last_time, seed) for seed in range(args.draws))
    return np.array(
        [[scores(m, query) for m in with_and_without_law(backbone, data)] for data in draws]
    )


def print_block(title, results):
    """Print the means over the draws, and in how many of them the law lowers the CRPS."""
    print(f"\n{title}")
    for name, result in results.items():
        better = np.sum(result[:, 1, 3] < result[:, 0, 3])
        notes = ["", f"in {better} of {len(result)}"]
        for label, row, note in zip([name, "  + law"], result.mean(axis=0), notes, strict=True):
            print("{:20}{:>12.1e}{:>10.2f}{:>10.4f}{:>10.4f}{:>10.0%}".format(label, *row), end="")
            print(f"{note:>13}".rstrip())


# %%
# The three situations: as in the first paragraph; the same number of points, all measured before
# the times that are asked for, so that the regressors must extrapolate; and so many points that
# little is left to learn.

all_times = fields_at(np.linspace(0.02, 0.1, 9))
later_times = fields_at(np.linspace(0.07, 0.1, 4))
situations = {
    "100 points, at all times": (100, 0.1, all_times),
    "100 points until t = 0.06, scored at t = 0.07 to 0.1": (100, 0.06, later_times),
    "500 points, at all times": (500, 0.1, all_times),
}

print(("{:20}{:>12}" + 4 * "{:>10}" + "{:>13}").format("", *COLUMNS, "lower CRPS"))
for title, situation in situations.items():
    print_block(title, {name: compare(b, *situation) for name, b in backbones.items()})

exact = stefan.solution(all_times["t"].to_numpy(), all_times["x"].to_numpy())
rule_error = np.abs(conservation_error(exact, law, grid, X=all_times)).max()
print(f"\nMeans over {args.draws} draws of the training data. The exact solution on the same grid")
print(f"has a mass error of {rule_error:.1e}: the trapezoid rule does not see where it jumps.")

# %%
# What the table says
# -------------------
#
# The mass error falls to rounding in every row. What else happens is for the data and for the
# covariance of the regressor to decide:
#
# **100 points at all times.** Between the points there is something to correct, and the law lowers
# the squared error of all three: least for the Gaussian process, which knows best what it does not
# know. The law also makes a model surer. The ensembles were too sure at some points already, so
# their log-likelihood falls although their means improve.
#
# **Extrapolation.** The networks invent about as much mass as there is, but their members disagree
# about it, and the law takes most of the error away. The Gaussian process falls back to wide
# bands, and one known integral says little about 201 unknown values. The forest repeats the last
# profile that it has seen, with the front in the wrong place, and its trees agree on that. So the
# law spreads the missing mass ahead of the front, where they do not agree: CRPS and log-likelihood
# get *worse*, and most intervals miss. A law does not repair a covariance that is wrong about where
# the errors are.
#
# **Plenty of points.** A regressor that knows the field also knows its mass: for the Gaussian
# process the law changes nothing, except that it holds. The forest, which predicts in steps, still
# misses the mass, and gains. The last lines of the output name a limit: where a regressor misses
# the mass by no more than the quadrature rule does, give the law that error as ``noise``, or use
# cell averages.

# %%
# A look at the neural networks
# -----------------------------
#
# The first draw of the first two situations: a profile with its 90 % band, the mass over time, and
# where a thousand samples put the front. All samples with the law have the right mass. It is the
# first draw, not a typical one: extrapolating, the networks invent more mass here than on average.

FREE, LAWFUL, EXACT = "without the law", "with the law", "exact"
STYLE = {
    FREE: {"color": "#d55e00", "linestyle": "--", "linewidth": 1.8},
    LAWFUL: {"color": "#0072b2", "linestyle": "-", "linewidth": 2.4},
    EXACT: {"color": "black", "linestyle": "-", "linewidth": 1.0, "zorder": 3},
}


def draw_profile(ax, models, data, time):
    """Draw means and bands at one time, the truth, and what was measured nearby."""
    query = fields_at(time)
    for label, model in models.items():
        lower, upper = model.predict_interval(query, coverage=0.9)
        ax.fill_between(x, lower, upper, color=STYLE[label]["color"], alpha=0.2, linewidth=0)
        ax.plot(x, model.predict(query), label=label, **STYLE[label])
    ax.plot(x, stefan.solution(time, x), label=EXACT, **STYLE[EXACT])
    nearby = data.frame[np.abs(data.frame["t"] - time) < 0.005]
    ax.plot(nearby["x"], nearby["u"], "o", color="0.35", markersize=4, label="measured nearby")
    ax.set(xlim=(0, 1), xlabel="position $x$", ylabel="field $u$")
    ax.set_title(f"Profile at $t$ = {time:g}, with 90 % band")


def draw_mass(ax, models, last_time):
    """Draw the integral of the mean over time; shade the times without measurements."""
    times = np.linspace(0.01, 0.1, 46)
    for label, model in models.items():
        fields = model.predict(fields_at(times)).reshape(times.size, x.size)
        ax.plot(times, np.trapezoid(fields, x), label=label, **STYLE[label])
    ax.plot(times, stefan.mass(times), label=EXACT, **STYLE[EXACT])
    if last_time < times[-1]:
        ax.axvspan(last_time, times[-1], color="0.92", linewidth=0, zorder=0)
        ax.text(0.985, 0.04, "not measured", transform=ax.transAxes, ha="right", color="0.3")
    ax.set(xlim=(0.01, 0.1), ylim=(0, None), xlabel="time $t$", ylabel=r"mass $\int u\,dx$")
    ax.set_title("Mass of the mean")


def draw_front(ax, models, time, stop):
    """Draw where samples put the front: where they fall below half the height of the jump."""
    bins = np.linspace(0, stop, 81)
    for label, model in models.items():
        samples = model.sample_y(fields_at(time), n_samples=1000, random_state=0)
        position = shock_position(samples, x, threshold=stefan.params["u_star"] / 2, axis=0)
        ax.hist(position, bins, color=STYLE[label]["color"], alpha=0.6)
    ax.axvline(stefan.shock_position(time), **STYLE[EXACT])
    ax.set(xlim=(0, stop), xlabel="position $x$", ylabel="samples")
    ax.set_title(f"Front at $t$ = {time:g}, 1000 samples")


def draw_row(figure, title, data, *, last_time, time, stop):
    """Draw the three panels of one situation."""
    axes = figure.subplots(1, 3, width_ratios=(1.15, 1, 1))
    pair = with_and_without_law(backbones["20 neural networks"], data)
    models = dict(zip((FREE, LAWFUL), pair, strict=True))
    draw_profile(axes[0], models, data, time)
    draw_mass(axes[1], models, last_time)
    draw_front(axes[2], models, time, stop)
    figure.suptitle(title, x=0.008, ha="left", weight="bold")
    return axes[0].get_legend_handles_labels()


plt.rcParams.update({"axes.titlesize": "medium", "axes.spines.top": False})
plt.rcParams.update({"axes.spines.right": False, "legend.frameon": False})
figure = plt.figure(figsize=(10, 5.8), layout="constrained")
above, below = figure.subfigures(2, 1)
data, title = measure(100, 0.1, seed=0), "Neural networks, measured at all times"
legend = draw_row(above, title, data, last_time=0.1, time=0.05, stop=0.4)
data, title = measure(100, 0.06, seed=0), "Neural networks, measured until $t$ = 0.06"
draw_row(below, title, data, last_time=0.06, time=0.08, stop=1.0)
above.legend(*legend, loc="upper right", ncols=4, borderaxespad=0.2, columnspacing=1.2)
figure.savefig(args.output, dpi=150)
print(f"\nThe figure is in {args.output}")
