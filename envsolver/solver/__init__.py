"""Solve groups, explain conflicts, partition notebooks, keep locks. `assignment` says who belongs where."""
