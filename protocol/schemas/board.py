"""The document about what is on a task board."""

from __future__ import annotations

from typing import Final

from protocol.schemas.parts import Schema, count, document, flag, instant, items, number, text, thing, word
from protocol.states import ColourGroup

_STATES: Final = [state.value for state in ColourGroup]
_COUNTS: Final = thing({state: count(f"tasks that are {state}") for state in _STATES})
TASK: Final = thing(
    {
        "key": text("its name on this board"),
        "id": text("what its program calls it"),
        "group": text("key of its group"),
        "state": word("where it stands", _STATES),
        "name": text("for people"),
    },
    {
        "title": text("title of its group"),
        "total": number("how much there is to do"),
        "done": {"type": "number", "description": "how much of it is done"},
        "started_at_ms": instant("when it began"),
        "ended_at_ms": instant("when it ended"),
        "error": text("why it failed"),
        "about": text("its metadata, shortened"),
    },
)
GROUP: Final = thing(
    {
        "key": text("its name on this board"),
        "title": text("a program, a job of a farm, or what tasks name as their group"),
        "counts": _COUNTS,
        "order": count("where it stands among the groups"),
        "on_demand": flag("its tasks are not listed here: they are elsewhere"),
    },
    {"facts": {"type": "object", "description": "more for people, by name"}},
)
_PROGRAM: Final = {
    "key": text("of the program, for as long as it runs"),
    "name": text("of the program"),
    "total": count("its tasks"),
    **{state: count(f"tasks that are {state}") for state in _STATES},
}
DOCUMENTS: Final[dict[str, Schema]] = {
    "farm.board.v1": document(
        "farm.board.v1",
        "What is on a task board.",
        {"counts": _COUNTS, "groups": items(GROUP, "what tasks belong to"), "tasks": items(TASK, "tasks of programs")},
    ),
    "farm.boards.v1": document(
        "farm.boards.v1",
        "Which programs show their work on boards of a machine.",
        {
            "boards": items(
                thing(
                    {
                        "board": text("its id; another one after each start"),
                        "url": text("where a browser on that machine finds it"),
                        "programs": items(thing(_PROGRAM), "on that board"),
                    }
                ),
                "that the machine's daemon heard of lately",
            ),
            "programs": items(thing(_PROGRAM | {"url": text("of its board")}), "the same, board by board"),
        },
    ),
}
