"""A constrained pipeline in reading order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sklearn.pipeline import Pipeline, _name_estimators, make_pipeline

from skphys.constraints import Constraint, InequalityConstraint, NonlinearConstraint
from skphys.estimators._boundary import BoundaryEnforcedOperator
from skphys.estimators._conservation import ConservationConstrainedRegressor
from skphys.grids import ColumnGrid, Components, Grid


def make_constrained_pipeline(
    *steps: Any, grid: Grid | Components | ColumnGrid | None = None, **params: Any
) -> ConservationConstrainedRegressor | BoundaryEnforcedOperator:
    """Write features, backbone, boundary and constraints in reading order; get the right nesting.

    Parameters
    ----------
    *steps : transformers, a regressor, then a boundary, constraints, or both
        Transformers (none, one or several), the backbone, and what must hold: a dict is the
        `boundary` of a `BoundaryEnforcedOperator`. Each may be a (name, step) pair, except the
        dict, and several may stand in a list.
    grid : Grid, Components, ColumnGrid or None, default=None
        Where the fields live; None takes the grid of the last step that has one, if any.
    **params : dict
        Further parameters of the outermost estimator.

    Returns
    -------
    ConservationConstrainedRegressor or BoundaryEnforcedOperator
        The second without constraints, and inside the first with both. The transformers and the
        backbone are a pipeline inside it, because what must hold does so only if it is the
        outermost step.

    Raises
    ------
    ValueError
        If nothing must hold, there is no backbone, or something stands behind a constraint.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skphys import make_constrained_pipeline
    >>> from skphys.constraints import ConservationLaw, Dirichlet
    >>> model = make_constrained_pipeline(StandardScaler(), Ridge(), ConservationLaw(total=1.0))
    >>> model.estimator.steps[-1]
    ('ridge', Ridge())
    >>> model = make_constrained_pipeline(Ridge(), {"x": Dirichlet()}, ConservationLaw(total=1.0))
    >>> model.estimator
    BoundaryEnforcedOperator(boundary={'x': Dirichlet()}, estimator=Ridge())
    """
    steps = tuple(s for step in steps for s in (step if isinstance(step, list) else [step]))
    inner = tuple(step for step in steps if not _must_hold(step))
    boundaries = [step for step in steps if isinstance(step, Mapping)]
    constraints = [step for step in steps[len(inner) :] if not isinstance(step, Mapping)]
    if len(inner) == len(steps) or any(map(_must_hold, steps[: len(inner)])) or len(boundaries) > 1:
        raise ValueError(
            "Constraints come last: make_constrained_pipeline(*transformers, backbone, "
            f"*constraints), with at most one boundary, a dict, among them; got "
            f"{[type(step).__name__ for step in steps]}."
        )
    parts = [step[1] if isinstance(step, tuple) else step for step in inner]
    if not parts or not hasattr(parts[-1], "predict"):
        raise ValueError("There is no backbone: the step before the constraints must predict.")
    if grid is None:
        grid = next((s.grid for s in reversed(parts) if getattr(s, "grid", None) is not None), None)
    backbone = _pipeline(inner)
    if boundaries:
        own = {} if constraints else params
        place: Any = grid  # a table has no boundary, as fit says
        backbone = BoundaryEnforcedOperator(backbone, boundaries[0], place, **own)
    if not constraints:
        return backbone
    single = len(constraints) == 1 and not isinstance(constraints[0], tuple)
    declared = constraints[0] if single else constraints
    return ConservationConstrainedRegressor(backbone, declared, grid, **params)


def _pipeline(steps: Sequence[Any]) -> Any:
    """Return the only step, or a pipeline of all, named or not."""
    if any(isinstance(step, tuple) for step in steps):
        unnamed = iter(_name_estimators([s for s in steps if not isinstance(s, tuple)]))
        return Pipeline([s if isinstance(s, tuple) else next(unnamed) for s in steps])
    return steps[0] if len(steps) == 1 else make_pipeline(*steps)


def _must_hold(step: Any) -> bool:
    if isinstance(step, tuple) and len(step) == 2:
        step = step[1]
    return isinstance(step, Constraint | InequalityConstraint | NonlinearConstraint | Mapping)
