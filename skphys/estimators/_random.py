"""Seeding an estimator down to its nested parts."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

MAX_SEED = np.iinfo(np.int32).max


def set_random_states(estimator: Any, random_state: Any) -> int | None:
    """Set every nested `random_state` from one source; None leaves them alone.

    Returns
    -------
    int or None
        One more seed, for what has no `random_state`; None if `random_state` is.
    """
    if random_state is None:
        return None
    rng = check_random_state(random_state)
    seeds = {
        key: int(rng.randint(MAX_SEED))
        for key in sorted(estimator.get_params(deep=True))
        if key == "random_state" or key.endswith("__random_state")
    }
    if seeds:
        estimator.set_params(**seeds)
    return int(rng.randint(MAX_SEED))
