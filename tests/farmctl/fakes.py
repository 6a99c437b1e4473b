"""A node that answers from a script, a clock that moves only when somebody waits, and a farm to show."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner, Result

from farmctl.cli import cli
from farmctl.context import Session
from farmd.ingest.manifest import Manifest, ManifestEntry, encode_manifest
from protocol.ids import BlobAddress, JobId, task_id_of

if TYPE_CHECKING:
    from farmctl.output import View

NOW_MS = 1_800_000_000_000
JOB = "0h3kq8v2m5x7a9bc"
OTHER = "0h3kq8v2zzzzzzzz"
NODE_A, NODE_B = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"


@dataclass
class FakeNode:
    """Answers by operation: a value, a function of the arguments, or an iterator of values; an exception is raised."""

    answers: dict[str, Any] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    closed: int = 0

    def call(self, op: str, /, **args: Any) -> Any:
        self.calls.append((op, args))
        answer = self.answers[op]
        if isinstance(answer, Iterator):
            answer = next(answer)
        elif isinstance(answer, Callable):  # type: ignore[arg-type]  # a typing form, fine at run time
            answer = answer(**args)
        if isinstance(answer, BaseException):
            raise answer
        return copy.deepcopy(answer)

    def close(self) -> None:
        self.closed += 1

    def asked(self, op: str) -> list[dict[str, Any]]:
        return [args for name, args in self.calls if name == op]


@dataclass
class Clock:
    """Time passes when the node holds a question back, or when the client waits."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += max(seconds, 0.001)


def session_for(node: FakeNode, **settings: Any) -> Session:
    clock = settings.pop("clock", Clock())
    reach = settings.pop("connect", lambda target, timeout_s: node)
    return Session(connect=reach, now_ms=lambda: NOW_MS, clock=clock, pause=clock.wait, **settings)


def run(
    node: FakeNode, *args: str, stdin: str | None = None, env: dict[str, str | None] | None = None, **settings: Any
) -> Result:
    """Run one command line against a fake node, far from the settings of whoever runs the tests."""
    outside = {
        "FARM_NODE": None,
        "FARM_OUTPUT": None,
        "FARM_PROGRESS": None,
        "FARM_DEBUG": None,
        "XDG_CONFIG_HOME": "/nowhere",
    }
    return CliRunner().invoke(
        cli, list(args), input=stdin, env=outside | (env or {}), obj=session_for(node, **settings)
    )


def job_view(**changes: Any) -> View:
    view: View = {
        "schema": "farm.job.v1",
        "id": JOB,
        "task_id": task_id_of(JobId(JOB)),
        "name": "fire_v3",
        "owner": "ada",
        "state": "rendering",
        "progress": 45.0,
        "total": 100,
        "done": 45,
        "failed": 1,
        "running": 3,
        "waiting": 51,
        "completed_frames": "1-45",
        "failed_frames": "46",
        "nodes": [{"id": NODE_A, "name": "ws07", "frames": 40}, {"id": NODE_B, "name": "n02", "frames": 5}],
        "priority": 50,
        "renderer": "blender",
        "scene": "/home/ada/fire_v3.blend",
        "frames": "1-100",
        "output_dir": "/home/ada/renders",
        "deliver": "node",
        "delivered": 44,
        "safe": 43,
        "submitted_ms": NOW_MS - 3_600_000,
        "started_ms": NOW_MS - 3_500_000,
        "ended_ms": 0,
        "eta_s": 754.0,
        "gate": {
            "mode": "auto",
            "state": "passed",
            "test_frames": [
                {
                    "frame": 1,
                    "state": "done",
                    "node": "ws07",
                    "seconds": 12.5,
                    "peak_ram_bytes": 3 << 30,
                    "outputs": [],
                },
                {"frame": 50, "state": "running", "node": "n02", "seconds": None, "peak_ram_bytes": 0, "outputs": []},
            ],
        },
        "reason": None,
        "why_stopped": "",
        "generation": 1,
        "version": 7,
    }
    return view | changes


def paused_view() -> View:
    reason = {"code": "paused", "text": "paused by \u001b[31mgrace", "hint": f"farmctl job resume {OTHER}"}
    return job_view(
        id=OTHER,
        task_id=task_id_of(JobId(OTHER)),
        name="wide_ünïcode",
        state="paused",
        done=0,
        total=8,
        running=0,
        waiting=8,
        failed=0,
        failed_frames="",
        completed_frames="",
        nodes=[],
        delivered=0,
        safe=0,
        started_ms=0,
        reason=reason,
        eta_s=None,
    )


def node_view(**changes: Any) -> View:
    view: View = {
        "id": NODE_A,
        "name": "ws07",
        "state": "busy",
        "address": "10.0.0.7:7000",
        "cores": 32,
        "ram_bytes": 64 << 30,
        "gpus": [{"uuid": "GPU-1", "model": "RTX 4090", "vram_bytes": 24 << 30}] * 2,
        "slots": 4,
        "running": 3,
        "renderers": [
            {"name": "blender", "version": "4.5.3", "features": ["cycles"]},
            {"name": "command", "version": "linux"},
        ],
        "software": "0.1.0",
        "last_seen_s": 0.4,
        "free_ram_bytes": 20 << 30,
        "free_disk_bytes": 900 << 30,
        "load": 12.5,
        "reason": None,
    }
    return view | changes


def try_view(number: int, state: str, **changes: Any) -> View:
    view: View = {
        "attempt": f"42.{NODE_B}.{number}",
        "state": state,
        "generation": 1,
        "node": NODE_B,
        "node_name": "n02",
        "started_ms": NOW_MS - 600_000,
        "ended_ms": NOW_MS - 540_000,
        "seconds": 60.0,
        "peak_ram_bytes": 3 << 30,
        "exit_code": 1,
        "cause": 0,
        "text": "",
    }
    return view | changes


def feed_answer(**changes: Any) -> View:
    answer: View = {
        "schema": "farm.feed.v1",
        "life": f"{NODE_A}/1",
        "after": [2, 2],
        "reset": True,
        "more": False,
        "as_of_ms": NOW_MS - 2_000,
        "farm": {
            "name": "studio",
            "node": NODE_A,
            "node_name": "ws07",
            "leader": NODE_B,
            "leader_name": "n02",
            "term": 42,
            "disk_fault": "",
            "jobs": {"total": 2, "pending": 1, "running": 1, "completed": 0, "failed": 0, "cancelled": 0},
            "tasks": {"total": 108, "waiting": 59, "running": 3, "done": 45, "failed": 1},
            "pace": {"bucket_s": 10, "frames": [0] * 55 + [1, 4, 8, 4, 2]},
            "alerts": [
                {
                    "code": "job_paused",
                    "level": "info",
                    "text": "job wide_\u001b[31mred waits for a person",
                    "hint": f"farmctl job resume {OTHER}",
                    "job": OTHER,
                    "node": None,
                }
            ],
            "alert_count": 1,
            "notes": 7,
        },
        "jobs": [],
        "removed": [],
        "nodes": [],
        "nodes_removed": [],
    }
    return answer | changes


FILES = encode_manifest(
    Manifest(
        "/home/ada",
        "fire_v3.blend",
        (
            ManifestEntry("fire_v3.blend", 80 << 20, NOW_MS - 3_600_000, 0o644, 1, b"m" * 16),
            ManifestEntry("tex/wood.png", 5 << 20, NOW_MS - 86_400_000, 0o644, 2**64 - 1, bytes(16)),
        ),
    )
)
MANIFEST = BlobAddress(7, len(FILES), b"f" * 16)


def farm() -> dict[str, Any]:
    """Return the answers of a small farm."""
    nodes = [
        node_view(),
        node_view(id=NODE_B, name="n02", state="held", gpus=[], running=0, reason={"text": "held by ada"}),
    ]
    return {
        "farm.status": {
            "schema": "farm.status.v1",
            "farm": "studio",
            "node": NODE_A,
            "node_name": "ws07",
            "leader": NODE_B,
            "leader_name": "n02",
            "term": 42,
            "as_of_ms": NOW_MS - 2_000,
            "nodes": nodes,
            "jobs": {"total": 2, "pending": 1, "running": 1, "completed": 0, "failed": 0, "cancelled": 0},
        },
        "farm.feed": feed_answer(nodes=nodes, jobs=[job_view(), paused_view()]),
        "node.list": {"schema": "farm.nodes.v1", "nodes": nodes},
        "node.show": lambda node: {"schema": "farm.node.v1", **nodes[node == NODE_B]},
        "job.list": {"schema": "farm.jobs.v1", "jobs": [job_view(), paused_view()]},
        "job.show": lambda job: job_view() if job == JOB else paused_view(),
        "task.list": {
            "schema": "farm.tasks.v1",
            "total": 2,
            "tasks": [
                {
                    "index": 0,
                    "frames": "1",
                    "state": "done",
                    "test": True,
                    "generation": 1,
                    "node": NODE_A,
                    "node_name": "ws07",
                    "attempts": 1,
                    "progress": 1.0,
                    "seconds": 12.5,
                    "peak_ram_bytes": 3 << 30,
                    "copies": 1,
                    "result": "away",
                    "holders": [{"id": NODE_A, "name": "ws07", "alive": False}],
                    "cause": "",
                    "text": "",
                },
                {
                    "index": 1,
                    "frames": "2-5",
                    "state": "failed",
                    "test": False,
                    "generation": 1,
                    "node": NODE_B,
                    "node_name": "n02",
                    "attempts": 4,
                    "progress": 0.0,
                    "seconds": None,
                    "peak_ram_bytes": None,
                    "copies": 0,
                    "cause": "missing_asset",
                    "text": "2 files are missing",
                },
            ],
        },
        "why": {
            "schema": "farm.why.v1",
            "job": JOB,
            "state": "queued",
            "reasons": [
                {
                    "count": 12,
                    "frames": "1-12",
                    "code": "no_node_fits_ram",
                    "text": "no machine has 128G of memory; the largest has 64G",
                    "hint": "see what each machine offers: farmctl node list -o wide",
                    "nearest": [
                        {
                            "node": NODE_A,
                            "node_name": "ws07",
                            "requirement": "ram",
                            "needs": 128 << 30,
                            "has": 64 << 30,
                            "text": "ws07: ram 64G, needs 128G",
                        }
                    ],
                },
                {
                    "count": 1,
                    "frames": "13",
                    "code": "made_up_later",
                    "text": "something new",
                    "hint": "",
                    "nearest": [],
                },
            ],
        },
        "task.show": {
            "schema": "farm.task.v1",
            "job": JOB,
            "index": 1,
            "frames": "2-5",
            "state": "failed",
            "test": False,
            "generation": 1,
            "attempts": 2,
            "copies": 0,
            "node": NODE_B,
            "node_name": "n02",
            "text": "2 files are missing",
            "last_lines": "loading\n\u001b[31mno such file: wood.png",
            "tries": [try_view(1, "stopped", cause=7), try_view(2, "failed", cause=5, text="2 files are missing")],
            "reasons": [],
        },
        "asset.show": {
            "schema": "farm.assets.v1",
            "job": JOB,
            "name": "fire_v3",
            "scene": "fire_v3.blend",
            "manifest": str(MANIFEST),
            "manifest_bytes": MANIFEST.size,
            "holders": [{"id": NODE_A, "name": "ws07", "alive": True}, {"id": NODE_B, "name": "n02", "alive": False}],
            "here": False,
            "missing_bytes": 5 << 20,
        },
        "blob.get": lambda blob, offset, limit: {"data": FILES[offset : offset + limit], "size": len(FILES)},
        "path.list": {
            "schema": "farm.paths.v1",
            "rules": [
                {
                    "written": "Y:/show",
                    "becomes": "/mnt/show",
                    "platform": "any",
                    "actor": "ada",
                    "set_at_ms": NOW_MS - 60_000,
                    "note": "since the move",
                }
            ],
        },
        "path.test": lambda path: {
            "schema": "farm.path-test.v1",
            "path": path,
            "platforms": [{"platform": "linux", "becomes": "/mnt/show/a.png", "rule": None}],
        },
        "event.list": lambda after, limit, **wanted: {
            "events": [
                {
                    "id": number,
                    "at_ms": NOW_MS - 60_000 * (4 - number),
                    "what": "job",
                    "text": f"event {number}",
                    "node": "ws07",
                    "job": JOB,
                    "actor": "ada",
                }
                for number in range(1 + (max(0, 3 - limit) if after is None else after), 4)
            ]
        },
        "doctor": {
            "checks": [
                {"name": "clock", "ok": True, "text": "0.01 s off", "hint": ""},
                {"name": "disk", "ok": False, "text": "2G free", "hint": "free some space"},
            ]
        },
    }
