"""A notebook as a test, made by `envsolver generate`. Edit it as you like: it is never overwritten."""

from envsolver.testing import NotebookTestCase


class TestSurrogateSklearn(NotebookTestCase):
    notebook = "demos/core/surrogate_sklearn.ipynb"
