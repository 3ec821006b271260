"""Values of boundary conditions that come from the input field."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import _safe_indexing

from skphys.constraints._faces import Face, Floats


class InputFace:
    """A condition's left-hand side, applied to a field in X: a callable of X.

    Parameters
    ----------
    channel : int
        Which field of X.
    face : Face
        Where, on the grid of the field.
    weights : ndarray of shape (n_axis,) or (n_face_points, n_axis)
        The left-hand side along the axis.
    """

    def __init__(self, channel: int, face: Face, weights: Floats) -> None:
        self.channel = channel
        self.face = face
        self.weights = weights

    def __call__(self, X: Any) -> Floats:
        """Return the values over the face, (n_samples, *face_shape)."""
        fields = self._channel(X)
        return (fields @ self.face.rows(self.weights).T).reshape(len(fields), *self.face.shape)

    def _channel(self, X: Any) -> Floats:
        """Return the channel's fields, (n_samples, n_points)."""
        grid = self.face.grid
        flat = len(X.shape) == 2
        n_channels = X.shape[1] // grid.n_points if flat else X.shape[1]
        if not flat and tuple(X.shape[2:]) != grid.shape:
            raise ValueError(
                f"FromInput reads fields on the grid of the output, {grid!r}; X has shape "
                f"{tuple(X.shape)}, and should be (n_samples, n_channels, *{grid.shape})."
            )
        if not 0 <= self.channel < n_channels:
            raise ValueError(
                f"FromInput(channel={self.channel!r}) does not exist: X has shape "
                f"{tuple(X.shape)}, which is {n_channels} field(s) of {grid.n_points} points."
            )
        if not flat:
            return np.asarray(X[:, self.channel], dtype=np.float64).reshape(len(X), -1)
        start = self.channel * grid.n_points
        part = _safe_indexing(X, slice(start, start + grid.n_points), axis=1)
        return np.asarray(part.toarray() if sparse.issparse(part) else part, dtype=np.float64)
