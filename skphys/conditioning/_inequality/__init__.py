"""Projection on linear inequalities, with every equality kept."""
