"""Reports of a run: pure builders of text and data, thin writers.

This package imports none of its modules, and they import rich, Jinja2 and nbconvert only where they
are used, so that the command line starts fast.
"""
