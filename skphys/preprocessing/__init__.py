"""Samples as flat, named channels on a grid: what operators learn from."""

from skphys.preprocessing._grid_features import GridFeatures

__all__ = ["GridFeatures"]
