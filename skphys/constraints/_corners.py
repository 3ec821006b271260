"""Whether faces prescribe the same values where they meet."""

from __future__ import annotations

import numpy as np

from skphys.constraints._faces import BOTH, Face, Floats
from skphys.grids import SIDES

ROUNDING = 1e-6  # values are often stored in float32
# Two derivatives, or a value and a derivative, only contradict each other up to their stencils.
COMPARABLE = ({"dirichlet"}, {"dirichlet", "periodic"})


def check_corner(
    faces: tuple[Face, Face], labels: tuple[str, str], given: tuple[Floats, Floats]
) -> None:
    """Raise a ValueError if two faces across different axes disagree where they meet.

    A face of known values is compared with another one, or across a periodic axis with itself. On
    cell averages no value is at the corner itself, and nothing is compared.

    Parameters
    ----------
    faces : tuple of two Face
        The faces.
    labels : tuple of two str
        Their names.
    given : tuple of two ndarray of shape (n_samples or 1, *face_shape)
        What is prescribed there.
    """
    if {face.condition.kind for face in faces} not in COMPARABLE:
        return
    if any(face.along.edges is not None for face in faces):
        return
    met = [
        (face.edge(values, other.axis, side), values)
        for face, values, other in zip(faces, given, faces[::-1], strict=True)
        if face.side != BOTH
        for side in (SIDES if other.side == BOTH else (other.side,))
    ]
    (first, whole), (second, other_whole) = met
    gap = np.abs(first - second)
    if (_largest(gap) > ROUNDING * np.maximum(_largest(whole), _largest(other_whole))).any():
        raise _contradiction(gap, (first, second), labels)


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
