"""A notebook as a test, made by `envsolver generate`. Edit it as you like: it is never overwritten."""

from envsolver.testing import NotebookTestCase


class TestPortfolioCvar(NotebookTestCase):
    notebook = "demos/finance/portfolio_cvar.ipynb"
