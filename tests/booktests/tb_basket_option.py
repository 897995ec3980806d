"""A notebook as a test, made by `envsolver generate`. Edit it as you like: it is never overwritten."""

from envsolver.testing import NotebookTestCase


class TestBasketOption(NotebookTestCase):
    notebook = "demos/finance/basket_option.ipynb"
