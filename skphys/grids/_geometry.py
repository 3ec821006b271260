"""Fields found in the rows of a table: sorting, batching and the checks of their points."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from skphys.grids._checks import IncompleteFieldError, Vector
from skphys.grids._tables import Key

Domain = Mapping[Key, tuple[float, float]]
COVERING = 1e-9  # a gap at the ends of a domain that is rounding, relative to its width
SINGLE = 2.0**-24  # what a coordinate may be off by that was stored in float32


def rounding(low: float, high: float) -> float:
    """Return the distance from the ends of a domain that is rounding."""
    return COVERING * (high - low) + SINGLE * max(abs(low), abs(high))


def join_codes(columns: Sequence[NDArray[np.intp]], n_rows: int) -> NDArray[np.intp]:
    """Give each distinct combination of several columns of codes a number."""
    joint = np.zeros(n_rows, dtype=np.intp)
    for codes in columns:
        joint = np.unique(joint * (codes.max() + 1) + codes, return_inverse=True)[1].reshape(-1)
    return joint


def fields_by_geometry(space: Vector, codes: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Yield the rows of the fields with equal, sorted coordinates, (n_fields, n_points) each."""
    order = np.lexsort((*space.T[::-1], codes))
    ordered = space[order]
    ends = np.cumsum(np.bincount(codes))
    batches: dict[bytes, list[NDArray[np.intp]]] = {}
    for start, end in zip(np.append(0, ends[:-1]), ends, strict=True):
        batches.setdefault(ordered[start:end].tobytes(), []).append(order[start:end])
    yield from (np.stack(fields) for fields in batches.values())


def tensor_axes(points: Vector, keys: Sequence[Key]) -> list[Vector]:
    """Return the axes of the tensor product that sorted points form, or say what is amiss."""
    if len(points) == 1:
        raise IncompleteFieldError(
            f"it has a single point, ({_coordinates(keys, points[0])}), which no integral can be "
            "taken over; query more points of it, or pass nodes=... to ColumnGrid."
        )
    repeats = np.flatnonzero((points[1:] == points[:-1]).all(axis=1))
    if repeats.size:
        raise IncompleteFieldError(
            f"it holds the point ({_coordinates(keys, points[repeats[0]])}) more than once; drop "
            "the repeats, name the columns that tell the fields apart in `by`, or pass nodes=..."
        )
    axes = [np.unique(values) for values in points.T]
    if math.prod(axis.size for axis in axes) != len(points):
        present = set(map(tuple, points.tolist()))
        missing = next(p for p in itertools.product(*axes) if p not in present)
        named = zip(axes, keys, strict=True)
        sizes = " x ".join(f"{axis.size} values of {key!r}" for axis, key in named)
        raise IncompleteFieldError(
            f"it has {len(points)} points, which are not the tensor product of their {sizes}: "
            f"({_coordinates(keys, missing)}) is missing; complete the points, or pass nodes=..."
        )
    return axes


def check_covers(axes: Sequence[Vector], domain: Domain, source: str) -> None:
    """Raise unless each axis reaches both ends of its domain."""
    for axis, (key, (low, high)) in zip(axes, domain.items(), strict=True):
        slack = rounding(low, high)
        if axis[0] > low + slack or axis[-1] < high - slack:
            raise IncompleteFieldError(
                f"it covers only {float(axis[0])!r} <= {key} <= {float(axis[-1])!r} of the domain "
                f"{low!r} <= {key} <= {high!r} ({source}). The law acts on the whole domain: on "
                "a part of it, all of the total would go into that part. Query points that "
                f"cover it, or pass {_nodes_over(domain)}, say, to ColumnGrid."
            )


def check_inside(points: Vector, domain: Domain, source: str) -> None:
    """Raise if a point lies outside the domain."""
    for values, (key, (low, high)) in zip(points.T, domain.items(), strict=True):
        slack = rounding(low, high)
        outside = values[(values < low - slack) | (values > high + slack)]
        if outside.size:
            raise IncompleteFieldError(
                f"it has a point at {key}={float(outside[0])!r}, outside the domain {low!r} <= "
                f"{key} <= {high!r} ({source}); drop it, or widen the domain"
                f"{', nodes and all' if 'nodes' in source else ''}."
            )


def _nodes_over(domain: Domain) -> str:
    """Return the argument that puts nodes on a domain."""
    lines = {key: f"np.linspace({low!r}, {high!r}, 101)" for key, (low, high) in domain.items()}
    if len(lines) == 1:
        return f"nodes={next(iter(lines.values()))}"
    return f"nodes={{{', '.join(f'{key!r}: {line}' for key, line in lines.items())}}}"


def _coordinates(keys: Sequence[Key], point: Sequence[float] | Vector) -> str:
    return ", ".join(f"{key}={float(value)!r}" for key, value in zip(keys, point, strict=True))
