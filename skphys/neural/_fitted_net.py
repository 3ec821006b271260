"""What regressors around a trained net have in common. torch is imported by use, not here."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skphys.predictive import Prediction, by_rows


class FittedNet:
    """Mixin: pickles and files of what is fitted, and the shape of what is predicted."""

    net_: Any
    _target_ndim: int

    @abstractmethod
    def _header(self) -> dict[str, Any]:
        """Return what has to be known in a file besides the weights, in plain values."""

    def save_params(self, path: Any) -> None:
        """Write the trained weights to a file of safetensors, which holds no code.

        Parameters
        ----------
        path : str or path-like
            File to write.

        Raises
        ------
        ImportError
            Without the package safetensors, of the extra "io".
        """
        check_is_fitted(self)
        from skphys.neural._saving import save_tensors

        save_tensors(path, self.net_.module_, self._header())

    def _as_fitted(self, array: np.ndarray) -> np.ndarray:
        """Drop the axis of points if y had none in fit."""
        return array[..., 0] if self._target_ndim == 1 else array

    def _of_members(self, means: np.ndarray, stds: np.ndarray | None, rows: str) -> Prediction:
        """Return the prediction of members (n_members, n_samples, n_points), or of the one."""
        n_samples = means.shape[1]
        means = by_rows(means, self, n_samples, rows, "members' mean")
        stds = None if stds is None else by_rows(stds, self, n_samples, rows, "members' std")
        if len(means) == 1:
            return Prediction(means[0], None if stds is None else stds[0])
        return Prediction(means.mean(axis=0), member_means=means, member_stds=stds)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "net_")

    def __getstate__(self) -> Any:
        """Return the state with the net on the CPU."""
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        if "net_" in state:
            from skphys.neural._saving import on_cpu

            state["net_"] = on_cpu(state["net_"])
        return state
