"""What is of the wrong kind is refused by the name of its parameter, not by Python."""

import re

import numpy as np
import pytest
from backbones import WithStd
from sklearn.linear_model import Ridge

from skphys import (
    BoundaryEnforcedOperator,
    ConservationConstrainedRegressor,
    EnsembleRegressor,
    PointwiseRegressor,
    RolloutRegressor,
)
from skphys.constraints import (
    AdvectiveFlux,
    BoundaryConstraint,
    ConservationLaw,
    ControlVolumeBalance,
    DiffusiveFlux,
    Dirichlet,
    DivergenceFree,
    EnergyLaw,
    Hierarchy,
    LinearEquality,
    OverStep,
    RegionTotals,
)
from skphys.grids import Axis, Grid

LINE = Grid(x=np.linspace(0.0, 1.0, 6))
CELLS = Grid(t=[0.0, 1.0], x=Axis.cells(np.linspace(0.0, 1.0, 4)))
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(20, 6)), RNG.normal(size=(20, 6))
SHOPS = {"city": ["Rome", "Oslo"]}


@pytest.mark.parametrize(
    ("law", "error", "message"),
    [
        (ConservationLaw(over=1), ValueError, "unknown axis 1; the axes are"),
        (ConservationLaw(over=Grid), ValueError, "unknown axis"),
        (EnergyLaw(over=1.5), ValueError, "unknown axis 1.5"),
        (ConservationLaw(over="x", noise=object()), TypeError, "noise of constraint '.*' must be"),
        (LinearEquality("a"), TypeError, "G must be numeric"),
        (LinearEquality([[object()] * 6]), TypeError, "G must be numeric"),
        (RegionTotals(np.zeros(6, int), noise={}), TypeError, "noise of constraint '.*' must be"),
        (OverStep(1), TypeError, "law must be a linear constraint .*got 1"),
        (OverStep(ConservationLaw), TypeError, r"law must be .*\(an instance, not a class\)"),
        (OverStep(ConservationLaw(over="x"), time=1), TypeError, "time must be a name"),
        (Hierarchy(1, [[]]), TypeError, "groups must be a DataFrame, or a dict"),
        (Hierarchy([[1, 2]], [[]]), TypeError, "groups must be a DataFrame, or a dict"),
        (Hierarchy(SHOPS, None), TypeError, "levels must be a list of lists"),
        (Hierarchy(SHOPS, "city"), TypeError, "levels must be a list of lists"),
        (Hierarchy(SHOPS, [1]), ValueError, "Each of levels is a list of columns"),
        (DivergenceFree(1), ValueError, "components must name"),
        (BoundaryConstraint(Dirichlet(), "x", "left", corners=1), TypeError, "corners must be"),
        (BoundaryConstraint(Dirichlet(), "x", "left", corners=["y"]), TypeError, "corners must be"),
    ],
)
def test_parameters_of_laws(law, error, message):
    with pytest.raises(error, match=message):
        ConservationConstrainedRegressor(WithStd(), law, LINE).fit(X, Y)


@pytest.mark.parametrize(
    ("flux", "message"),
    [
        (AdvectiveFlux, "flux_operator must be a LinearFlux"),
        (AdvectiveFlux("a"), "velocity must be numeric"),
        (DiffusiveFlux(object()), "diffusivity must be numeric"),
    ],
)
def test_fluxes(flux, message):
    law = ControlVolumeBalance(flux_operator=flux)
    with pytest.raises(TypeError, match=message):
        ConservationConstrainedRegressor(WithStd(), law, CELLS).fit(X, Y)


@pytest.mark.parametrize("given", [[ConservationLaw], [("mass", ConservationLaw)]])
def test_a_law_that_is_a_class(given):
    model = ConservationConstrainedRegressor(Ridge(), given, LINE)
    assert "ConservationLaw" in repr(model) and model._repr_html_() and model.get_params()
    with pytest.raises(TypeError, match="an instance, not a class"):
        model.fit(X, Y)


@pytest.mark.parametrize(
    "model",
    [
        ConservationConstrainedRegressor(Ridge, [ConservationLaw(over="x")], LINE),
        BoundaryEnforcedOperator(Ridge, {"x": Dirichlet()}, LINE),
        EnsembleRegressor(Ridge),
        PointwiseRegressor(Ridge, LINE),
        RolloutRegressor(Ridge, grid=LINE),
    ],
)
def test_a_backbone_that_is_a_class(model):
    message = f"'estimator' parameter of {type(model).__name__} must be an instance, not a class"
    with pytest.raises(ValueError, match=re.escape(message)):
        model.fit(X, Y)
