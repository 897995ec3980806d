"""Find notebooks, and read what they import and install. `select` and `read` are the doors."""
