"""The only room that imports Parsl: executors, their pools, and the programs that they start."""
