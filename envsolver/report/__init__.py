"""Reports of a run: pure builders of text and data, thin writers."""
