"""
Species along an ignition, element by element
=============================================

A regressor takes the place of stiff chemistry: from the temperature and equivalence ratio of a
fresh hydrogen-air mixture, and the time since, to the mass fractions of nine species. Reactions
make species of species, but no atoms: the mass of each element stays what it was. Neither does a
net know that, nor does clipping at zero and dividing by the sum, the usual mend, restore it.
"""

# %%
# The data
# --------
#
# Cantera integrates adiabatic reactors at constant pressure, and is asked at twelve times of each,
# around the ignition and long after. One row a state.

import time

import cantera as ct
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import TransformedTargetRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Bounds, Column, LinearEquality

N_TRAIN, N_TEST = 250, 100
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
    for temperature, ratio in zip(
        rng.uniform(1050, 1400, n), rng.uniform(0.5, 2.0, n), strict=True
    ):
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
began = time.perf_counter()
X_train, y_train, _ = reactors(N_TRAIN, rng)
X_test, y_test, T_test = reactors(N_TEST, rng)
per_state = (time.perf_counter() - began) / (len(X_train) + len(X_test))
print(X_train.head(3).round(4).to_string(index=False))
print(f"{len(X_train)} states to learn from, Cantera {per_state * 1e6:.0f} µs a state")

# %%
# The model
# ---------
#
# Three rows say how much hydrogen, oxygen and nitrogen there is; that the fractions sum to one
# follows. The element masses are columns of X, from the fresh mixture, which the net need not see.
# Species differ by factors of ten thousand, so what is missing must not go into all of them alike:
# the error model learns from folds how large each one's errors are, and which go together.

net = make_pipeline(
    StandardScaler(),
    TransformedTargetRegressor(
        MLPRegressor(hidden_layer_sizes=(32, 32), solver="lbfgs", max_iter=400, random_state=0),
        transformer=StandardScaler(),
    ),
)
model = ConservationConstrainedRegressor(
    net,
    [("elements", LinearEquality(E, Column(ELEMENTS))), ("positive", Bounds(lower=0.0))],
    error_model="calibrated",
    drop_value_columns=True,
)
