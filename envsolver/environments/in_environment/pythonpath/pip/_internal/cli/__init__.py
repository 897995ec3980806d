"""Leads to where pip's own scripts look for its `main`."""
