"""Documents about hooks, and the notice that hooks are sent."""

from __future__ import annotations

from typing import Final

from protocol.hooks import KINDS, SCHEMA, STYLES
from protocol.schemas.parts import STORED, Schema, count, document, flag, instant, items, maybe, text, thing, word

_HOOK: Final = thing(
    {
        "id": text("names it; no secret"),
        "kind": word("an address or a program", KINDS),
        "target": text("the address, or the words of the program as a shell would read them"),
        "events": items(text("an event, or its beginning and *"), "what it is told of"),
        "style": word("what an address is sent", STYLES),
        "signed": flag("what it is sent is signed with a secret"),
        "node": text("id of the machine that tells it; empty: whoever leads"),
        "node_name": text("its name"),
        "note": text("what for; may be empty"),
        "made_ms": instant("when it was made"),
        "made_by": text("who made it"),
        "told": count("notices that it took from this machine since the daemon started"),
        "lost": count("notices that were given up, or for which there was no room"),
        "waiting": count("notices that wait to be sent, or sent again"),
        "last_error": text("what was wrong last; may be empty"),
    }
)
_ALERT: Final = thing(
    {
        "code": text("what it is"),
        "level": text("error, warning or info"),
        "text": text("for people"),
        "hint": text("what to try; may be empty"),
        "job": maybe(text("the job that it is about")),
        "node": maybe(text("the machine that it is about")),
    }
)
DOCUMENTS: Final[dict[str, Schema]] = {
    "farm.hooks.v1": document("farm.hooks.v1", "All hooks.", {"hooks": items(_HOOK, "the oldest first")}),
    "farm.hook.v1": document(
        "farm.hook.v1",
        "One hook, and what became of an order.",
        {"hook": _HOOK, "holds": flag("it is told from now on"), "changed": flag("this request changed it")},
        {**STORED, "dry_run": flag("nothing was changed"), "alone": flag("the farm has no other machine")},
    ),
    "farm.hook-test.v1": document(
        "farm.hook-test.v1",
        "What became of a test notice.",
        {
            "id": text("of the hook"),
            "target": text("its target"),
            "node_name": text("the machine that told it"),
            "ok": flag("it took the notice"),
            "error": text("what was wrong; empty if nothing"),
        },
    ),
    SCHEMA: document(
        SCHEMA,
        "What hooks are sent.",
        {
            "id": text("the same if it is sent again, whichever machine sends it"),
            "at_ms": instant("when it was made"),
            "farm": text("name of the farm"),
            "event": text("what happened: job.completed, alert.only_copy, test"),
            "text": text("one line for people"),
            "job": maybe({"type": "object", "description": "the job, as farm.job.v1 in brief"}),
            "alert": maybe(_ALERT),
            "resolved": flag("the alert is over"),
        },
    ),
}
"""By name."""
