"""
A front that the mass puts in its place
=======================================

Near a front a regressor errs in *where*, not in *how much*. No covariance can move a front: spread
out over the field, the missing mass makes the step lower or gives it a foot. So the default error
model, :class:`~skphys.estimators.ErrorModel`, also knows displacements. The prediction becomes a
mixture of fields that are displaced by different distances, each of which obeys the law, and the
mass says which of them are likely.

The task: ice melts from the left. Where the water ends depends on the temperature at which it
freezes and on time; the mass of the field is known, the position of the front is not.
"""

# %%
# The data, and a regressor that states nothing
# ---------------------------------------------
#
# 60 solutions to learn from and 100 to judge by. The third column of X is the mass; the regressor
# does not see it. Five neighbours are averaged, so their fronts are, too.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Column, ConservationLaw
from skphys.datasets import make_stefan
from skphys.inspection import FrontDisplay
from skphys.metrics import coverage, crps, shock_position


def with_mass(data):
    """Return X with the exact mass of each field as a last column."""
    u_star, t = data.data.T
    return np.column_stack([data.data, data.mass(t, u_star)])


train = make_stefan(60, layout="fields", n_points=101, random_state=1)
test = make_stefan(100, layout="fields", n_points=101, random_state=2)
X, X_test, grid = with_mass(train), with_mass(test), train.grid

neighbours = make_pipeline(StandardScaler(), KNeighborsRegressor(5, weights="distance"))
law = ConservationLaw(over="x", total=Column(2))

# %%
# Three error models
# ------------------
#
# "stated" takes unit variance, as nothing is stated: the nearest field with the right mass.
# "residual" learns from predictions out of fold how large errors are at each point, and how they
# are correlated. "auto", the default, also learns how far fields are displaced. All three obey the
# law to rounding.

models = {
    name: ConservationConstrainedRegressor(
        neighbours, law, grid, error_model=name, drop_value_columns=True
    ).fit(X, train.target)
    for name in ("stated", "residual", "auto")
}
unconstrained = neighbours.fit(train.data, train.target).predict(test.data)

print(f"{'':10}{'mean squared error':>20}{'CRPS':>10}{'90 % hold':>11}{'mass missed by':>16}")
print(f"{'neighbours':10}{np.mean((unconstrained - test.target) ** 2):20.5f}")
for name, model in models.items():
    mean = model.predict(X_test)
    error = np.mean((mean - test.target) ** 2)
    missed = np.abs(mean @ grid.weights() - X_test[:, 2]).max()
    if name == "stated":
        print(f"{name:10}{error:20.5f}{'':21}{missed:16.0e}")
        continue
    std = model.predict_std(X_test)
    held = coverage(test.target, *model.predict_interval(X_test))
    print(f"{name:10}{error:20.5f}{crps(test.target, mean, std):10.4f}{held:11.0%}{missed:16.0e}")

# %%
# What was chosen, and by how much it was better, in one line:

print(models["auto"].error_model_)

# %%
# Where it helps, and where it does not
# -------------------------------------
#
# Above, the field that gains most by displacements; below, the one that loses most. Correlated
# errors change the height of the step; displacements move it to where the mass says, and the draws
# say how sure its position is. Below, the front stands nearly right and the step is too low: the
# mass that it lacks moves the front past its place, by less than was gained above. Where a step is
# so low that it stays below half of the true height, a draw has no front; the legend counts these.

x = grid["x"]
errors = {n: np.mean((m.predict(X_test) - test.target) ** 2, axis=1) for n, m in models.items()}
gain = errors["residual"] - errors["auto"]

COLORS = {"residual": {"color": "tab:blue"}, "auto": {"color": "tab:orange"}}
two = {name: models[name] for name in COLORS}
figure, axes = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
for (left, right), k in zip(axes, (np.argmax(gain), np.argmin(gain)), strict=True):
    half = 0.5 * test.target[k].max()
    left.plot(x, test.target[k], color="black", label="truth")
    left.plot(x, unconstrained[k], color="tab:gray", linestyle="--", label="neighbours")
    for name, model in two.items():
        one = X_test[k : k + 1]
        lower, upper = (band[0] for band in model.predict_interval(one))
        left.plot(x, model.predict(one)[0], label=f"law, {name}", **COLORS[name])
        left.fill_between(x, lower, upper, alpha=0.25, linewidth=0, **COLORS[name])
    how = {"threshold": half, "bins": np.linspace(0, 1, 101), "bar_kwargs": COLORS}
    FrontDisplay.from_estimator(two, X_test, test.target, sample=k, ax=right, **how)
    right.axvline(shock_position(unconstrained[k], grid, threshold=half), color="tab:gray")
    left.set(xlabel="x", ylabel="u", title="the field, with 90 % intervals")
    right.set_title("draws of where its front is")
axes[0, 0].legend()
plt.show()
