"""scikit-learn's diagram of a constrained estimator shows what must hold without being unfolded."""

import html
import re

import numpy as np
import pytest
from sklearn import config_context
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr

from skphys import (
    BoundaryEnforcedOperator,
    ConservationConstrainedRegressor,
    RolloutRegressor,
)
from skphys.constraints import Bounds, Column, ConservationLaw, Dirichlet, LinearEquality
from skphys.grids import Grid

GRID = Grid(x=np.linspace(0.0, 1.0, 6))
LAWS = [("mass", ConservationLaw(over="x", total=Column(0))), ("low", Bounds(lower=0.0))]
MASS = "constraints__mass: ConservationLaw(over='x', total=Column(key=0))"
LOW = "constraints__low: Bounds(lower=0.0)"


def labels(estimator):
    """Return the text of the labels, which is there whether or not they are unfolded."""
    shown = re.findall(r"<label[^>]*>(.*?)</label>", estimator_html_repr(estimator), re.DOTALL)
    return [html.unescape(re.sub(r"<[^>]*>", "", text)) for text in shown]


def constrained(laws=LAWS, regressor=None):
    return ConservationConstrainedRegressor(regressor or Ridge(), laws, GRID)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: model,
        lambda model: make_pipeline(StandardScaler(), model),
        lambda model: GridSearchCV(make_pipeline(StandardScaler(), model), {}),
        lambda model: ConservationConstrainedRegressor(model),
        lambda model: model.fit(np.ones((3, 1)), np.ones((3, 6))),
    ],
    ids=["alone", "pipeline", "search", "nested", "fitted"],
)
def test_laws_stand_beside_the_backbone(wrap):
    found = labels(wrap(constrained()))
    own = [text for text in found if "__" in text or text.startswith("estimator: Ridge")]
    assert own == ["estimator: Ridge", MASS, LOW]


def test_one_law_none_boundaries_and_rollouts():
    one = labels(constrained(ConservationLaw(total=1.0)))
    assert "constraints: ConservationLaw(total=1.0)" in one
    assert [text for text in labels(constrained(None)) if ":" in text] == ["estimator: Ridge"]
    operator = BoundaryEnforcedOperator(Ridge(), {"x": (Dirichlet(2.0), None)}, GRID)
    assert "boundary__x_left: Dirichlet(value=2.0)" in labels(operator)
    assert MASS in labels(RolloutRegressor(Ridge(), 2, LAWS, GRID))


def test_long_laws_are_cut():
    law = LinearEquality(np.arange(60.0).reshape(10, 6))
    (text,) = [text for text in labels(constrained([("rows", law)])) if "rows" in text]
    assert text.startswith("constraints__rows: LinearEquality(") and text.endswith(" ...")
    assert len(text) < 150


def test_what_cannot_be_shown_is_a_plain_box():
    """A parameter that fit will refuse does not keep the estimator from being shown."""
    assert "ConservationConstrainedRegressor" in labels(constrained([("a__b", LAWS[0][1])]))[0]
    with config_context(display="text"):
        assert not hasattr(constrained(), "_repr_html_")
    assert MASS.split(": ")[1] in html.unescape(constrained()._repr_html_())
    assert "mass" in constrained()._repr_mimebundle_()["text/html"]


def test_the_names_shown_are_those_of_parameters():
    model = constrained()
    for text in labels(model):
        name, found, _ = text.partition(": ")
        if found:
            assert name in model.get_params()
