"""What a task asks for, in the farm's words: what the table of fields reads and writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocol.jobspec import GateMode, Limits

if TYPE_CHECKING:
    from protocol.frames import FrameSet


@dataclass(frozen=True, slots=True)
class Wish:
    """What a task asks for, in the farm's words; the defaults are those of a job.

    Attributes:
        renderer: What the farm calls the program.
        version: Of it; "" = any.
        scene: Path on the machine where the task was made, as written.
        project: Its name.
        frames: What is rendered.
        gate: What follows the test frames, and the test frames in the order to try them.
        chunk: Frames per task.
        priority: 0 to 100.
        ram_bytes: That a task needs.
        gpus: That a task needs.
        frame_timeout_s: 0 = none.
        job_timeout_s: 0 = none.
    """

    renderer: str
    version: str
    scene: str
    project: str
    frames: FrameSet
    gate: tuple[GateMode, tuple[int, ...]]
    chunk: int = 1
    priority: int = 50
    ram_bytes: int = 0
    gpus: int = 0
    frame_timeout_s: int = Limits().frame_timeout_s
    job_timeout_s: int = Limits().job_timeout_s
