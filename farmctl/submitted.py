"""What `farmctl submit` prints of a new job, whether its files were sent or were in the farm already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from protocol.frames import FrameSet
from protocol.jobspec import GateMode

if TYPE_CHECKING:
    from farmctl.output import View
    from protocol.jobspec import JobSpec

SCHEMA: Final = "farm.submitted.v1"
NOTHING_SENT: Final[dict[str, Any]] = {
    "analysis": None,
    "remarks": [],
    "files": 0,
    "total_bytes": 0,
    "sent_bytes": 0,
}


def counts_of(spec: JobSpec) -> tuple[int, int]:
    """Count the frames of a job, test frames outside its range included, and the tasks that the node makes of them.

    Each test frame is a task; the others go in chunks.
    """
    frames = spec.frame_set()
    tests = FrameSet.of(() if spec.gate.mode is GateMode.OFF else spec.gate.test_frames)
    return len(frames | tests), len(tests) + -(-len(frames - tests) // spec.chunk)


def document_of(spec: JobSpec, answer: View, sent: dict[str, Any]) -> View:
    """Make the document `farm.submitted.v1`.

    Args:
        spec: The job.
        answer: Of the node; empty in a dry run.
        sent: What stands in `NOTHING_SENT`, of what was analysed and sent.
    """
    total, tasks = counts_of(spec)
    return {
        "schema": SCHEMA,
        "job": answer.get("job"),
        "name": spec.name,
        "stored": answer.get("stored"),
        "nodes": answer.get("nodes", []),
        "deliver": answer.get("deliver", "none"),
        "renderer": spec.renderer,
        "frames": spec.frames,
        "total": total,
        "tasks": tasks,
        "gate": {"mode": spec.gate.mode.value, "test_frames": list(spec.gate.test_frames)},
        "output_dir": spec.output_dir,
    } | sent
