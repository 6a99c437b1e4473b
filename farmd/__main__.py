"""`python -m farmd`."""

from farmd.cli import main

main()
