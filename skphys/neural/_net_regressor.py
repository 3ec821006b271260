"""What regressors around a trained net have in common. torch is imported by use, not here."""

from __future__ import annotations

from abc import abstractmethod
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skphys.neural._recipes import SCHEDULES
from skphys.predictive import Prediction, by_rows

FLOATS = (np.float64, np.float32)
HISTORY = ("train_loss", "valid_loss", "lr", "seconds")
POSITIVE = Interval(Integral, 1, None, closed="left")

# Of the parameters that say how a net is trained.
TRAINING: dict[str, list[Any]] = {
    "max_epochs": [POSITIVE],
    "batch_size": [POSITIVE],
    "lr": [Interval(Real, 0, None, closed="neither"), None],
    "weight_decay": [Interval(Real, 0, None, closed="left"), None],
    "scheduler": [StrOptions(set(SCHEDULES)), None],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [POSITIVE],
    "warm_start": ["boolean"],
    "checkpoint": [str, PathLike, None],
    "device": [str],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


class NetRegressor:
    """Mixin: files and pickles of what is fitted, and members as predictions.

    Whatever changes the state of a regressor is done to a copy that it becomes when all has gone
    well, so that what fails leaves it as it was.
    """

    net_: Any
    n_features_in_: int
    _recipes: ClassVar[dict[str, Any]]
    _built_by: ClassVar[str]  # the parameters that the shapes of the weights depend on

    @abstractmethod
    def _parameters_of_weights(self, grid: Any) -> dict[str, Any]:
        """Return the parameters that the meaning of the weights depends on, in plain values."""

    @abstractmethod
    def _header(self) -> dict[str, Any]:
        """Return what else has to be known of the fitted regressor, in plain values."""

    @abstractmethod
    def _read_header(self, header: dict[str, Any]) -> None:
        """Take over what `_header` has put down; `grid_` is known."""

    @abstractmethod
    def _empty_net(self) -> Any:
        """Return a net whose weights are still to be loaded."""

    def save_params(self, path: Any) -> None:
        """Write the trained weights to a file of safetensors, which holds no code.

        Parameters
        ----------
        path : str or path-like
            File to write.

        Raises
        ------
        OSError
            If it cannot be written; a file that was there before is then as it was.
        ImportError
            Without the package safetensors, of the extra "neural".
        """
        check_is_fitted(self)
        from skphys.neural._params_file import save_params

        save_params(self, path)

    def load_params(self, path: Any) -> Self:
        """Take over the weights of an estimator with the same parameters.

        Parameters
        ----------
        path : str or path-like
            A file by `save_params`.

        Returns
        -------
        self : object
            Fitted, on the CPU; predicts what the saved one did.

        Raises
        ------
        ValueError
            If the file is another net's, is damaged, or has weights that are not finite. The
            estimator is then left as it was.
        ImportError
            Without the package safetensors, of the extra "neural".
        """
        from skphys.neural._params_file import load_params

        return self._become(load_params(self._copied(names=False), path))

    def _copied(self, names: bool = True) -> Self:
        """Return a copy, with or without names of columns, that shares everything it has."""
        copied = object.__new__(type(self))
        state = copied.__dict__
        state.update(vars(self))
        if not names:
            state.pop("feature_names_in_", None)
        return copied

    def _become(self, other: Self) -> Self:
        """Take over the state of a copy."""
        self.__dict__.clear()
        self.__dict__.update(vars(other))
        return self

    def _read_history(self) -> None:
        history = self.net_.history
        keys = [key for key in HISTORY if len(history) and key in history[-1]]
        self.history_ = {key: np.array([row[key] for row in history]) for key in keys}
        self.n_iter_ = len(history)
        self.n_parameters_ = sum(p.numel() for p in self.net_.module_.parameters())

    def _of_members(self, means: np.ndarray, stds: np.ndarray | None, rows: str) -> Prediction:
        """Return the prediction of members (n_members, n_samples, n_points), or of the one."""
        n_samples = means.shape[1]
        means = by_rows(means, self, n_samples, rows, "members' mean")
        stds = None if stds is None else by_rows(stds, self, n_samples, rows, "members' std")
        return Prediction.of_members(means, stds)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "net_")

    def __sklearn_tags__(self) -> Any:
        """Fields are several outputs."""
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.target_tags.multi_output = True
        return tags

    def __getstate__(self) -> Any:
        """Return the state with the net on the CPU."""
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        if "net_" in state:
            from skphys.neural._saving import on_cpu

            state["net_"] = on_cpu(state["net_"])
        return state
