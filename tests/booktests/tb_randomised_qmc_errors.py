"""A notebook as a test, made by `envsolver generate`. Edit it as you like: it is never overwritten."""

from envsolver.testing import NotebookTestCase


class TestRandomisedQmcErrors(NotebookTestCase):
    notebook = "demos/core/randomised_qmc_errors.ipynb"
