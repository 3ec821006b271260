"""
Species along an ignition, element by element
=============================================

A regressor takes the place of stiff chemistry: from the temperature and equivalence ratio of a
fresh hydrogen-air mixture, and the time since, to the mass fractions of nine species. Reactions
make species of species, but no atoms: the mass of each element stays what it was. Neither does a
net know that, nor does clipping at zero and dividing by the sum, the usual mend, restore it.
Cantera makes the data; the extra ``docs`` installs it.
"""

# %%
# The data
# --------
#
# Cantera integrates adiabatic reactors at constant pressure, and is asked at twelve times of each,
# around the ignition and long after. One row a state.

import time
import warnings

import cantera as ct
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Bounds, Column, LinearEquality

gas = ct.Solution("h2o2.yaml")
SPECIES = [name for name in gas.species_names if name != "AR"]
ELEMENTS = ["H", "O", "N"]
kept = [gas.species_index(name) for name in SPECIES]

# Mass of an element in a unit mass of each species: what the mass fractions are weighed by.
atoms = np.array([[gas.n_atoms(s, e) for s in SPECIES] for e in ELEMENTS])
weights = [gas.atomic_weight(e) for e in ELEMENTS]
E = atoms * np.reshape(weights, (-1, 1)) / gas.molecular_weights[kept]


def mix(temperature, ratio):
    """Put a fresh mixture into the gas."""
    gas.TP = temperature, ct.one_atm
    gas.set_equivalence_ratio(ratio, "H2", "O2:1, N2:3.76")


def ignition(temperature, ratio, times):
    """Return the mass fractions at some times, and the temperatures."""
    mix(temperature, ratio)
    reactor = ct.IdealGasConstPressureReactor(gas, clone=False)
    net, states = ct.ReactorNet([reactor]), []
    for t in times:
        net.advance(t)
        states.append((gas.Y[kept], gas.T))
    return map(np.array, zip(*states, strict=True))


def reactors(n, rng):
    """Return what is known of states, their mass fractions and temperatures."""
    rows, fractions, temperatures = [], [], []
    for temperature, ratio in rng.uniform([1050.0, 0.5], [1400.0, 2.0], (n, 2)):
        mix(temperature, ratio)
        fresh = E @ gas.Y[kept]
        times = np.sort(10.0 ** rng.uniform(-5.5, -3.0, 12))
        Y, T = ignition(temperature, ratio, times)
        rows += [[temperature, ratio, np.log10(t), *fresh] for t in times]
        fractions.append(Y)
        temperatures.append(T)
    columns = ["T_fresh", "ratio", "log_time", *ELEMENTS]
    return pd.DataFrame(rows, columns=columns), np.vstack(fractions), np.concatenate(temperatures)


rng = np.random.default_rng(0)
X_train, y_train, _ = reactors(200, rng)
X_held, y_held, _ = reactors(50, rng)
began = time.perf_counter()
X_test, y_test, T_test = reactors(100, rng)
seconds = time.perf_counter() - began
print(X_train.head(3).round(4).to_string(index=False))
print(f"{len(X_test)} states to predict; Cantera takes {seconds:.2f} s")

# %%
# The model
# ---------
#
# Three rows say how much hydrogen, oxygen and nitrogen there is, from columns of X that the net
# need not see; that the fractions sum to one follows. Species differ by factors of ten thousand, so
# what is missing must not go into all of them alike: from reactors that the net was not trained on,
# the error model learns how large each one's errors are, and which go together.

KNOWN = ["T_fresh", "ratio", "log_time"]
net = make_pipeline(
    StandardScaler(),
    TransformedTargetRegressor(
        MLPRegressor(
            hidden_layer_sizes=(64, 64),
            activation="tanh",
            solver="lbfgs",
            max_iter=400,
            random_state=0,
        ),
        transformer=StandardScaler(),
    ),
)
model = ConservationConstrainedRegressor(
    net,
    [("elements", LinearEquality(E, Column(ELEMENTS))), ("positive", Bounds(lower=0.0))],
    error_model="residual",
    calibration=(X_held, y_held),
    drop_value_columns=True,
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)  # 400 steps are enough here
    model.fit(X_train, y_train)

# %%
# The rival is the same net, cut off at zero and divided by the sum. What errors mean is also seen
# in the temperature that Cantera gives the predicted mixture at the enthalpy of the fresh one.


def normalized(X):
    """Return the net's mass fractions, not negative and one in sum."""
    fractions = np.maximum(model.estimator_.predict(X[KNOWN]), 0.0)
    return fractions / fractions.sum(axis=1, keepdims=True)


def burnt(X, fractions):
    """Return the temperature of each mixture at the enthalpy of the fresh one."""
    found = []
    for (temperature, ratio), some in zip(X[KNOWN[:2]].to_numpy(), fractions, strict=True):
        mix(temperature, ratio)
        enthalpy, all_species = gas.enthalpy_mass, np.zeros(gas.n_species)
        all_species[kept] = some
        gas.HPY = enthalpy, ct.one_atm, all_species
        found.append(gas.T)
    return np.array(found)


ways = {
    "net alone": lambda X: model.estimator_.predict(X[KNOWN]),
    "normalized": normalized,
    "with the law": model.predict,
}
for name, way in ways.items():
    began = time.perf_counter()
    Y = way(X_test)
    seconds = time.perf_counter() - began
    error = np.mean(np.sqrt(np.mean((Y - y_test) ** 2, axis=0)) / y_test.std(axis=0))
    kelvin = np.sqrt(np.mean((burnt(X_test, Y) - T_test) ** 2))
    off = np.abs(Y @ E.T - X_test[ELEMENTS].to_numpy()).max()
    print(
        f"{name:13} error {error:.3f} of a species' spread, {kelvin:4.1f} K, least "
        f"{Y.min():6.0e}, elements off by {off:.0e}, {seconds:.2f} s"
    )

# %%
# One ignition
# ------------
#
# Nitrogen does not react here. The net alone has it wander, dividing by the sum hands on to it what
# all others miss, and the law holds it where it is. A mechanism as small as this one needs no net:
# Cantera is faster.

log_times = np.linspace(-5.5, -3.0, 120)
mix(1150.0, 1.0)
query = pd.DataFrame({"T_fresh": 1150.0, "ratio": 1.0, "log_time": log_times})
query[ELEMENTS] = E @ gas.Y[kept]
Y_true, _ = ignition(1150.0, 1.0, 10.0**log_times)
curves = {"Cantera": Y_true} | {name: way(query) for name, way in ways.items()}
figure, axes = plt.subplots(1, 4, figsize=(13, 3.3), layout="constrained")
for (name, Y), style in zip(curves.items(), ("0.7", "C1-", "C2--", "C0-"), strict=True):
    for ax, species in zip(axes, ["O2", "OH", "N2"], strict=False):
        ax.semilogx(10.0**log_times, Y[:, SPECIES.index(species)], style, label=name)
        ax.set(title=f"mass fraction of {species}", xlabel="time / s")
    oxygen = Y @ E[1] / query["O"] - 1.0
    axes[3].semilogx(10.0**log_times, 100.0 * oxygen, style)
axes[3].set(title="error of all oxygen / %", xlabel="time / s")
axes[0].legend()
figure.savefig("combustion.png", dpi=110)
