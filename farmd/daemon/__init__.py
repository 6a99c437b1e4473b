"""The daemon: composition root, the only place where the core and its adapters meet."""
