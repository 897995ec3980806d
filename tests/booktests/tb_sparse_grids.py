"""A notebook as a test, made by `envsolver generate`. Edit it as you like: it is never overwritten."""

from envsolver.testing import NotebookTestCase


class TestSparseGrids(NotebookTestCase):
    notebook = "demos/core/sparse_grids.ipynb"
