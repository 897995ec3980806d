"""A notebook as a test, made by `envsolver generate`. Edit it as you like: it is never overwritten."""

from envsolver.testing import NotebookTestCase


class TestHigherOrderNets(NotebookTestCase):
    notebook = "demos/core/higher_order_nets.ipynb"
