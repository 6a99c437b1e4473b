"""A whole farm on one machine, to be tried out: its daemons, a scene that needs no renderer, and what to do with both."""
