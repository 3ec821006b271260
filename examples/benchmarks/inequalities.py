"""Time the projection on monotone fields of known mass beside its rival, in one run.

The rival is one call of scipy.optimize.nnls for each field on the whitened problem: the least
distance under inequalities, in coordinates in which the covariance is the identity and the
equality is eliminated (Lawson and Hanson, 1974, chapter 23). It may be timed on some of the
fields, and the time then scaled to all of them; the table says so. Making its matrices is not
counted, only its solves. Ours is the whole call, and takes its turns with the rival's.

    python examples/benchmarks/inequalities.py [--quick]
"""

import argparse
import statistics
import time

import numpy as np
from scipy import sparse
from scipy.linalg import null_space
from scipy.optimize import nnls

from skphys.conditioning import Diagonal, Gaussian, project


def problem(n_fields, n_points, seed=0):
    """Return noisy falling fronts, their variances, the trapezoid row and the true masses."""
    rng = np.random.default_rng(seed)
    x = np.linspace(0.0, 1.0, n_points)
    front = rng.uniform(0.2, 0.8, (n_fields, 1))
    truth = 1.0 / (1.0 + np.exp((x - front) / 0.05))
    variance = rng.uniform(0.5, 1.5, truth.shape) * (0.01 + 0.05 * truth * (1 - truth)) ** 2
    mean = truth + 0.03 + np.sqrt(variance) * rng.standard_normal(truth.shape)
    row = np.full((1, n_points), x[1])
    row[0, [0, -1]] *= 0.5
    return mean, variance, row, truth @ row.T


def falling(n_points):
    """Return the rows that say that the field does not rise."""
    shape = (n_points - 1, n_points)
    return sparse.diags_array([1.0, -1.0], offsets=[0, 1], shape=shape).tocsr()


def ours(mean, variance, row, mass, H):
    """Project all fields."""
    return project(Gaussian(mean, Diagonal(variance)), H, 0.0, np.inf, row, mass)


def whitened(mean, variance, row, mass, H):
    """Return each field's least-distance problem, and the way back to the field."""
    problems = []
    for m, v, b in zip(mean, variance, mass, strict=True):
        std = np.sqrt(v)
        equality = row * std
        start = equality[0] * (b[0] - row[0] @ m) / (equality[0] @ equality[0])
        free = null_space(equality)
        C, d = (H * std) @ free, -(H @ (m + std * start))
        target = np.zeros(free.shape[1] + 1)
        target[-1] = 1.0
        problems.append((np.vstack([C.T, d]), target, m + std * start, std[:, None] * free))
    return problems


def rival(problems):
    """Solve them by one nnls call each."""
    fields = []
    for matrix, target, start, back in problems:
        weights, _ = nnls(matrix, target)
        residual = matrix @ weights - target
        fields.append(start - back @ (residual[:-1] / residual[-1]))
    return np.array(fields)


def seconds(function, *arguments):
    """Return the time of one call, and its result."""
    began = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - began, result


def compare(n_fields, n_points, n_rival, repeats):
    """Print times, their ratio, and that both agree."""
    arguments = *problem(n_fields, n_points), falling(n_points)
    mean, variance, row, mass, H = arguments
    problems = whitened(mean[:n_rival], variance[:n_rival], row, mass[:n_rival], H.toarray())
    ours(*arguments)
    fast, slow = [], []
    for _ in range(repeats):
        took, projected = seconds(ours, *arguments)
        fast.append(took)
        took, reference = seconds(rival, problems)
        slow.append(took * n_fields / n_rival)
    fast, slow = statistics.median(fast), statistics.median(slow)
    note = "" if n_rival == n_fields else f" (timed on {n_rival:,}, scaled)"
    print(
        f"{n_fields:>7,} fields of {n_points:>5,} points: nnls {slow:8.2f} s{note}, "
        f"skphys {fast:7.3f} s, ratio {slow / fast:8,.0f}x"
    )
    rises = np.count_nonzero((H @ mean.T < 0).any(axis=0))
    print(
        f"        {rises:,} fields rise somewhere before; after: largest rise "
        f"{max(0.0, -(H @ projected.T).min()):.1e}, largest miss of the mass "
        f"{np.abs(projected @ row.T - mass).max():.1e}, "
        f"largest difference {np.abs(projected[:n_rival] - reference).max():.1e}"
    )


def main():
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, for CI")
    parser.add_argument("--all", action="store_true", help="time nnls on every field")
    options = parser.parse_args()
    print("One scipy.optimize.nnls call for each field against skphys: monotone, mass given")
    if options.quick:
        compare(200, 101, 20, 1)
        return
    compare(10_000, 201, 10_000 if options.all else 500, 3)
    compare(1_000, 401, 20, 3)


if __name__ == "__main__":
    main()
