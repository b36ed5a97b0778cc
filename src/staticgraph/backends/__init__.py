"""The backends: what runs a program. Each is one record; see `backend` and `registry`."""
