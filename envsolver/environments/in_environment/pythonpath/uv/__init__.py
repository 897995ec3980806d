"""Stands in for uv in a notebook under test: it reads the environment, and never changes it."""
