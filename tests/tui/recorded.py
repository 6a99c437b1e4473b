"""A recorded farm: answers as a node gives them, played to the dashboard without a network and without a clock."""

from __future__ import annotations

import asyncio
import inspect
import io
import zlib
from typing import TYPE_CHECKING, Any

from protocol.errors import NotFound
from protocol.feed import FarmPicture, JobPicture
from protocol.states import TaskState
from tui.source import FarmTold, JobTold, LinkTold, Told

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from protocol.following import Link

NOW_MS = 1_780_000_000_000
STATES = tuple(TaskState)
MINUTE_MS = 60_000


def job(number: int, name: str, state: str, **more: Any) -> dict[str, Any]:
    """Return a line of a job as `job.list` gives it."""
    row: dict[str, Any] = {
        "id": f"j{number:07d}",
        "name": name,
        "owner": "anna",
        "state": state,
        "progress": 0.0,
        "total": 100,
        "done": 0,
        "failed": 0,
        "running": 0,
        "waiting": 0,
        "priority": 50,
        "renderer": "blender",
        "frames": "1-100",
        "submitted_ms": NOW_MS - (60 - number) * MINUTE_MS,
        "started_ms": None,
        "ended_ms": None,
        "eta_s": None,
        "reason": None,
    }
    return row | more


def reason(code: str, text: str, hint: str, glyph: str) -> dict[str, str]:
    return {"code": code, "text": text, "hint": hint, "glyph": glyph}


def node(name: str, state: str, **more: Any) -> dict[str, Any]:
    """Return a machine as `node.list` gives it."""
    row: dict[str, Any] = {
        "id": f"n-{name}",
        "name": name,
        "state": state,
        "reason": "",
        "address": f"{name}.studio:7000",
        "cores": 16,
        "ram_bytes": 64 << 30,
        "gpus": [],
        "slots": 2,
        "running": 0,
        "tasks": [],
        "renderers": [{"name": "blender", "version": "4.5", "features": []}],
        "software": "0.2.0",
        "last_seen_s": 0.0,
        "free_ram_bytes": 40 << 30,
        "free_disk_bytes": 400 << 30,
        "load": 6.4,
        "store_bytes": 12 << 30,
        "store_quota_bytes": 200 << 30,
    }
    return row | more


JOBS = [
    job(50, "city_flyover_v012", "rendering", total=240, done=131, running=6, failed=2, eta_s=1860.0, priority=60),
    job(
        48,
        "lookdev_hero",
        "awaiting_approval",
        total=48,
        done=3,
        owner="ben",
        reason=reason(
            "gate_approval", "the test frames are done and wait for approval", "farmctl job approve j0000048", "◷"
        ),
    ),
    job(
        47,
        "fx_smoke_wide",
        "queued",
        total=120,
        owner="cleo",
        reason=reason(
            "no_node_fits_ram", "no machine has 96G of memory; the largest has 64G", "farmctl node list -o wide", "✖"
        ),
    ),
    job(
        44,
        "turntable_chair",
        "testing",
        total=60,
        done=1,
        running=2,
        reason=reason("gate_testing", "waits for the test frames, 1 of 3 are done", "nothing to do", "◷"),
    ),
    job(
        41,
        "matte_paint_comp",
        "paused",
        total=10,
        done=4,
        owner="ben",
        reason=reason("paused", "paused by ben", "farmctl job resume j0000041", "‖"),
    ),
    job(30, "title_sequence", "completed", total=300, done=300),
    job(
        22,
        "bg_plates_old",
        "failed",
        total=80,
        done=77,
        failed=3,
        reason=reason("avoided", "failed on every machine that fits (3)", "farmctl logs j0000022", "✖"),
    ),
    job(12, "test_do_not_use", "cancelled", total=500, done=12, owner="cleo"),
]
NODES = [
    node("ws01", "busy", running=2, load=15.1, free_ram_bytes=9 << 30, tasks=[{"job": "j0000050", "task": 4}] * 2),
    node("ws02", "busy", running=2, tasks=[{"job": "j0000050", "task": 7}, {"job": "j0000044", "task": 1}]),
    node("ws03", "held", reason="held by ben: I work here today", load=1.2),
    node("render01", "idle", cores=64, ram_bytes=256 << 30, free_ram_bytes=250 << 30, load=0.3,
         gpus=[{"model": "RTX 4090", "vram_bytes": 24 << 30}] * 2),
    node("render02", "lost", last_seen_s=312.0, reason=""),
]  # fmt: skip
EVENTS = [
    {"id": 1, "at_ms": NOW_MS - 9 * MINUTE_MS, "what": "job-submitted", "text": "city_flyover_v012", "job": "j0000050",
     "node": "n-ws01", "node_name": "ws01", "actor": "anna", "why": ""},
    {"id": 2, "at_ms": NOW_MS - 6 * MINUTE_MS, "what": "node-held", "text": "ws03: I work here today", "job": "",
     "node": "n-ws03", "node_name": "ws03", "actor": "ben", "why": "I work here today"},
    {"id": 3, "at_ms": NOW_MS - 5 * MINUTE_MS, "what": "node-lost", "text": "render02", "job": "",
     "node": "n-render02", "node_name": "render02", "actor": "farmd", "why": ""},
]  # fmt: skip


def farm(**more: Any) -> dict[str, Any]:
    """Return the farm as a whole."""
    return {
        "name": "studio",
        "node": "n-ws01",
        "node_name": "ws01",
        "leader": "n-render01",
        "leader_name": "render01",
        "term": 7,
        "disk_fault": "",
        "jobs": {"total": 8, "pending": 3, "running": 2, "completed": 1, "failed": 1, "cancelled": 1},
        "tasks": {"total": 1358, "waiting": 810, "running": 8, "done": 528, "failed": 5, "cancelled": 7},
        "pace": {"bucket_s": 10, "frames": [(at * 7) % 9 for at in range(60)]},
        "alerts": [
            {"code": "node_lost", "level": "warning", "text": "render02 does not answer since 5 minutes",
             "hint": "look at the machine, or: farmctl node show render02", "job": None, "node": "n-render02"},
            {"code": "gate", "level": "info", "text": "lookdev_hero waits for a decision",
             "hint": "farmctl job approve j0000048", "job": "j0000048", "node": None},
        ],
        "alert_count": 2,
        "notes": 3,
    } | more  # fmt: skip


def farm_answer(**more: Any) -> dict[str, Any]:
    """Return an answer of `farm.feed`."""
    return {
        "schema": "farm.feed.v1",
        "life": "n-ws01/1",
        "after": 1,
        "reset": True,
        "more": False,
        "as_of_ms": NOW_MS,
        "farm": farm(),
        "jobs": JOBS,
        "removed": [],
        "nodes": NODES,
        "nodes_removed": [],
    } | more


def job_answer(row: dict[str, Any], states: bytes, *, tests: list[int], rest: str, **more: Any) -> dict[str, Any]:
    """Return an answer of `job.feed`."""
    return {
        "schema": "farm.jobfeed.v1",
        "life": "n-ws01/1",
        "after": 1,
        "reset": True,
        "as_of_ms": NOW_MS,
        "job": row,
        "count": len(states),
        "states": zlib.compress(states),
        "plan": {"tests": tests, "rest": rest, "chunk": 1},
        "running": [],
    } | more


def frames_of_gate(state: str = "done") -> list[dict[str, Any]]:
    return [
        {"frame": frame, "task": task, "state": state, "node": "n-ws02", "node_name": "ws02", "seconds": 61.0 + task,
         "peak_ram_bytes": 3 << 30, "outputs": [], "text": ""}
        for task, frame in enumerate((1, 24, 48))
    ]  # fmt: skip


def gate_job() -> dict[str, Any]:
    """Return the page of the job that waits for a decision."""
    shown = next(row for row in JOBS if row["id"] == "j0000048")
    gate = {"mode": "hold", "state": "awaiting_approval", "test_frames": frames_of_gate()}
    return shown | {
        "output_dir": "/home/ben/renders/hero",
        "scene": "/proj/hero.blend",
        "gate": gate,
        "failed_frames": "",
    }


def flight_job() -> dict[str, Any]:
    """Return the page of the job that renders."""
    gate = {"mode": "auto", "state": "open", "test_frames": []}
    return JOBS[0] | {"output_dir": "/home/anna/renders/city", "scene": "/proj/city.blend", "gate": gate}


def flight_states() -> bytes:
    """Return the states of its 240 frames: 131 done, 6 running, 2 failed."""
    states = bytearray([STATES.index(TaskState.DONE)] * 133 + [STATES.index(TaskState.RUNNING)] * 6 + [0] * 101)
    states[40] = states[77] = STATES.index(TaskState.FAILED)
    return bytes(states)


def picture_file(shade: int) -> bytes:
    """Make a small image file."""
    from PIL import Image

    image = Image.new("RGB", (48, 27), (shade, 90, 160))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


class RecordedSource:
    """Plays answers; questions are answered by a table of functions, and remembered."""

    def __init__(self, **answers: Callable[..., Any]) -> None:
        self.farm = FarmPicture()
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.watched: str | None = None
        self.answers: dict[str, Callable[..., Any]] = {
            "events": lambda **_: {"events": EVENTS, "last": 3},
            "doctor": lambda **_: {"checks": [{"name": "leader", "ok": True, "text": "render01", "hint": ""}]},
            "task.list": lambda **_: {"tasks": []},
            "task.thumbnail": lambda job, frame: {"data": picture_file(5 * frame)},
        }
        self.answers |= {name.replace("_", "."): answer for name, answer in answers.items()}
        self._told: asyncio.Queue[Told] = asyncio.Queue()
        self._jobs: dict[str, dict[str, Any]] = {}

    def tell(self, told: Told) -> None:
        self._told.put_nowait(told)

    def tell_farm(self, **more: Any) -> None:
        self.tell(FarmTold(self.farm, self.farm.apply(farm_answer(**more))))

    def tell_changes(self, *jobs: dict[str, Any], **more: Any) -> None:
        self.tell_farm(reset=False, jobs=list(jobs), **({"nodes": []} | more))

    def tell_link(self, link: Link, why: str = "") -> None:
        self.tell(LinkTold(link, "ws01", why))

    def has_job(self, answer: dict[str, Any]) -> None:
        self._jobs[answer["job"]["id"]] = answer

    async def told(self) -> AsyncGenerator[Told, None]:
        while True:
            yield await self._told.get()

    async def call(self, op: str, /, **args: Any) -> Any:
        self.asked.append((op, args))
        if op not in self.answers:
            raise NotFound(f"no answer to {op} is recorded", "", "")
        answer = self.answers[op](**args)
        return await answer if inspect.isawaitable(answer) else answer

    def watch_job(self, job: str | None) -> None:
        self.watched = job
        if job in self._jobs:
            picture = JobPicture(str(job))
            self.tell(JobTold(picture, picture.apply(self._jobs[str(job)])))

    def orders(self) -> list[tuple[str, dict[str, Any]]]:
        """Return what changed something."""
        return [(op, args) for op, args in self.asked if op in ("job.control", "node.hold", "node.release")]
