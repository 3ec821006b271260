"""Values and noise that come with X: a column, a callable or an array; NaN is not known."""

from decimal import Decimal
from functools import partial

import numpy as np
import pandas as pd
import pytest
from backbones import Plain, WithCov, WithMembers, WithStd
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge

from skphys import BoundaryEnforcedOperator, ConservationConstrainedRegressor
from skphys.constraints import (
    BoundaryConstraint,
    Bounds,
    Column,
    ConservationLaw,
    ControlVolumeBalance,
    Dirichlet,
    EnergyLaw,
    LinearEquality,
    Smoothness,
)
from skphys.grids import Axis, ColumnGrid, Grid
from skphys.metrics import boundary_error, conservation_error

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

GRID = Grid(t=[0.0, 0.5, 1.0], x=Axis.cells([0.0, 1.0, 2.0, 4.0]))
RNG = np.random.default_rng(0)
X = RNG.uniform(1.0, 2.0, (12, 3))
Y = RNG.uniform(size=(12, 9))
UNKNOWN = np.zeros(12, dtype=bool)
UNKNOWN[[0, 3, 4, 9]] = True


def values(X):
    """One number a field, in the first column."""
    return np.asarray(X)[:, 0]


def levels(X):
    """One number for each of three rows; of some fields one of them is not known."""
    table = np.asarray(X)
    out = np.repeat(table[:, :1], 3, axis=1)
    out[:, 1] += 0.0 * table[:, 1]
    return out


def fluxes(X):
    """Through the four faces, constant in time."""
    return np.repeat(np.asarray(X)[:, :1], 4, axis=1)


CONSTRAINTS = {
    "law": ConservationLaw(total=values),
    "law with noise": ConservationLaw(total=values, noise=0.1),
    "levels": ConservationLaw("x", total=levels),
    "initial": ConservationLaw("x", initial=values, inflow=1.0),
    "inflow": ConservationLaw("x", initial=1.0, inflow=values),
    "equality": LinearEquality(np.eye(9)[:3], levels),
    "boundary": BoundaryConstraint(Dirichlet(values), "t", "left"),
    "balance": ControlVolumeBalance(fluxes),
    "source": ControlVolumeBalance(source=values),
}


def with_holes(X=X, column=0):
    X = X.copy()
    X[UNKNOWN, column] = np.nan
    return X


def model(constraints, backbone=None, **params):
    class Blind(backbone or WithStd):
        """Does not look at what may be missing."""

        def fit(self, X, y):
            return super().fit(np.asarray(X)[:, 2:], y)

        def _mean(self, X):
            return super()._mean(np.asarray(X, float)[:, -1:])

        def _std(self, X):
            return super()._std(np.asarray(X, float)[:, -1:])

    return ConservationConstrainedRegressor(Blind(), constraints, GRID, **params)


def assert_alike(some, others):
    for a, b in zip(some, others, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backbone", [WithStd, WithCov, WithMembers])
@pytest.mark.parametrize("name", CONSTRAINTS)
def test_fields_whose_value_is_not_known_are_left_as_predicted(name, backbone):
    """Mean, deviations and covariance are those with and without the constraint."""
    constraint = CONSTRAINTS[name]
    fitted = model(constraint, backbone).fit(with_holes(), Y)
    bound, free = (model(c, backbone).fit(X, Y) for c in (constraint, None))
    for flag in ("return_std", "return_cov"):
        found = fitted.predict(with_holes(), **{flag: True})
        assert_alike((a[~UNKNOWN] for a in found), bound.predict(X[~UNKNOWN], **{flag: True}))
        left = free.predict(X[UNKNOWN], **{flag: True})
        if name == "inflow":  # what was there at the start is known
            starts = found[0][UNKNOWN] @ GRID.integral_rows("x").toarray()[0]
            np.testing.assert_allclose(starts, 1.0, rtol=1e-12)
            continue
        for a, b in zip(found, left, strict=True):
            np.testing.assert_array_equal(a[UNKNOWN], b)


@pytest.mark.parametrize("backbone", [WithStd, WithMembers])
def test_rows_whose_value_is_not_known_do_not_act(backbone):
    """Of three levels the middle one is missing: the field is that of the other two."""
    law = ConservationLaw("x", total=levels)
    other = LinearEquality(GRID.integral_rows("x")[[0, 2]], lambda X: levels(X)[:, [0, 2]])
    fitted, reference = (model(c, backbone).fit(X, Y) for c in (law, other))
    holes = with_holes(column=1)
    assert_alike(
        (a[UNKNOWN] for a in fitted.predict(holes, return_cov=True)),
        reference.predict(X[UNKNOWN], return_cov=True),
    )
    one = holes[:1]
    np.testing.assert_allclose(
        fitted.sample_y(one, 5), reference.sample_y(X[:1], 5), rtol=1e-12, atol=1e-12
    )
    totals = np.einsum("fps,rp->frs", fitted.sample_y(holes, 4), GRID.integral_rows("x").toarray())
    np.testing.assert_allclose(totals[:, 0], np.repeat(X[:, :1], 4, axis=1), rtol=1e-12)
    residuals = fitted.constraint_residuals(holes)
    np.testing.assert_array_equal(np.isnan(residuals), np.outer(UNKNOWN, [False, True, False]))
    assert np.nanmax(abs(residuals)) < 1e-12


def test_every_field_may_be_unknown_in_predict_but_not_in_fit():
    fitted = model(ConservationLaw(total=values)).fit(X, Y)
    nothing = np.where([True, False, False], np.nan, X)
    np.testing.assert_array_equal(fitted.predict(nothing), model(None).fit(X, Y).predict(X))
    given = {"conservationlaw": np.full(12, np.nan)}
    np.testing.assert_array_equal(
        fitted.predict(X, constraint_values=given), fitted.predict(nothing)
    )
    with pytest.raises(ValueError, match="'conservationlaw' are not finite for any field"):
        fitted.fit(nothing, Y)
    with pytest.raises(ValueError, match="not finite"):
        fitted.predict(X, constraint_values={"conservationlaw": np.nan})
    with pytest.raises(ValueError, match=r"constraint_values\['conservationlaw'\] is None"):
        fitted.predict(X, constraint_values={"conservationlaw": None})


def test_other_constraints_hold_where_a_value_is_not_known():
    law = ConservationLaw("x", total=levels)
    both = [law, LinearEquality(np.eye(9)[:1], 0.5), Bounds(lower=-1.0), Smoothness("x")]
    fitted = model(both, inequality_posterior="projected").fit(with_holes(), Y)
    u = fitted.predict(with_holes())
    np.testing.assert_allclose(u[:, 0], 0.5, rtol=1e-12)
    assert (fitted.sample_y(with_holes(), 3) >= -1.0 - 1e-9).all()
    reference = model([*both[1:]], inequality_posterior="projected").fit(X, Y).predict(X)
    np.testing.assert_allclose(u[UNKNOWN], reference[UNKNOWN], rtol=1e-9)


@pytest.mark.parametrize("error_model", ["auto", "residual", "calibrated"])
def test_calibration_and_reports(error_model):
    law = ConservationLaw(total=values)
    given = (with_holes(), Y)
    fitted = model(law, calibration=given, error_model=error_model).fit(with_holes(), Y)
    std = fitted.predict_std(with_holes())
    assert np.isfinite(std).all() and (std > 0).all()
    told = fitted.constraint_report(with_holes(), Y)
    np.testing.assert_array_equal(np.isnan(told.z[:, 0]), UNKNOWN)
    np.testing.assert_array_equal(np.isnan(told.truth_residual[:, 0]), UNKNOWN)
    assert np.abs(told.mse_change[UNKNOWN]).max() == 0.0
    assert "nan" not in repr(told)


def test_metrics():
    law = ConservationLaw(total=values)
    error = conservation_error(Y, law, GRID, X=with_holes())
    np.testing.assert_array_equal(np.isnan(error[:, 0]), UNKNOWN)
    boundary = {"t": (Dirichlet("a"), None)}
    frame = pd.DataFrame(with_holes(), columns=list("abc"))
    error = boundary_error(Y, boundary, GRID, frame, kind="absolute")
    np.testing.assert_array_equal(error == 0.0, UNKNOWN)


def test_a_boundary_that_is_projected():
    frame = pd.DataFrame(with_holes(), columns=list("abc"))
    grid = Grid(x=np.linspace(0, 1, 9))
    backbone = RandomForestRegressor(5, random_state=0)
    operator = partial(BoundaryEnforcedOperator, backbone, {"x": (Dirichlet("a"), None)}, grid)
    fitted = operator(method="project").fit(frame, Y)
    u = fitted.predict(frame)
    np.testing.assert_allclose(u[~UNKNOWN, 0], X[~UNKNOWN, 0], rtol=1e-12)
    np.testing.assert_allclose(u[UNKNOWN], fitted.estimator_.predict(frame)[UNKNOWN], rtol=1e-12)
    each = operator(method="project", members="each").fit(frame, Y)
    assert_alike([each.predict(frame)[:, 0][~UNKNOWN]], [X[~UNKNOWN, 0]])
    with pytest.raises(ValueError, match=r"not known .NaN. for 4 of 12"):
        operator(method="lift").fit(frame, Y)


@pytest.mark.parametrize("error_model", ["auto", "calibrated"])
def test_fields_without_a_law_are_as_wide_as_learned(error_model):
    """Where the law tells which fields are further off, the others are left as predicted."""
    rng = np.random.default_rng(0)
    error = np.exp(rng.normal(size=(400, 1))) * rng.normal(size=(400, 9))
    inputs = np.concatenate([error.sum(axis=1, keepdims=True), np.zeros((400, 2))], axis=1)
    inputs[:40, 0] = np.nan
    law = LinearEquality(np.ones(9), values)
    fitted = model(law, Plain, calibration=(inputs, error), error_model=error_model)
    mean, std = fitted.fit(inputs, np.zeros((400, 9))).predict(inputs, return_std=True)
    np.testing.assert_allclose(mean[:40], 0.0, atol=1e-12)
    np.testing.assert_allclose(mean[40:].sum(axis=1), inputs[40:, 0], rtol=1e-12)
    assert np.isfinite(std).all() and np.ptp(std[:40], axis=0).max() < 1e-12
    far = 40 + np.argsort(abs(inputs[40:, 0]))
    assert std[far[-1]].mean() > 2.0 * std[far[0]].mean()


def test_tables():
    """In a long table the values stand in each row of a field."""
    x = np.linspace(0, 1, 5)
    frame = pd.DataFrame(
        {
            "g": np.repeat([1.0, 2, 3, 4], 5),
            "x": np.tile(x, 4),
            "m": np.repeat([1, 2, np.nan, 3], 5),
        }
    )
    frame["s"] = np.repeat([0.0, 0.1, np.nan, 0.0], 5)
    y = np.sin(frame["x"] + frame["g"])
    for nodes in (None, np.linspace(0, 1, 9)):
        grid = ColumnGrid("x", "g", nodes=nodes)
        law = ConservationLaw("x", "m", noise="s")
        fitted = ConservationConstrainedRegressor(Ridge(), law, grid, drop_value_columns=True).fit(
            frame, y
        )
        residual = fitted.constraint_residuals(frame)[:, 0]
        assert np.abs(residual[[0, 3]]).max() < 1e-12
        assert abs(residual[1]) > 1e-4 and np.isnan(residual[2])
        plain = fitted.estimator_.predict(frame[["g", "x"]])
        np.testing.assert_array_equal(fitted.predict(frame)[10:15], plain[10:15])
        given = {"conservationlaw": np.repeat([np.nan, 2, 2, 2], 5)}
        residual = fitted.constraint_residuals(frame.assign(s=0.0), constraint_values=given)
        np.testing.assert_array_equal(np.isnan(residual[:, 0]), [True, False, False, False])


def noise_of(X):
    return np.abs(np.asarray(X)[:, 1])


@pytest.mark.parametrize("noise", [Column(1), noise_of])
@pytest.mark.parametrize("name", ["law", "levels", "equality", "boundary", "balance"])
def test_noise_comes_with_X(name, noise):
    """Each field has the noise that stands beside it."""
    X_noisy = X.copy()
    X_noisy[:6, 1] = 0.0
    X_noisy[6:, 1] = 0.3
    fitted = model(clone(CONSTRAINTS[name]).set_params(noise=noise)).fit(X_noisy, Y)
    found = fitted.predict(X_noisy, return_std=True)
    for part, std in ((slice(0, 6), 0.0), (slice(6, 12), 0.3)):
        one = model(clone(CONSTRAINTS[name]).set_params(noise=std)).fit(X, Y)
        assert_alike((a[part] for a in found), one.predict(X[part], return_std=True))


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
@pytest.mark.parametrize("law", [ConservationLaw, EnergyLaw])
def test_noise_that_is_none(law, wrong):
    bad, noisy = X.copy(), law(total=values, noise=Column(1))
    bad[2, 1] = wrong
    expected = "is not finite" if np.isinf(wrong) else f"which is {wrong} there"
    with pytest.raises(ValueError, match=f"noise of constraint '.*law'.*{expected}"):
        model(noisy).fit(bad, Y)
    bad[2, 0] = np.nan  # a value that is not known needs no noise
    if np.isnan(wrong):
        model(noisy).fit(bad, Y)


def test_noise_columns_are_value_columns():
    frame = pd.DataFrame(X, columns=["m", "s", "a"])
    law = ConservationLaw(total="m", noise="s")
    fitted = ConservationConstrainedRegressor(Ridge(), law, GRID, drop_value_columns=True)
    assert list(fitted.fit(frame, Y).estimator_.feature_names_in_) == ["a"]
    with pytest.raises(ValueError, match="There is no column 'std'"):
        fitted.set_params(constraints=ConservationLaw(noise="std")).fit(frame, Y)


@pytest.mark.parametrize(
    "read",
    [
        lambda v: np.array([Decimal(str(a)) for a in v], dtype=object),
        lambda v: pd.array(v, dtype="Float64"),
        lambda v: np.array(v, dtype=object),
    ],
)
def test_columns_of_numbers_of_any_type(read):
    """Also where the targets violate the law, and the error looks at the column."""
    frame = pd.DataFrame(X, columns=["m", "s", "a"])
    law = ConservationLaw(total="m", noise="s")
    fit = partial(ConservationConstrainedRegressor, Ridge(), law, GRID, drop_value_columns=True)
    expected = fit().fit(frame, Y).predict(frame)
    typed = frame.assign(m=read(frame["m"].tolist()), s=read(frame["s"].tolist()))
    np.testing.assert_array_equal(fit().fit(typed, Y).predict(typed), expected)


@pytest.mark.parametrize("missing", [None, pd.NA, np.nan, Decimal("NaN")])
def test_missing_values_of_any_type(missing):
    frame = pd.DataFrame(X, columns=["m", "s", "a"])
    law = ConservationLaw(total="m")
    fit = partial(ConservationConstrainedRegressor, Ridge(), law, GRID, drop_value_columns=True)
    numbers = pd.Series([missing, *frame["m"].tolist()[1:]], dtype=object)
    typed = frame.assign(m=numbers)
    expected = fit().fit(frame.assign(m=[np.nan, *frame["m"][1:]]), Y).predict(frame)
    np.testing.assert_allclose(fit().fit(typed, Y).predict(typed)[1:], expected[1:], rtol=1e-12)
    with pytest.raises(TypeError, match="must be numeric"):
        fit().fit(frame.assign(m="heavy"), Y)


@pytest.mark.parametrize("key", [1.5, True, None, [1.5]])
def test_keys_that_are_no_columns(key):
    for law in (ConservationLaw(total=Column(key)), ConservationLaw(noise=Column(key))):
        with pytest.raises(TypeError, match="by its name or its position"):
            model(law).fit(X, Y)


def test_a_report_wants_true_fields():
    fitted = model(ConservationLaw(total=values)).fit(X, Y)
    for wrong in (np.nan, np.inf):
        with pytest.raises(ValueError, match="y has NaN or infinite values"):
            fitted.constraint_report(X, np.where(Y > 0.9, wrong, Y))
