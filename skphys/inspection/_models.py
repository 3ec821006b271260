"""What displays are given: models by name, what holds for them, and their predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def by_name(estimator: Any) -> Mapping[str, Any]:
    """Return estimators by name: of a single one, the class of its last step."""
    if isinstance(estimator, Mapping):
        return estimator
    return {type(steps_of(estimator)[-1]).__name__: estimator}


def predictions_by_name(y_pred: Any) -> Mapping[str, Any]:
    """Return predictions by model; what has no name is called "prediction"."""
    return y_pred if isinstance(y_pred, Mapping) else {"prediction": y_pred}


def best(estimator: Any) -> Any:
    """Return the estimator that a search found, or any other estimator as it is."""
    return getattr(estimator, "best_estimator_", estimator)


def steps_of(estimator: Any) -> list[Any]:
    """Return the steps of a pipeline; any other estimator is one."""
    return [step for _, step in getattr(estimator, "steps", [("", estimator)])]


def grid_of(estimator: Any) -> Any:
    """Return the grid of the last step that has one, or None."""
    steps = reversed(steps_of(best(estimator)))
    grids = (getattr(step, "grid_", getattr(step, "grid", None)) for step in steps)
    return next((grid for grid in grids if grid is not None), None)


def held(estimator: Any) -> dict[str, Any]:
    """Return the constraints of a fitted estimator by name; of others there are none."""
    return dict(getattr(steps_of(best(estimator))[-1], "constraints_", []))


def opened(estimator: Any, X: Any) -> tuple[Any, Any]:
    """Return the last step of a fitted estimator, and X as it sees it.

    Behind a pipeline, values of columns are those that its last step gets.
    """
    estimator = best(estimator)
    steps = steps_of(estimator)
    return steps[-1], estimator[:-1].transform(X) if len(steps) > 1 else X


def mean_of(y_pred: Any) -> Any:
    """Return the mean of a prediction, which is one, or a pair (mean, std)."""
    return y_pred[0] if isinstance(y_pred, tuple) else y_pred
