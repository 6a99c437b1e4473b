"""Reads scene files: what they say about a render, which files they need, which of these are missing and why.

A leaf library: `farmctl` runs it as the artist, on the artist's machine. Three steps, each without the others: a *reader*
per format turns one scene file into facts and references, as they are written there; `resolve` looks for the files that a
reference means, here; `analyse` follows references to further scenes and makes one `Report` of it all.

Never changes a scene, never runs what is written in one (scripts, expressions, drivers), and never guesses silently:
what it is not sure of is a remark in the report.
"""
