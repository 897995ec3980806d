"""A notebook as a test, made by `envsolver generate`. Edit it as you like: it is never overwritten."""

from envsolver.testing import NotebookTestCase


class TestBrownianBridge(NotebookTestCase):
    notebook = "demos/finance/brownian_bridge.ipynb"
