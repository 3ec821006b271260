"""Seeding an estimator down to its nested parts."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state


def set_random_states(estimator: Any, random_state: Any) -> None:
    """Set every nested `random_state` from one source; None leaves them alone."""
    if random_state is None:
        return
    rng = check_random_state(random_state)
    seeds = {
        key: int(rng.randint(np.iinfo(np.int32).max))
        for key in sorted(estimator.get_params(deep=True))
        if key == "random_state" or key.endswith("__random_state")
    }
    if seeds:
        estimator.set_params(**seeds)
