"""Time conditioning on one conservation law beside its rivals, in one run.

The rivals are the dense textbook update ``S (I - G' solve(A, G S))``, batched in torch.linalg in
float64, and a plain copy of the same arrays, which no method can beat. Each figure is the median
of several runs that take turns, so that a drifting machine is the same for all; what counts are
the ratios. The last table shows that memory is linear in the points.

    python examples/benchmarks/conditioning.py [--quick]
"""

import argparse
import statistics
import time
import tracemalloc

import numpy as np
import torch

from skphys.conditioning import Diagonal, Gaussian, condition


def problem(n_fields, n_points, seed=0):
    """Return means, variances, one trapezoid row and the totals."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(1.0, 0.3, (n_fields, n_points))
    variance = rng.uniform(0.01, 0.1, (n_fields, n_points))
    row = np.full((1, n_points), 1.0 / (n_points - 1))
    row[0, [0, -1]] *= 0.5
    return mean, variance, row, rng.normal(1.0, 0.1, (n_fields, 1))


def ours(mean, variance, row, total):
    """Return mean and variance of the conditioned fields."""
    field = condition(Gaussian(mean, Diagonal(variance)), row, total)
    return field.mean, field.variance()


def dense(mean, variance, row, total):
    """Return mean and variance by the dense textbook update."""
    mean, row, total = (torch.from_numpy(a) for a in (mean, row, total))
    covariance = torch.diag_embed(torch.from_numpy(variance))
    cross = row @ covariance
    inner = cross @ row.T
    shift = torch.linalg.solve(inner, (mean @ row.T - total)[..., None])
    mean = mean - (cross.mT @ shift)[..., 0]
    identity = torch.eye(mean.shape[1], dtype=torch.float64)
    covariance = covariance @ (identity - row.T @ torch.linalg.solve(inner, cross))
    return mean.numpy(), torch.diagonal(covariance, dim1=1, dim2=2).numpy()


def copy(mean, variance, row, total):
    """Copy what goes in."""
    return mean.copy(), variance.copy()


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


def against_dense(n_fields, n_points, repeats, repeats_dense):
    """Print how much faster than the dense update, and that both agree."""
    arguments = problem(n_fields, n_points)
    (slow,) = median_seconds([dense], arguments, repeats_dense)
    (fast,) = median_seconds([ours], arguments, repeats)
    difference = max(
        np.abs(a - b).max() for a, b in zip(ours(*arguments), dense(*arguments), strict=True)
    )
    print(
        f"{n_fields:>7,} fields of {n_points:>5,} points: dense {slow * 1e3:10.2f} ms, "
        f"skphys {fast * 1e3:8.3f} ms, ratio {slow / fast:10,.0f}x, "
        f"largest difference {difference:.1e}"
    )


def against_copy(n_fields, n_points, repeats):
    """Print how much slower than a copy of means and variances."""
    arguments = problem(n_fields, n_points)
    fast, floor = median_seconds([ours, copy], arguments, repeats)
    print(
        f"{2 * n_fields * n_points:>13,} values ({n_fields:,} x {n_points:,}): "
        f"copy {floor * 1e3:8.2f} ms, skphys {fast * 1e3:8.2f} ms, ratio {fast / floor:.2f}x"
    )


def peak_memory(n_points):
    """Return the peak of what conditioning allocates, in bytes a point."""
    arguments = problem(1, n_points)
    tracemalloc.start()
    ours(*arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / n_points


def main():
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, for CI")
    quick = parser.parse_args().quick

    print("The dense textbook update (batched torch.linalg, float64) against skphys")
    if quick:
        against_dense(100, 201, 20, 2)
    else:
        against_dense(1005, 201, 51, 3)
        against_dense(100, 1001, 51, 3)

    print("\nA memory copy of the same arrays against skphys")
    for n_fields, n_points in [(1_000, 200)] if quick else [(20, 1_000_000), (100_000, 200)]:
        against_copy(n_fields, n_points, 5 if quick else 15)

    print("\nPeak memory of conditioning one field (8 bytes: one float64)")
    for n_points in (10_000, 100_000) if quick else (10_000, 100_000, 1_000_000, 10_000_000):
        print(f"{n_points:>13,} points: {peak_memory(n_points):6.1f} bytes a point")


if __name__ == "__main__":
    main()
