"""Documents about what happens after submission: changes, costs, job files, and whether a machine can be switched off."""

from __future__ import annotations

from typing import Final

from protocol.schemas.parts import STORED, Schema, count, document, flag, instant, items, maybe, text, thing, whole

COSTS: Final = {
    "cost_micros": count("millionths of the farm's currency"),
    "wasted_micros": count("of that, for tries that failed or were stopped"),
    "time_ms": count("how long the tries took together"),
    "unpriced_ms": count("of that, on machines without a price"),
}
CHANGE: Final = thing(
    {
        "field": text("of the specification"),
        "submitted": {"type": ["integer", "string"], "description": "what was submitted"},
        "value": {"type": ["integer", "string"], "description": "what stands in for it"},
        "actor": text("who changed it"),
        "why": text("why; may be empty"),
        "at_ms": instant("when"),
    }
)
CHANGED: Final = thing(
    {
        "field": text("of the specification"),
        "from": {"type": ["integer", "string"], "description": "before"},
        "to": {"type": ["integer", "string"], "description": "after"},
    }
)
PRICE: Final = {
    "hardware": text("its configuration: cores, memory, GPUs"),
    "price_micros": maybe(count("of an hour, in millionths of the farm's currency; null: no price was set")),
    "price_for": text("node, hardware, or empty: what the price was set for"),
    "price_actor": text("who set it"),
}
_FINDING: Final = thing(
    {
        "what": text("running, records, results, assets, or a kind of remark"),
        "blocks": flag("it should stay on while this holds"),
        "number": count("how many"),
        "text": text("for people"),
        "hint": text("what to do; may be empty"),
        "job": text("which job; may be empty"),
        "frames": text("which frames of it; may be empty, and is cut off when it is long"),
    }
)

DOCUMENTS: Final[dict[str, Schema]] = {
    "farm.edit.v1": document(
        "farm.edit.v1",
        "What was changed of a job just now, and all that stands in for what was submitted.",
        {"job": text("its id"), "changed": items(CHANGED, "just now"), "edits": items(CHANGE, "all that hold")},
        {**STORED, "dry_run": flag("nothing was changed")},
    ),
    "farm.costs.v1": document(
        "farm.costs.v1",
        "What rendering cost, summed up.",
        {
            "by": text("project, owner, job or labels.NAME"),
            "since_ms": instant("only tries that ended on that day (UTC) or later; 0: all"),
            "rows": items(
                thing({"key": text("which"), "jobs": count("jobs"), **COSTS}, {"name": text("of the job")}),
                "the dearest first",
            ),
            "total": thing(COSTS, meaning="all rows together"),
        },
    ),
    "farm.hardware.v1": document(
        "farm.hardware.v1",
        "Configurations of hardware, and what an hour of each costs.",
        {
            "hardware": items(
                thing(
                    {
                        "name": text("cores, memory and GPUs in words"),
                        "price_micros": maybe(count("of an hour, in millionths of the farm's currency")),
                        "nodes": items(text("name"), "machines of it"),
                    },
                    {
                        "cores": count("processor threads"),
                        "ram_bytes": count("memory"),
                        "gpus": count("GPUs"),
                        "gpu_model": text("of the GPUs; may be empty"),
                    },
                ),
                "by name",
            )
        },
    ),
    "farm.price.v1": document(
        "farm.price.v1",
        "What an hour of a machine costs.",
        {"node": text("id"), "alike": flag("asked for all of its hardware"), "changed": flag("just now"), **PRICE},
        STORED,
    ),
    "farm.safe-to-off.v1": document(
        "farm.safe-to-off.v1",
        "Whether a machine can be switched off, and what is in the way.",
        {
            "node": text("id"),
            "node_name": text("its name"),
            "safe": flag("nothing is in the way"),
            "findings": items(_FINDING, "what is in the way first, then remarks"),
        },
    ),
    "farm.job-file.v1": document(
        "farm.job-file.v1",
        "A whole job, to keep or to submit again.",
        {
            "job": text("its id"),
            "exported_ms": instant("when it was written"),
            "spec": {"type": "object", "description": "its specification as it held then, in the words of a job file"},
            "status": {"type": "object", "description": "how it stood: farm.job.v1"},
            "results": items(
                thing(
                    {"name": text("file name"), "size": count("bytes")},
                    {"blob": text("address"), "task": whole("task")},
                ),
                "files of done tasks",
            ),
        },
    ),
}
