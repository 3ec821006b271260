"""What scikit-learn's diagram of a constrained estimator shows without being unfolded."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import isclass
from textwrap import shorten
from typing import Any

WIDTH = 120  # of what is shown of a law


def diagram(estimator: Any, parameter: str, parts: Mapping[str, Any]) -> Any:
    """Return the block of an estimator: what is inside, and beside it what must hold.

    Parameters
    ----------
    estimator : estimator
        The constrained estimator.
    parameter : str
        Its parameter that holds `parts`.
    parts : dict of str to object
        What must hold, by name; if empty, the parameter itself may be what must hold.

    Returns
    -------
    _VisualBlock
        For ``_sk_visual_block_``, which scikit-learn asks for. What it is made of is
        scikit-learn's own; where that has changed, any exception makes it show a plain box.
    """
    from sklearn.utils._repr_html.estimator import _VisualBlock

    params = estimator.get_params(deep=False)
    inside = {
        name: value
        for name, value in params.items()
        if hasattr(value, "fit") and hasattr(value, "get_params") and not isclass(value)
    }
    titles = {name: type(value).__name__ for name, value in inside.items()}
    laws = {f"{parameter}__{name}": part for name, part in parts.items()}
    if not laws and hasattr(params[parameter], "get_params"):
        laws = {parameter: params[parameter]}
    titles |= {name: shorten(str(law), WIDTH, placeholder=" ...") for name, law in laws.items()}
    shown = inside | laws
    return _VisualBlock(
        "parallel",
        list(shown.values()),
        names=[f"{name}: {titles[name]}" for name in shown],
        name_details=[str(value) for value in shown.values()],
    )
