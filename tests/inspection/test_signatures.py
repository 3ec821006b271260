"""Every display is made the same way."""

import inspect

import pytest

from skphys import inspection

DISPLAYS = [getattr(inspection, name) for name in inspection.__all__]


def positional(method):
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(method).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind in kinds]


@pytest.mark.parametrize("display", DISPLAYS)
def test_what_is_typed_often_reads_the_same(display):
    assert positional(display.from_estimator) == ["estimator", "X", "y"]
    assert positional(display.from_predictions) == ["y_true", "y_pred"]
