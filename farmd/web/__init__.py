"""The HTTP door: a process of its own that is a client of the daemon."""
