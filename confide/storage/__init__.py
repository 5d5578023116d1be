"""Databases, keys and sealed values."""
