"""Geometries in one to three dimensions, and loops over their faces to test against."""

import numpy as np
from scipy.spatial import Delaunay

from skphys.grids import Axis, Grid, Mesh

TIMES = np.array([0.0, 0.1, 0.25, 0.3])
EDGES = {
    "x": np.array([0.0, 0.3, 0.5, 1.1, 1.4]),
    "y": np.array([-1.0, 0.0, 0.2, 0.7]),
    "z": np.array([0.0, 0.5, 2.0]),
}


def grid_of(names, kind="cells"):
    """Return a grid of time and the named axes of space."""
    make = {
        "cells": Axis.cells,
        "nodes": Axis,
        "periodic": lambda e: Axis(0.5 * (e[1:] + e[:-1]), edges=e, period=e[-1] - e[0]),
    }[kind]
    return Grid(t=TIMES, **{name: make(EDGES[name]) for name in names})


def triangulated(t=TIMES, n=12, n_dims=2, seed=0):
    """Return the Delaunay mesh of random points, and the triangulation."""
    points = np.random.default_rng(seed).uniform(size=(n, n_dims))
    triangulation = Delaunay(points)
    return Mesh.from_simplices(points, triangulation.simplices, t=t), triangulation


GEOMETRIES = {
    "1-D": lambda: grid_of("x"),
    "1-D nodes": lambda: grid_of("x", "nodes"),
    "1-D periodic": lambda: grid_of("x", "periodic"),
    "2-D": lambda: grid_of("xy"),
    "2-D nodes": lambda: grid_of("xy", "nodes"),
    "3-D": lambda: grid_of("xyz"),
    "3-D periodic": lambda: grid_of("xyz", "periodic"),
    "time last": lambda: Grid(x=Axis.cells(EDGES["x"]), y=Axis.cells(EDGES["y"]), t=TIMES),
    "triangles": lambda: triangulated()[0],
    "tetrahedra": lambda: triangulated(n=9, n_dims=3)[0],
}


def net_outflux(volumes, fluxes):
    """Add up, face by face, what leaves each cell; fluxes of shape (n_faces,)."""
    out = np.zeros(volumes.n_cells)
    for (owner, neighbour), area, flux in zip(volumes.faces, volumes.areas, fluxes, strict=True):
        if owner >= 0:
            out[owner] += area * flux
        if neighbour >= 0:
            out[neighbour] -= area * flux
    return out


def upwind(volumes, u, speed, inflow):
    """Return upwind fluxes by a loop over the faces."""
    fluxes = np.empty(volumes.n_faces)
    for f, (owner, neighbour) in enumerate(volumes.faces):
        cell = owner if speed[f] > 0 else neighbour
        fluxes[f] = speed[f] * u[cell] if cell >= 0 else inflow[f]
    return fluxes


def march(volumes, u, flux, times):
    """Return the levels that the finite-volume scheme ``flux(u)`` steps through."""
    levels = [u]
    for step in np.diff(times):
        u = u - step * net_outflux(volumes, flux(u)) / volumes.volumes
        levels.append(u)
    return np.array(levels)
