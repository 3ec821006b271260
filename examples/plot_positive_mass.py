"""
Positive, without losing mass
=============================

A density is never negative, but a regressor does not know that: just ahead of a steep front it
overshoots below zero. Cutting the negative values off is the common cure, and it adds mass that was
never there. :class:`~skphys.constraints.Bounds` together with a
:class:`~skphys.constraints.ConservationLaw` finds the most probable field that is positive *and*
has the right mass, and does so for every sample.

The task: predict how a gas has spread in a porous medium, from its exponent ``m`` and the time
``t``, from 40 simulations. How much gas there is, is known: a column ``mass``.
"""

# %%
# The data
# --------
#
# One row a field, the averages over 101 cells. Their sum is the integral, without any quadrature
# error, so the law is true of the exact solution, and so are the bounds.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern
from sklearn.kernel_ridge import KernelRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import ConservationConstrainedRegressor, PointwiseRegressor
from skphys.constraints import Bounds, ConservationLaw
from skphys.datasets import make_porous_medium
from skphys.metrics import crps_ensemble

N_TRAIN, N_TEST, N_SAMPLES, N_DRAWS = 40, 20, 30, 4


def draw_data(seed):
    """Return X, with the mass as a column, and the fields, for training and for testing."""
    medium = make_porous_medium(
        N_TRAIN + N_TEST,
        t=(0.1, 0.9),
        layout="fields",
        location="cells",
        n_points=101,
        as_frame=True,
        random_state=seed,
    )
    X, y = medium.data.assign(mass=medium.mass(medium.data)), medium.target.to_numpy()
    return X[:N_TRAIN], y[:N_TRAIN], X[N_TRAIN:], y[N_TRAIN:]


grid = make_porous_medium(1, layout="fields", location="cells", n_points=101).grid
x, widths = grid["x"], grid.weights()

# %%
# Two backbones
# -------------
#
# Kernel ridge states no uncertainty; it gets the errors that it makes in cross-validation. The
# Gaussian process has a covariance along the field: it is sure that neighbouring values are alike.

backbones = {
    "kernel ridge": {
        "estimator": make_pipeline(StandardScaler(), KernelRidge(1e-2, kernel="rbf", gamma=0.5)),
        "error_model": "residual",
    },
    "Gaussian process": {
        "estimator": PointwiseRegressor(
            GaussianProcessRegressor(
                ConstantKernel(1.0) * Matern([3.0, 0.5, 0.5], (1e-2, 1e2), nu=1.5), alpha=1e-6
            ),
            grid,
            max_rows=400,
            random_state=0,
        ),
    },
}

# %%
# Five ways
# ---------
#
# The backbone alone; the law; the law with negative values cut off; the same, scaled to the right
# mass; and both constraints. Each is a pair of a mean and of samples. The fields
# are empty in parts, which a truncated Gaussian is not: ``inequality_posterior="projected"``, which
# "auto" comes to here, moves the mean and each sample to the nearest field that obeys.

law, positive = ConservationLaw(over="x", total="mass"), Bounds(lower=0.0)
ALONE, LAW, CLIPPED = "backbone alone", "law", "law, clipped"
SCALED, BOTH = "law, clipped, scaled", "law + bounds"


def scaled(fields, mass):
    """Clip fields of shape (..., n_points), and multiply each by what its mass is short of."""
    clipped = np.maximum(fields, 0)
    return clipped * (mass / (clipped @ widths))[..., None]


def predict(constraints, backbone, data):
    """Return the mean (n_fields, n_points), and samples (n_samples, n_fields, n_points)."""
    X_train, y_train, X_test, _ = data
    columns = ["m", "t"] if constraints is None else ["m", "t", "mass"]
    model = ConservationConstrainedRegressor(
        constraints=constraints,
        grid=grid,
        drop_value_columns=True,
        inequality_posterior="projected",
        **backbone,
    ).fit(X_train[columns], y_train)
    draws = model.sample_y(X_test[columns], N_SAMPLES, random_state=0)
    return model.predict(X_test[columns]), np.moveaxis(draws, -1, 0)


def five_ways(backbone, data):
    """Return mean and samples of each way."""
    mass = data[2]["mass"].to_numpy()
    mean, draws = predict(law, backbone, data)
    return {
        ALONE: predict(None, backbone, data),
        LAW: (mean, draws),
        CLIPPED: (np.maximum(mean, 0), np.maximum(draws, 0)),
        SCALED: (scaled(mean, mass), scaled(draws, mass)),
        BOTH: predict([law, positive], backbone, data),
    }


# %%
# Scores
# ------
#
# On fields that were not in training: how much negative mass a mean holds, on average; the largest
# error of its mass; the mean squared error; and the CRPS of the samples. Everything is averaged
# over four draws of the simulations, but for the mass error, which is the worst of all.


def scores(prediction, data):
    """Compare the mean and the samples of one way with the exact solution."""
    (mean, draws), (_, _, X_test, y_test) = prediction, data
    return [
        np.mean(np.maximum(-mean, 0) @ widths),
        np.abs(mean @ widths - X_test["mass"].to_numpy()).max(),
        np.mean((mean - y_test) ** 2),
        crps_ensemble(y_test, np.moveaxis(draws, 0, -1)),
    ]


print("{:24}{:>14}{:>12}{:>9}{:>9}".format("", "negative mass", "mass error", "MSE", "CRPS"))
for name, backbone in backbones.items():
    table = {}
    for seed in range(N_DRAWS):
        data = draw_data(seed)
        for way, prediction in five_ways(backbone, data).items():
            table.setdefault(way, []).append(scores(prediction, data))
    print(name)
    for way, rows in table.items():
        negative, _, mse, score = np.mean(rows, axis=0)
        worst = np.max(rows, axis=0)[1]
        print(f"  {way:22}{negative:14.1e}{worst:12.1e}{mse:9.5f}{score:9.4f}")

# %%
# What the table says
# -------------------
#
# **The law alone** makes the mass right and leaves the field as negative as it was.
#
# **Clipping** lowers the squared error, but the mass is wrong again, and always by too much.
# Scaling repairs that everywhere alike, also where the prediction was good.
#
# **Law and bounds** are right about both. What is added ahead of the front is taken away where the
# model is unsure, and the squared error is the lowest, with either backbone.
#
# **The samples** are another matter. With kernel ridge their CRPS is the best, too. With the
# Gaussian process that of the clipped samples is lower, although they have the wrong mass: most
# samples are negative somewhere ahead of the front, where this process is as unsure as anywhere
# else; projecting pushes them up there, and each pays with mass from behind the front, which the
# covariance makes a long stretch. A backbone that knew that there is no gas ahead of the front
# would not need this. And projected samples gather at the bound; they are not draws of the
# truncated Gaussian.
#
# Standard deviations stay those of the Gaussian before the bounds. Next to the bound they are too
# wide, so the samples are scored here.

# %%
# A look at the corrections
# -------------------------
#
# Left, the field of the last draw to which clipping adds most. Middle, samples of the Gaussian
# process for the field where the same is true of it. Right, the mass of all fields of that draw.

STYLE = {
    LAW: {"color": "#d55e00", "linestyle": "--", "linewidth": 1.8},
    CLIPPED: {"color": "#009e73", "linestyle": ":", "linewidth": 2.4},
    BOTH: {"color": "#0072b2", "linewidth": 2.2},
}
EXACT = {"color": "black", "linewidth": 1.0, "zorder": 3}
_, _, X_test, y_test = data
ridge, process = (five_ways(backbone, data) for backbone in backbones.values())


def added(ways, way):
    """Return the mass that each mean has too much."""
    return ways[way][0] @ widths - X_test["mass"].to_numpy()


def describe(row):
    """Say which field it is."""
    return "$m$ = {:.1f}, $t$ = {:.2f}".format(*X_test.iloc[row][["m", "t"]])


plt.rcParams.update({"axes.titlesize": "medium", "axes.spines.top": False})
plt.rcParams.update({"axes.spines.right": False, "legend.frameon": False})
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
row = added(ridge, CLIPPED).argmax()
for way, style in STYLE.items():
    left.plot(x, ridge[way][0][row], label=way, **style)
left.plot(x, y_test[row], label="exact", **EXACT)
left.axhline(0, color="0.7", linewidth=0.8, zorder=0)
left.set(xlim=(0, 1), xlabel="position $x$", ylabel="field $u$")
left.set_title(f"Kernel ridge: {describe(row)}")
left.legend()

row = added(process, CLIPPED).argmax()
for way in (LAW, BOTH):
    draws = process[way][1][:12, row]
    middle.plot(x, draws.T, color=STYLE[way]["color"], linewidth=0.8, alpha=0.7)
middle.plot(x, y_test[row], **EXACT)
middle.set(xlim=(0, 1), xlabel="position $x$", title=f"12 samples: {describe(row)}")

for ways, marker in ((ridge, "s"), (process, "o")):
    for way in (CLIPPED, BOTH):
        color = STYLE[way]["color"]
        right.plot(X_test["mass"], added(ways, way), marker, color=color, markersize=4)
right.set(xlabel="mass", ylabel="mass of the mean, less exact")
right.set_title(r"Mass ($\blacksquare$ ridge, $\bullet$ process)")
figure.savefig("positive_mass.png", dpi=110)
