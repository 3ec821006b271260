"""A Fourier neural operator behind fit and predict. torch is imported by fit, not here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from os import PathLike
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from skphys.grids import Components, Grid, renamed
from skphys.neural._layout import (
    check_extent,
    common_grid,
    count_channels,
    flat_rows,
    resolve_grid,
    resolve_modes,
    to_channels,
)
from skphys.neural._net_regressor import FLOATS, POSITIVE, TRAINING, NetRegressor
from skphys.neural._precision import offsets_of, warn_if_coarse
from skphys.neural._recipes import RECIPES
from skphys.predictive import FieldRegressorMixin, Prediction, known_targets


class FNORegressor(NetRegressor, FieldRegressorMixin, BaseEstimator):
    r"""Fourier neural operator: a net that maps input fields to output fields on a grid.

    Inputs and outputs are standardised inside the net, which computes in float32; predictions
    are float64. A deep ensemble of `n_members` is trained in one pass.

    Parameters
    ----------
    n_modes : int or sequence of int, default=16
        Number of Fourier modes kept along each axis, the mean included; at most half the number
        of its points. An axis of one point has the mean alone.
    hidden_channels : int, default=64
        Width of the net.
    n_layers : int, default=4
        Number of Fourier layers.
    grid : Grid, Components or None, default=None
        Where the fields live: the axes with their points, and which of them are periodic.
        `Components` with one and the same grid for each: several fields in a row of y. None: even
        nodes along one axis, one for each column of y.
    padding : float or "reflect", default=0.25
        Part of its length by which an axis that is not periodic is extended, by zeros, before it
        is closed to a ring. "reflect" closes it by its mirror image, so that the ring has no
        jump; the modes are then those of twice the length.
    recipe : {"tuned", "boon"}, default="tuned"
        What `lr`, `weight_decay` and `scheduler` are unless they are given: Adam with a one-cycle
        rate of at most 8e-3 and no weight decay; or, as in [2]_, a rate of 1e-3 that is halved
        every 50 epochs and a weight decay of 1e-4.
    max_epochs : int, default=200
        Number of times that each member sees each sample.
    batch_size : int, default=20
        Largest number of samples in a step; batches of an epoch are of even size.
    lr : float or None, default=None
        Learning rate, the largest one where it varies. None: the recipe's.
    weight_decay : float or None, default=None
        L2 penalty. None: the recipe's.
    scheduler : {"one_cycle", "step", "cosine", "constant"} or None, default=None
        Learning-rate schedule. None: the recipe's.
    loss : {"relative_l2", "mse", "nll", "crps"}, default="relative_l2"
        What is minimised: the mean of ``||u - y|| / ||y||`` over samples; the mean squared error
        in units of the standard deviation of y; or, of a Gaussian at each point, which needs
        `heteroscedastic`, the negative log-likelihood, with which the mean is mostly much less
        accurate, or the continuous ranked probability score in units of the standard deviation of
        y, see Notes. Several components count equally.
    heteroscedastic : bool, default=False
        Whether the net also predicts a standard deviation at each point. It is trained by its
        Gaussian likelihood: with ``loss="nll"`` together with the mean, with the first two losses
        beside it, the mean being left to the loss. ``loss="crps"`` trains both and no likelihood.
    n_members : int, default=1
        Size of the ensemble. Each member starts from weights of its own and sees the samples in
        an order of its own; no member depends on how many others there are, except for rounding.
    early_stopping : bool, default=False
        Whether to hold out samples, to stop each member after `n_iter_no_change` epochs without
        a lower loss on them, and to keep the weights of its best epoch.
    validation_fraction : float, default=0.1
        Part of the samples held out by `early_stopping`.
    n_iter_no_change : int, default=50
        Patience of `early_stopping`. Schedules that end low, like "one_cycle", gain most in their
        last epochs.
    warm_start : bool, default=False
        Whether fit goes on from the weights of the previous fit, with its units.
    checkpoint : str, path-like or None, default=None
        Directory in which the state of the training is kept, every half a minute and at the end.
        A fit with the same data and parameters goes on where it was; any other one starts anew,
        beside it.
    device : str, default="cpu"
        Where to train and to predict, as torch calls it. Pickles land on the CPU, and a model
        whose device is not there predicts on it.
    mixed_precision : bool, default=False
        Whether the pointwise layers are trained in bfloat16. Transforms, losses, weights and all
        predictions stay in float32.
    random_state : int, RandomState instance or None, default=None
        Seeds weights, batches and held-out samples. torch's global generators are left alone.
    verbose : int, default=0
        1: a progress bar; 2: a line for each epoch.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained net; its module is ``net_.module_``.
    grid_ : Grid
        The grid in use.
    history_ : dict of str to ndarray
        For each epoch: "train_loss" of shape (n_iter_, n_members), the mean over its batches;
        "valid_loss" with `early_stopping`; "lr", at its start; "seconds".
    n_iter_ : int
        Number of epochs.
    n_parameters_ : int
        Number of weights of one member.
    n_features_in_ : int
        Number of columns of X, flat.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of X; only if they are strings.

    See Also
    --------
    EnsembleRegressor : Members of any other regressor.
    ConservationConstrainedRegressor : Makes its predictions conserve.

    Notes
    -----
    Norms below a hundredth of the mean norm of the training fields count as that much in the
    relative loss, or a zero field would outweigh everything. Fields of one point, as from 1-D
    targets, are compared with the mean size of y.

    Where the mean of a field or an input is more than a thousand of its standard deviations, it is
    subtracted before anything is rounded to float32, and relative losses are relative to what is
    left.

    The continuous ranked probability score of a member's mean :math:`\mu` and standard deviation
    :math:`\sigma`, shape (n_samples, n_points) both, is averaged in the closed form of [4]_,
    :math:`\sigma [z (2 \Phi(z) - 1) + 2 \varphi(z) - \pi^{-1/2}]` with
    :math:`z = (y - \mu) / \sigma`, as in :func:`skphys.metrics.crps`. Trained through a constraint
    it is that of the conditioned field, as in [5]_. There is no energy score: points of a member
    are independent, of which that score sees little more than the sum of the variances, and no
    member knows of the others.

    A net with one member, not `heteroscedastic`, states no uncertainty. Interrupting fit from the
    keyboard keeps what was learned until then.

    References
    ----------
    .. [1] Z. Li et al. Fourier neural operator for parametric partial differential equations.
       ICLR 2021, arXiv 2010.08895.
    .. [2] N. Saad, G. Gupta, S. Alizadeh, D. C. Maddix. Guiding continuous operator learning
       through physics-based boundary constraints. ICLR 2023, arXiv 2212.07477, appendix.
    .. [3] B. Lakshminarayanan, A. Pritzel, C. Blundell. Simple and scalable predictive
       uncertainty estimation using deep ensembles. NeurIPS 2017.
    .. [4] T. Gneiting, A. E. Raftery. Strictly proper scoring rules, prediction, and estimation.
       Journal of the American Statistical Association 102, 2007.
    .. [5] U. Utkarsh, D. C. Maddix, R. Ma, M. W. Mahoney, Y. Wang. End-to-end probabilistic
       framework for learning with hard constraints. ICLR 2026, arXiv 2506.07003.

    Examples
    --------
    The antiderivative of a wave:

    >>> import numpy as np
    >>> from skphys import FNORegressor
    >>> from skphys.grids import Axis, Grid
    >>> grid = Grid(x=Axis.periodic(0, 2 * np.pi, 16))
    >>> phase = np.linspace(0, 2 * np.pi, 20)[:, None]
    >>> X, y = np.cos(grid["x"] + phase), np.sin(grid["x"] + phase)
    >>> model = FNORegressor(
    ...     n_modes=2, hidden_channels=8, n_layers=2, grid=grid, max_epochs=50, n_members=2,
    ...     random_state=0,
    ... )
    >>> mean, std = model.fit(X, y).predict(X, return_std=True)
    >>> mean.shape, std.shape
    ((20, 16), (20, 16))
    >>> bool(np.abs(mean - y).max() < 0.3)
    True
    """

    _parameter_constraints: dict = {
        **TRAINING,
        "n_modes": [POSITIVE, tuple, list],
        "hidden_channels": [POSITIVE],
        "n_layers": [POSITIVE],
        "grid": [Grid, Components, None],
        "padding": [Interval(Real, 0, None, closed="left"), StrOptions({"reflect"})],
        "recipe": [StrOptions(set(RECIPES))],
        "loss": [StrOptions({"relative_l2", "mse", "nll", "crps"})],
        "heteroscedastic": ["boolean"],
        "n_members": [POSITIVE],
        "mixed_precision": ["boolean"],
    }
    _recipes = RECIPES
    _built_by = "n_modes, hidden_channels, n_layers, n_members, heteroscedastic, grid"

    def __init__(
        self,
        n_modes: int | Sequence[int] = 16,
        hidden_channels: int = 64,
        n_layers: int = 4,
        *,
        grid: Grid | Components | None = None,
        padding: float | str = 0.25,
        recipe: str = "tuned",
        max_epochs: int = 200,
        batch_size: int = 20,
        lr: float | None = None,
        weight_decay: float | None = None,
        scheduler: str | None = None,
        loss: str = "relative_l2",
        heteroscedastic: bool = False,
        n_members: int = 1,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 50,
        warm_start: bool = False,
        checkpoint: str | PathLike | None = None,
        device: str = "cpu",
        mixed_precision: bool = False,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_modes = n_modes
        self.hidden_channels = hidden_channels
        self.n_layers = n_layers
        self.grid = grid
        self.padding = padding
        self.recipe = recipe
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.scheduler = scheduler
        self.loss = loss
        self.heteroscedastic = heteroscedastic
        self.n_members = n_members
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.device = device
        self.mixed_precision = mixed_precision
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, *, boundary: Any = None, constraint: Any = None) -> FNORegressor:
        """Train the members.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_channels * n_points) or \
                (n_samples, n_channels, *grid.shape)
            Input fields, channel by channel.
        y : array-like of shape (n_samples, n_components * n_points) or (n_samples,)
            The fields, component by component, each in C order over the grid. 1-D targets are
            fields of one point, and the operator then has no modes besides the mean.
        boundary : BoundaryBatch or None, default=None
            Boundary conditions that the net itself takes part in; given by
            `BoundaryEnforcedOperator`.
        constraint : ConstraintBatch or None, default=None
            What the fields will be conditioned on; given by
            ``ConservationConstrainedRegressor(..., constrain_training=True)``. The loss is then
            that of the conditioned mean and standard deviation, which needs `heteroscedastic`;
            what is predicted is still the field before.

        Returns
        -------
        self : FNORegressor
            The fitted regressor.

        Raises
        ------
        ValueError
            If X, y, `grid` and `n_modes` do not go together, `device` is not there, the
            constraint cannot be trained through, or the training diverges.
        """
        self._check_loss(constraint, boundary)
        return self._become(self._copied()._fit(X, y, boundary, constraint))

    def _fit(self, X: Any, y: Any, boundary: Any, constraint: Any) -> FNORegressor:
        X, y = self._training_rows(X, y)
        values, self._embedding = _unpack(boundary, len(X))
        previous = getattr(self, "net_", None) if self.warm_start else None
        if previous is None:
            self._set_offsets(X, y)
        x, fields = self._channels(X, "X"), self._channels(y, "y")
        norms = getattr(boundary, "norms", None)
        norms = None if norms is None else np.asarray(norms, dtype=np.float32)
        law = constraint
        if law is not None:
            law = law.checked(*y.shape)
            law = replace(law, values=law.values - law.rows @ self._offset_of_fields())
        from skphys.neural._field_fitting import fit_fields

        arrays = x, fields, values, norms
        self.net_ = fit_fields(self, arrays, self._embedding, law, previous)
        self._read_history()
        return self

    def _check_loss(self, constraint: Any, boundary: Any) -> None:
        if self.loss in ("nll", "crps") and not self.heteroscedastic:
            raise ValueError(
                f"loss={self.loss!r} needs a standard deviation at each point; set "
                f"heteroscedastic=True."
            )
        if constraint is not None and not self.heteroscedastic:
            raise ValueError(
                "training through a constraint needs the net's own standard deviation, which says "
                "how far each point moves; set heteroscedastic=True, or leave constraint=None."
            )
        if constraint is not None and boundary is not None:
            raise ValueError(
                "boundary and constraint cannot be given together: the net learns what the "
                "boundary leaves, and not the fields that the rows speak of. Leave one of them "
                "None, and let it be enforced in prediction alone."
            )

    def _training_rows(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return X and y as rows of numbers; the layout is remembered."""
        if getattr(y, "ndim", 1) > 2:
            raise ValueError(
                f"y must be flat, (n_samples, n_components * n_points) in C order; got shape "
                f"{y.shape}. Use y.reshape(len(y), -1)."
            )
        X, sample_shape = flat_rows(X)
        with known_targets():
            X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=FLOATS)
        self._target_ndim = y.ndim
        y = y.reshape(len(y), -1)
        self.grid_, self._n_components = resolve_grid(self.grid, y.shape[1])
        self._n_channels = count_channels(self.n_features_in_, sample_shape, self.grid_)
        resolve_modes(self.n_modes, self.grid_)
        return X, y

    def _set_offsets(self, X: np.ndarray, y: np.ndarray) -> None:
        """Centre channels that float32 would not resolve beside their mean.

        What vanishes at a boundary has its zero there.
        """
        of_y = offsets_of(y, self._n_components)
        inside = getattr(self._embedding, "method", "inputs") != "inputs"
        if inside and of_y.any():
            of_y[:] = 0.0
            warn_if_coarse(y.reshape(-1, 1), "y")
        self._offsets = {"X": offsets_of(X, self._n_channels), "y": of_y}

    def _channels(self, rows: np.ndarray, what: str) -> np.ndarray:
        """Return rows of X or y as channels on the grid."""
        offset = self._offsets[what]
        if offset.any():
            rows = rows - np.repeat(offset, self.grid_.n_points)
        return to_channels(rows, self.grid_.shape, what)

    def _offset_of_fields(self) -> np.ndarray:
        return np.repeat(self._offsets["y"], self.grid_.n_points)

    def _read_history(self) -> None:
        super()._read_history()
        self.n_parameters_ //= self.n_members

    def on_grid(self, grid: Grid | Components) -> FNORegressor:
        """Return a fitted copy that predicts on other points, with the same weights and modes.

        Parameters
        ----------
        grid : Grid or Components
            With the axes and the ends of the grid in fit; usually finer. X then needs the input
            fields on these points.

        Returns
        -------
        FNORegressor
            Its parameter `grid` is the new one.

        Raises
        ------
        ValueError
            If the grid has other axes, another extent, other components, or too few points for
            the modes.
        """
        check_is_fitted(self)
        inner, n_components = common_grid(grid)
        if n_components != self._n_components:
            raise ValueError(
                f"grid has {n_components} component(s), but y had {self._n_components} in fit."
            )
        check_extent(inner, self.grid_)
        resolve_modes(self.n_modes, inner)
        from skphys.neural._field_fitting import net_on_points

        model = self._copied(names=False)
        model.grid, model.grid_ = grid, inner
        model.net_ = net_on_points(self.net_, [axis.points for axis in inner.axes.values()])
        model.n_features_in_ = self._n_channels * inner.n_points
        more = model.n_features_in_ - self.n_features_in_
        old, names = self.grid_.n_points, getattr(self, "feature_names_in_", None)
        names = renamed(names, old, inner.n_points, more)
        if names is not None:
            model.feature_names_in_ = names
        return model

    def predict(
        self, X: Any, return_std: bool = False, return_cov: bool = False, *, boundary: Any = None
    ) -> Any:
        """Predict fields: the mean of the members.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features) or \
                (n_samples, n_channels, *grid.shape)
            Input fields.
        return_std : bool, default=False
            Also return the standard deviations.
        return_cov : bool, default=False
            Also return the covariances along the fields. At most one of the two may be set.
        boundary : BoundaryBatch or None, default=None
            As in fit.

        Returns
        -------
        y_mean : ndarray of shape (n_samples, n_components * n_points)
            float64; (n_samples,) if y was 1-D in fit.
        y_std : ndarray of the same shape
            Only if `return_std`.
        y_cov : ndarray of shape (n_samples, n_components * n_points, n_components * n_points)
            Only if `return_cov`.

        Raises
        ------
        ValueError
            If both flags are set, or one member without `heteroscedastic` is asked for either.
        """
        return self._answer(X, return_std, return_cov, boundary=boundary)

    def predict_std(self, X: Any, *, boundary: Any = None) -> np.ndarray:
        """Return the standard deviations of `predict`.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features) or \
                (n_samples, n_channels, *grid.shape)
            Input fields.
        boundary : BoundaryBatch or None, default=None
            As in fit.

        Returns
        -------
        ndarray of shape (n_samples, n_components * n_points)
            In the shape of `predict`.
        """
        return self._answer(X, return_std=True, boundary=boundary)[1]

    def predict_members(
        self, X: Any, *, boundary: Any = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the predictions of the members.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features) or \
                (n_samples, n_channels, *grid.shape)
            Input fields.
        boundary : BoundaryBatch or None, default=None
            As in fit.

        Returns
        -------
        means : ndarray of shape (n_members, n_samples, n_components * n_points)
            float64; without the last axis if y was 1-D in fit.
        stds : ndarray of the same shape or None
            None unless `heteroscedastic`.
        """
        return self._members(X, boundary=boundary)

    def _predict_distribution(
        self, X: Any, *, rows: str, want_cov: bool, boundary: Any = None
    ) -> Prediction:
        """Say what is predicted: points, a Gaussian, or members."""
        check_is_fitted(self)
        X, sample_shape = flat_rows(X)
        X = validate_data(self, X, reset=False, dtype=FLOATS)
        count_channels(X.shape[1], sample_shape, self.grid_)
        values, embedding = _unpack(boundary, len(X))
        if (embedding is None) != (self._embedding is None):
            raise ValueError(
                "boundary must be given both in fit and in predict, or in neither; use "
                "BoundaryEnforcedOperator, which sees to it."
            )
        from skphys.neural._field_fitting import net_outputs

        means, stds = net_outputs(self, self._channels(X, "X"), values, embedding)
        return self._of_members(means + self._offset_of_fields(), stds, rows)

    def _no_uncertainty(self) -> str:
        return (
            "one member without heteroscedastic=True states no uncertainty; set n_members to 5, "
            "say, or heteroscedastic=True."
        )

    def _offers_members(self, rows: str) -> bool:
        return self.n_members > 1

    def _parameters_of_weights(self, grid: Grid) -> dict[str, Any]:
        names = ("hidden_channels", "n_layers", "padding", "n_members", "heteroscedastic")
        modes = list(resolve_modes(self.n_modes, grid))
        return {"n_modes": modes, **{name: getattr(self, name) for name in names}}

    def _header(self) -> dict[str, Any]:
        layout = self._n_channels, self._n_components, self._target_ndim
        offsets = {what: offset.tolist() for what, offset in self._offsets.items()}
        return {"layout": layout, "embedded": self._embedding is not None, "offsets": offsets}

    def _read_header(self, header: dict[str, Any]) -> None:
        self._n_channels, self._n_components, self._target_ndim = header["layout"]
        self.n_features_in_ = self._n_channels * self.grid_.n_points
        sizes = {"X": self._n_channels, "y": self._n_components}
        offsets = header["offsets"]
        self._offsets = {k: np.array(offsets[k], float).reshape(n) for k, n in sizes.items()}
        self._embedding = getattr(self, "_embedding", None)

    def _empty_net(self) -> Any:
        from skphys.neural._field_fitting import net_parameters
        from skphys.neural._fitting import empty_net

        return empty_net(net_parameters(self, self._embedding))

    def __sklearn_tags__(self) -> Any:
        """X may have channels on the grid."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _unpack(boundary: Any, n_samples: int) -> tuple[np.ndarray | None, Any]:
    """Return the values (n_samples, n_values) as float32, and the embedding."""
    if boundary is None:
        return None, None
    values = np.asarray(boundary.values, dtype=np.float32)
    if values.ndim != 2 or len(values) != n_samples:
        raise ValueError(
            f"boundary.values must have shape (n_samples, n_values), n_samples={n_samples}; got "
            f"{values.shape}."
        )
    return values, boundary.embedding
