"""A constrained pipeline in reading order."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline, _name_estimators, make_pipeline

from skphys.constraints import Constraint, InequalityConstraint
from skphys.estimators._conservation import ConservationConstrainedRegressor
from skphys.grids import ColumnGrid, Grid


def make_constrained_pipeline(
    *steps: Any, grid: Grid | ColumnGrid | None = None, **params: Any
) -> ConservationConstrainedRegressor:
    """Write features, backbone and constraints in reading order; get the right nesting.

    Parameters
    ----------
    *steps : transformers, a regressor, then constraints
        Transformers (none, one or several), the backbone, and at least one constraint; each may be
        a (name, step) pair, and several may stand in a list.
    grid : Grid, ColumnGrid or None, default=None
        Where the fields live; None takes the grid of the last step that has one, if any.
    **params : dict
        Further parameters of `ConservationConstrainedRegressor`.

    Returns
    -------
    ConservationConstrainedRegressor
        With the transformers and the backbone as a pipeline inside it, because a constraint holds
        only if it is the outermost step.

    Raises
    ------
    ValueError
        If there is no constraint, no backbone, or something behind a constraint.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skphys import make_constrained_pipeline
    >>> from skphys.constraints import ConservationLaw
    >>> model = make_constrained_pipeline(StandardScaler(), Ridge(), ConservationLaw(total=1.0))
    >>> model.estimator.steps[-1]
    ('ridge', Ridge())
    """
    steps = tuple(s for step in steps for s in (step if isinstance(step, list) else [step]))
    constraints = [step for step in steps if _is_constraint(step)]
    inner = steps[: len(steps) - len(constraints)]
    if not constraints or any(_is_constraint(step) for step in inner):
        raise ValueError(
            "Constraints come last: make_constrained_pipeline(*transformers, backbone, "
            f"*constraints); got {[type(step).__name__ for step in steps]}."
        )
    parts = [step[1] if isinstance(step, tuple) else step for step in inner]
    if not parts or not hasattr(parts[-1], "predict"):
        raise ValueError("There is no backbone: the step before the constraints must predict.")
    if grid is None:
        grid = next((s.grid for s in reversed(parts) if getattr(s, "grid", None) is not None), None)
    if any(isinstance(step, tuple) for step in inner):
        unnamed = iter(_name_estimators([s for s in inner if not isinstance(s, tuple)]))
        inner = tuple(s if isinstance(s, tuple) else next(unnamed) for s in inner)
        backbone: Any = Pipeline(list(inner))
    else:
        backbone = inner[0] if len(inner) == 1 else make_pipeline(*inner)
    only = (
        constraints[0] if len(constraints) == 1 and not isinstance(constraints[0], tuple) else None
    )
    return ConservationConstrainedRegressor(backbone, only or constraints, grid, **params)


def _is_constraint(step: Any) -> bool:
    if isinstance(step, tuple) and len(step) == 2:
        step = step[1]
    return isinstance(step, (Constraint, InequalityConstraint))
