"""Time conditioning on sparse rows beside a bare scipy factor-and-solve, in one run.

The bare rival forms ``A = G D G'``, factors it with ``scipy.sparse.linalg.splu`` in its fastest
setting for such matrices, and moves the mean: no scaling, no check, no refinement, no redundant
rows, no spread. The ratio of skphys to it is what counts. Then: memory by the number of volumes,
and one law at each of 50 times on 201 points, sparse against dense rows.

    python examples/benchmarks/sparse_rows.py [--quick]
"""

import argparse
import statistics
import time
import tracemalloc

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from skphys.conditioning import Diagonal, Gaussian, condition

SYMMETRIC = {
    "permc_spec": "MMD_AT_PLUS_A",
    "diag_pivot_thresh": 0.0,
    "options": {"SymmetricMode": True},
}


def differences(n):
    """Return out-flux minus in-flux of n volumes in a row, of their n + 1 faces."""
    return sparse.diags_array([-np.ones(n), np.ones(n)], offsets=[0, 1], shape=(n, n + 1))


def line(n):
    """Return balances of n volumes on a line: two time levels and the fluxes through faces."""
    own = sparse.eye_array(n)
    return sparse.hstack([own, -own, differences(n)], format="csr")


def square(n):
    """Return balances of n x n volumes: two time levels and the fluxes through faces."""
    own, one = sparse.eye_array(n * n), sparse.eye_array(n)
    faces = [sparse.kron(differences(n), one), sparse.kron(one, differences(n))]
    return sparse.hstack([own, -own, *faces], format="csr")


def law(n):
    """Return the integral over n cells."""
    return sparse.csr_array(np.full((1, n), 1.0 / n))


def laws(n_times, n_points):
    """Return one trapezoid integral for each time."""
    row = np.full((1, n_points), 1.0 / (n_points - 1))
    row[0, [0, -1]] *= 0.5
    return sparse.csr_array(sparse.kron(sparse.eye_array(n_times), row, format="csr"))


def problem(rows, n_fields=1, seed=0):
    """Return means, variances and values."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(n_fields, rows.shape[1]))
    return mean, rng.uniform(0.5, 2.0, mean.shape), rng.normal(size=(n_fields, rows.shape[0]))


def ours(rows, mean, variance, values):
    """Return the conditioned mean."""
    return condition(Gaussian(mean, Diagonal(variance)), rows, values).mean


def both(rows, mean, variance, values):
    """Return the conditioned mean and variance."""
    field = condition(Gaussian(mean, Diagonal(variance)), rows, values)
    return field.mean, field.variance()


def bare(rows, mean, variance, values):
    """Return the conditioned mean by one factorization and one solution."""
    mean, variance, values = mean[0], variance[0], values[0]
    scaled = sparse.csr_array((rows.data * variance[rows.indices], rows.indices, rows.indptr))
    factor = splu((scaled @ rows.T).tocsc(), **SYMMETRIC)
    return (mean + variance * (rows.T @ factor.solve(values - rows @ mean)))[None]


def median_seconds(functions, arguments, repeats):
    """Return the median time of each function; they take turns."""
    seconds = [[] for _ in functions]
    for turn in range(repeats + 1):
        for function, times in zip(functions, seconds, strict=True):
            began = time.perf_counter()
            function(*arguments)
            if turn:  # the first turn warms up
                times.append(time.perf_counter() - began)
    return [statistics.median(times) for times in seconds]


def largest_miss(rows, fields, values):
    """Return the largest ``|G u - b| / (|G||u| + |b|)``."""
    scale = np.abs(fields) @ abs(rows).T + np.abs(values)
    return (np.abs(fields @ rows.T - values) / scale).max()


def against_bare(label, rows, repeats):
    """Print how much slower than the bare factorization, and how exact both are."""
    arguments = (rows, *problem(rows))
    ours_seconds, bare_seconds = median_seconds([ours, bare], arguments, repeats)
    misses = [largest_miss(rows, f(*arguments), arguments[-1]) for f in (ours, bare)]
    print(
        f"{label}: {rows.shape[0]:>9,} rows, {rows.shape[1]:>9,} points: bare "
        f"{bare_seconds:8.3f} s, skphys {ours_seconds:8.3f} s, ratio "
        f"{ours_seconds / bare_seconds:5.2f}x; misses {misses[1]:.0e}, {misses[0]:.0e}"
    )


def against_dense(n_times, n_points, n_fields, repeats):
    """Print how much faster than with dense rows."""
    rows = laws(n_times, n_points)
    arguments = problem(rows, n_fields)
    dense = rows.toarray()
    for label, function in (("mean", ours), ("mean and variance", both)):
        fast, slow = median_seconds(
            [lambda *a, f=function: f(rows, *a), lambda *a, f=function: f(dense, *a)],
            arguments,
            repeats,
        )
        print(
            f"{n_fields} fields, {n_times} times x {n_points} points, {label}: dense "
            f"{slow * 1e3:8.2f} ms, sparse {fast * 1e3:7.2f} ms, ratio {slow / fast:6.1f}x"
        )


def peak_memory(rows, function):
    """Return the peak of what conditioning allocates, in bytes a row."""
    arguments = problem(rows)
    tracemalloc.start()
    function(rows, *arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / rows.shape[0]


def main():
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, for CI")
    quick = parser.parse_args().quick
    size, repeats = (10_000, 3) if quick else (1_000_000, 5)

    print("A bare scipy factor-and-solve of the same matrix, and skphys")
    against_bare("one law           ", law(size), repeats)
    against_bare("volumes on a line ", line(size), repeats)
    against_bare("volumes, 2-D      ", square(round(size**0.5)), 3 if quick else 2)

    print("\nPeak memory, volumes on a line (8 bytes: one float64)")
    for n in (1_000, 10_000) if quick else (10_000, 100_000, 1_000_000):
        rows = line(n)
        mean, spread = peak_memory(rows, ours), peak_memory(rows, both)
        print(f"{n:>9,} volumes: mean {mean:7.1f}, with variance {spread:7.1f} bytes a volume")

    print("\nOne law for each time: dense rows, and sparse rows")
    against_dense(50, 201, 2 if quick else 1, repeats)
    if not quick:
        against_dense(50, 201, 30, repeats)


if __name__ == "__main__":
    main()
