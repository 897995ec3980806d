"""A notebook as a test, made by `envsolver generate`. Edit it as you like: it is never overwritten."""

from envsolver.testing import NotebookTestCase


class TestGreeks(NotebookTestCase):
    notebook = "demos/finance/greeks.ipynb"
