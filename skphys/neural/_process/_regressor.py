"""An attentive neural process behind fit and predict. torch is imported by fit, not here."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from os import PathLike
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from skphys.grids import Grid
from skphys.neural._differential import DifferentialEquation
from skphys.neural._layout import resolve_grid
from skphys.neural._net_regressor import FLOATS, POSITIVE, TRAINING, NetRegressor
from skphys.neural._precision import as_float32, warn_if_coarse
from skphys.neural._process._context_layout import ContextRows, read_layout
from skphys.neural._recipes import PROCESS_RECIPES
from skphys.predictive import FieldRegressorMixin, Prediction, known_targets


class AttentiveNeuralProcessRegressor(NetRegressor, FieldRegressorMixin, BaseEstimator):
    r"""Attentive neural process: fields from a handful of known points, with uncertainty.

    A row of X is a set of contexts, flat, and a query: ``[c_0 | c_1 | ... | q]``. Each context is
    the coordinates of a point and the value there, such as (t, x, u); the query is the coordinates
    that all points of the predicted field share, such as t. A row of y is the field on `grid`.
    Rows with the same contexts belong to one function.

    Parameters
    ----------
    hidden_size : int, default=128
        Width of the net; the decoder is three times as wide.
    grid : Grid or None, default=None
        Where the fields live. A point's coordinates are the query columns, then those of the grid.
        None: even nodes along one axis, one for each column of y; if there is one column, points
        without coordinates besides the query.
    n_query : int, "all" or "auto", default="auto"
        Number of query columns, which come last. "all": X has no contexts. "auto": one, as of a
        time; but a table whose other columns make no whole contexts has none, if no `grid` says
        that they are fields.
    n_heads : int, default=4
        Number of heads of each attention layer; must divide `hidden_size`.
    n_layers : int, default=2
        Number of attention layers: in each self-attention, and of cross-attention.
    n_draws : int, default=100
        Number of latent vectors that a prediction is the mixture of. May be set after fit.
    n_targets : int, default=100
        Number of points of each function that a training step predicts, drawn anew each time.
    dropout : float, default=0.1
        Dropout of the attention layers in training.
    predict_dropout : bool, default=False
        Whether dropout stays on in predictions: each draw is then another net, as in the code of
        [2]_. Everything is computed anew for each draw, and a prediction depends on what else is
        in X. May be set after fit.
    min_std : float, default=1e-3
        Smallest standard deviation, in units of y.
    recipe : {"tuned", "probconserv"}, default="tuned"
        What `lr`, `weight_decay` and `scheduler` are unless they are given: Adam with a one-cycle
        rate of at most 2e-3; or, as in [2]_, a constant rate of 1e-4.
    max_epochs : int, default=200
        Number of times that each function is seen.
    batch_size : int, default=20
        Largest number of functions in a step; batches of an epoch are of even size.
    predict_batch_size : int, default=8192
        Largest number of pairs of a point and a draw that are decoded at once; bounds the memory
        of predictions. May be set after fit.
    lr : float or None, default=None
        Learning rate, the largest one where it varies. None: the recipe's.
    weight_decay : float or None, default=None
        L2 penalty. None: the recipe's.
    scheduler : {"one_cycle", "step", "cosine", "constant"} or None, default=None
        Learning-rate schedule. None: the recipe's.
    loss : {"nll", "crps", "energy"}, default="nll"
        What is minimised: the negative log-likelihood of the targets plus the divergence of the
        latent vectors; or a proper score of the predicted mixture, in units of the standard
        deviation of y: the continuous ranked probability score at each target, or the energy score
        of all targets of a function together. See Notes.
    early_stopping : bool, default=False
        Whether to hold out functions, to stop after `n_iter_no_change` epochs without a lower loss
        on them, and to keep the weights of the best epoch.
    validation_fraction : float, default=0.1
        Part of the functions held out by `early_stopping`.
    n_iter_no_change : int, default=50
        Patience of `early_stopping`.
    equation : DifferentialEquation or None, default=None
        A differential equation whose mean squared residual, of the mean at the targets (of several
        draws, that of the first), is added to the loss in training: "SoftC" in [2]_. Its
        coordinates are those of a point, in their order: make the time the query, and the positions
        the axes of the grid. Costs several times the time of a step.
    equation_weight : float, default=1.0
        Weight of that penalty, beside the loss of one function. Where a loss is summed over a
        batch, as in the released code of [2]_, a weight of 1 is one of 1 / batch_size here. The
        likelihood is a sum over targets, the two scores are of the size of one of them.
    warm_start : bool, default=False
        Whether fit goes on from the weights of the previous fit, with its units.
    checkpoint : str, path-like or None, default=None
        Directory in which the state of the training is kept, every half a minute and at the end.
        A fit with the same data and parameters goes on where it was; any other one starts anew,
        beside it.
    device : str, default="cpu"
        Where to train and to predict, as torch calls it. Pickles land on the CPU, and a model
        whose device is not there predicts on it.
    random_state : int, RandomState instance or None, default=None
        Seeds weights, batches, held-out functions and the draws of predictions. torch's global
        generators are left alone.
    verbose : int, default=0
        1: a progress bar; 2: a line for each epoch.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained net; its module is ``net_.module_``.
    grid_ : Grid
        The grid in use.
    n_context_ : int
        Number of contexts in a row of X.
    n_functions_ : int
        Number of functions in fit; 0 if the weights came from elsewhere.
    history_ : dict of str to ndarray of shape (n_iter_,)
        For each epoch: "train_loss", the mean over its functions; "valid_loss" with
        `early_stopping`; "lr", at its start; "seconds".
    n_iter_ : int
        Number of epochs.
    n_parameters_ : int
        Number of weights.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of X; only if they are strings.

    See Also
    --------
    ConservationConstrainedRegressor : Makes its predictions conserve.
    skphys.datasets.make_context_target : Functions known at contexts.
    FNORegressor : Fields from fields.

    Notes
    -----
    The architecture is that of [1]_ as used in [2]_. A latent encoder (self-attention, mean over
    points) gives a Gaussian of latent vectors :math:`z`; a deterministic encoder (self-attention
    of the contexts, cross-attention by the target) a representation :math:`r` of each target; a
    decoder of three layers makes the mean :math:`\mu` and the standard deviation :math:`\sigma` of
    the value out of :math:`r`, :math:`z` and the coordinates. Minimised is, averaged over
    functions,

    .. math::
        -\sum_i \log N(y_i; \mu_i, \sigma_i^2)
        + KL(q(z \mid \text{targets}) \,\|\, q(z \mid \text{contexts})),

    with :math:`z` drawn from the first of both.

    The other losses are proper scores [3]_ of the very mixture that is predicted: :math:`z` is
    drawn from the contexts alone, four times for each function, with no divergence beside. With
    means and standard deviations of shape (4, n_functions, n_targets), of components :math:`j`, and
    pairs :math:`j \neq k`, ``loss="crps"`` is the mean over targets of

    .. math::
        \operatorname{mean}_j A(y - \mu_j, \sigma_j^2)
        - \tfrac12 \operatorname{mean}_{j \neq k} A(\mu_j - \mu_k, \sigma_j^2 + \sigma_k^2),
        \quad A(m, s^2) = m \, [2 \Phi(m / s) - 1] + 2 s \, \varphi(m / s),

    the closed form for mixtures [4]_; ``loss="energy"`` is the mean distance of one draw of all
    targets for each component from the truth, less half the draws' mean distance from each other,
    in root mean squares. That no component is compared with itself makes the score of four on
    average that of infinitely many. A step takes about as long as one of "nll".

    Predictions are mixtures of `n_draws` Gaussians with :math:`z` from the contexts. The draws are
    the same, in units of the standard deviations of :math:`z`, for all rows and all calls. Contexts
    are encoded once, targets are once, and of the decoder's first layer only the sum of the parts
    of target and draw is formed for each pair of both.

    References
    ----------
    .. [1] H. Kim, A. Mnih, J. Schwarz, M. Garnelo, A. Eslami, D. Rosenbaum, O. Vinyals, Y. W. Teh.
       Attentive neural processes. ICLR 2019, arXiv 1901.05761.
    .. [2] D. Hansen, D. C. Maddix, S. Alizadeh, G. Gupta, M. W. Mahoney. Learning physical models
       that can respect conservation laws. ICML 2023, arXiv 2302.11002.
    .. [3] T. Gneiting, A. E. Raftery. Strictly proper scoring rules, prediction, and estimation.
       Journal of the American Statistical Association 102, 2007.
    .. [4] E. P. Grimit, T. Gneiting, V. J. Berrocal, N. A. Johnson. The continuous ranked
       probability score for circular variables and its application to mesoscale forecast ensemble
       verification. Quarterly Journal of the Royal Meteorological Society 132, 2006.

    Examples
    --------
    Waves of any phase, each known at five points:

    >>> import numpy as np
    >>> from skphys.grids import Grid
    >>> from skphys.neural import AttentiveNeuralProcessRegressor
    >>> rng = np.random.default_rng(0)
    >>> phase = rng.uniform(0, 6, (50, 1))
    >>> x = np.linspace(0, 6, 16)
    >>> known = rng.uniform(0, 6, (50, 5))
    >>> X = np.stack([known, np.sin(known + phase)], axis=2).reshape(50, 10)
    >>> model = AttentiveNeuralProcessRegressor(
    ...     16, grid=Grid(x=x), n_query=0, max_epochs=30, batch_size=10, random_state=0
    ... )
    >>> mean, std = model.fit(X, np.sin(x + phase)).predict(X, return_std=True)
    >>> mean.shape, std.shape
    ((50, 16), (50, 16))
    >>> model.n_context_
    5
    """

    _parameter_constraints: dict = {
        **TRAINING,
        "hidden_size": [POSITIVE],
        "grid": [Grid, None],
        "n_query": [Interval(Integral, 0, None, closed="left"), StrOptions({"all", "auto"})],
        "n_heads": [POSITIVE],
        "n_layers": [POSITIVE],
        "n_draws": [POSITIVE],
        "n_targets": [POSITIVE],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "predict_dropout": ["boolean"],
        "min_std": [Interval(Real, 0, None, closed="left")],
        "recipe": [StrOptions(set(PROCESS_RECIPES))],
        "loss": [StrOptions({"nll", "crps", "energy"})],
        "predict_batch_size": [POSITIVE],
        "equation": [DifferentialEquation, None],
        "equation_weight": [Interval(Real, 0, None, closed="left")],
    }
    _recipes = PROCESS_RECIPES
    _built_by = "hidden_size, n_layers, n_query, grid"

    def __init__(
        self,
        hidden_size: int = 128,
        *,
        grid: Grid | None = None,
        n_query: int | str = "auto",
        n_heads: int = 4,
        n_layers: int = 2,
        n_draws: int = 100,
        n_targets: int = 100,
        dropout: float = 0.1,
        predict_dropout: bool = False,
        min_std: float = 1e-3,
        recipe: str = "tuned",
        max_epochs: int = 200,
        batch_size: int = 20,
        predict_batch_size: int = 8192,
        lr: float | None = None,
        weight_decay: float | None = None,
        scheduler: str | None = None,
        loss: str = "nll",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 50,
        equation: DifferentialEquation | None = None,
        equation_weight: float = 1.0,
        warm_start: bool = False,
        checkpoint: str | PathLike | None = None,
        device: str = "cpu",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.hidden_size = hidden_size
        self.grid = grid
        self.n_query = n_query
        self.n_heads = n_heads
        self.n_layers = n_layers
        self.n_draws = n_draws
        self.n_targets = n_targets
        self.dropout = dropout
        self.predict_dropout = predict_dropout
        self.min_std = min_std
        self.recipe = recipe
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.predict_batch_size = predict_batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.scheduler = scheduler
        self.loss = loss
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.equation = equation
        self.equation_weight = equation_weight
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: Any, y: Any, *, constraint: Any = None, equation_parameters: Any = None
    ) -> AttentiveNeuralProcessRegressor:
        """Train the net.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            Contexts and queries.
        y : array-like of shape (n_samples, n_points) or (n_samples,)
            The fields at the queries, in C order over the grid. 1-D targets are single points.
        constraint : ConstraintBatch or None, default=None
            What the fields will be conditioned on; given by
            ``ConservationConstrainedRegressor(..., constrain_training=True)``. The loss is
            then that of the conditioned field, given each latent vector, and a step predicts whole
            fields: ``n_targets // n_points`` of each function, at least one.
        equation_parameters : array-like of shape (n_samples,), default=None
            The parameter of the equation in each row of X.

        Returns
        -------
        self : AttentiveNeuralProcessRegressor
            The fitted regressor.

        Raises
        ------
        ValueError
            If X, y, `grid` and `n_query` do not go together, `device` is not there, or the
            training diverges.

        Warns
        -----
        UserWarning
            If float32 does not resolve X, y or the grid, or `min_std` is not small beside y.
        """
        return self._become(self._copied()._fit(X, y, constraint, equation_parameters))

    def _fit(
        self, X: Any, y: Any, constraint: Any, parameters: Any
    ) -> AttentiveNeuralProcessRegressor:
        rows, fields = self._training_arrays(X, y)
        law = None if constraint is None else constraint.checked(*fields.shape)
        parameters = self._read_parameters(parameters, len(fields))
        from skphys.neural._process._fitting import fit_process

        previous = getattr(self, "net_", None) if self.warm_start else None
        self.net_, seeds = fit_process(self, rows, fields, law, parameters, previous)
        self._draw_seed = seeds[-1]
        self.n_functions_ = len(rows.contexts)
        self._read_history()
        return self

    def _training_arrays(self, X: Any, y: Any) -> tuple[ContextRows, np.ndarray]:
        """Return rows and fields as float32; the layout is remembered."""
        self._check_heads()
        with known_targets():
            X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=FLOATS)
        self._target_ndim = y.ndim
        y = y.reshape(len(y), -1)
        self.grid_, _ = resolve_grid(self.grid, y.shape[1])
        self._set_layout(self.n_features_in_)
        arrays = self._layout.split(as_float32(X, "X")), as_float32(y, "y")
        for what, given in (*self._layout.parts(X), ("y", y.reshape(-1, 1))):
            warn_if_coarse(given, what)
        return arrays

    def _read_parameters(self, parameters: Any, n_samples: int) -> np.ndarray | None:
        """Return the equation's parameter in each row."""
        if parameters is None:
            return None
        if self.equation is None:
            raise ValueError("equation_parameters are those of an equation; set equation, too.")
        parameters = np.asarray(parameters, dtype=np.float32)
        if parameters.shape != (n_samples,) or not np.isfinite(parameters).all():
            raise ValueError(
                f"equation_parameters must be {n_samples} finite numbers, one for each row of X; "
                f"got shape {parameters.shape}."
            )
        return parameters

    def _check_heads(self) -> None:
        if self.hidden_size % self.n_heads:
            raise ValueError(
                f"n_heads={self.n_heads} does not divide hidden_size={self.hidden_size}; each head "
                f"has hidden_size / n_heads of the net's channels."
            )

    def _set_layout(self, n_features: int) -> None:
        points = self.grid_.points
        if self.grid is None and len(points) == 1:
            points = points[:, :0]
        n_query = self.n_query
        if n_query == "auto":
            n_query = "all" if self.grid is None and (n_features - 1) % (points.shape[1] + 2) else 1
        self._layout = read_layout(n_features, n_query, points)
        self.n_context_ = self._layout.n_context

    def _rows(self, X: Any) -> ContextRows:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=FLOATS)
        return self._layout.split(as_float32(X, "X"))

    def load_state_dict(
        self, state: Mapping[str, Any], *, n_context: int, prefix: str = ""
    ) -> AttentiveNeuralProcessRegressor:
        """Take over weights that were trained elsewhere with this architecture.

        Parameters
        ----------
        state : mapping of str to tensor
            As ``torch.load`` gives it (for a checkpoint of a training, its entry "state_dict").
            The names may be those of ``net_.module_`` or the usual ones, see Notes.
        n_context : int
            Number of contexts in a row of X.
        prefix : str, default=""
            What all names of the net begin with, such as "anp."; others are left out.

        Returns
        -------
        self : object
            Fitted, on the CPU. Coordinates and values are as they come, not standardised, unless
            the state says how.

        Raises
        ------
        ValueError
            If there is no `grid`, or the weights are those of another architecture. The estimator
            is then left as it was.

        Notes
        -----
        The usual names of the architecture's parts, and what they are called here:

        =====================  =============================================================
        part                   usual name: name here
        =====================  =============================================================
        latent_encoder         input_projection: points, self_attentions: self_attention,
                               penultimate_layer: hidden, mu: mean, log_sigma: log_variance
        deterministic_encoder  input_projection: points, context_projection: context,
                               target_projection: target, self_attentions: self_attention,
                               cross_attentions: cross_attention
        decoder                target_projection: target, linears: layers,
                               final_projection: output
        each attention layer   encoder_key: key, encoder_value: value, encoder_query: query,
                               final_linear: output, layer_norm: norm
        =====================  =============================================================

        Linear layers are usually wrapped, here they are not: latent_encoder.mu.linear_layer.weight
        is latent_encoder.mean.weight. What is called log_sigma is a log-variance.
        """
        self._validate_params()
        if self.grid is None:
            raise ValueError("load_state_dict needs grid, which says where the fields live.")
        if self.n_query == "all":
            raise ValueError("load_state_dict needs n_query as a number; got 'all'.")
        self._check_heads()
        check_scalar(n_context, "n_context", Integral, min_val=0)
        n_query = 1 if self.n_query == "auto" else int(self.n_query)
        n_features = int(n_context) * (n_query + self.grid.n_axes + 1) + n_query
        from skphys.neural._fitting import draw_seeds
        from skphys.neural._process._weights import take_over

        loaded, header = self._copied(names=False), {"layout": [n_features, 2], "functions": 0}
        loaded.grid_ = self.grid
        loaded._read_header({**header, "draw_seed": draw_seeds(self, 3)[-1]})
        loaded.net_ = loaded._empty_net()
        take_over(loaded.net_.module_, state, prefix)
        loaded._read_history()
        return self._become(loaded)

    def _predict_distribution(self, X: Any, *, rows: str, want_cov: bool) -> Prediction:
        """Say what is predicted: members."""
        from skphys.neural._process._fitting import draws

        return self._of_members(*draws(self, self._rows(X)), rows)

    def _stated(self, X: Any, want: str, **options: Any) -> Prediction:
        """Return moments without all the draws, where these are enough."""
        if want not in ("mean", "std"):
            return super()._stated(X, want, **options)
        rows = self._rows(X)
        from skphys.neural._process._fitting import moments

        mean, variance = moments(self, rows)
        return Prediction(mean, np.sqrt(variance))

    def sample_y(self, X: Any, n_samples: int = 1, random_state: Any = 0) -> np.ndarray:
        """Draw fields.

        Rows with the same contexts get the same latent vector in a sample, so that the sample is
        one function at several queries. Given it, points are independent.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples_X, n_features)
            Contexts and queries.
        n_samples : int, default=1
            Number of samples of each field.
        random_state : int, RandomState instance or None, default=0
            Pass an int for the same samples in every call.

        Returns
        -------
        ndarray of shape (n_samples_X, n_points, n_samples)
            (n_samples_X, n_samples) if y was 1-D in fit.
        """
        check_scalar(n_samples, "n_samples", Integral, min_val=1)
        rows = self._rows(X)
        from skphys.neural._fitting import MAX_SEED
        from skphys.neural._process._fitting import draws

        rng = check_random_state(random_state)
        means, stds = draws(self, rows, seed=int(rng.randint(MAX_SEED)), n=n_samples)
        samples = means + stds * rng.standard_normal(means.shape)
        return self._as_fitted(np.moveaxis(samples, 0, -1))

    def _offers_members(self, rows: str) -> bool:
        return self.n_draws > 1

    def _parameters_of_weights(self, grid: Grid) -> dict[str, Any]:
        names = ("hidden_size", "n_query", "n_heads", "n_layers", "min_std")
        return {name: getattr(self, name) for name in names}

    def _header(self) -> dict[str, Any]:
        return {
            "own_grid": self.grid is None,
            "layout": [self.n_features_in_, self._target_ndim],
            "functions": self.n_functions_,
            "draw_seed": self._draw_seed,
        }

    def _read_header(self, header: dict[str, Any]) -> None:
        self.n_features_in_, self._target_ndim = header["layout"]
        self.n_functions_, self._draw_seed = header["functions"], header["draw_seed"]

    def _empty_net(self) -> Any:
        from skphys.neural._fitting import empty_net
        from skphys.neural._process._fitting import net_parameters

        self._set_layout(self.n_features_in_)
        return empty_net(net_parameters(self))
