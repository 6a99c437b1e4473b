"""Documents about the farm and its machines, path rules, this program's settings."""

from __future__ import annotations

from typing import Final

from protocol.schemas.afterwards import PRICE
from protocol.schemas.parts import (
    STORED,
    Schema,
    count,
    document,
    flag,
    instant,
    items,
    maybe,
    number,
    text,
    thing,
    word,
)
from protocol.states import NodeState

_NODE: Final = {
    "id": text("the machine's id, 16 hexadecimal digits"),
    "name": text("its name"),
    "state": word("what it does", NodeState),
}
_NODE_SOMETIMES: Final = {
    "reason": {"type": ["string", "object", "null"], "description": "why it does nothing, or who holds it"},
    "address": text("HOST:PORT"),
    "cores": count("processor threads"),
    "ram_bytes": count("memory"),
    "gpus": items({"type": "object"}, "uuid, model and vram_bytes of each"),
    "slots": count("most tasks at once; 0: cores and memory decide"),
    "running": count("tasks that run"),
    "tasks": items({"type": "object"}, "job, task and attempt of each"),
    "renderers": items(thing({"name": text("name"), "version": text("version")}), "what it renders with"),
    "software": text("version of farmd"),
    "epoch": count("lives of its daemon so far"),
    "last_seen_s": maybe(number("seconds since it was heard of")),
    "free_ram_bytes": maybe(count("memory that is free")),
    "free_disk_bytes": maybe(count("disk that is free")),
    "load": maybe(number("processor load")),
    "store_bytes": maybe(count("content store: how full")),
    "store_quota_bytes": maybe(count("and how full it may be; 0: no limit")),
    "store_evictable_bytes": maybe(count("what of it may leave")),
    "store_fault": text("what is wrong with it"),
    "held_until_ms": instant("when its hold ends by itself"),
    **PRICE,
}
_CHECK: Final = thing(
    {"name": text("what was checked"), "ok": flag("it is well"), "text": text("what was found")},
    {"hint": text("what to try")},
)
_ALERT: Final = thing(
    {"code": text("for scripts"), "level": text("error, warning or info"), "text": text("for people")},
    {"hint": text("what to try"), "job": maybe(text("which job")), "node": maybe(text("which machine"))},
)
_COUNTS: Final = ("total", "pending", "running", "completed", "failed", "cancelled")
_RULE: Final = {
    "written": text("prefix in scenes"),
    "becomes": text("what is read instead"),
    "platform": text("on which machines"),
}

DOCUMENTS: Final[dict[str, Schema]] = {
    "farm.node.v1": document("farm.node.v1", "One machine.", _NODE, _NODE_SOMETIMES),
    "farm.nodes.v1": document(
        "farm.nodes.v1", "The machines of the farm.", {"nodes": items(thing(_NODE, _NODE_SOMETIMES), "by name")}
    ),
    "farm.status.v1": document(
        "farm.status.v1",
        "The farm as one machine sees it.",
        {
            "farm": text("its name"),
            "node": text("machine that answered"),
            "node_name": text("its name"),
            "leader": maybe(text("machine that hands out work; null: none yet")),
            "leader_name": maybe(text("its name")),
            "term": count("grows with each election"),
            "as_of_ms": instant("when this was so"),
            "nodes": items(thing(_NODE, _NODE_SOMETIMES), "by name"),
            "jobs": thing({name: count("jobs") for name in _COUNTS}),
        },
        {
            "disk_fault": text("what is wrong with the disk of the machine that answered"),
            "tasks": {"type": "object", "description": "tasks of all jobs by state"},
            "alerts": items(_ALERT, "what a person should know, at most 100 of them"),
            "alert_count": count("all that there are"),
            "pace": thing(
                {"bucket_s": number("seconds"), "frames": items(count("frames"), "oldest first")},
                meaning="frames that were finished lately",
            ),
            "not_answering": text(
                "why the last state that is known is shown; only while farmctl looks for another machine"
            ),
            "active_jobs": items({"type": "object"}, "jobs that are not over, as in farm.jobs.v1"),
        },
    ),
    "farm.doctor.v1": document(
        "farm.doctor.v1",
        "Is this machine, or the farm, well?",
        {"checks": items(_CHECK, "in order")},
        {"node": text("id")},
    ),
    "farm.events.v1": document(
        "farm.events.v1",
        "What happened, oldest first.",
        {
            "events": items(
                thing(
                    {
                        "id": count("grows; of the machine that answered"),
                        "at_ms": instant("when it happened"),
                        "what": text("what happened"),
                        "text": text("for people"),
                    },
                    {
                        "key": text("names the event; the same on every machine that tells it"),
                        "noted_ms": instant("when the machine that answered learned of it"),
                        "why": text("the reason that was given, or the cause"),
                        "actor": maybe(text("who did it; farmd: nobody")),
                        "job": maybe(text("which job")),
                        "task": maybe(count("which of its tasks")),
                        "node": maybe(text("which machine")),
                        "node_name": maybe(text("its name")),
                    },
                ),
                "the events",
            )
        },
        {
            "node": text("id of the machine whose log it is"),
            "node_name": text("its name"),
            "last": count("id to go on from"),
        },
    ),
    "farm.paths.v1": document(
        "farm.paths.v1",
        "The path rules of the farm.",
        {
            "rules": items(
                thing(_RULE, {"actor": text("who"), "set_at_ms": instant("when"), "note": text("why")}), "rules"
            )
        },
    ),
    "farm.path.v1": document(
        "farm.path.v1",
        "A path rule that was added or removed.",
        {"rule": thing(_RULE), "holds": flag("it holds now"), "changed": flag("false: it was so already")},
        {**STORED, "replaced": maybe(text("what was read before")), "dry_run": flag("nothing was changed")},
    ),
    "farm.path-test.v1": document(
        "farm.path-test.v1",
        "What becomes of a path on each kind of machine.",
        {
            "path": text("as it was asked for"),
            "platforms": items(
                thing({"platform": text("which"), "becomes": text("what is read"), "rule": maybe(thing(_RULE))}), "each"
            ),
        },
    ),
    "farm.config.v1": document(
        "farm.config.v1",
        "Settings of the command line.",
        {
            "settings": items(
                thing({"name": text("name"), "value": text("value"), "origin": text("where it comes from")}),
                "each once",
            )
        },
        {
            "files": items(
                thing({"path": text("where"), "exists": flag("it is there")}), "files that are read, strongest first"
            )
        },
    ),
    "farm.config-check.v1": document(
        "farm.config-check.v1",
        "Faults of the configuration files.",
        {
            "files": items(text("path"), "files that were read"),
            "faults": items(
                thing(
                    {
                        "file": text("path"),
                        "line": count("1 is the first"),
                        "text": text("what"),
                        "hint": text("what to try"),
                    }
                ),
                "in order",
            ),
        },
    ),
    "farm.schemas.v1": document(
        "farm.schemas.v1",
        "The schemas that there are.",
        {"schemas": items(thing({"name": text("name"), "meaning": text("what it describes")}), "by name")},
    ),
}
