"""Which background a net is trained beside, and whether it is trained at all.

What counts is what a net will leave of other fields. To train one for each candidate would cost
more than the training that is to be improved, so leave-one-out errors stand for it, which cost
nothing beside: a net takes off a part of what it is given, and the part is alike for a field and
for what a lift leaves of it. It is not for what a learned map leaves, where all that is easy is
gone: nets that had to learn that were worse than nets alone, by up to 13 times (Burgers front,
cavity with vortices, rods of any conductivity; only on the paper's cavity an affine map helped).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skphys.estimators._candidates import Kernel
from skphys.estimators._ridge import mean_norm
from skphys.grids import Components, Grid, grid_parts

Array = NDArray[np.float64]

# A map that was learned from n fields, or runs of them, is taken if it leaves one nth of what a
# lift leaves, or less: nets left 0.8 to 2.3 of it, of 50 and of 500 fields. A map that does not
# carry beyond the training fields has to leave a thousandth, at which nets were no better with 500
# fields. Only what goes with the neighbours counts: noise of the fields is left by all, and errors
# of maps are smooth.
NEARLY_ALL = 1e-3
# It is taken, too, if it leaves clearly less than a lift, and of the square of that a hundredth at
# most goes with the neighbours, or what chance explains: noise of the fields, which a net can but
# learn by heart. Where an error of the map was hidden in noise, two hundredths and more did.
NOISY, WHITE = 0.6, 0.01
FEW_RUNS = 10  # fewer are taken for so many, or next to nothing would be asked of a map
# A net is trained on what a map leaves if kernel ridge regression can halve it for left-out fields.
LEARNABLE = 0.5


def choose(tried: Mapping[str, Any], grid: Grid | Components) -> tuple[str, str]:
    """Return the name of a candidate, and why it is that.

    Of the maps that are nearly all there is the first one is taken, which is the simplest: it
    carries furthest beyond the training fields. Else it is the lift that leaves least.

    Parameters
    ----------
    tried : mapping of str to Lifted
        The candidates, fitted.
    grid : Grid or Components
        Where the fields live.
    """
    if len(tried) == 1:
        return next(iter(tried)), "as asked"
    errors = {name: each.error for name, each in tried.items()}
    lifts = [name for name, each in tried.items() if not each.learned]
    best = min(lifts, key=errors.__getitem__)
    maps = []
    for name, each in ((name, each) for name, each in tried.items() if each.learned):
        part = each.error / errors[best] if errors[best] > 0.0 else np.inf
        smooth = part * np.sqrt(alike(each.left_out, grid)) if part < NOISY else part
        maps.append((name, each, part, smooth))
    counts = len(tried[best].left_out), max(tried[best].n_runs, FEW_RUNS)  # runs last: fewer
    for n, (name, each, part, smooth) in product(dict.fromkeys(counts), maps):
        enough = NEARLY_ALL if each.curved else 1.0 / n
        if smooth <= enough:
            noise = "" if part <= enough else "but for noise "
            return name, f"{noise}it leaves {smooth:.1g} of what {best!r} leaves of left-out fields"
        if part < NOISY and is_white(each.left_out, grid):
            return name, f"it leaves noise, {part:.1g} of what {best!r} leaves of left-out fields"
    return best, "it leaves least of the fields, and no map that was learned nearly nothing"


def is_noise(left_out: Array, grid: Grid | Components, seen: Any = None) -> bool:
    """Say whether there is nothing to learn in what a map leaves of left-out fields.

    Parameters
    ----------
    left_out : ndarray of shape (n, n_points)
        What it leaves.
    grid : Grid or Components
        Where the fields live.
    seen : Seen, optional
        What it was learned from, to look whether kernel ridge regression can learn the rest.
    """
    if len(left_out) < 2 or is_white(left_out, grid):
        return True
    if seen is None:
        return False
    again = Kernel(grid).fit(seen.features, seen.columns, left_out, seen.runs)
    return not mean_norm(again.left_out) < LEARNABLE * mean_norm(left_out)


def is_white(fields: Array, grid: Grid | Components) -> bool:
    """Say whether neighbours are not alike, but for chance."""
    return alike(fields, grid) < max(WHITE, 2.0 / np.sqrt(fields.size))


def alike(fields: Array, grid: Grid | Components) -> float:
    """Return the correlation of neighbours along the axis where it is largest; 1 of single ones."""
    found = [1.0] if grid.n_points == len(grid_parts(grid)) else []
    for part, where in grid_parts(grid):
        values = fields[:, where].reshape(-1, *part.shape)
        for axis in (k for k, size in enumerate(part.shape, start=1) if size > 1):
            along = np.moveaxis(values, axis, 0)
            one, other = along[:-1].ravel(), along[1:].ravel()
            size = np.linalg.norm(one) * np.linalg.norm(other)
            found.append(float(abs(one @ other) / size) if size > 0.0 else 1.0)
    return max(found)
