"""A notebook as a test, made by `envsolver generate`. Edit it as you like: it is never overwritten."""

from envsolver.testing import NotebookTestCase


class TestKeisterCost2023(NotebookTestCase):
    notebook = "demos/papers/keister_cost_2023.ipynb"
