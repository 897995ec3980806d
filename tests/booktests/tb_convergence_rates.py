"""A notebook as a test, made by `envsolver generate`. Edit it as you like: it is never overwritten."""

from envsolver.testing import NotebookTestCase


class TestConvergenceRates(NotebookTestCase):
    notebook = "demos/core/convergence_rates.ipynb"
