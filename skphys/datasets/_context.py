from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch, check_random_state

from skphys.datasets._advection import ADVECTION
from skphys.datasets._burgers import BURGERS
from skphys.datasets._diffusion import DIFFUSION
from skphys.datasets._layouts import (
    Interval,
    add_noise,
    check_count,
    check_noise,
    describe,
    parameter_interval,
    time_interval,
)
from skphys.datasets._porous_medium import POROUS_MEDIUM
from skphys.datasets._problem import Floats, Problem
from skphys.datasets._stefan import STEFAN

PROBLEMS = {
    "diffusion": DIFFUSION,
    "porous_medium": POROUS_MEDIUM,
    "stefan": STEFAN,
    "advection": ADVECTION,
    "burgers": BURGERS,
}


def make_context_target(
    problem: str,
    n_samples: int = 100,
    *,
    parameter: float | tuple[float, float] | None = None,
    t: float | tuple[float, float] | None = None,
    context_shape: tuple[int, int] = (10, 10),
    target_shape: tuple[int, int] = (10, 10),
    target_points: ArrayLike | None = None,
    noise: float = 0.0,
    random_state: Any = None,
) -> Bunch:
    """Make functions known at context points, to be predicted at target points.

    The training data of neural processes, as sampled in [1]_: each function is one solution of the
    problem, with a parameter of its own. Contexts lie at one random time in each of equal
    intervals, targets at random times; at all times of a function stand the same random positions.

    Parameters
    ----------
    problem : {"diffusion", "porous_medium", "stefan", "advection", "burgers"}
        The problem, named as its `make_*` function is.
    n_samples : int, default=100
        Number of functions.
    parameter : float or (low, high), default=None
        The problem's parameter, or the interval that each function's is drawn from. None is
        the paper's training range.
    t : float or (low, high), default=None
        The time, or the interval of times. None is the problem's own.
    context_shape, target_shape : (int, int), default=(10, 10)
        Number of times, and of positions at each time.
    target_points : array-like of shape (n_targets, 2), default=None
        Times and positions (t, x) of the targets, the same for every function. None draws them.
    noise : float, default=0.0
        Standard deviation of Gaussian noise added to the contexts' values.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same data in every call.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the attributes

        data : ndarray of shape (n_samples, 3 * n_contexts)
            The contexts (t, x, u) one after another.
        target : ndarray of shape (n_samples, n_targets)
            The exact u at the targets.
        context : ndarray of shape (n_samples, n_contexts, 3)
            The same numbers as `data`.
        target_points : ndarray of shape (n_samples, n_targets, 2)
            Times and positions (t, x) of the targets.
        parameters : ndarray of shape (n_samples,)
            The parameter of each function.
        feature_names : list of str
            Names of the columns of `data`: t0, x0, u0, t1, ...
        solution, mass, shock_position, domain, times, params, DESCR
            As in the `make_*` functions; ``mass(t, parameter)`` broadcasts.

    Raises
    ------
    ValueError
        If there is no such problem, or an argument is out of its range.

    References
    ----------
    .. [1] D. Hansen, D. C. Maddix, S. Alizadeh, G. Gupta, M. W. Mahoney, "Learning physical
       models that can respect conservation laws", ICML 2023, arXiv:2302.11002.

    Examples
    --------
    >>> from skphys.datasets import make_context_target
    >>> functions = make_context_target("stefan", 5, target_shape=(4, 6), random_state=0)
    >>> functions.data.shape, functions.target.shape
    ((5, 300), (5, 24))
    >>> functions.mass(functions.target_points[:, ::6, 0], functions.parameters[:, None]).shape
    (5, 4)
    """
    chosen = _check(problem, n_samples, context_shape, target_shape, noise)
    values = parameter_interval(chosen, chosen.training if parameter is None else parameter)
    times = time_interval(chosen, t)
    rng = check_random_state(random_state)
    parameters = rng.uniform(*values, n_samples)
    contexts = _draw(chosen, times, n_samples, context_shape, rng, one_per_interval=True)
    if target_points is None:
        targets = _draw(chosen, times, n_samples, target_shape, rng, one_per_interval=False)
    else:
        targets = _repeat(target_points, n_samples)
    known = add_noise(_evaluate(chosen, contexts, parameters), noise, rng)
    context = np.concatenate([contexts, known[..., None]], axis=2)
    return Bunch(
        data=context.reshape(n_samples, -1),
        target=_evaluate(chosen, targets, parameters),
        context=context,
        target_points=targets,
        parameters=parameters,
        feature_names=[f"{name}{i}" for i in range(context.shape[1]) for name in "txu"],
        **describe(chosen, values, times),
    )


def _draw(
    problem: Problem,
    times: Interval,
    n_samples: int,
    shape: tuple[int, int],
    rng: np.random.RandomState,
    one_per_interval: bool,
) -> Floats:
    """Points (t, x): sorted random times with the same sorted random positions at each."""
    n_times, n_positions = shape
    fractions = rng.uniform(size=(n_samples, n_times))
    if one_per_interval:
        fractions = (fractions + np.arange(n_times)) / n_times
    low, high = problem.domain
    t = times[0] + (times[1] - times[0]) * np.sort(fractions, axis=1)
    x = low + (high - low) * np.sort(rng.uniform(size=(n_samples, n_positions)), axis=1)
    points = np.broadcast_arrays(t[:, :, None], x[:, None, :])
    return np.stack(points, axis=-1).reshape(n_samples, -1, 2)


def _repeat(target_points: ArrayLike, n_samples: int) -> Floats:
    points = np.asarray(target_points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.all(points[:, 0] >= 0.0):
        raise ValueError(
            "target_points must be an array of shape (n_targets, 2) with the columns (t, x), "
            f"t non-negative; got an array of shape {points.shape}."
        )
    return np.tile(points, (n_samples, 1, 1))


def _evaluate(problem: Problem, points: Floats, parameters: Floats) -> Floats:
    return problem.field(points[..., 0], points[..., 1], parameters[:, None])


def _check(problem: str, n_samples: Any, contexts: Any, targets: Any, noise: Any) -> Problem:
    if problem not in PROBLEMS:
        raise ValueError(f"problem must be one of {list(PROBLEMS)}, got {problem!r}.")
    check_count("n_samples", n_samples, 1)
    check_noise(noise)
    for name, shape in (("context_shape", contexts), ("target_shape", targets)):
        if np.shape(shape) != (2,):
            raise ValueError(f"{name} must be a pair (times, positions), got {shape!r}.")
        for count in shape:
            check_count(f"each entry of {name}", count, 1)
    return PROBLEMS[problem]
