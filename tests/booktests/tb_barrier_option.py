"""A notebook as a test, made by `envsolver generate`. Edit it as you like: it is never overwritten."""

from envsolver.testing import NotebookTestCase


class TestBarrierOption(NotebookTestCase):
    notebook = "demos/finance/barrier_option.ipynb"
