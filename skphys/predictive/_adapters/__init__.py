"""One family of regressors a module; each exports the same small table, ``ADAPTERS``.

To add a family: write ``_family.py`` with functions ``(estimator, X, *, rows, want_cov) ->
Prediction``, list them in its ``ADAPTERS``, and add that to `FAMILIES` before whatever would match
the same estimators. Call `predict_distribution` for what is inside a wrapper, so that every
estimator on the way is looked up again.
"""

from skphys.predictive._adapters import (
    _ensembles,
    _members,
    _neighbours,
    _own,
    _skorch,
    _stated,
    _targets,
    _wrappers,
)

PROTOCOL = _own.ADAPTERS
FAMILIES = (
    *_wrappers.ADAPTERS,
    *_targets.ADAPTERS,
    *_members.ADAPTERS,
    *_ensembles.ADAPTERS,
    *_neighbours.ADAPTERS,
    *_skorch.ADAPTERS,
    *_stated.ADAPTERS,
)

__all__ = ["FAMILIES", "PROTOCOL"]
