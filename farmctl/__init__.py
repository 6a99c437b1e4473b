"""The command line of the farm: a client of any node, which reads and sends the artist's files as the artist."""
