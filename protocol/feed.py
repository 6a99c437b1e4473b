"""The live feed at its other end: a picture of the farm, and one of a job, kept up to date by the answers of a node.

`farm.feed {life, after, patience_s}` is answered with `farm.feed.v1`:

    life      names the life of the node in which positions mean something; to be given back
    after     the position that the picture has reached; to be given back
    reset     forget all jobs and machines before this answer is applied
    more      more is ready: ask again at once
    as_of_ms  wall clock of the node, in milliseconds
    farm      name, node, node_name, leader, leader_name, term, disk_fault;
              jobs: counts total, pending, running, completed, failed, cancelled;
              tasks: counts total, waiting, running, done, failed, cancelled;
              pace: bucket_s, frames (done frames of each bucket, the oldest first);
              alerts: code, level (error, warning, info), text, hint, job, node; alert_count;
              boards: board, url, programs (key, name, total, pending, running, completed, failed); notes
    jobs      those that have changed, each as `job.list` gives it but without lists of frames, newest change last
    removed   ids of jobs that were deleted or archived
    nodes     machines that have changed, each as `node.list` gives it
    nodes_removed

`job.feed {job, life, after, patience_s}` is answered with `farm.jobfeed.v1`:

    life, after, reset, as_of_ms   as above; `after` is one number
    job       as `job.show` gives it
    count     number of tasks
    states    one byte a task, an index into `protocol.states.TASK_STATES`, compressed by zlib
    plan      with reset: tests (test frames; task i renders the i-th), rest (a frame range), chunk; else None
    running   task, frames, node, node_name, attempt, progress (0 to 1, or None), started_ms; at most 1,000

Used by the dashboard, the board and farmctl. Imports nothing that draws or connects.
"""

from __future__ import annotations

import zlib
from array import array
from typing import Any, NamedTuple

from protocol.errors import PeerError
from protocol.frames import parse_frames
from protocol.states import NodeState

MAX_TASKS = 16 << 20
"""Tasks of one job that are taken: an answer that unpacks to more is refused."""


_AWAY = (NodeState.LOST, NodeState.LEFT, NodeState.RECONNECTING)
Views = dict[str, dict[str, Any]]


class Changes(NamedTuple):
    """What an answer changed: ids, in the order in which they were told; `reset` = everything is new."""

    jobs: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    nodes_removed: tuple[str, ...] = ()
    reset: bool = False


class FarmPicture:
    """The farm as one node told it.

    Attributes:
        farm: Counts, leader, pace, alerts.
        jobs: Jobs by id, in the order of their last change.
        nodes: Machines by id; `last_seen_at_ms` is added, so that their absence can be told at any time.
        as_of_ms: When the node said so, by its clock.
        is_whole: Everything was told once.
    """

    def __init__(self) -> None:
        self.farm: dict[str, Any] = {}
        self.jobs: Views = {}
        self.nodes: Views = {}
        self.as_of_ms = 0
        self.is_whole = False
        self._life = ""
        self._after: Any = None
        self._anew: tuple[Views, Views] | None = None
        """What is told from the start, in pages: until the last has come, the old picture is better than a part."""

    @property
    def wants_more(self) -> bool:
        """Tell whether pages of a telling from the start are still to come."""
        return self._anew is not None

    def question(self, patience_s: float) -> dict[str, Any]:
        """Return the arguments of the next `farm.feed`."""
        return {"life": self._life, "after": self._after, "patience_s": patience_s}

    def apply(self, answer: Any) -> Changes:
        """Take an answer; returns what it changed.

        What is told from the start takes the place of all that was known in one step, when it is complete.

        Raises:
            PeerError: It is none.
        """
        if not isinstance(answer, dict) or answer.get("schema") != "farm.feed.v1":
            raise PeerError("not an answer of farm.feed")
        if answer["reset"]:
            self._anew = ({}, {})
        self._life, self._after = answer["life"], answer["after"]
        self.farm, self.as_of_ms = answer["farm"], answer["as_of_ms"]
        if self._anew is None:
            return _told(answer, self.jobs, self.nodes)
        _told(answer, *self._anew)
        if answer["more"]:
            return Changes()
        (self.jobs, self.nodes), self._anew = self._anew, None
        self.is_whole = True
        return Changes(tuple(self.jobs), (), tuple(self.nodes), (), reset=True)


def _told(answer: dict[str, Any], jobs: Views, nodes: Views) -> Changes:
    """Bring jobs and machines up to date by one answer."""
    removed = tuple(job for job in answer["removed"] if jobs.pop(job, None) is not None)
    gone = tuple(node for node in answer["nodes_removed"] if nodes.pop(node, None) is not None)
    for job in answer["jobs"]:
        jobs.pop(job["id"], None)
        jobs[job["id"]] = job
    for node in answer["nodes"]:
        nodes[node["id"]] = node | {"last_seen_at_ms": answer["as_of_ms"] - int(1000 * node["last_seen_s"])}
    changed = tuple(job["id"] for job in answer["jobs"])
    return Changes(changed, removed, tuple(node["id"] for node in answer["nodes"]), gone)


def away_s(node: dict[str, Any], now_ms: int) -> float:
    """Return for how long a machine of a picture has not been seen, in seconds; 0 while it is there.

    That it goes on being away is no change that would be told, so `last_seen_s` is as old as the telling.
    """
    at_ms = node.get("last_seen_at_ms")
    return max(0.0, (now_ms - int(at_ms)) / 1000) if at_ms and node.get("state") in _AWAY else 0.0


class JobPicture:
    """One job as a node told it.

    Attributes:
        job: What `job.show` gives.
        states: One byte a task, an index into `TASK_STATES`.
        first: First frame of each task.
        last: Last frame of each task.
        tests: Number of test tasks; they come first.
        running: What runs, by task.
        as_of_ms: When the node said so, by its clock.
    """

    def __init__(self, job_id: str) -> None:
        self.id = job_id
        self.job: dict[str, Any] = {}
        self.states = b""
        self.first: array[int] = array("q")
        self.last: array[int] = array("q")
        self.tests = 0
        self.running: dict[int, dict[str, Any]] = {}
        self.as_of_ms = 0
        self._life = ""
        self._after = -1

    def question(self, patience_s: float) -> dict[str, Any]:
        """Return the arguments of the next `job.feed`."""
        return {"job": self.id, "life": self._life, "after": self._after, "patience_s": patience_s}

    def apply(self, answer: Any) -> bool:
        """Take an answer; tells whether tasks and frames are new altogether.

        Raises:
            PeerError: It is none.
        """
        if not isinstance(answer, dict) or answer.get("schema") != "farm.jobfeed.v1":
            raise PeerError("not an answer of job.feed")
        self._life, self._after = answer["life"], answer["after"]
        self.job, self.as_of_ms = answer["job"], answer["as_of_ms"]
        self.states = _unpacked(answer["states"], answer["count"])
        self.running = {running["task"]: running for running in answer["running"]}
        if answer["plan"] is not None:
            self._lay_out(answer["plan"])
        if len(self.first) != len(self.states):
            raise PeerError(f"{len(self.states)} states of {len(self.first)} tasks")
        return answer["plan"] is not None

    def _lay_out(self, plan: dict[str, Any]) -> None:
        tests, chunk = plan["tests"], max(1, plan["chunk"])
        rest = array("q")
        for run in parse_frames(plan["rest"]).runs if plan["rest"] else ():
            rest.extend(run)
        self.tests = len(tests)
        self.first = array("q", tests) + rest[::chunk]
        last = rest[chunk - 1 :: chunk]
        if len(rest) % chunk:
            last.append(rest[-1])
        self.last = array("q", tests) + last


def _unpacked(data: bytes, count: int) -> bytes:
    """Decompress the states, and no more than were announced."""
    if not 0 <= count <= MAX_TASKS:
        raise PeerError(f"a job of {count} tasks")
    try:
        states = zlib.decompressobj().decompress(data, count + 1)
    except (zlib.error, TypeError) as error:
        raise PeerError(f"states that cannot be read: {error}") from error
    if len(states) != count:
        raise PeerError(f"{len(states)} states of {count} tasks")
    return states
