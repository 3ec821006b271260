"""The operator whose fields satisfy their boundary conditions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from sklearn.base import _fit_context
from sklearn.utils._param_validation import StrOptions

from skphys.constraints import BOTH, ConstraintSet, boundary_constraints
from skphys.estimators._backbone import tell_grid
from skphys.estimators._background import Background
from skphys.estimators._constrained import Constrained
from skphys.estimators._embedding import BoundaryBackbone, can_be_told, check_embedding
from skphys.estimators._error_model import ErrorModel
from skphys.estimators._named_boundary import named_faces, only_projects, with_face
from skphys.estimators._regridded import RegriddedBackground
from skphys.grids import Components, Grid, Mesh
from skphys.predictive import REGRESSOR, Prediction, is_frozen, last_step

AUTO = "auto"
PROJECT = "project"
BEST = "lift"  # what "auto" tries first


class BoundaryEnforcedOperator(Constrained):
    r"""Wrap an operator, or any regressor of fields, so that its fields obey their boundary.

    Whatever the backbone predicts is taken as a Gaussian field and conditioned on the boundary
    conditions, in float64: mean, standard deviation, covariance and samples all obey them, and
    where a value is known the standard deviation is zero. An operator that can be told about the
    boundary is, besides, trained with the boundary built in.

    Parameters
    ----------
    estimator : estimator
        The backbone: any regressor with field targets, or a pipeline that ends in one. It is
        cloned; wrap a trained one in `sklearn.frozen.FrozenEstimator`.
    boundary : dict or None, default=None
        The conditions, by axis: ``{"x": (Dirichlet(0.0), Neumann("flux"))}`` for the faces at the
        low and the high coordinate, one condition for both, None for a face that is free,
        ``Periodic()``; with `Components` a dict of such dicts; on a `Mesh` one condition for each
        named part of its boundary. See :func:`~skphys.constraints.boundary_constraints`.
        Parameters of the conditions are reached as ``boundary__x_left__value``. None enforces
        nothing.
    grid : Grid, Mesh, Components or None, default=None
        Where the fields live; y has shape (n_samples, n_points), in C order. None will do without a
        boundary only. An operator whose own `grid` is None gets this one. On a `Mesh` the method is
        "project".
    method : {"auto", "kernel", "kernel_block", "lift", "project"}, default="auto"
        What happens while the backbone trains. "project": nothing; works with any backbone, also a
        trained one. "lift": it learns what a background field leaves, which satisfies the boundary
        and is found in closed form; works with any backbone that is still to be trained. "kernel"
        corrects the kernel inside each layer, as BOON does [1]_, for one axis after another; it
        needs an operator whose ``fit`` has a parameter `boundary`, such as `FNORegressor`, or a
        skorch net with spectral layers in its module. One number stands there for a layer's kernel
        between two faces, as in the released code of BOON; with "kernel_block" it is the matrix
        between all channels, which on one axis decouples boundary and interior exactly. An operator
        with the parameter gets the boundary's values as inputs as well, with "lift", too. "auto" is
        "lift" for such an operator, for skorch nets, and where a background is asked for, "project"
        for other backbones, and for nets that are to learn beside no background. The kernels are
        there to be asked for: they were not the most accurate in any of our comparisons.
    background : str or regressor, default="auto"
        What the backbone need not learn, with "lift"; other methods have none. "none": nothing.
        "values": the prescribed values, continued into the interior, as far as leaves least of the
        training fields.
        "smooth": slopes, too. "linear": the affine map of numeric inputs and boundary values that
        ridge regression finds. "varying": a linear map of input fields and boundary values whose
        coefficients vary smoothly with the other numeric inputs [2]_; for linear equations with
        parameters. "kernel": kernel ridge regression on all; for fields that few numbers decide,
        inside their range. Or a regressor of fields, which is cloned; it gets
        numeric inputs and boundary values as columns, in their units, and with their names if X is
        a DataFrame of pandas. What was learned is judged, and taken off,
        by its leave-one-out residuals (of a regressor: of folds). "auto" takes, of n fields,
        the first of "linear" and "varying" that leaves an nth of what a lift leaves, or nothing but
        noise; then "kernel" if it leaves a thousandth, or noise; else that of the first three that
        leaves least.
    members : {"moments", "each"}, default="moments"
        What to do with a backbone that predicts by members. "moments" conditions one Gaussian with
        the members' low-rank covariance. "each" conditions each member by itself, with independent
        points, and matches moments after. Members of an operator that was told about the boundary
        are always conditioned each: what is left there is rounding.
    uncertainty : {"auto", "stated", "residual"}, default="auto"
        "stated" takes what the backbone states, else unit variance (the Euclidean projection, with
        a warning when a standard deviation is asked for). "auto" does so, too, but for ensembles
        with a parameter `n_members`: two members more are fitted without a fifth of the fields, and
        all are taken to be as far apart as these are wrong. "residual" takes the root mean square
        of out-of-fold residuals at each point, or of the residuals on `calibration`.
    calibration : tuple (X, y) or None, default=None
        Data that the backbone was not trained on, for conformal intervals and
        ``uncertainty="residual"``; required there for a frozen backbone.
    drop_value_columns : bool, default=False
        Keep the columns that conditions take their values from away from the backbone; those of a
        callable if it has an attribute `columns` with their names or positions.
    random_state : int, RandomState instance or None, default=None
        Handed to the backbone's own random states in fit; None leaves them alone.

    Attributes
    ----------
    estimator_ : estimator
        The fitted backbone; with "lift" it predicts what `background_` leaves.
    method_ : {"kernel", "kernel_block", "lift", "project"}
        The method in use.
    background_ : Background or None
        With "lift", what the backbone did not have to learn. ``background_.kind_`` says which of
        the candidates was taken, ``background_.reason_`` why, ``background_.errors_`` what each
        leaves of left-out fields. ``background_.explained_`` says that there is nothing to learn
        in what it leaves: rounding, noise, or with ``background="auto"`` what kernel ridge
        regression cannot halve. Then no backbone is trained, `estimator_` predicts zero, and the
        standard deviations are those of the background's leave-one-out errors, larger beyond the
        range of the training fields where a kernel says so. Where a net is trained that states no
        uncertainty, they are added.
    constraints_ : list of (str, BoundaryConstraint)
        The conditions with the names of their faces.
    grid_ : Grid or Components
        The grid in use.
    error_model_ : ErrorModel
        How the backbone's errors are taken; with ``uncertainty="residual"`` its `residual_std`, of
        shape (n_points,).
    n_held_out_ : int
        Number of held-out fields, on which conformal intervals rest.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of str
        Names of the features seen in fit, if X has names.

    See Also
    --------
    ConservationConstrainedRegressor : Conservation laws; wrap this estimator in it to have both.

    Notes
    -----
    This must be the outermost estimator but for other constraints: a scaler or a target transform
    around it breaks the boundary, a pipeline inside it does not. Nested in a
    `ConservationConstrainedRegressor` it hands its Gaussian and its rows up, and law and boundary
    are conditioned once, together.

    Inside a skorch net, alone or in pipelines, searches and ensembles, X and y are flat, and the
    module gets what it takes: if it makes no fields of flat rows they become channels, (batch,
    n_channels, \*grid.shape), in float32. Its criterion sees targets in the shape of its outputs,
    so they are never broadcast. Nothing is standardised for it; but the rest that "lift" leaves
    is scaled to vary as the fields do. Pass the module's class: an instance, which would go on
    from its weights at each fit, is refused. The fitted one is ``net.module_.module``. Of spectral
    layers "kernel" knows ours and neuraloperator's; see
    :func:`~skphys.neural.register_spectral_layer`.

    With independent points a Dirichlet value moves the points of its face alone; a condition on
    the derivative moves the points of its stencil, each by its share. That is what measured best
    for four small Fourier operators on the heat rod: to move the end alone left 1 % to 10 % more
    error, and smooth correlations over 3 % of the rod or more carried the correction into the
    interior, where it does not belong.

    A derivative's stencil holds exactly, in mean and draws. True fields miss it: the root mean
    square by which the training fields do is part of the standard deviations, shared by the two
    points that weigh most in it. With "project" the backbone is taken at its word.

    With ``members="moments"`` the members say how the interior goes with the boundary. Of many
    trees that is worth much (on the heat rod with known end values a forest's error fell to a
    tenth and below); of a few networks it is mostly chance (a twentieth more error), and "each"
    is the safer choice.

    References
    ----------
    .. [1] Saad, Gupta, Alizadeh and Maddix, "Guiding continuous operator learning through
       Physics-based boundary constraints", ICLR 2023, arXiv 2212.07477.
    .. [2] Hastie and Tibshirani, "Varying-coefficient models", Journal of the Royal Statistical
       Society B 55, 1993.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from skphys import BoundaryEnforcedOperator
    >>> from skphys.constraints import Column, Dirichlet, Neumann
    >>> from skphys.grids import Grid
    >>> grid = Grid(x=np.linspace(0.0, 1.0, 5))
    >>> X = np.arange(4.0)[:, None]
    >>> y = 2.0 + X * grid["x"] * (2.0 - grid["x"])
    >>> boundary = {"x": (Dirichlet(2.0), Neumann(0.0))}
    >>> model = BoundaryEnforcedOperator(Ridge(), boundary, grid).fit(X, y)
    >>> bool(np.allclose(model.predict(X)[:, 0], 2.0, rtol=1e-15))
    True
    >>> model.set_params(boundary__x_left__value=3.0).boundary["x"][0]
    Dirichlet(value=3.0)
    """

    _parameter_constraints: ClassVar[dict] = {
        "estimator": [REGRESSOR],
        "boundary": [Mapping, None],
        "grid": [Grid, Mesh, Components, None],
        "method": [StrOptions({"auto", "kernel", "kernel_block", "lift", "project"})],
        "background": [
            StrOptions({"auto", "none", "values", "smooth", "linear", "varying", "kernel"}),
            REGRESSOR,
        ],
        "members": [StrOptions({"moments", "each"})],
        "uncertainty": [StrOptions({"auto", "stated", "residual"})],
        "calibration": [tuple, list, None],
        "drop_value_columns": ["boolean"],
        "random_state": ["random_state"],
    }

    _HOLD_OUT = _RESIDUAL = "uncertainty='residual'"
    _PARTS, _PART = "boundary", "faces of the boundary"

    def __init__(
        self,
        estimator: Any,
        boundary: Mapping[str, Any] | None = None,
        grid: Grid | Components | None = None,
        *,
        method: str = "auto",
        background: Any = "auto",
        members: str = "moments",
        uncertainty: str = "auto",
        calibration: tuple[Any, Any] | None = None,
        drop_value_columns: bool = False,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.boundary = boundary
        self.grid = grid
        self.method = method
        self.background = background
        self.members = members
        self.uncertainty = uncertainty
        self.calibration = calibration
        self.drop_value_columns = drop_value_columns
        self.random_state = random_state

    background_: Background | RegriddedBackground | None

    # The backbone and the conditions validate their own parameters.
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Any, y: Any, groups: Any = None, **fit_params: Any
    ) -> BoundaryEnforcedOperator:
        """Fit the backbone, with the boundary built in if it can have it so.

        Parameters
        ----------
        X : {array, DataFrame} of shape (n_samples, n_features)
            One row a field; or fields as channels, (n_samples, n_channels, *grid.shape), if the
            backbone takes them.
        y : array of shape (n_samples, n_points) or (n_samples,)
            The fields, in C order over the grid.
        groups : array-like of shape (n_samples,), default=None
            Which rows belong together, such as several times of one run, or profiles of one site.
            Where errors are learned by leaving out rows, whole groups are left out; then they are
            those of new groups. Passed on to a backbone whose fit takes them, as searches do.
        **fit_params : dict
            Passed to the backbone's fit, or routed to it with metadata routing enabled.

        Returns
        -------
        self : BoundaryEnforcedOperator
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, y, the grid and the boundary do not fit each other, or the backbone cannot do
            what `method` asks of it.

        Warns
        -----
        UserWarning
            If the training fields contradict the boundary by more than the stencils' error, or if
            rows of X come in runs and there are no groups.
        """
        self._fit(X, y, groups, fit_params)
        self.method_, self.background_ = self._backbone.method, self._backbone.background
        if self.method == AUTO and self._backbone.untold:
            self.method_ = PROJECT
        return self

    _backbone: BoundaryBackbone

    def _declared(self, grid: Any) -> Any:
        if self.boundary is None:
            return []
        if self.grid is None:
            raise ValueError(
                "boundary needs a grid, whose axes and coordinates say where its faces are: pass "
                "grid=Grid(x=...)."
            )
        return boundary_constraints(self.boundary, grid)

    def _declared_errors(self) -> ErrorModel:
        covariance = "residual" if self.uncertainty == "residual" else "stated"
        errors = SettledErrors(
            members=self.members, covariance=covariance, displacement=None, scale=1.0
        )
        errors.widens_members = self.uncertainty == AUTO
        return errors

    def _told(self, regressor: Any, constraints: ConstraintSet) -> BoundaryBackbone:
        """Return a backbone that is told about the boundary, if that is the method."""
        tell_grid(regressor, self.grid)
        asked = not isinstance(self.background, str) or self.background not in (AUTO, "none")
        mesh = only_projects(self.grid, self.method)
        method = PROJECT if mesh or not constraints.named else self.method
        if method == AUTO:
            told = asked or can_be_told(regressor, constraints, BEST)
            method = BEST if told else PROJECT
        if asked and self.method == AUTO and is_frozen(regressor):
            raise ValueError(
                f"background={self.background!r} is what a backbone need not learn, but "
                f"{last_step(regressor)!r} is trained already. Leave background at 'auto', or pass "
                f"a backbone that is still to be trained."
            )
        if method != PROJECT:
            check_embedding(regressor, constraints, method)
        if asked and method != BEST:
            raise ValueError(_no_background(self.background, self.method, mesh, constraints.named))
        settle = method != PROJECT or self.members == "each"
        settle = settle and self.uncertainty != "residual"  # which is not of members
        options = self.drop_value_columns, method, settle, self.background
        return BoundaryBackbone(regressor, constraints, *options)

    def _notes(self) -> tuple[str, ...]:
        told = f"method {self.method_!r}"
        if self.background_ is not None:
            told += f", background {self.background_.kind_!r}: {self.background_.reason_}"
        return (f"{told}.", *super()._notes())

    def _named_parts(self) -> dict[str, Any]:
        return {name: face.condition for name, face in named_faces(self.boundary).items()}

    def _set_part(self, name: str, key: str, value: Any) -> None:
        self.boundary = with_face(self.boundary, name, key, value)

    def _order_of_parts(self, path: str) -> tuple[Any, ...]:
        """Sort conditions before their parameters, and both faces before one of them."""
        face = named_faces(self.boundary).get(path.partition("__")[0])
        return (*super()._order_of_parts(path), face is not None and face.face != BOTH)

    def on_grid(self, grid: Grid | Components) -> Self:
        """Return a fitted copy that predicts on another grid, usually a finer one.

        What must hold is stated anew there, and holds exactly. The background of "lift" is
        interpolated by cubic splines, and set right where values are prescribed.

        Parameters
        ----------
        grid : Grid or Components
            With the axes of the one in fit, other points.

        Returns
        -------
        BoundaryEnforcedOperator
            A copy, with the same weights where the backbone is an operator. Standard deviations
            from residuals are interpolated.

        Raises
        ------
        ValueError
            If the backbone is no operator, the conditions cannot be stated on `grid`, or their
            values are in columns of X that would be others.
        """
        moved = super().on_grid(grid)
        moved.background_ = moved._backbone.background
        return moved


def _no_background(background: Any, method: str, mesh: bool, named: Any) -> str:
    """Say why there is no background, and what to do."""
    why = f"method={method!r} has none"
    if mesh and method == AUTO:
        why = "a Mesh has none"
    elif not named:
        why = "there is no face with a condition"
    return (
        f"background={background!r} is what a backbone need not learn with method='lift', but "
        f"{why}. Leave background at 'auto', or take method='lift' on a Grid."
    )


class SettledErrors(ErrorModel):
    """Stated errors; members that are points have been moved onto the boundary each by itself."""

    learns = False
    widens_members = True

    def _way(self, prediction: Prediction) -> str:
        return "moments" if prediction.member_stds is None else super()._way(prediction)
