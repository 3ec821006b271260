from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch, check_random_state

from skphys.datasets._advection import ADVECTION
from skphys.datasets._burgers import BURGERS
from skphys.datasets._context_draw import Request, context_fields, context_points, draw_points
from skphys.datasets._diffusion import DIFFUSION
from skphys.datasets._layouts import (
    add_noise,
    check_choice,
    check_count,
    check_noise,
    describe,
    parameter_interval,
    time_interval,
)
from skphys.datasets._porous_medium import POROUS_MEDIUM
from skphys.datasets._problem import Problem
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
    layout: str = "points",
    context_shape: tuple[int, int] = (10, 10),
    target_shape: tuple[int, int] = (10, 10),
    target_points: ArrayLike | None = None,
    target_times: ArrayLike | None = None,
    n_points: int = 201,
    location: str = "nodes",
    noise: float = 0.0,
    random_state: Any = None,
) -> Bunch:
    """Make functions known at context points, to be predicted at target points or as fields.

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
    layout : {"points", "fields"}, default="points"
        "points" has one row a function, with scattered targets. "fields" has one row for each
        function and target time, with the time as last column, and the field at it as target:
        what `AttentiveNeuralProcessRegressor` takes.
    context_shape, target_shape : (int, int), default=(10, 10)
        Number of times, and of positions at each time. Fields use the target's times only.
    target_points : array-like of shape (n_targets, 2), default=None
        Times and positions (t, x) of the targets, the same for every function. None draws them.
        Only with ``layout="points"``.
    target_times : float or array-like of shape (n_times,), default=None
        Times of the targets, the same for every function, in place of random ones.
    n_points : int, default=201
        Number of points of each field, on an even grid.
    location : {"nodes", "cells"}, default="nodes"
        Whether fields are values at nodes or averages over cells.
    noise : float, default=0.0
        Standard deviation of Gaussian noise added to the contexts' values.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same data in every call. Without noise, both layouts have the same
        functions and contexts then.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the attributes

        data : ndarray of shape (n_samples, 3 * n_contexts) or (n_rows, 3 * n_contexts + 1)
            The contexts (t, x, u) one after another. In fields, the target time follows them;
            ``n_rows`` is ``n_samples * n_times``, and the rows of a function stand together, in
            the order of their times.
        target : ndarray of shape (n_samples, n_targets) or (n_rows, n_points)
            The exact u at the targets, or on the grid.
        context : ndarray of shape (n_samples, n_contexts, 3)
            The contexts of each function.
        target_points : ndarray of shape (n_samples, n_targets, 2)
            Times and positions (t, x) of the targets. Not with fields.
        parameters : ndarray of shape (n_samples,) or (n_rows,)
            The parameter of each row's function.
        feature_names : list of str
            Names of the columns of `data`: t0, x0, u0, t1, ..., and "t" in fields.
        grid : Grid
            Where fields live. Only with fields.
        functions : ndarray of shape (n_rows,)
            The number of each row's function, the groups of a `GroupKFold`. Only with fields.
        masses : ndarray of shape (n_rows,)
            The exact integral of each row's field over the domain. Only with fields.
        solution, mass, shock_position, domain, times, params, DESCR
            As in the `make_*` functions; ``mass(t, parameter)`` broadcasts.

    Raises
    ------
    ValueError
        If there is no such problem, or an argument is out of its range.

    Notes
    -----
    Contexts do not tell the parameter, so a law cannot work its total out of them. Hand it over
    as one more column of X that the backbone does not see, as in the last example.

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

    Whole fields at two times, with their mass known:

    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from skphys import ConservationConstrainedRegressor
    >>> from skphys.constraints import Column, ConservationLaw
    >>> fields = make_context_target(
    ...     "porous_medium", 5, layout="fields", target_times=[0.5, 0.9], random_state=0
    ... )
    >>> fields.data.shape, fields.target.shape
    ((10, 301), (10, 201))
    >>> X = np.column_stack([fields.data, fields.masses])
    >>> law = ConservationLaw(over="x", total=Column(-1), noise="auto")
    >>> model = ConservationConstrainedRegressor(Ridge(), law, fields.grid, drop_value_columns=True)
    >>> model.fit(X, fields.target).estimator_.n_features_in_
    301
    """
    chosen = _check(problem, n_samples, context_shape, target_shape, noise)
    check_count("n_points", n_points, 2)
    check_choice("layout", layout, ("points", "fields"))
    check_choice("location", location, ("nodes", "cells"))
    values = parameter_interval(chosen, chosen.training if parameter is None else parameter)
    times = time_interval(chosen, t)
    rng = check_random_state(random_state)
    parameters = rng.uniform(*values, n_samples)
    contexts = draw_points(chosen, times, n_samples, context_shape, rng)
    request = Request(chosen, times, target_shape, target_points, target_times, n_points, location)
    make = {"points": context_points, "fields": context_fields}[layout]
    # The clean contexts come first, so that they do not depend on the layout or the noise.
    targets = make(request, parameters, rng)
    exact = chosen.field(contexts[..., 0], contexts[..., 1], parameters[:, None])
    context = np.concatenate([contexts, add_noise(exact, noise, rng)[..., None]], axis=2)
    names = [f"{name}{i}" for i in range(context.shape[1]) for name in "txu"]
    flat = context.reshape(n_samples, -1)
    if layout == "fields":
        flat = np.column_stack([flat[targets["functions"]], targets.pop("query")])
        names.append("t")
    return Bunch(
        data=flat,
        context=context,
        feature_names=names,
        **targets,
        **describe(chosen, values, times),
    )


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
