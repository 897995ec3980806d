"""From `pyproject.toml` to `Config`, every fault with its place."""
