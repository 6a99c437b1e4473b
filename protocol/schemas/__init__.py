"""What `-o json` promises: a JSON Schema for each kind of document, by the name that the document carries.

A document has `"schema": "farm.NOUN.vN"`. Within a version fields are only ever added; one that would have to change its
meaning or leave gives a new version. `farmctl schema NAME` prints them, tests hold every answer against them, and the
reference page is drawn from them. Nothing here is needed to print a document, so no command loads it.
"""

from __future__ import annotations

from typing import Final

from protocol.schemas import afterwards, board, farm, hooks, jobs, logs, people
from protocol.schemas.parts import Schema

SCHEMAS: Final[dict[str, Schema]] = dict(
    sorted(
        {
            **afterwards.DOCUMENTS,
            **board.DOCUMENTS,
            **jobs.DOCUMENTS,
            **farm.DOCUMENTS,
            **hooks.DOCUMENTS,
            **logs.DOCUMENTS,
            **people.DOCUMENTS,
        }.items()
    )
)
"""All of them, by name."""
