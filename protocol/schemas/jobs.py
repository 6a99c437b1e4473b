"""Documents about jobs: the job itself, its tasks and files, why it waits, and what was ordered."""

from __future__ import annotations

from typing import Final

from protocol.schemas.afterwards import CHANGE, CHANGED, COSTS
from protocol.schemas.parts import (
    NODE_REF,
    REASON,
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
    whole,
    word,
)
from protocol.states import JobState, TaskState

_ATTEMPT_STATES: Final = ("running", "stopped", "failed", "done")
_OUTPUT: Final = thing({"name": text("file name"), "size": count("bytes")})
_BRIEF: Final = {
    "id": text("the job's id, 16 characters"),
    "name": text("its name"),
    "owner": text("who submitted it"),
    "state": word("where it stands", JobState),
    "progress": number("share of the frames that are done, in percent"),
    "total": count("frames"),
    "done": count("frames that are done"),
    "failed": count("tasks that failed for good"),
    "running": count("tasks that run"),
    "waiting": count("tasks that wait"),
    "completed_frames": text("frames that are done, as a range: 1-45,50"),
    "failed_frames": text("frames that failed, as a range"),
    "priority": count("0 to 100, larger goes first"),
    "renderer": text("what renders it"),
    "frames": text("all its frames, as a range"),
    "submitted_ms": instant("when it was submitted"),
    "started_ms": instant("when its first frame began"),
    "ended_ms": instant("when it ended"),
    "eta_s": maybe(number("seconds left, as far as can be told")),
    "reason": maybe(REASON),
    "version": count("grows with each change that this machine learns of"),
}
_BRIEF_SOMETIMES: Final = {
    "total_tasks": count("tasks"),
    "done_tasks": count("tasks that are done"),
    "project": text("what its cost counts for"),
    "labels": {"type": "object", "description": "words to sort and to filter by, by name"},
    "archived": flag("it was put away when it had ended"),
    "cost_micros": count("what its ended tries cost, in millionths of the farm's currency"),
}
_TEST_FRAME: Final = thing(
    {"frame": whole("its number"), "state": word("where it stands", TaskState)},
    {
        "node": maybe(text("machine that rendered it")),
        "node_name": maybe(text("its name")),
        "seconds": maybe(number("time that it took")),
        "peak_ram_bytes": maybe(count("most memory that it took")),
        "outputs": items(_OUTPUT, "files"),
        "text": text("what went wrong"),
    },
)
_DETAILS: Final = {
    "task_id": text("nine digits that name the job too"),
    "nodes": items(
        thing({"id": text("id"), "name": text("name"), "frames": count("rendered there")}),
        "machines that worked for it",
    ),
    "scene": maybe(text("the scene file, as it was submitted; null: the job has none")),
    "output_dir": maybe(text("folder for the results; null: they stay in the farm")),
    "deliver": text("who writes into it: node, client or none"),
    "delivered": count("results that are in the folder"),
    "safe": count("results that are on two machines"),
    "why_stopped": text("why it does not go on; may be empty"),
    "gate": thing(
        {
            "mode": text("auto, hold or off"),
            "state": text("where the gate stands"),
            "test_frames": items(_TEST_FRAME, "frames that render first"),
        }
    ),
}
_DETAILS_SOMETIMES: Final = {
    "path_rules": items({"type": "array"}, "prefixes in the scene, and what is read instead"),
    "leaves_outputs": flag("its tasks leave files that the farm collects"),
    "existing": text("what becomes of other files of the same names"),
    "delivery_error": text("why nothing is delivered just now"),
    "delivery_remark": text("what became of other files"),
    "away": items(
        thing({"frames": text("range"), "nodes": items(text("name"), "who has them")}), "results out of reach"
    ),
    "unavailable_frames": text("frames whose results cannot be had just now"),
    "generation": count("how often the test frames were rendered anew"),
    "peak_ram_bytes": count("most memory that a task took"),
    "mean_task_s": number("mean time of a task"),
    "submit_node": text("where it was submitted"),
    "submit_node_name": text("the name of that machine"),
    "requirements": {"type": "object", "description": "memory, cores and GPUs that a task needs"},
    "limits": {"type": "object", "description": "when to give up: tries, and seconds"},
    "edits": items(CHANGE, "what was changed since it was submitted"),
    "costs": thing(COSTS, meaning="what its ended tries cost"),
}
_TASK: Final = {
    "index": count("its number in the job, from 0"),
    "frames": text("what it renders"),
    "state": word("where it stands", TaskState),
    "test": flag("it is a test frame"),
    "generation": count("how often a person asked for it anew"),
}
_TASK_SOMETIMES: Final = {
    "attempts": count("tries so far"),
    "copies": count("machines that have its result"),
    "node": text("machine of the result, or of the last try"),
    "node_name": text("its name"),
    "attempt": text("that try"),
    "seconds": maybe(number("time that it took")),
    "peak_ram_bytes": maybe(count("most memory that it took")),
    "progress": maybe(number("of the running try, 0 to 1")),
    "text": text("what went wrong; may be empty"),
    "last_lines": text("end of its log, if it failed"),
    "outputs": items(_OUTPUT, "files"),
    "result": maybe(text("whether its result can be had")),
    "holders": items(NODE_REF, "machines that have its result"),
}
_TRY: Final = thing(
    {
        "attempt": text("its id, for farmctl logs --attempt"),
        "state": word("how it ended, or running", _ATTEMPT_STATES),
        "generation": count("of the task then"),
        "node": text("machine"),
        "node_name": text("its name"),
        "started_ms": instant("when it began"),
        "ended_ms": instant("when it ended"),
        "seconds": maybe(number("time that it took")),
        "peak_ram_bytes": count("most memory that it took"),
        "exit_code": whole("of the process; negative: ended by that signal"),
        "cause": count("failure class, 0: none; see the reference page on failures"),
        "text": text("what went wrong; may be empty"),
    }
)
_WHY: Final = thing(
    {"code": text("for scripts"), "text": text("for people"), "hint": text("what to try")},
    {
        "count": count("frames that wait for this"),
        "frames": text("which"),
        "nearest": items(thing({"text": text("for people")}), "machines that come nearest, and what each lacks"),
    },
)
_FILE: Final = thing(
    {
        "path": text("below the root, or with a drive"),
        "size": count("bytes"),
        "mtime_ms": instant("when it was changed last"),
        "xxh64": text("xxHash64 of its content, unsigned decimal"),
        "md5": text("MD5 of its content, hex"),
    }
)
_RESULT: Final = thing(
    {"action": text("what was asked for")},
    {
        **STORED,
        "job": text("its id; orders for machines have node in its place"),
        "node": text("the machine's id"),
        "name": text("the machine's name"),
        "reason": text("why the machine takes no work"),
        "held_until_ms": instant("when the machine lets itself go"),
        "state": text("how it stands now"),
        "changed": flag("false: it was so already, or a dry run"),
        "changes": items(CHANGED, "fields of a job, before and after"),
        "dry_run": flag("nothing was changed"),
        "error": thing(
            {"code": count("exit code"), "what": text("what"), "why": text("why"), "hint": text("what to try")},
            meaning="why it was refused",
        ),
    },
)

DOCUMENTS: Final[dict[str, Schema]] = {
    "farm.job.v1": document(
        "farm.job.v1",
        "One job. Rows of a list carry the first part only; what is not always there stands on the job's own page.",
        _BRIEF,
        {**_BRIEF_SOMETIMES, **_DETAILS, **_DETAILS_SOMETIMES},
    ),
    "farm.jobs.v1": document(
        "farm.jobs.v1",
        "Jobs, in short.",
        {"jobs": items(thing({"schema": text("farm.job.v1"), **_BRIEF}, _BRIEF_SOMETIMES), "the jobs")},
        {"total": count("all that there are, of which these may be a page")},
    ),
    "farm.tasks.v1": document(
        "farm.tasks.v1",
        "A page of the tasks of a job.",
        {"tasks": items(thing(_TASK, _TASK_SOMETIMES), "the tasks"), "total": count("tasks of which these are a part")},
        {"job": text("its id")},
    ),
    "farm.task.v1": document(
        "farm.task.v1",
        "One task with all its tries.",
        {
            "job": text("its id"),
            **_TASK,
            "tries": items(_TRY, "oldest first, at most the last 1,000"),
            "reasons": items(_WHY, "why it waits"),
        },
        _TASK_SOMETIMES,
    ),
    "farm.why.v1": document(
        "farm.why.v1",
        "Why a job, or a frame of it, does not run.",
        {"job": text("its id"), "state": text("where it stands"), "reasons": items(_WHY, "one for each kind of wait")},
        {"task": {"type": ["object", "null"], "description": "the task that was asked for"}},
    ),
    "farm.assets.v1": document(
        "farm.assets.v1",
        "The files of a job, and who holds all of them.",
        {
            "job": text("its id"),
            "name": text("its name"),
            "scene": maybe(text("path of the scene among them")),
            "manifest": maybe(text("address of the list of files; null: the job has none")),
            "manifest_bytes": count("size of that list"),
            "holders": items(
                thing({"id": text("id"), "name": text("name"), "alive": flag("it answers")}),
                "machines that have them all",
            ),
            "here": flag("the machine that answers has them all"),
            "missing_bytes": count("what is still on its way there"),
        },
        {
            "root": text("folder on the artist's machine that the paths are relative to"),
            "count": count("files"),
            "bytes": count("their size together"),
            "files": items(_FILE, "the files, by path"),
        },
    ),
    "farm.controls.v1": document(
        "farm.controls.v1",
        "What became of orders, one result for each job or machine.",
        {"results": items(_RESULT, "in order")},
    ),
    "farm.submitted.v1": document(
        "farm.submitted.v1",
        "A job that was submitted, or would have been.",
        {
            "job": maybe(text("its id; null in a dry run")),
            "name": text("its name"),
            **STORED,
            "deliver": text("who writes into the output folder"),
            "renderer": text("what renders it"),
            "frames": text("its frames"),
            "total": count("how many"),
            "tasks": count("pieces"),
            "gate": {"type": "object", "description": "mode and test frames"},
            "output_dir": maybe(text("folder for the results")),
            "files": count("files that it needs"),
            "total_bytes": count("their size"),
            "sent_bytes": count("what of it had to be sent"),
        },
        {
            "analysis": {"type": ["object", "null"], "description": "what the scene says of itself"},
            "remarks": items(thing({"code": text("for scripts"), "text": text("for people")}), "what to know"),
            "dry_run": flag("nothing was sent"),
        },
    ),
}
