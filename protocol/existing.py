"""What happens to a file that stands where a result belongs, and that the job did not write.

A file that a job wrote before (a frame that was rendered again) is replaced without a question: the farm knows its
content and still holds it. Everything else belongs to somebody. The same words in a job, on the command line and in
requests; see docs/adr/0022. Called by job specifications, by the delivery of a node and by `farmctl job download`.
"""

from __future__ import annotations

from enum import StrEnum


class ExistingFile(StrEnum):
    """What to do with it."""

    RENAME = "rename"
    """Move it aside (`0001.exr.~1~`) and write the result under its name: nothing is lost."""
    KEEP = "keep"
    """Leave it; the result stays in the farm."""
    REPLACE = "replace"
    """Write the result over it."""
    FAIL = "fail"
    """Leave it, and call that a failure."""
