"""A notebook as a test, made by `envsolver generate`. Edit it as you like: it is never overwritten."""

from envsolver.testing import NotebookTestCase


class TestMultiObjective(NotebookTestCase):
    notebook = "demos/ml/multi_objective.ipynb"
