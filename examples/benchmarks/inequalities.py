"""Time the projection on monotone fields of known mass beside its rival, in one run.

The rival is one call of scipy.optimize.nnls for each field on the whitened problem: the least
distance under inequalities, in coordinates in which the covariance is the identity and the
equality is eliminated (Lawson and Hanson, 1974, chapter 23). It may be timed on some of the
fields, and the time then scaled to all of them; the table says so. Making its matrices is not
counted, only its solves. Ours is the whole call, and takes its turns with the rival's.

Then local balances with positivity, a third to half of the domain dry, beside clarabel on the same
problem where that is installed; and single fields with correlated errors.

    python examples/benchmarks/inequalities.py [--quick] [--large]
"""

import argparse
import statistics
import time
from importlib.util import find_spec

import numpy as np
from scipy import sparse
from scipy.linalg import null_space
from scipy.optimize import nnls

from skphys.conditioning import Diagonal, Gaussian, OrnsteinUhlenbeck, Scaled, project
from skphys.constraints import AdvectiveFlux, ControlVolumeBalance
from skphys.grids import Axis, Grid


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


def dry(n_times, n_cells, seed=0):
    """Return means, the rows of a balance, their values, and the true field, dry in parts."""
    grid = Grid(t=np.linspace(0, 1, n_times), x=Axis.cells(np.linspace(0, 1, n_cells + 1)))
    rows = sparse.csr_array(ControlVolumeBalance(flux_operator=AdvectiveFlux(1.0)).rows(grid))
    t, x = grid.points.T
    truth = np.maximum(0.0, np.sin(7 * (x - t)))
    mean = truth + 0.1 * np.random.default_rng(seed).standard_normal(truth.size)
    return mean, rows, rows @ truth, truth


def by_clarabel(mean, rows, values):
    """Return clarabel's field and its status, on points and rows scaled as here."""
    import clarabel

    options = clarabel.DefaultSettings()
    options.verbose, options.max_threads = False, 1
    options.tol_gap_abs = options.tol_gap_rel = options.tol_feas = 1e-11
    eye = sparse.eye_array(len(mean))
    solution = clarabel.DefaultSolver(
        sparse.csc_matrix(eye),
        np.zeros(len(mean)),
        sparse.csc_matrix(sparse.vstack([rows, -eye])),
        np.concatenate([values - rows @ mean, mean]) / 0.1,
        [clarabel.ZeroConeT(len(values)), clarabel.NonnegativeConeT(len(mean))],
        options,
    ).solve()
    return mean + 0.1 * np.array(solution.x), str(solution.status)


def balance(n_side, reference):
    """Print the time of a balance with positivity."""
    mean, rows, values, truth = dry(n_side, n_side)
    prior = Gaussian(mean, Diagonal(np.full(len(mean), 0.01)))
    took, field = seconds(project, prior, sparse.eye_array(len(mean)), 0.0, np.inf, rows, values)
    print(
        f"{len(mean):>7,} points, {rows.shape[0]:,} balances, {np.mean(truth == 0):.0%} dry: "
        f"skphys {took:7.2f} s, least value {field.min():.1e}, largest miss "
        f"{np.abs(rows @ field - values).max():.1e}"
    )
    if reference and find_spec("clarabel") is not None:
        took, other = seconds(by_clarabel, mean, rows, values)
        print(
            f"        clarabel {took:7.2f} s ({other[1]}), least value {other[0].min():.1e}, miss "
            f"{np.abs(rows @ other[0] - values).max():.1e}, difference "
            f"{np.abs(field - other[0]).max():.1e}"
        )


def correlated(n_points):
    """Print the time of one positive and one falling field with correlated errors."""
    x = np.linspace(0.0, 1.0, n_points)
    prior = Gaussian(
        1.0 / (1.0 + np.exp((x - 0.4) / 0.05)),
        Scaled(np.full(n_points, 0.1), OrnsteinUhlenbeck(x, 0.1)),
    )
    noisy = Gaussian(prior.sample(1, 0)[0], prior.covariance)
    row, mass = np.full((1, n_points), 1.0 / n_points), np.array([prior.mean.mean()])
    times = [
        seconds(project, noisy, H, 0.0, np.inf, row, mass)[0]
        for H in (sparse.eye_array(n_points), falling(n_points))
    ]
    print(f"{n_points:>7,} points, correlated: positive {times[0]:.2f} s, falling {times[1]:.2f} s")


def main():
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, for CI")
    parser.add_argument("--all", action="store_true", help="time nnls on every field")
    parser.add_argument("--large", action="store_true", help="a balance on 100,000 points")
    options = parser.parse_args()
    print("One scipy.optimize.nnls call for each field against skphys: monotone, mass given")
    if options.quick:
        compare(200, 101, 20, 1)
        balance(12, False)
        correlated(100)
        return
    compare(10_000, 201, 10_000 if options.all else 500, 3)
    compare(1_000, 401, 20, 3)
    for n_side in (32, 100, *([316] if options.large else [])):
        balance(n_side, n_side < 300)
    for n_points in (200, 2_000, 20_000):
        correlated(n_points)


if __name__ == "__main__":
    main()
