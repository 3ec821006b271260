"""Fluxes that are linear in the field."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator

from skphys.constraints._values import numeric
from skphys.grids import ControlVolumes


class LinearFlux(BaseEstimator):
    """A flux through each face that is linear in the values of the volumes at the same time.

    To add one of your own, write a subclass with an ``__init__`` that only assigns its parameters,
    and a `matrix`. For a matrix at hand no class is needed: `ControlVolumeBalance` takes it as it
    is.
    """

    @abstractmethod
    def matrix(self, volumes: ControlVolumes) -> Any:
        """Return the sparse matrix from the cells of one time level to the fluxes, per area.

        Parameters
        ----------
        volumes : ControlVolumes
            With the faces; a flux counts positive from the owner to the neighbour.

        Returns
        -------
        sparse array of shape (n_faces, n_cells)
            An empty row leaves the face to the other fluxes of the balance.
        """


class AdvectiveFlux(LinearFlux):
    """What a given velocity carries, ``v u``, with the upwind value of ``u``.

    Parameters
    ----------
    velocity : float or array of shape (n_faces,), (n_dims,) or (n_faces, n_dims)
        One number along the only axis, one vector, or one vector a face; an array with one number
        a face is the velocity in the faces' positive direction.

    See Also
    --------
    DiffusiveFlux : The flux down a gradient.

    Notes
    -----
    Where the flow enters the domain there is no cell upwind. That flux is the balance's `flux`,
    which must be zero at all other faces.

    Examples
    --------
    >>> from skphys.constraints import AdvectiveFlux
    >>> from skphys.grids import Axis, Grid, control_volumes
    >>> volumes = control_volumes(Grid(x=Axis.cells([0.0, 1.0, 2.0])))
    >>> AdvectiveFlux(0.5).matrix(volumes).toarray()
    array([[0. , 0. ],
           [0.5, 0. ],
           [0. , 0.5]])
    """

    def __init__(self, velocity: Any) -> None:
        self.velocity = velocity

    def matrix(self, volumes: ControlVolumes) -> csr_array:
        """Return the upwind matrix.

        Parameters
        ----------
        volumes : ControlVolumes
            With the faces.

        Returns
        -------
        csr_array of shape (n_faces, n_cells)
            The velocity at the upwind cell of each face.
        """
        speed = self._normal(volumes)
        upwind = np.where(speed > 0, volumes.faces[:, 0], volumes.faces[:, 1])
        at = np.flatnonzero((upwind >= 0) & (speed != 0))
        shape = (volumes.n_faces, volumes.n_cells)
        return csr_array((speed[at], (at, upwind[at])), shape=shape)

    def _normal(self, volumes: ControlVolumes) -> np.ndarray:
        """Return the velocity in the positive direction of each face."""
        velocity = numeric(self.velocity, "velocity")
        n_faces = volumes.n_faces
        if velocity.shape == (n_faces,):
            return velocity
        if volumes.normals is None:
            raise ValueError(
                f"velocity must have shape ({n_faces},), the velocity through each face, because "
                f"the mesh has no normals; got {velocity.shape}. Or pass normals to Mesh."
            )
        n_dims = volumes.normals.shape[1]
        fitting = {(n_dims,), (n_faces, n_dims), *([()] if n_dims == 1 else [])}
        if velocity.shape not in fitting:
            raise ValueError(
                f"velocity must have shape ({n_dims},), ({n_faces}, {n_dims}) or ({n_faces},) on "
                f"these {n_faces} faces; got {velocity.shape}."
            )
        return (velocity * volumes.normals).sum(axis=1)


class DiffusiveFlux(LinearFlux):
    """Fick's or Fourier's law, ``-D du/dn``, from the two cells at each face.

    Parameters
    ----------
    diffusivity : float or array of shape (n_faces,)
        ``D``, not negative.

    See Also
    --------
    AdvectiveFlux : What a velocity carries.

    Notes
    -----
    The difference of two cells is the gradient along the line between their points, which should
    be normal to the face: so it is on grids and on Voronoi meshes, and roughly on others. Through
    the boundary nothing diffuses unless the balance's `flux` says so.

    Examples
    --------
    >>> from skphys.constraints import DiffusiveFlux
    >>> from skphys.grids import Axis, Grid, control_volumes
    >>> volumes = control_volumes(Grid(x=Axis.cells([0.0, 1.0, 2.0])))
    >>> DiffusiveFlux(0.1).matrix(volumes).toarray()
    array([[ 0. ,  0. ],
           [ 0.1, -0.1],
           [ 0. ,  0. ]])
    """

    def __init__(self, diffusivity: Any) -> None:
        self.diffusivity = diffusivity

    def matrix(self, volumes: ControlVolumes) -> csr_array:
        """Return the two-point matrix.

        Parameters
        ----------
        volumes : ControlVolumes
            With the faces.

        Returns
        -------
        csr_array of shape (n_faces, n_cells)
            Empty rows on the boundary.
        """
        diffusivity = numeric(self.diffusivity, "diffusivity")
        n_faces = volumes.n_faces
        if diffusivity.shape not in {(), (n_faces,)} or not (diffusivity >= 0).all():
            raise ValueError(
                f"diffusivity must be a number or have shape ({n_faces},), and not be negative; "
                f"got {self.diffusivity!r}."
            )
        at = np.flatnonzero((volumes.faces >= 0).all(axis=1))
        rate = (diffusivity / volumes.distances)[at]
        entries = np.concatenate([rate, -rate])
        where = np.tile(at, 2), volumes.faces[at].T.ravel()
        return csr_array((entries, where), shape=(n_faces, volumes.n_cells))
