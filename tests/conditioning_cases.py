"""Covariance structures to test on, and the dense formulas to test against."""

import numpy as np

from skphys.conditioning import Dense, Diagonal, LowRank, Scaled, Sum

STRUCTURES = ("diagonal", "shared", "low_rank", "dense", "scaled")


def make_covariance(kind, rng, n_samples, n_points):
    """Return a random positive definite covariance of one kind."""
    variance = rng.uniform(0.1, 2.0, (n_samples, n_points))
    factor = rng.normal(size=(n_samples, n_points, 3))
    if kind == "diagonal":
        return Diagonal(variance)
    if kind == "shared":
        return Diagonal(variance[0])
    if kind == "low_rank":
        return Sum(Diagonal(variance), LowRank(factor))
    if kind == "dense":
        return Dense(factor @ factor.transpose(0, 2, 1) + np.eye(n_points) * variance[:, :, None])
    return Scaled(variance, Sum(Diagonal(np.full(n_points, 0.5)), LowRank(factor[0])))


def textbook(mean, covariance, rows, values, noise):
    """Return the conditioned mean and covariance of one field by the textbook's formulas."""
    inner = rows @ covariance @ rows.T + np.diag(np.broadcast_to(noise, len(rows)) ** 2)
    gain = np.linalg.solve(inner, rows @ covariance).T
    return mean + gain @ (values - rows @ mean), covariance - gain @ rows @ covariance


def relative_miss(fields, rows, values):
    """Return ``|G u - b| / (|G||u| + |b|)``."""
    scale = np.abs(fields) @ np.abs(rows).T + np.abs(values)
    miss = np.abs(fields @ rows.T - values)
    return np.divide(miss, scale, out=np.zeros_like(miss), where=scale > 0)
