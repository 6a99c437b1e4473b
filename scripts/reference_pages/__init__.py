"""The reference pages of the docs, each drawn from the table that the program itself uses."""
