"""Values that cross stages, errors, and pure helpers. Imports nothing of ours."""
