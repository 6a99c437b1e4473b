"""`/metrics`: the farm as this node sees it, for Prometheus, in its text exposition format 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/. Two questions to the daemon a scrape (one more for each
500 jobs), besides the one for the token; names have their unit, nothing has a label that grows without end (no job ids).
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from farmd.web.joblist import all_jobs
from protocol.errors import Unreachable
from protocol.states import JobState, NodeState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from farmd.web.endpoints import Asked

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
ANSWER_S: Final = 4.0
"""For each question: Prometheus gives a scrape ten seconds where nobody says otherwise."""
_TASKS: Final = ("waiting", "running", "done", "failed")
_OF_NODE: Final = (
    ("farm_node_cores", "Processor cores that a machine offers.", "cores"),
    ("farm_node_ram_bytes", "Memory that a machine offers.", "ram_bytes"),
    ("farm_node_free_ram_bytes", "Memory that is free.", "free_ram_bytes"),
    ("farm_node_free_disk_bytes", "Disk that is free below the data dir.", "free_disk_bytes"),
    ("farm_node_store_bytes", "Files and results that are kept for jobs.", "store_bytes"),
    ("farm_node_running_tasks", "Tasks that run.", "running"),
    ("farm_node_last_seen_seconds", "How long ago the machine was seen last.", "last_seen_s"),
)

Sample = tuple["Mapping[str, str]", float]


async def show_metrics(asked: Asked) -> Response:
    """Write what is measured; a daemon that does not answer is a value, not an error."""
    own = asked.parts.farm
    try:
        status = await own.call(asked.user, "farm.status", limit_s=ANSWER_S)
        jobs = (await all_jobs(partial(own.call, asked.user), limit_s=ANSWER_S))["jobs"]
    except Unreachable:
        return farm_is_down()
    lines = [line for family in _families(status, jobs) for line in family]
    return Response("\n".join(lines) + "\n", 200, _KIND)


_KIND: Final = {"Content-Type": CONTENT_TYPE}


def farm_is_down() -> Response:
    """Say that the daemon does not answer, which is all that can be said, also to whoever brings a token then."""
    return Response("\n".join(_family("farm_up", "Whether the daemon answers.", [({}, 0)])) + "\n", 200, _KIND)


def _families(status: dict[str, Any], jobs: list[dict[str, Any]]) -> Iterable[list[str]]:
    yield _family("farm_up", "Whether the daemon answers.", [({}, 1)])
    info = {"farm": status["farm"], "node": status["node_name"], "leader": status["leader_name"] or ""}
    yield _family("farm_info", "Names of the farm, of this node, and of the leader.", [(info, 1)])
    yield _family("farm_term", "Term of the leader.", [({}, status["term"])])
    states = Counter(job["state"] for job in jobs)
    yield _family("farm_jobs", "Jobs by state.", [({"state": state.value}, states[state.value]) for state in JobState])
    counts = {
        "waiting": sum(job["waiting"] for job in jobs),
        "running": sum(job["running"] for job in jobs),
        "done": sum(job["done_tasks"] for job in jobs),
        "failed": sum(job["failed"] for job in jobs),
    }
    yield _family("farm_tasks", "Tasks by state.", [({"state": name}, counts[name]) for name in _TASKS])
    yield _family("farm_frames_done", "Frames of all jobs that are done.", [({}, sum(job["done"] for job in jobs))])
    yield from _of_nodes(status["nodes"])


def _of_nodes(nodes: list[dict[str, Any]]) -> Iterable[list[str]]:
    states = Counter(node["state"] for node in nodes)
    yield _family(
        "farm_nodes", "Machines by state.", [({"state": state.value}, states[state.value]) for state in NodeState]
    )
    for name, meaning, field in _OF_NODE:
        samples = [({"node": node["name"]}, node[field]) for node in nodes if _is_number(node.get(field))]
        if samples:
            yield _family(name, meaning, samples)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _family(name: str, meaning: str, samples: Iterable[Sample]) -> list[str]:
    """Write one metric; all are gauges, since a farm's counts also fall when jobs are deleted."""
    lines = [f"# HELP {name} {meaning}", f"# TYPE {name} gauge"]
    for labels, value in samples:
        inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(f"{name}{{{inner}}} {value}" if inner else f"{name} {value}")
    return lines


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
