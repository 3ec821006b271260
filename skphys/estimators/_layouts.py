"""Two layouts of X: a row is a field, or a row is a point of a field in a long table.

A layout turns X into batches of fields that share a grid, and says where their values belong in
the output. Everything behind it sees fields only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from skphys.conditioning import Diagonal
from skphys.constraints import (
    EqualitySystem,
    InequalitySystem,
)
from skphys.estimators._priors import (
    Independent,
)
from skphys.predictive import Prediction

ALL: Any = slice(None)

# predict(X) for rows that are fields; predict(X, sizes) for rows that are points of fields, which
# yields a prediction for each of the (n_fields, n_points).
Predict = Callable[..., Any]


@dataclass(frozen=True)
class Batch:
    """Fields that are conditioned together.

    Attributes
    ----------
    prediction : Prediction
        What the backbone says, at ``n_points`` points.
    system : EqualitySystem
        What must hold there.
    index : slice or ndarray of int of shape (n_fields, n_outputs)
        Where the outputs belong: ``out[index] = values``.
    shown : slice or ndarray of int of shape (n_outputs,)
        The points that are returned; in a long table with nodes not all of them.
    independent : callable
        Makes a covariance of variances that come without a correlation.
    unit : callable
        The same where points between nodes follow these, and nothing else is correlated.
    inequalities : InequalitySystem or None
        What the mean must obey besides.
    """

    prediction: Prediction
    system: EqualitySystem
    index: Any
    shown: Any = field(default_factory=lambda: ALL)
    independent: Independent = Diagonal
    unit: Independent = Diagonal
    inequalities: InequalitySystem | None = None

    def first_rows(self) -> np.ndarray:
        """Return the row of X at which each field first occurs, of shape (n_fields,)."""
        if isinstance(self.index, slice):
            return self.index.start + np.arange(len(self.prediction.mean))
        return self.index.min(axis=1)


class Layout(ABC):
    """How the rows of X make fields."""

    rows: ClassVar[str]  # what the rows of X are, "fields" or "points"

    @abstractmethod
    def output_shape(self, X: Any) -> tuple[int, ...]:
        """Return the shape of a prediction for X."""

    @abstractmethod
    def batches(
        self, X: Any, predict: Predict, constraints: Any, constraint_values: Mapping[str, Any]
    ) -> Iterator[Batch]:
        """Yield the fields of X, each with its system.

        Parameters
        ----------
        X : array or DataFrame of shape (n_samples, n_features)
            The caller's rows.
        predict : callable
            Asks the backbone: ``predict(X)`` for fields, ``predict(X, sizes)`` for points.
        constraints : list of (str, Constraint)
            What must hold.
        constraint_values : dict
            Values by name, one for each row of X.
        """

    @abstractmethod
    def labels(self, X: Any) -> np.ndarray:
        """Return the field that each row of X belongs to, as integers of shape (n_rows,)."""

    @abstractmethod
    def put_covariance(self, out: np.ndarray, batch: Batch, dense: np.ndarray) -> None:
        """Write a batch's covariances where they belong."""

    @abstractmethod
    def covariance_shape(self, X: Any) -> tuple[int, ...]:
        """Return the shape of the covariance for X."""


def likely_fields(prediction: Prediction) -> np.ndarray:
    """Return the members, which are fields that may be, or the mean, which is smoother than they.

    Shape (n_members, n_samples, n_points), or (n_samples, n_points).
    """
    members = prediction.member_means
    return prediction.mean if members is None else members
