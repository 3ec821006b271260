"""
A local balance, and a global one
=================================

A front is carried through a pipe. Two laws are known: how much is in the whole pipe at each time,
which is what was there and what came in, and, one scale below, that each of its 50 cells gains what
its neighbours lose. The second one is a :class:`~skphys.constraints.ControlVolumeBalance`, the
first a :class:`~skphys.constraints.ConservationLaw`. Which cells do they correct, and how well?
"""

# %%
# Fields over time and space
# --------------------------
#
# A row of X is one experiment: where the front starts, how wide it is, how high. A row of y is the
# whole history, the averages over 50 cells at 26 times, so its grid has two axes. The speed is 1,
# and in one time step everything moves on by one cell.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.frozen import FrozenEstimator

from skphys import ConservationConstrainedRegressor, PointwiseRegressor
from skphys.constraints import (
    AdvectiveFlux,
    Column,
    ConservationLaw,
    ControlVolumeBalance,
    LinearEquality,
)
from skphys.grids import Axis, Grid
from skphys.metrics import conservation_error, coverage, crps

N_CELLS, N_TIMES = 50, 26
edges = np.linspace(0, 1, N_CELLS + 1)
grid = Grid(t=np.arange(N_TIMES) / N_CELLS, x=Axis.cells(edges))
START, WIDTH, HEIGHT = range(3)


def draw_experiments(n_samples, seed):
    """Draw rows of X."""
    return np.random.default_rng(seed).uniform([0.1, 0.01, 0.5], [0.4, 0.08, 1.5], (n_samples, 3))


def exact_fields(X):
    """Return averages over the cells of a front that falls like a cosine, in closed form."""
    start, width, height = X.T[..., None, None]
    ahead = edges - start - grid["t"][:, None]
    s = np.clip(ahead, -width, width)
    inside = (s + width) / 2 + width / np.pi * np.cos(np.pi * s / (2 * width))
    amount = np.where(ahead < -width, ahead + width, inside)
    return (height * np.diff(amount) * N_CELLS).reshape(len(X), -1)


X_train, X_test = draw_experiments(80, seed=0), draw_experiments(40, seed=1)
y_train, y_test = exact_fields(X_train), exact_fields(X_test)

# %%
# Two laws
# --------
#
# The global law: what is in the pipe at first, and an inflow of ``height`` per unit time, the speed
# being 1. No front reaches the other end.


def amount_at_start(X):
    """Return what is in the pipe at time 0."""
    return X[:, START] * X[:, HEIGHT]


whole_pipe = ConservationLaw(over="x", initial=amount_at_start, inflow=Column(HEIGHT))

# %%
# The local law, one row for each cell and time step: the flux through a face is the speed times the
# value upwind. At the inlet there is no cell upwind, so there the flux is given, and it is zero at
# all other faces. With ``theta=0`` the flux is that at the beginning of a step. For this step this
# is what the exact solution does, so the law holds to rounding; with any other step the scheme
# would have an error of its own, for which there is ``noise``.


def inlet(X, speed=1.0):
    """Return what enters through the first of the faces."""
    flux = np.zeros((len(X), N_CELLS + 1))
    flux[:, 0] = speed * X[:, HEIGHT]
    return flux


def slow_inlet(X):
    """Return the same for a speed that is 10 % too low."""
    return inlet(X, 0.9)


every_cell = ControlVolumeBalance(inlet, flux_operator=AdvectiveFlux(1.0), theta=0.0)
too_slow = ControlVolumeBalance(slow_inlet, flux_operator=AdvectiveFlux(0.9), theta=0.0)
for law in (whole_pipe, every_cell):
    error = np.abs(conservation_error(y_test, law, grid, X=X_test)).max()
    n_rows = law.rows(grid).shape[0]
    print(f"{type(law).__name__:22}{n_rows:6d} rows, exact fields miss {error:.0e}")

# %%
# The local balances add up to the change of the global amount, whatever the field. They do not say
# how much there is to begin with; one row for the first time adds that.

at_start = LinearEquality(grid.integral_rows("x")[[0]], amount_at_start)

# %%
# The backbone
# ------------
#
# Gradient boosting predicts one value from its time, its place and the experiment. It knows
# nothing of its neighbours, so it breaks every balance. (A forest or a kernel ridge of *whole*
# fields mixes training fields linearly, and so inherits all balances that are linear in the field;
# it would have little to learn from them here.) Its uncertainty is that of cross-validation, cell
# by cell and time by time.

backbone = PointwiseRegressor(HistGradientBoostingRegressor(random_state=0), grid)
alone = ConservationConstrainedRegressor(backbone, grid=grid, error_model="residual")
alone.fit(X_train, y_train)


def constrained(*constraints):
    """Put the trained backbone into a model with constraints."""
    model = ConservationConstrainedRegressor(FrozenEstimator(alone), list(constraints), grid)
    return model.fit(X_train, y_train)


noisy = clone(too_slow).set_params(noise=1e-3)
models = {
    "backbone alone": alone,
    "whole pipe": constrained(whole_pipe),
    "every cell": constrained(every_cell),
    "every cell + start": constrained(every_cell, at_start),
    "speed 10 % too low": constrained(too_slow, at_start),
    "  with noise 1e-3": constrained(noisy, at_start),
}

# %%
# Scores
# ------
#
# On 40 experiments that were not in training: the largest error of a cell's balance, and of the
# amount in the pipe; mean squared error, CRPS, and the fraction of values in 90 % intervals.


def scores(model):
    """Compare a model's fields with the exact ones."""
    mean, std = model.predict(X_test, return_std=True)
    return [
        np.abs(conservation_error(mean, every_cell, grid, X=X_test)).max(),
        np.abs(conservation_error(mean, whole_pipe, grid, X=X_test)).max(),
        np.mean((mean - y_test) ** 2),
        crps(y_test, mean, std),
        coverage(y_test, *model.predict_interval(X_test, coverage=0.9)),
    ]


COLUMNS = "{:20}{:>9}{:>11}{:>10}{:>9}{:>10}"
print("\n" + COLUMNS.format("", "cell", "amount", "MSE", "CRPS", "coverage"))
for name, model in models.items():
    print("{:20}{:9.0e}{:11.0e}{:10.5f}{:9.4f}{:10.0%}".format(name, *scores(model)))

# %%
# What the table says
# -------------------
#
# **The whole pipe.** The amount is right at each time, the cells are as unbalanced as before, and
# the error hardly falls: one number says little about 50 cells.
#
# **Every cell.** All cells balance, so what is predicted at one time must fit what is predicted at
# all others: the 26 predictions of what moves together are averaged. That is much more information,
# and the squared error falls by a fifth. The amount is only right once the start is known; what
# is then left of its error is what the prediction lets out at the end of the pipe.
#
# **The intervals** get far too narrow, though. The model takes the errors of cross-validation as
# independent, and the average of 26 independent errors is small; but a front that is predicted in
# the wrong place is so at all times. Rows that bind many values together need a covariance that
# knows what errors they share. Take the mean; calibrate the standard deviation before you use it.
#
# **A wrong speed** is a wrong law. Enforced exactly it makes the prediction worse than no law at
# all; with noise, of the size of what the law may miss, it helps, though less than the right one,
# and most intervals hold. A local balance says more than a global one, so there is more in it that
# can be wrong.

# %%
# One experiment
# --------------
#
# Above, what each model gets wrong; below, the field itself, and what each law has changed. Who
# pays? With the global law, at each time, all cells where errors were large in training, whichever
# side of the front they are on: it takes away ahead of the front as well, where nothing was wrong.
# With the local one it is above all the cells that fit least into what flows past. Some is taken
# away ahead of the front here, too; what is left of the error is carried along with the flow, as
# everything is.

levels = (np.arange(N_TIMES + 1) - 0.5) / N_CELLS


def draw_map(ax, field, limit, title, cmap="PuOr"):
    """Draw a field over space and time."""
    image = ax.pcolormesh(
        edges, levels, grid.reshape(field), cmap=cmap, vmin=-limit, vmax=limit, rasterized=True
    )
    ax.set_title(title)
    return image


shown = ["backbone alone", "whole pipe", "every cell + start"]
means = {name: models[name].predict(X_test) for name in shown}
errors = np.stack([means[name] - y_test for name in shown])
row = 29
figure, axes = plt.subplots(2, 3, figsize=(10, 5.6), layout="constrained", sharex=True, sharey=True)
limit = 0.3
for ax, name, error in zip(axes[0], shown, errors[:, row], strict=True):
    image = draw_map(ax, error, limit, f"Error: {name}")
figure.colorbar(image, ax=axes[0], label="prediction less exact", extend="both", pad=0.01)
exact = grid.reshape(y_test[row])
axes[1, 0].pcolormesh(edges, levels, exact, cmap="cividis", rasterized=True)
axes[1, 0].set_title(f"Exact field, from 0 to {exact.max():.2f}")
for ax, name in zip(axes[1, 1:], shown[1:], strict=True):
    change = means[name][row] - means[shown[0]][row]
    image = draw_map(ax, change, limit, f"Correction: {name}")
figure.colorbar(image, ax=axes[1, 1:], label="change by the law", extend="both", pad=0.01)
for ax in axes[-1]:
    ax.set_xlabel("position $x$")
for ax in axes[:, 0]:
    ax.set_ylabel("time $t$")
figure.savefig("local_balance.png", dpi=110)
