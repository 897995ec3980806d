"""A notebook as a test, made by `envsolver generate`. Edit it as you like: it is never overwritten."""

from envsolver.testing import NotebookTestCase


class TestBayesianLogisticRegression(NotebookTestCase):
    notebook = "demos/core/bayesian_logistic_regression.ipynb"
