"""A notebook as a test, made by `envsolver generate`. Edit it as you like: it is never overwritten."""

from envsolver.testing import NotebookTestCase


class TestDiffusion1d(NotebookTestCase):
    notebook = "demos/umbridge/diffusion_1d.ipynb"
