"""The demo: a farm of three machines on this one, a real scene, and a machine killed on the way."""
