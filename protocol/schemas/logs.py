"""Documents about what renderers printed."""

from __future__ import annotations

from typing import Final

from protocol.schemas.parts import Schema, count, document, flag, instant, items, maybe, text, thing, word
from protocol.states import AttemptState, word_of

_STATES: Final = [word_of(state) for state in AttemptState]
_WHOSE: Final = {
    "job": text("which job"),
    "task": count("which of its tasks"),
    "frames": text("the frames of that task"),
    "attempt": text("which try of it"),
    "node": text("id of the machine where it ran"),
    "node_name": text("its name"),
    "state": word("how far the try is", _STATES),
}
LINE: Final = thing(
    {
        "offset": maybe(count("bytes from the start of the log to the line; null: it came without its log")),
        "next": maybe(count("the same of the line after it")),
        "number": maybe(count("from 1; null: not counted")),
        "at_ms": maybe(instant("when it was printed, to about a second")),
        "text": text("harmless to print"),
        "level": word("what kind of line it is", ["error", "warning", "farm", ""]),
        "cut": count("bytes of the line that the text lacks"),
    },
    {
        "match": flag("it is what was searched for, and not a line around it"),
        "spans": items({"type": "array"}, "where in the text, from and to"),
    },
)
DOCUMENTS: Final[dict[str, Schema]] = {
    "farm.log.v1": document(
        "farm.log.v1",
        "Lines that a renderer printed.",
        {
            **_WHOSE,
            "found": flag("false: the log is not to be had"),
            "ended": flag("no more can follow"),
            "away": maybe(
                thing(
                    {
                        "node": text("the machine that has the log and does not answer"),
                        "node_name": text("its name"),
                        "since_ms": maybe(instant("since when; null: it never did")),
                        "why": text("why not"),
                    }
                )
            ),
            "size": count("bytes of the log"),
            "lines": items(LINE, "in the order of the log"),
            "next": count("offset to go on from"),
            "complete": flag("there is nothing more in that direction"),
            "partial": flag("the last line is not at its end"),
        },
    ),
    "farm.loglist.v1": document(
        "farm.loglist.v1",
        "All tries of a job or of a task, the newest first, and what each printed.",
        {
            "job": text("which job"),
            "total": count("tries, also those that are not listed"),
            "attempts": items(
                thing(
                    {
                        **_WHOSE,
                        "generation": count("how often the task had been asked for anew"),
                        "here": flag("the machine that has the log answers"),
                        "cause": text("why it ended without a result"),
                        "text": text("the same for people"),
                        "started_ms": instant("when it began"),
                        "ended_ms": maybe(instant("when it ended")),
                        "size": maybe(count("bytes of its log; null: not known")),
                    }
                ),
                "the tries",
            ),
        },
    ),
}
