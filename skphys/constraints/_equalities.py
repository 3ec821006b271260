"""The system of linear equalities that constraints come down to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import numpy as np
from scipy import sparse

from skphys.constraints._rows import Rows, stack


@dataclass(frozen=True)
class EqualitySystem:
    """Linear equalities ``rows @ u = values`` for a batch of fields.

    Attributes
    ----------
    rows : ndarray or csr_array of shape (n_rows, n_points)
        ``G``; sparse where a constraint states sparse rows and that pays.
    values : ndarray of shape (n_samples, n_rows)
        ``b``.
    noise : ndarray of shape (n_rows,) or (n_samples, n_rows)
        Standard deviation of each row's value; the second where it differs between fields.
    names : tuple of str
        The constraint that each row belongs to.
    noise_rows : tuple of csr_array of shape (n_rows, n_points)
        What the predicted standard deviations add to the noise, see `under`.
    """

    rows: Rows
    values: np.ndarray
    noise: np.ndarray
    names: tuple[str, ...]
    noise_rows: tuple[sparse.csr_array, ...] = ()

    def take(self, part: slice) -> EqualitySystem:
        """Return the system of some of the fields."""
        noise = self.noise if self.noise.ndim == 1 else self.noise[part]
        return replace(self, values=self.values[part], noise=noise)

    def under(self, prior: Any) -> EqualitySystem:
        """Return the system with the noise that it has for fields of some uncertainty.

        Parameters
        ----------
        prior : Gaussian or Mixture
            The fields before any constraint; their ``std()`` counts.

        Returns
        -------
        EqualitySystem
            Without `noise_rows`. Where their noise is zero, all points of the row are known, and
            any noise leaves them as they are; it is then 1.
        """
        if not self.noise_rows:
            return self
        std = np.atleast_2d(prior.std())
        added = sum((part @ std.T).T ** 2 for part in self.noise_rows)
        soft = sum(np.diff(part.indptr) for part in self.noise_rows) > 0
        variance = self.noise**2 + added
        noise = np.sqrt(np.where(soft & (variance == 0), 1.0, variance))
        noise = np.broadcast_to(noise, self.values.shape)
        return replace(self, noise=noise, noise_rows=())


def merge_systems(
    systems: Sequence[EqualitySystem], n_points: int, n_samples: int
) -> EqualitySystem:
    """Stack systems that speak of the same fields."""
    return EqualitySystem(
        rows=stack([s.rows for s in systems], n_points),
        values=np.concatenate([np.empty((n_samples, 0)), *(s.values for s in systems)], axis=1),
        noise=_stacked([s.noise for s in systems], n_samples),
        names=tuple(name for s in systems for name in s.names),
        noise_rows=_stacked_rows(systems, n_points),
    )


def _stacked_rows(systems: Sequence[EqualitySystem], n_points: int) -> tuple[sparse.csr_array, ...]:
    """Stack what standard deviations add to the noise, with zeros where they add nothing."""
    parts = [s.noise_rows for s in systems]
    empty = [sparse.csr_array((s.rows.shape[0], n_points)) for s in systems]
    return tuple(
        sparse.vstack([e if p is None else p for p, e in zip(level, empty, strict=True)], "csr")
        for level in zip_longest(*parts)
    )


def _stacked(noise: Sequence[np.ndarray], n_samples: int) -> np.ndarray:
    """Join noise along the rows; by field if any of it is."""
    if any(part.ndim > 1 for part in noise):
        noise = [np.broadcast_to(part, (n_samples, part.shape[-1])) for part in noise]
    return np.concatenate(noise, axis=-1) if noise else np.empty(0)
