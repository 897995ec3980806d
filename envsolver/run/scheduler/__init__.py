"""Which job starts now. It knows no Parsl, no uv and no kernel."""
