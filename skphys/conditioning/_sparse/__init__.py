"""Conditioning on many sparse rows."""
