"""Conditioning on nonlinear equalities: the nearest fields on a law, and what is tangent to it."""
