"""Run a repository's Jupyter notebooks as tests, each in the environment that it needs."""

__version__ = "0.1.0"
