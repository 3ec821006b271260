"""Inequalities to test on, and what makes a projection the right one."""

import numpy as np
from scipy.optimize import nnls

KINDS = ("positive", "box", "rising", "falling", "positive_rising", "varying_rising", "general")


def make_inequalities(kind, rng, truth):
    """Return H, lower and upper, which the fields of `truth` (B, n), rising and positive, obey."""
    n_points = truth.shape[1]
    identity = np.eye(n_points)
    steps = np.diff(identity, axis=0)
    inf = np.inf
    general = rng.normal(size=(n_points // 2, n_points))
    products = truth @ general.T
    parts = {
        "positive": [(identity, 0.0, inf)],
        "box": [(identity, 0.0, truth.max() + 0.1)],
        "rising": [(steps, 0.0, inf)],
        "falling": [(2.0 * steps, -inf, 0.0)],
        "positive_rising": [(identity, 0.0, inf), (steps, 0.0, inf)],
        "varying_rising": [(identity, truth.min(0) - 0.05, inf), (steps, 0.0, inf)],
        "general": [(general, products.min(0) - 0.1, products.max(0) + 0.1)],
    }[kind]
    H = np.vstack([h for h, _, _ in parts])
    lower = np.concatenate([np.broadcast_to(low, len(h)) for h, low, _ in parts])
    upper = np.concatenate([np.broadcast_to(high, len(h)) for h, _, high in parts])
    return H, lower, upper


def violation(fields, H, lower, upper):
    """Return the largest violation of each field."""
    product = fields @ np.asarray(H).T
    return np.maximum(lower - product, product - upper).max(axis=-1, initial=0.0)


def stationarity(u, mean, covariance, G, values, noise, H, lower, upper):
    """Return how far u is from ``mean + S (G' t + H' v)`` with the signs that optimality asks for.

    The conditions of Karush, Kuhn and Tucker of one field: ``v`` is not negative at active lower
    bounds, not positive at active upper ones, and zero elsewhere; of rows with noise ``t`` is
    known. What is left of the best multipliers, relative to the size of the move.
    """
    product = H @ u
    size = 1e-7 * (1.0 + np.abs(u).max())
    at_lower, at_upper = np.abs(product - lower) <= size, np.abs(product - upper) <= size
    noisy = noise > 0
    known = G[noisy].T @ ((values - G @ u)[noisy] / noise[noisy] ** 2)
    move = u - mean - covariance @ known
    columns = [G[~noisy].T, -G[~noisy].T, H[at_lower].T, -H[at_upper].T]
    columns = covariance @ np.hstack(columns)
    if columns.shape[1] == 0:
        return np.abs(move).max()
    length = np.maximum(np.linalg.norm(columns, axis=0), 1e-300)
    scale = max(np.linalg.norm(move), 1e-300)
    return nnls(columns / length, move / scale, maxiter=10_000)[1] * min(scale, 1.0)
