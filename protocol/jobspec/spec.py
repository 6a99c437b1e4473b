"""The specification itself, and its parts: valid once they exist."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from protocol.existing import ExistingFile
from protocol.frames import MAX_FRAME, MAX_TEST_FRAMES, FrameSet, parse_frames
from protocol.ids import BlobAddress, JobId, NodeId
from protocol.jobspec.checks import (
    MAX_FOREIGN_BYTES,
    check_after,
    check_command,
    check_fields,
    check_inner_path,
    check_labels,
    check_output_name,
    check_params,
    check_path_rules,
    is_manifest_address,
    refusal,
)

BUILT_IN_RENDERERS: Final = ("blender", "command", "mitsuba", "povray")
"""Renderers that every farmd knows, installed or not; a machine may offer others."""


class GateMode(StrEnum):
    """What happens when the test frames are good: go on, wait for a person, or no test at all."""

    AUTO = "auto"
    HOLD = "hold"
    OFF = "off"


class PartitionPolicy(StrEnum):
    """What a leader with the smaller part of a divided farm does with the job."""

    CONTINUE = "continue"
    HOLD_IN_MINORITY = "hold_in_minority"


class DeliverBy(StrEnum):
    """Who writes finished outputs into the output folder."""

    CLIENT = "client"
    """farmctl, as the artist: while it waits, or when asked to download."""
    NODE = "node"
    """The daemon where the job was submitted, which may write there."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """What one task needs; 0 cores means a slot's share, an empty version means any."""

    ram_bytes: int = 0
    cores: int = 0
    gpus: int = 0
    vram_bytes: int = 0
    renderer_version: str = ""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class GateSpec:
    """Which frames render first, in the order to try them, and what follows; a frame outside the range is an extra."""

    mode: GateMode = GateMode.AUTO
    test_frames: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        frames = self.test_frames
        if len(frames) > MAX_TEST_FRAMES or len(set(frames)) != len(frames):
            raise refusal("test_frames", f"it holds more than {MAX_TEST_FRAMES} frames, or one twice")
        if any(abs(frame) > MAX_FRAME for frame in frames):
            raise refusal("test_frames", f"a frame number is larger than {MAX_FRAME}")


@dataclass(frozen=True, slots=True)
class Limits:
    """When to give up; a time of 0 means no limit."""

    retries: int = 3
    frame_timeout_s: int = 43_200
    job_timeout_s: int = 86_400
    silence_s: int = 1_800

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What was asked for; the job's id is the key under which it is stored, not a part of it.

    Attributes:
        submitted_at_ms: Wall clock of the submitting node.
        renderer: blender, mitsuba, povray, command, or the name of another entry point.
        scene: Path inside the checkout, relative, with slashes.
        scene_path: Where the artist has the scene, for display.
        manifest: Blob that lists the files of the job.
        frames: In the farm's own dialect; empty = the single frame 1.
        chunk: Frames per task.
        command: Template of a command line (see `render_template`); split it into words before filling it in.
        output_name: Template of the output's relative path, of frame, start, end and the params.
        output_dir: Absolute folder at the submitter, in its own notation.
        params: Texts for templates and renderer; never changed after construction.
        priority: 0 to 100, larger goes first.
        after: Jobs that must be completed first.
        path_rules: Prefix as the scene writes it -> what to read instead, absolute, on the submitting machine.
        label: Of an imported job, as its service calls it; `labels` are the farm's own.
        project: What its cost counts for; may be empty.
        foreign: What an imported job brought along that means nothing here, packed by who imported it, for the way back.
        labels: Words of people for people, to sort and to filter by; never changed after construction.
        submitted_by: Who submitted it, where that is not the owner; said by the node that took it in.
    """

    name: str
    owner: str
    submitted_at_ms: int
    submit_node: NodeId
    renderer: str
    scene: str | None = None
    scene_path: str = ""
    manifest: BlobAddress | None = None
    frames: str = ""
    chunk: int = 1
    command: str | None = None
    output_name: str | None = None
    output_dir: str | None = None
    params: dict[str, str] = field(default_factory=dict, hash=False)
    requirements: Requirements = field(default_factory=Requirements)
    gate: GateSpec = field(default_factory=GateSpec)
    priority: int = 50
    limits: Limits = field(default_factory=Limits)
    after: tuple[JobId, ...] = ()
    on_partition: PartitionPolicy = PartitionPolicy.CONTINUE
    deliver: DeliverBy = DeliverBy.CLIENT
    existing: ExistingFile = ExistingFile.RENAME
    label: str = ""
    project: str = ""
    path_rules: tuple[tuple[str, str], ...] = ()
    foreign: bytes = field(default=b"", repr=False)
    labels: dict[str, str] = field(default_factory=dict, hash=False)
    submitted_by: str = ""

    def __post_init__(self) -> None:
        """Check everything that types do not say.

        Raises:
            UsageError: A field is out of range, malformed, or asks for what another field does not give.
        """
        check_fields(self)
        check_params(self.params)
        check_labels(self.labels)
        check_after(self.after)
        check_path_rules(self.path_rules)
        if len(self.foreign) > MAX_FOREIGN_BYTES:
            raise refusal("foreign", f"{len(self.foreign)} bytes are more than {MAX_FOREIGN_BYTES}")
        if self.frames:
            parse_frames(self.frames)
        if self.scene is not None:
            check_inner_path("scene", self.scene)
        if self.renderer == "command" and not self.command:
            raise refusal("command", "the renderer 'command' runs a command line, and there is none")
        if self.command is not None:
            check_command(self.command, self.params)
        if self.output_name is not None:
            check_output_name(self.output_name, self.params)
        if self.manifest is not None and not is_manifest_address(self.manifest):
            raise refusal("manifest", "it is not the address of a blob, or of one too large for a list of files")

    @property
    def leaves_outputs(self) -> bool:
        """True if its tasks leave files that the farm collects."""
        return self.output_name is not None or self.renderer != "command"

    def frame_set(self) -> FrameSet:
        """Read the frames; keep the result, it is parsed anew each time."""
        return parse_frames(self.frames or "1")
