"""A notebook as a test, made by `envsolver generate`. Edit it as you like: it is never overwritten."""

from envsolver.testing import NotebookTestCase


class TestVectorTolerances2023(NotebookTestCase):
    notebook = "demos/papers/vector_tolerances_2023.ipynb"
