"""A notebook as a test, made by `envsolver generate`. Edit it as you like: it is never overwritten."""

from envsolver.testing import NotebookTestCase


class TestSparseGp(NotebookTestCase):
    notebook = "demos/ml/sparse_gp.ipynb"
