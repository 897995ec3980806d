"""uv behind one door, and the cache of environments that it builds."""
