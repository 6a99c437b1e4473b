"""The commands, one module per noun; loaded one at a time, when they are run."""
