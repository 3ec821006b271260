"""Take random fields to nonlinear laws beside scipy.optimize, in one run.

A problem is a Gaussian field of 20 points, variances and three correlated members of its own, and
a true field drawn from it, of which three things are known: its sum, its energy, and its flux
``(u_last**2 - u_first**2) / 2``. scipy's SLSQP gets the same objective, laws and exact derivatives,
field by field; trust-constr gets some of the fields, and second derivatives. Ours takes all, and 10
draws of each of some.

    python examples/benchmarks/nonlinear.py [--quick] [--problems N]
"""

import argparse
import time

import numpy as np
from scipy.optimize import LinearConstraint, NonlinearConstraint, minimize

from skphys.conditioning import Diagonal, Gaussian, LowRank, Sum, condition, condition_nonlinear
from skphys.metrics import crps

N_POINTS = 20
ROW = np.full((1, N_POINTS), 1.0 / N_POINTS)
CHUNK = 1000  # fields that are conditioned together


class Laws:
    """The energy, and the flux."""

    Q = np.zeros((2, N_POINTS))
    Q[0], Q[1, 0], Q[1, -1] = 1.0 / N_POINTS, -1.0, 1.0

    def evaluate(self, fields):
        """Return both, of shape (n_fields, 2)."""
        return 0.5 * fields**2 @ self.Q.T

    def jacobian(self, fields):
        """Return their derivatives."""
        return self.Q * fields[:, None]

    def curvature(self, fields, multipliers, directions):
        """Return second derivatives times directions."""
        return (multipliers @ self.Q) * directions


LAWS = Laws()


def problems(n, seed=0):
    """Return means, variances, factors, and true fields."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(n, N_POINTS))
    variance = rng.uniform(0.02, 0.3, mean.shape)
    factor = 0.3 * rng.normal(size=(n, N_POINTS, 3))
    truth = Gaussian(mean, Sum(Diagonal(variance), LowRank(factor))).sample(1, rng)[0]
    return mean, variance, factor, truth


def ours(mean, variance, factor, truth):
    """Return the posterior of all fields."""
    prior = Gaussian(mean, Sum(Diagonal(variance), LowRank(factor)))
    return condition_nonlinear(condition(prior, ROW, truth @ ROW.T), LAWS, LAWS.evaluate(truth))


def by_scipy(method, mean, variance, factor, truth):
    """Return one field's nearest by scipy, and whether it says that it has succeeded."""
    P = np.linalg.inv(np.diag(variance) + factor @ factor.T)
    values = LAWS.evaluate(truth[None])[0]
    if method == "trust-constr":
        laws = [
            LinearConstraint(ROW, ROW @ truth, ROW @ truth),
            NonlinearConstraint(
                lambda u: LAWS.evaluate(u[None])[0],
                values,
                values,
                jac=lambda u: LAWS.jacobian(u[None])[0],
                hess=lambda u, x: np.diag(x @ LAWS.Q),
            ),
        ]
        options = {"hess": lambda u: P, "options": {"maxiter": 500}}
    else:
        laws = {
            "type": "eq",
            "fun": lambda u: np.append(ROW @ (u - truth), LAWS.evaluate(u[None])[0] - values),
            "jac": lambda u: np.concatenate([ROW, LAWS.jacobian(u[None])[0]]),
        }
        options = {"options": {"ftol": 1e-14, "maxiter": 500}}
    found = minimize(
        lambda u: 0.5 * (u - mean) @ P @ (u - mean),
        mean,
        jac=lambda u: P @ (u - mean),
        constraints=laws,
        method=method,
        **options,
    )
    return found.x, found.success


def residuals(fields, truth):
    """Return the largest miss of each field, relative to its terms."""
    linear = np.abs((fields - truth) @ ROW.T) / (np.abs(fields) @ ROW.T + np.abs(truth @ ROW.T))
    size = 0.5 * (2.0 * fields**2 + truth**2) @ np.abs(LAWS.Q).T
    missed = np.abs(LAWS.evaluate(fields) - LAWS.evaluate(truth)) / size
    return np.concatenate([linear, missed], axis=1).max(axis=1)


def distance(fields, mean, variance, factor):
    """Return half the squared distance of each field."""
    away = fields - mean
    S = variance[..., None] * np.eye(N_POINTS) + factor @ factor.mT
    return 0.5 * np.sum(away * np.linalg.solve(S, away[..., None])[..., 0], axis=1)


def compare(method, n, given, fields, took):
    """Print scipy's time and residuals on some problems, and whose fields are nearer."""
    some = [array[:n] for array in given]
    began = time.perf_counter()
    found = [by_scipy(method, *one) for one in zip(*some, strict=True)]
    spent = time.perf_counter() - began
    theirs, success = np.array([f for f, _ in found]), np.array([s for _, s in found])
    missed = residuals(theirs, some[3])
    met = missed < 1e-8
    mine, other = distance(fields[:n], *some[:3]), distance(theirs, *some[:3])
    same = np.abs(theirs - fields[:n]).max(axis=1) < 1e-4
    print(
        f"{method:>14}: {1e3 * spent / n:7.2f} ms a problem ({n:,} of them; ours {1e3 * took:.2f} "
        f"ms), success {success.mean():.2%}, laws met at 1e-8 {met.mean():.2%}"
    )
    nearer, farther = (np.sum(met & ~same & one) for one in (mine < other, mine > other))
    print(
        f"{'':16}residual: median {np.median(missed):.1e}, largest {missed.max():.1e}; "
        f"same field {same.mean():.2%}; else ours is nearer {nearer}, farther {farther} times"
    )


def main():
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few problems, for CI")
    parser.add_argument("--problems", type=int, default=10_000)
    options = parser.parse_args()
    n = 200 if options.quick else options.problems
    given = problems(n)
    mean, variance, factor, truth = given
    began = time.perf_counter()
    parts = [slice(i, i + CHUNK) for i in range(0, n, CHUNK)]
    posteriors = [ours(*(array[part] for array in given)) for part in parts]
    took = (time.perf_counter() - began) / n
    fields = np.concatenate([posterior.mean for posterior in posteriors])
    std = np.concatenate([posterior.std() for posterior in posteriors])
    missed = residuals(fields, truth)
    print(
        f"{'skphys':>14}: {1e3 * took:7.2f} ms a problem ({n:,} of them), residual: median "
        f"{np.median(missed):.1e}, largest {missed.max():.1e}"
    )
    began = time.perf_counter()
    draws = posteriors[0].sample(10, 0)
    spent = (time.perf_counter() - began) / (10 * draws.shape[1])
    true = np.broadcast_to(truth[: draws.shape[1]], draws.shape).reshape(-1, N_POINTS)
    missed = residuals(draws.reshape(-1, N_POINTS), true)
    print(f"{'draws':>14}: {1e3 * spent:7.2f} ms a draw, largest residual {missed.max():.1e}")
    before = Gaussian(mean, Sum(Diagonal(variance), LowRank(factor)))
    linear = condition(before, ROW, truth @ ROW.T)
    for name, m, s in (
        ("nothing", mean, before.std()),
        ("the sum", linear.mean, linear.std()),
        ("all three", fields, std),
    ):
        print(f"{name:>14}: MSE {np.mean((m - truth) ** 2):.4f}, CRPS {crps(truth, m, s):.4f}")
    compare("SLSQP", n, given, fields, took)
    compare("trust-constr", min(n, 20 if options.quick else 200), given, fields, took)


if __name__ == "__main__":
    main()
