"""Small views of finished frames: those of test frames spread by themselves, all others are fetched when looked at.

A thumbnail is a blob, named beside its output in the row of the attempt. Whoever decides about a job may sit at any
machine, so each fetches the thumbnails of test frames when it learns of them: a few times 40 kB. Of the rest, only the
machine that rendered has one until somebody asks. A thumbnail is a courtesy: none is waited for without end, and no row
says who holds one.

Invariant: a fetch that this machine began ends after `SPREAD_S`, arrived or not. A job without outputs costs nothing.
Called by `farmd.core.node`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from farmd.core.effects import ReadBlob, Reply
from farmd.core.incoming import is_possible
from protocol.errors import NotFound, Unreachable, UserError
from protocol.templates import render_template

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from farmd.core.attempts import Attempt
    from farmd.core.events import BlobRead, ClientAsked
    from farmd.core.job import Job
    from farmd.core.jobs import Jobs
    from farmd.core.swarm import Swarm
    from farmd.core.turn import Turn
    from protocol.bodies import OutputFact
    from protocol.ids import BlobAddress, NodeId, TaskIndex

MAX_BYTES = 64 << 10
"""A larger blob is no thumbnail, whoever calls it one."""
SPREAD_S = 60.0
"""So long a thumbnail that nobody waits for is tried for."""
PATIENCE_S = 6.0
_NUMBER = re.compile(r"\d+")


@dataclass(slots=True)
class _Asked:
    """A client that waits for a thumbnail."""

    client: int
    blob: BlobAddress
    due: float
    facts: dict[str, Any]
    reading: bool = False


class Thumbnails:
    """Spreads, fetches and answers.

    Attributes:
        fault: Why this node makes none; empty if it does. Set at start.
    """

    def __init__(self, node: NodeId, *, jobs: Jobs, swarm: Swarm, name_of: Callable[[NodeId], str]) -> None:
        """Prepare; `name_of` names a node for people."""
        self._node = node
        self._jobs = jobs
        self._swarm = swarm
        self._name_of = name_of
        self._until: dict[BlobAddress, float] = {}
        self._asked: dict[int, _Asked] = {}
        self._number = 0
        self.fault = ""

    def on_changed(self, turn: Turn, job: Job, task: TaskIndex) -> None:
        """The result of a task is another one now: if it is a test frame of another node, have a look at it here."""
        if not job.plan.is_test(task) or not job.spec.leaves_outputs:
            return
        result = job.result_of(task)
        if result is not None and result.node != self._node:
            for output in result.body.outputs:
                if output.thumbnail is not None and _is_thumbnail(output.thumbnail):
                    self._fetch(turn, output.thumbnail, job.copies_of(task), SPREAD_S)

    def ask(self, turn: Turn, event: ClientAsked, job: Job, frame: int, task: TaskIndex) -> None:
        """Answer a client, as soon as the thumbnail is here.

        Raises:
            NotFound: The frame is not finished, or has no thumbnail.
        """
        result = job.result_of(task)
        if result is None:
            raise NotFound(f"frame {frame} is not finished yet", "", f"farmctl why {job.id} --frame {frame}")
        output = output_of_frame(job, task, frame, result.body.outputs)
        if output is None or output.thumbnail is None:
            raise _no_thumbnail(job, frame, self._name_of(result.node))
        self._number += 1
        facts = self._facts(job, task, frame, result) | {"name": output.name}
        self._asked[self._number] = _Asked(event.client, output.thumbnail, turn.now.mono + PATIENCE_S, facts)
        self._fetch(turn, output.thumbnail, job.copies_of(task), PATIENCE_S)

    def _facts(self, job: Job, task: TaskIndex, frame: int, result: Attempt) -> dict[str, Any]:
        return {
            "schema": "farm.thumbnail.v1",
            "job": job.id,
            "task": task,
            "frame": frame,
            "node": result.node,
            "node_name": self._name_of(result.node),
            "generation": result.generation,
            "type": "image/jpeg",
        }

    def _fetch(self, turn: Turn, blob: BlobAddress, hints: tuple[NodeId, ...], patience_s: float) -> None:
        self._until[blob] = max(turn.now.mono + patience_s, self._until.get(blob, 0.0))
        self._swarm.fetch(turn, ("thumbnail", blob), (blob,), hints)

    def on_fetched(self, turn: Turn, key: Hashable) -> None:
        """A thumbnail is here: read it for those who wait."""
        blob: BlobAddress = key[1]  # type: ignore[index]  # keys of this machine are such pairs
        self._until.pop(blob, None)
        for number, asked in self._asked.items():
            if asked.blob == blob and not asked.reading:
                asked.reading = True
                turn.effects.append(ReadBlob(number, blob))

    def on_read(self, turn: Turn, event: BlobRead) -> None:
        """The store has read one."""
        asked = self._asked.pop(event.ask, None)
        if asked is None:
            return
        if event.data is None:
            fault = (5, "the thumbnail is no longer here", "the content store has lost it", "try again")
            turn.effects.append(Reply(asked.client, error=fault))
        else:
            turn.effects.append(Reply(asked.client, asked.facts | {"data": event.data}))

    def left(self, client: int) -> None:
        """A client no longer waits."""
        for number in [number for number, asked in self._asked.items() if asked.client == client]:
            del self._asked[number]

    def next_deadline(self) -> float | None:
        """When something has been waited for long enough."""
        if not self._until and not self._asked:
            return None
        return min([*self._until.values(), *[asked.due for asked in self._asked.values()]])

    def on_timer(self, turn: Turn) -> None:
        """Give up what does not come."""
        now = turn.now.mono
        for number, asked in list(self._asked.items()):
            if asked.due <= now:
                del self._asked[number]
                turn.effects.append(Reply(asked.client, error=_did_not_arrive(asked)))
        for blob in [blob for blob, at in self._until.items() if at <= now]:
            del self._until[blob]
            self._swarm.cancel(("thumbnail", blob))


def output_of_frame(job: Job, task: TaskIndex, frame: int, outputs: Sequence[OutputFact]) -> OutputFact | None:
    """Find the picture of a frame among the outputs of its task; those without a thumbnail are no frames."""
    drawn = [output for output in outputs if output.thumbnail is not None and _is_thumbnail(output.thumbnail)]
    frames = job.plan.frames_of(task)
    if len(frames) == 1 or not drawn:
        return drawn[0] if drawn else None
    name = _name_of_frame(job, frame, frames)
    for output in drawn:
        numbers = _NUMBER.findall(output.name)
        if output.name == name or (not name and numbers and int(numbers[-1]) == abs(frame)):
            return output
    return None


def _name_of_frame(job: Job, frame: int, frames: Sequence[int]) -> str:
    """Write the name that the job gives to a frame, or "" where its renderer does."""
    span = {"start": frames[0], "end": frames[-1]}
    try:
        return render_template(job.spec.output_name or "", {**span, **job.spec.params, "frame": frame})
    except UserError:
        return ""


def _is_thumbnail(blob: BlobAddress) -> bool:
    return is_possible(blob) and 0 < blob.size <= MAX_BYTES


def _no_thumbnail(job: Job, frame: int, node_name: str) -> NotFound:
    why = f"{node_name}, which rendered it, made none: it has no image library, or this is no picture that it can read"
    return NotFound(f"frame {frame} has no thumbnail", why, f"farmctl job download {job.id} --frames {frame}")


def _did_not_arrive(asked: _Asked) -> tuple[int, str, str, str]:
    why = f"it was on {asked.facts['node_name']}, and no machine that answers has it"
    job, frame = asked.facts["job"], asked.facts["frame"]
    return Unreachable.code, "the thumbnail did not arrive", why, f"farmctl job download {job} --frames {frame}"
