"""Notebooks as unittest cases: `NotebookTestCase` is public, and what generated test files import."""

from envsolver.testing.case import NotebookTestCase

__all__ = ["NotebookTestCase"]
