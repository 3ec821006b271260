"""
A thousand steps, and no mass is lost
=====================================

A regressor that maps a field to the next one can be applied again and again. What it gets wrong in
one step it gets wrong in the next: a thousandth of the mass lost at each step is nearly two thirds
of it after a thousand. :class:`~skphys.RolloutRegressor` steps any regressor forward and imposes
what must hold at every step.

Two problems on a ring: a blob that is carried along, for 1,000 steps, and waves of the Korteweg-de
Vries equation, which steepen and break up into solitons.
"""

# %%
# A blob, carried around 150 times
# --------------------------------
#
# 60 blobs of different places, widths and heights, over five steps each: X is the field at the
# start, y the fields after each step, side by side. Their masses differ, and none of them is told:
# an :class:`~skphys.constraints.OverStep` says what changes over one step, here nothing.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge

from skphys import RolloutRegressor
from skphys.constraints import Bounds, ConservationLaw, EnergyLaw, OverStep
from skphys.grids import Axis, Grid

N = 64
ring = Grid(x=Axis.periodic(0.0, 1.0, N))
x = ring["x"]


def blobs(n, n_steps, rng):
    """Return fields (n, 1 + n_steps, N) that move by 0.15 at each step."""
    place, width, height = rng.uniform([0.0, 0.06, 0.5], [1.0, 0.12, 1.5], (n, 3)).T[..., None]
    moved = np.arange(n_steps + 1)[:, None] * 0.15
    away = (x - place[..., None] - moved + 0.5) % 1.0 - 0.5
    return height[..., None] * np.exp(-0.5 * (away / width[..., None]) ** 2)


rng = np.random.default_rng(0)
train, test = blobs(60, 5, rng), blobs(4, 1000, rng)[:2]
mass = ("mass", OverStep(ConservationLaw(over="x", inflow=0.0)))
LAWS = {"alone": None, "mass": [mass], "mass, positive": [mass, ("positive", Bounds(lower=0.0))]}


def flat(fields):
    """Return fields after the start as y holds them."""
    return fields[:, 1:].reshape(len(fields), -1)


blob = {}
print(f"{'1,000 steps':16}{'mass lost or won':>20}{'least value':>14}{'relative error':>17}")
for name, laws in LAWS.items():
    model = RolloutRegressor(Ridge(0.1), 1000, laws, ring, error_model="residual")
    found = model.fit(train[:, 0], flat(train)).predict(test[:, 0]).reshape(len(test), 1000, N)
    drift = np.abs(found.sum(2) / test[:, :1].sum(2) - 1.0)
    error = np.linalg.norm(found - test[:, 1:], axis=2) / np.linalg.norm(test[:, 1:], axis=2)
    print(f"{name:16}{drift.max():20.1e}{found.min():14.1e}{error[:, -1].mean():17.2f}")
    blob[name] = found, drift.max(axis=0)
blob_truth = test[0, -1]

# %%
# The law does not know where the blob is; it takes nothing but the drift. Each step loses some of
# the sharpness of the blob, too, and no law says how sharp it was.
#
# Waves that steepen
# ------------------
#
# ``u_t + u u_x + 0.022^2 u_xxx = 0``, by a spectral solver of fourth order in time. Besides mass
# it keeps the energy, the integral of half the square, which is nonlinear: its value is a function
# of the field before the step.


def waves(n, n_steps, rng, dt=0.02, inner=40):
    """Solve the equation from random waves of three modes; (n, 1 + n_steps, N)."""
    modes = np.arange(1, 4)[:, None]
    a = rng.normal(size=(2, n, 3)) * 0.3 / modes.T
    u = a[0] @ np.cos(2 * np.pi * modes * x) + a[1] @ np.sin(2 * np.pi * modes * x)
    k, h = 2 * np.pi * np.fft.rfftfreq(N, 1 / N), dt / inner
    kept = np.arange(len(k)) <= N // 3
    turn = np.exp(0.5j * h * k**3 * 0.022**2)

    def change(v):
        return -0.5j * h * k * kept * np.fft.rfft(np.fft.irfft(v, N) ** 2)

    v = kept * np.fft.rfft(u + rng.uniform(-0.5, 0.5, (n, 1)))
    fields = [np.fft.irfft(v, N)]
    for _ in range(n_steps):
        for _ in range(inner):
            a = change(v)
            b = change(turn * (v + a / 2))
            c = change(turn * v + b / 2)
            d = change(turn * (turn * v + c))
            v = turn * (turn * (v + a / 6) + (b + c) / 3) + d / 6
        fields.append(np.fft.irfft(v, N))
    return np.stack(fields, axis=1)


def energy_before(X):
    """Return the energy of the field before the step."""
    return 0.5 * np.mean(X[:, :N] ** 2, axis=1)


N_STEPS, AT = 80, ((20, 18), (40, 7), (80, 7))
train, test = waves(100, 20, rng), waves(25, N_STEPS, rng)
kernel = KernelRidge(alpha=1e-5, kernel="rbf", gamma=0.02)
LAWS = {
    "alone": None,
    "mass": [mass],
    "mass, energy": [mass, ("energy", EnergyLaw(total=energy_before))],
}
errors, fields = {}, {}
for name, laws in LAWS.items():
    model = RolloutRegressor(kernel, N_STEPS, laws, ring, error_model="stated")
    found = model.fit(train[:, 0], flat(train)).predict(test[:, 0]).reshape(25, N_STEPS, N)
    fields[name] = found
    errors[name] = np.linalg.norm(found - test[:, 1:], axis=2) / np.linalg.norm(test[:, 1:], axis=2)


def first(above):
    """Return the mean number of steps until something holds."""
    return np.mean([np.argmax(row) + 1 if row.any() else len(row) for row in above])


print(f"{'waves':14}{'error at step 20':>18}{'40':>7}{'80':>7}{'steps to 10 %':>16}{'to 20 %':>10}")
for name, error in errors.items():
    median = "".join(f"{np.median(error[:, k - 1]):{width}.2f}" for k, width in AT)
    print(f"{name:14}{median}{first(error > 0.1):16.1f}{first(error > 0.2):10.1f}")

# %%
# The laws put off the time at which the error is 10 %, and that at which it has doubled from there.
# These are few waves; over four sets of more of them it takes 1.4 times as long with both laws.
#
# How sure, and for how long
# --------------------------
#
# The operator's errors are learned on rollouts that it was not fitted on, and rollouts of draws
# carry them along. Whether an operator that errs in one direction does so again at the next step,
# or errs anew, is judged on these rollouts, too.

LEADS = (1, 5, 10, 20, 40)
model = RolloutRegressor(kernel, 40, [mass], ring, error_model="residual", n_draws=10)
model.fit(train[:, 0], flat(train))
lower, upper = model.predict_interval(test[:, 0], 0.9)
truth = flat(test[:, :41])
inside = ((lower <= truth) & (truth <= upper)).reshape(len(test), 40, N).mean(axis=(0, 2))
print(f"errors persist: {model.persistent_}; 90 % intervals hold", end="")
print("".join(f"{inside[k - 1]:6.0%} at step {k}" for k in LEADS))

# %%
# Intervals are too wide at first: a few rollouts with steep waves have the largest errors, and one
# Gaussian is for all. What is left of that after forty steps is twice as far as there was to learn
# from.

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
plt.rcParams.update({"axes.titlesize": "medium", "legend.frameon": False})
COLOURS = {"alone": "#d55e00", "mass": "#0072b2", "mass, positive": "#009e73"}
COLOURS["mass, energy"] = "#009e73"
figure, axes = plt.subplots(2, 2, figsize=(10, 6.6), layout="constrained")
for name, (found, drift) in blob.items():
    axes[0, 0].semilogy(np.arange(1, 1001), drift + 1e-17, color=COLOURS[name], label=name)
    axes[0, 1].plot(x, found[0, -1], color=COLOURS[name], linewidth=2)
axes[0, 0].set(xlabel="step", ylabel="relative change of mass", title="blob: what is lost")
axes[0, 0].legend()
axes[0, 1].plot(x, blob_truth, color="black", linewidth=1, label="exact")
axes[0, 1].set(xlabel="$x$", ylabel="$u$", title="blob, after 1,000 steps", xlim=(0, 1))
axes[0, 1].legend()
shown = int(np.argsort(errors["alone"][:, 39])[len(test) // 2])
for name, error in errors.items():
    steps = np.arange(1, N_STEPS + 1)
    axes[1, 0].semilogy(steps, np.median(error, axis=0), color=COLOURS[name], label=name)
    axes[1, 1].plot(x, fields[name][shown, 39], color=COLOURS[name], linewidth=2)
axes[1, 0].set(xlabel="step", ylabel="median relative error", title="waves: how errors grow")
axes[1, 0].legend()
axes[1, 1].plot(x, test[shown, 40], color="black", linewidth=1, label="exact")
axes[1, 1].set(xlabel="$x$", ylabel="$u$", title="waves, after 40 steps", xlim=(0, 1))
axes[1, 1].legend()
figure.savefig("advected_blob.png", dpi=110)
