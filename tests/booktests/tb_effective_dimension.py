"""A notebook as a test, made by `envsolver generate`. Edit it as you like: it is never overwritten."""

from envsolver.testing import NotebookTestCase


class TestEffectiveDimension(NotebookTestCase):
    notebook = "demos/talks/effective_dimension.ipynb"
