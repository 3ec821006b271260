"""Operators that are told about the boundary while they train: the hook, and who has it.

Any regressor takes part whose ``fit`` has a parameter ``boundary``. It gets a `BoundaryBatch` in
fit, and in each method that predicts and has that parameter. What it makes of it is its own
affair: the boundary is enforced after it all the same.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from copy import copy
from functools import partial
from math import prod
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import _routing_enabled
from sklearn.utils.validation import has_fit_parameter

from skphys.constraints import boundary_values
from skphys.estimators._backbone import without_value_columns
from skphys.grids import Components
from skphys.neural._boundary_batch import BoundaryBatch, BoundaryEmbedding, EmbeddedFace
from skphys.predictive import Prediction, fit_backbone, predict_distribution
from skphys.predictive._backbone import is_frozen

HOOK = "boundary"


def operator_of(estimator: Any) -> Any:
    """Return the last step of pipelines."""
    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[-1][1]
    return estimator


def refusal(estimator: Any) -> str | None:
    """Say why a backbone cannot be told about the boundary; None if it can."""
    operator = operator_of(estimator)
    name = type(operator).__name__
    if has_fit_parameter(operator, HOOK):
        return None
    if is_frozen(estimator):
        return f"{name} is trained already, without the boundary"
    return f"fit of {name} has no parameter {HOOK!r}"


def _embed(operator: Any, embedding: BoundaryEmbedding) -> Any:
    """Return an unfitted operator that has the hook, for one whose `refusal` is None."""
    return operator


class EmbeddedOperator(BaseEstimator):
    """An operator, or a pipeline that ends in one, which is told about the boundary.

    Parameters
    ----------
    estimator : estimator
        The backbone, cloned in fit.
    constraints : list of (str, BoundaryConstraint)
        The boundary.
    grid : Grid or Components
        Where the fields live.
    method : {"kernel", "lift"}
        What the operator is asked to do.
    drop_value_columns : bool
        Whether the operator does not get the columns that values are taken from.

    Attributes
    ----------
    estimator_ : estimator
        The fitted backbone.
    """

    def __init__(
        self,
        estimator: Any,
        constraints: Any,
        grid: Any,
        method: str,
        drop_value_columns: bool = False,
    ) -> None:
        self.estimator = estimator
        self.constraints = constraints
        self.grid = grid
        self.method = method
        self.drop_value_columns = drop_value_columns

    def fit(self, X: Any, y: Any, **fit_params: Any) -> EmbeddedOperator:
        """Fit the operator with the boundary's values in X."""
        self.feature_names_ = getattr(X, "columns", None)
        batch = self._batch(X, {})
        backbone = clone(self.estimator)
        operator = operator_of(backbone)
        embedded = _embed(operator, batch.embedding)
        backbone = embedded if backbone is operator else _with_last(backbone, embedded)
        params = {**fit_params, _hook_of(backbone): batch}
        self.estimator_ = fit_backbone(backbone, self._seen(X), y, **params)
        return self

    def _predict_distribution(
        self,
        X: Any,
        *,
        rows: str = "fields",
        want_cov: bool = True,
        boundary_values: Mapping[str, Any] | None = None,
    ) -> Prediction:
        """Ask the operator, with the boundary's values in X or those given by name."""
        batch = self._batch(X, boundary_values or {})
        seen, estimator = self._seen(X), self.estimator_
        while isinstance(estimator, Pipeline):
            for _, step in estimator.steps[:-1]:
                seen = seen if step in (None, "passthrough") else step.transform(seen)
            estimator = estimator.steps[-1][1]
        return predict_distribution(Asked(estimator, batch), seen, rows=rows, want_cov=want_cov)

    def _seen(self, X: Any) -> Any:
        if not self.drop_value_columns:
            return X
        return without_value_columns(X, self.constraints, self.grid, self.feature_names_)

    def _batch(self, X: Any, given: Mapping[str, Any]) -> BoundaryBatch:
        embedding = embed_boundary(self.constraints, self.grid, self.method)
        declared = [(name, c) for name, c in self.constraints if name not in given]
        values = boundary_values(declared, self.grid, X, self.feature_names_)
        packed = np.zeros((X.shape[0], embedding.n_values))
        by_name = dict(self.constraints)
        for face in embedding.faces:
            if face.name in given:
                part = _over_face(given[face.name], by_name[face.name], self.grid, X.shape[0])
            else:
                part = values[face.name].reshape(len(values[face.name]), -1)
            packed[:, face.values] = part[:, : face.values.stop - face.values.start]
        return BoundaryBatch(embedding, packed)


class Asked:
    """A fitted operator whose methods know the boundary's values.

    Parameters
    ----------
    operator : estimator
        With the hook.
    batch : BoundaryBatch
        The values for the samples that it will be asked about.
    """

    def __init__(self, operator: Any, batch: BoundaryBatch) -> None:
        self.operator = operator
        self.batch = batch

    def __getattr__(self, name: str) -> Any:
        """Return the operator's attribute; a method with the hook gets the boundary."""
        if name == "operator":
            raise AttributeError(name)
        attribute = getattr(self.operator, name)
        if inspect.ismethod(attribute) and HOOK in inspect.signature(attribute).parameters:
            return partial(attribute, **{HOOK: self.batch})
        return attribute


def embed_boundary(constraints: Any, grid: Any, method: str) -> BoundaryEmbedding:
    """Describe a boundary for an operator.

    Parameters
    ----------
    constraints : list of (str, BoundaryConstraint)
        The boundary.
    grid : Grid or Components
        Where the fields live.
    method : {"kernel", "lift"}
        What the operator is asked to do.

    Raises
    ------
    ValueError
        If a condition has no single stencil along its face.
    """
    components = list(grid) if isinstance(grid, Components) else [None]
    faces, start = [], 0
    for name, constraint in constraints:
        part = grid if constraint.component is None else grid[constraint.component]
        shape = tuple(n for a, n in zip(part.names, part.shape, strict=True) if a != constraint.axis)
        stop = start + (0 if constraint.kind == "periodic" else prod(shape))
        faces.append(
            EmbeddedFace(
                name=name,
                kind=constraint.kind,
                component=components.index(constraint.component),
                axis=part.names.index(constraint.axis),
                side=constraint.face,
                stencil=constraint.stencil(grid),
                shape=shape,
                values=slice(start, stop),
            )
        )
        start = stop
    return BoundaryEmbedding(method, tuple(faces))


def _over_face(values: Any, constraint: Any, grid: Any, n_samples: int) -> np.ndarray:
    """Spread values given for the rows of a face over all its points, (n_samples, n_face_points).

    Points whose rows belong to another face take the value of the nearest one before or after.
    """
    values = np.asarray(values, dtype=np.float64).reshape(-1, 1) if np.ndim(values) < 2 else values
    face, _ = constraint._face(grid)
    kept = np.flatnonzero(face.kept(constraint.corners))
    n_points = prod(face.shape)
    if np.shape(values)[1] == len(kept):
        nearest = np.abs(np.arange(n_points)[:, None] - kept).argmin(axis=1)
        values = np.asarray(values, dtype=np.float64)[:, nearest]
    return np.broadcast_to(values, (n_samples, n_points))
