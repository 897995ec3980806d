"""Read notebooks: their cells, what they import, what they install. `discovery` is the door."""
