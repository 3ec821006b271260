"""skorch nets: a mean, in float64, from inputs in the dtype of the module's parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from skphys.predictive._nets import cast, is_net, parameter_dtype
from skphys.predictive._prediction import Prediction, stated
from skphys.predictive._registry import Adapter


def _predict(estimator: Any, X: Any, *, rows: str, want_cov: bool) -> Prediction:
    if not hasattr(estimator, "module_"):
        estimator.predict(X)  # raises skorch's own error for a net that is not initialized
    inputs = cast(X.to_numpy() if hasattr(X, "columns") else X, parameter_dtype(estimator))
    mean = np.asarray(estimator.predict(inputs))
    if mean.ndim > 2:  # channels or several axes: a field is flat, in C order
        mean = mean.reshape(len(mean), -1)
    return stated(estimator, X, rows, mean)


ADAPTERS = (Adapter(is_net, _predict),)
