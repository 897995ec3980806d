"""Which group serves a notebook: solve, lock, partition, explain. `assignment` says who belongs where."""
