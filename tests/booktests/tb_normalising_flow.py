"""A notebook as a test, made by `envsolver generate`. Edit it as you like: it is never overwritten."""

from envsolver.testing import NotebookTestCase


class TestNormalisingFlow(NotebookTestCase):
    notebook = "demos/ml/normalising_flow.ipynb"
