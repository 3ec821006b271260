"""Sparse rows to test on: laws at several times, and balances of control volumes."""

import numpy as np


def differences(n):
    """Return out-flux minus in-flux of n volumes in a row, of their n + 1 faces."""
    return np.eye(n, n + 1, 1) - np.eye(n, n + 1)


def laws(n_times=6, n_points=15):
    """Return one integral for each time: no two rows share a point."""
    return np.kron(np.eye(n_times), np.linspace(0.5, 1.5, n_points)[None])


def line(n=30):
    """Return balances on a line, of two time levels and the fluxes through the faces."""
    return np.hstack([np.eye(n), -np.eye(n), differences(n)])


def ring(n=17):
    """Return balances on a ring, which are a band only in another order."""
    return np.hstack([2.0 * np.eye(n), np.eye(n) - np.roll(np.eye(n), 1, axis=1)])


def square(n=6):
    """Return balances of n x n volumes: far from a band."""
    one = np.eye(n)
    faces = [np.kron(differences(n), one), np.kron(one, differences(n))]
    return np.hstack([np.eye(n * n), -np.eye(n * n), *faces])


def redundant(n=30):
    """Return balances on a line, their sum (the global law), and one of them again."""
    rows = line(n)
    return np.vstack([rows, rows.sum(0), 1e6 * rows[3]])


def local_and_pins(n=30):
    """Return balances with some points given, at very different sizes of the rows."""
    rows = line(n)
    points = np.eye(rows.shape[1])[[0, 5, -1]]
    return np.vstack([rows, points]) * np.geomspace(1e-6, 1e6, n + 3)[:, None]


SYSTEMS = {f.__name__: f for f in (laws, line, ring, square, redundant, local_and_pins)}
