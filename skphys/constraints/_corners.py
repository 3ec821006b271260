"""Whether faces prescribe the same values where they meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skphys.constraints._faces import BOTH, Face, Floats
from skphys.grids._stencils import SIDES

ROUNDING = 1e-6  # values are often stored in float32


@dataclass(frozen=True)
class Prescribed:
    """What is prescribed at a face.

    Attributes
    ----------
    label : str
        The name of the face.
    face : Face
        Where.
    values : ndarray of shape (n_samples or 1, *face_shape)
        What holds there.
    """

    label: str
    face: Face
    values: Floats

    def where_met(self, other: Face, side: str) -> Floats:
        """Return the values on the edge to another face."""
        return self.face.edge(self.values, other.axis, side)


def comparable(*kinds: str) -> bool:
    """Say whether two conditions can contradict each other at points of both their faces.

    Two derivatives, or a value and a derivative, only do so up to the error of their stencils.
    """
    return set(kinds) in ({"dirichlet"}, {"dirichlet", "periodic"})


def check_corner(first: Prescribed, second: Prescribed) -> None:
    """Raise a ValueError if two faces across different axes disagree where they meet.

    A face of known values is compared with another one, or across a periodic axis with itself. On
    cell averages no value is at the corner itself, and nothing is compared.
    """
    if first.face.along.edges is not None or second.face.along.edges is not None:
        return
    if first.face.side == BOTH:
        values = tuple(second.where_met(first.face, side) for side in SIDES)
        sizes = [_largest(second.values)]
    elif second.face.side == BOTH:
        values = tuple(first.where_met(second.face, side) for side in SIDES)
        sizes = [_largest(first.values)]
    else:
        values = (
            first.where_met(second.face, second.face.side),
            second.where_met(first.face, first.face.side),
        )
        sizes = [_largest(first.values), _largest(second.values)]
    gap = np.abs(values[0] - values[1])
    if (_largest(gap) > ROUNDING * np.maximum(sizes[0], sizes[-1])).any():
        raise _contradiction(gap, values, (first.label, second.label))


def _largest(values: Floats) -> Floats:
    """Return each field's largest value, (n_samples or 1,)."""
    return np.abs(values).reshape(len(values), -1).max(axis=1)


def _contradiction(gap: Floats, values: tuple[Floats, ...], labels: tuple[str, str]) -> ValueError:
    worst = np.unravel_index(np.argmax(gap), gap.shape)
    first, second = (np.broadcast_to(v, gap.shape)[worst] for v in values)
    sample = f" in sample {worst[0]}" if len(gap) > 1 else ""
    return ValueError(
        f"The values prescribed at the faces {labels[0]!r} and {labels[1]!r} contradict each other "
        f"where they meet: {first:.6g} and {second:.6g}{sample}, a difference of {gap.max():.3g}. "
        f"Give both the same value there, for example an array along the face, or leave one free."
    )
