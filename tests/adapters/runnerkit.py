"""A runner with everything real around it but the farm: events are collected, the blob store is a folder."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

import xxhash

from farmd.adapters.joblog import JobLogs
from farmd.adapters.runner import Laid, Runner, RunnerSettings, Tools
from farmd.core.effects import StartAttempt, StopAttempt
from farmd.core.events import AttemptEnded, AttemptProgressed
from farmd.renderers.images import inspect
from farmd.renderers.registry import Registry, find_renderers
from protocol.ids import AttemptId, AttemptRef, BlobAddress, JobId, NodeId, TaskIndex
from protocol.jobspec import JobSpec
from protocol.states import FailureClass

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from farmd.adapters.runner.ports import Thumbnails

NODE = NodeId("00112233445566aa")
JOB = JobId("0" * 15 + "1")


def ref_of(n: int = 1, task: int = 0) -> AttemptRef:
    return AttemptRef(JOB, TaskIndex(task), AttemptId(3, NODE, n))


def spec_of(**given: Any) -> JobSpec:
    fields: dict[str, Any] = {
        "name": "test",
        "owner": "anna",
        "submitted_at_ms": 0,
        "submit_node": NODE,
        "renderer": "command",
    }
    return JobSpec(**(fields | given))


def address_of(path: Path) -> BlobAddress:
    data = path.read_bytes()
    return BlobAddress(xxhash.xxh64_intdigest(data), len(data), hashlib.md5(data).digest())


class Kit:
    """One runner and what came of it."""

    def __init__(
        self,
        data_dir: Path,
        registry: Registry | None = None,
        look_every_s: float = 0.05,
        thumbnails: Thumbnails | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.checkout_dir = data_dir / "checkout"
        self.checkout_dir.mkdir(parents=True, exist_ok=True)
        self.logs = JobLogs(data_dir / "logs")
        self.blobs: dict[str, bytes] = {}
        self.ended: list[AttemptEnded] = []
        self.progress: list[AttemptProgressed] = []
        self.registry = registry or find_renderers(inspect=inspect, cache=None)
        self._changed = asyncio.Event()
        self.runner = Runner(
            RunnerSettings(data_dir, "n07", look_every_s),
            Tools(self._checkout, self._ingest, self.registry, self.logs.path, thumbnails),
            self._on_event,
        )
        self.root: str | None = None
        self.checkout: Callable[[], Awaitable[None]] | None = None
        self.ingest_fault: Exception | None = None

    async def _checkout(self, ref: AttemptRef, spec: JobSpec) -> Laid:
        if self.checkout is not None:
            await self.checkout()
        return Laid(self.checkout_dir, self.root)

    def _ingest(self, path: Path) -> BlobAddress:
        if self.ingest_fault is not None:
            raise self.ingest_fault
        self.blobs[path.name] = path.read_bytes()
        return address_of(path)

    def _on_event(self, event: AttemptEnded | AttemptProgressed) -> None:
        if isinstance(event, AttemptEnded):
            self.ended.append(event)
        else:
            self.progress.append(event)
        self._changed.set()

    def start(self, spec: JobSpec, frames: tuple[int, ...] = (1,), n: int = 1, **given: Any) -> AttemptRef:
        ref = ref_of(n)
        resources: dict[str, Any] = {"cores": 2, "ram_bytes": 0, "gpus": ()}
        self.runner.start(StartAttempt(ref, spec, frames, **(resources | given)))
        return ref

    def stop(self, ref: AttemptRef, cause: FailureClass = FailureClass.CANCELLED, grace_s: float = 5.0) -> None:
        self.runner.stop(StopAttempt(ref, cause, "a person asked", grace_s))

    async def run(self, spec: JobSpec, frames: tuple[int, ...] = (1,), n: int = 1, **given: Any) -> AttemptEnded:
        """Start one attempt and wait for its end."""
        ref = self.start(spec, frames, n, **given)
        return await self.end_of(ref)

    async def end_of(self, ref: AttemptRef) -> AttemptEnded:
        event = await self.until(lambda: next((event for event in self.ended if event.ref == ref), None))
        assert isinstance(event, AttemptEnded)
        return event

    async def until(self, found: Callable[[], Any]) -> Any:
        """Wait until something is true, looking whenever an event came, and every 10 ms for what sends none."""
        while not (value := found()):
            self._changed.clear()
            try:
                async with asyncio.timeout(0.01):
                    await self._changed.wait()
            except TimeoutError:
                continue
        return value

    def log(self, ref: AttemptRef) -> str:
        part = self.logs.read(ref, -65536, 65536)
        return "" if part is None else part.data.decode()
