"""Gaussians truncated by linear inequalities, by draws."""
