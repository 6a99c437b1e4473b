"""The job specification: what was asked for, written once where it was submitted and never changed.

Invariant: a `JobSpec` that exists is valid, whoever made it: ranges, lengths, frames, paths and templates are checked
at construction. From a peer it comes as a msgpack map of field names without the defaults, read strictly and without
pydantic (it would cost the daemon 12 MB); unknown fields are left out, since the bytes themselves are what is stored and
relayed. What a person or a program writes is read by `jobform`.

Called by submission, the folds of jobs and the renderers. It must never touch a file: paths are only looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from enum import StrEnum
from functools import cache, partial
from typing import Any, Final, get_type_hints

import msgpack

from protocol.codec import decoder_of
from protocol.errors import PeerError, UsageError
from protocol.existing import ExistingFile
from protocol.frames import MAX_FRAME, MAX_TEST_FRAMES, FrameSet, parse_frames
from protocol.ids import BlobAddress, JobId, NodeId, pack_job
from protocol.plaindata import unpack
from protocol.templates import render_template

MAX_SPEC_BYTES: Final = 512 << 10
MAX_PARAMS: Final = 64
MAX_AFTER: Final = 64
MAX_PATH_RULES: Final = 256
MAX_FOREIGN_BYTES: Final = 64 << 10
MAX_LABELS: Final = 32
MAX_LABEL_CHARS: Final = 200


class GateMode(StrEnum):
    """What happens when the test frames are good: go on, wait for a person, or no test at all."""

    AUTO = "auto"
    HOLD = "hold"
    OFF = "off"


MAX_MANIFEST_BYTES: Final = 128 << 20
"""A list of files is no larger."""
BUILT_IN_RENDERERS: Final = ("blender", "command", "mitsuba", "povray")
"""Renderers that every farmd knows, installed or not; a machine may offer others."""


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
        _check_fields(self)


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
        _check_fields(self)


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
        _check_fields(self)
        _check_params(self.params)
        _check_labels(self.labels)
        _check_after(self.after)
        _check_path_rules(self.path_rules)
        if len(self.foreign) > MAX_FOREIGN_BYTES:
            raise refusal("foreign", f"{len(self.foreign)} bytes are more than {MAX_FOREIGN_BYTES}")
        if self.frames:
            parse_frames(self.frames)
        if self.scene is not None:
            _check_inner_path("scene", self.scene)
        if self.renderer == "command" and not self.command:
            raise refusal("command", "the renderer 'command' runs a command line, and there is none")
        if self.command is not None:
            _check_command(self.command, self.params)
        if self.output_name is not None:
            _check_inner_path("output_name", render_template(self.output_name, _NAME_SAMPLE | self.params))
        if self.manifest is not None and not _is_manifest_address(self.manifest):
            raise refusal("manifest", "it is not the address of a blob, or of one too large for a list of files")

    @property
    def leaves_outputs(self) -> bool:
        """True if its tasks leave files that the farm collects."""
        return self.output_name is not None or self.renderer != "command"

    def frame_set(self) -> FrameSet:
        """Read the frames; keep the result, it is parsed anew each time."""
        return parse_frames(self.frames or "1")


_COMMAND_SAMPLE: Final[dict[str, str | int]] = {
    "scene": "scene",
    "output": "output",
    "frame": 1,
    "start": 1,
    "end": 1,
    "threads": 1,
}
"""The placeholders of a command besides the params, with values of the right kind."""
_NAME_SAMPLE: Final[dict[str, str | int]] = {"frame": 1, "start": 1, "end": 1}

_YEAR_S = 31_536_000
_INT_RANGES: Final = {
    "submitted_at_ms": (0, 2**48 - 1),
    "chunk": (1, 1_000_000),
    "priority": (0, 100),
    "ram_bytes": (0, 1 << 50),
    "vram_bytes": (0, 1 << 50),
    "cores": (0, 4096),
    "gpus": (0, 64),
    "retries": (0, 100),
    "frame_timeout_s": (0, _YEAR_S),
    "job_timeout_s": (0, _YEAR_S),
    "silence_s": (0, _YEAR_S),
}
_MAX_CHARS: Final = {
    "name": 200,
    "owner": 200,
    "submitted_by": 200,
    "label": 200,
    "project": 200,
    "renderer_version": 64,
    "scene": 4096,
    "scene_path": 4096,
    "output_name": 1024,
    "output_dir": 4096,
    "command": 8192,
}
_PATTERNS: Final = {
    "name": (re.compile(r".*\S.*", re.DOTALL), "it is empty"),
    "owner": (re.compile(r".*\S.*", re.DOTALL), "it is empty"),
    "renderer": (re.compile(r"[a-z][a-z0-9_.-]{0,63}"), "a renderer's name is small letters, digits, '_', '.' and '-'"),
    "submit_node": (re.compile(r"[0-9a-f]{16}"), "a node id is 16 small hexadecimal digits"),
    "output_dir": (re.compile(r"(/|[A-Za-z]:[\\/]|\\\\).*", re.DOTALL), "it is not an absolute path"),
}
_ABSOLUTE = re.compile(r"(/|[A-Za-z]:([\\/]|$)|\\\\).*", re.DOTALL)
_PARAM_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LABEL_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def refusal(name: str, why: str, hint: str = "") -> UsageError:
    """Say that a field cannot be accepted."""
    return UsageError(
        f"the job's field {name!r} cannot be accepted", why, hint or f"correct {name!r}, then submit again"
    )


def _check_fields(part: JobSpec | Requirements | Limits) -> None:
    """Check ranges, lengths and forms by the tables above."""
    for name in (item.name for item in fields(part)):
        value = getattr(part, name)
        if name in _INT_RANGES:
            low, high = _INT_RANGES[name]
            if not low <= value <= high:
                raise refusal(name, f"{value} is not between {low} and {high}")
        if isinstance(value, str):
            _check_text(name, value, _MAX_CHARS.get(name))
            pattern, why = _PATTERNS.get(name, (None, ""))
            if pattern and not pattern.fullmatch(value):
                raise refusal(name, why)


def _check_text(name: str, value: str, max_chars: int | None) -> None:
    if max_chars is not None and len(value) > max_chars:
        raise refusal(name, f"{len(value)} characters are more than {max_chars}")
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise refusal(name, "it holds a NUL character or is not valid UTF-8", "rename the file, or write it anew")


def _check_command(command: str, params: Mapping[str, str]) -> None:
    import shlex  # most jobs have no command

    render_template(command, _COMMAND_SAMPLE | dict(params))
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise refusal("command", str(error).lower(), "close the quote, then submit again") from error
    if not words:
        raise refusal("command", "there is no program to start", "give the job a command")


def _check_params(params: Mapping[str, str]) -> None:
    if len(params) > MAX_PARAMS:
        raise refusal("params", f"{len(params)} entries are more than {MAX_PARAMS}")
    for name, value in params.items():
        if not _PARAM_NAME.fullmatch(name) or name in _COMMAND_SAMPLE:
            raise refusal("params", f"{name[:64]!r} is no name for a param, or has a meaning of its own")
        _check_text(f"params.{name}", value, 4096)


def _check_labels(labels: Mapping[str, str]) -> None:
    if len(labels) > MAX_LABELS:
        raise refusal("labels", f"{len(labels)} are more than {MAX_LABELS}")
    for name, value in labels.items():
        if not _LABEL_NAME.fullmatch(name):
            raise refusal("labels", f"{name[:64]!r} is no name for a label", "small letters, digits, '_' and '-'")
        _check_text(f"labels.{name}", value, MAX_LABEL_CHARS)


def _check_after(after: tuple[JobId, ...]) -> None:
    if len(after) > MAX_AFTER or len(set(after)) != len(after):
        raise refusal("after", f"it names more than {MAX_AFTER} jobs, or one twice")
    for job in after:
        try:
            pack_job(job)
        except PeerError as error:
            raise refusal("after", str(error), "ids of jobs: farmctl job list -o name") from error


def _check_path_rules(rules: tuple[tuple[str, str], ...]) -> None:
    if len(rules) > MAX_PATH_RULES or len({written for written, _ in rules}) != len(rules):
        raise refusal("path_rules", f"it holds more than {MAX_PATH_RULES} rules, or two for one prefix")
    for written, becomes in rules:
        for side in (written, becomes):
            _check_text("path_rules", side, 4096)
        if not written:
            raise refusal("path_rules", "a rule is for no prefix", "write them as Y:/show=/mnt/show")
        if not _ABSOLUTE.fullmatch(becomes):
            raise refusal("path_rules", f"{becomes[:80]!r} is not an absolute path", "write Y:/show=/mnt/show")


def _check_inner_path(name: str, path: str) -> None:
    if "\\" in path:
        raise refusal(name, "it holds a backslash", "write it with slashes")
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise refusal(name, f"{path[:80]!r} is not a plain relative path", "leave a leading slash, '.' and '..' out")


def _is_manifest_address(address: BlobAddress) -> bool:
    return 0 <= address.xxh64 < 1 << 64 and 0 <= address.size <= MAX_MANIFEST_BYTES and len(address.md5) == 16


# Bytes ----------------------------------------------------------------------------------------------------------


def spec_to_bytes(spec: JobSpec) -> bytes:
    """Pack a specification: equal specifications give equal bytes.

    Raises:
        UsageError: It is larger than `MAX_SPEC_BYTES`.
    """
    packed: bytes = msgpack.packb(_without_defaults(spec))
    if len(packed) > MAX_SPEC_BYTES:
        raise UsageError("the job is too large", f"over {MAX_SPEC_BYTES} bytes", "use simpler frame ranges or params")
    return packed


def _without_defaults(part: Any) -> dict[str, Any]:
    plain = {}
    for item in fields(part):
        value = getattr(part, item.name)
        if value == (item.default if item.default_factory is MISSING else item.default_factory()):
            continue
        if is_dataclass(value):
            value = _without_defaults(value)
        plain[item.name] = dict(sorted(value.items())) if isinstance(value, dict) else value
    return plain


def spec_from_bytes(data: bytes) -> JobSpec:
    """Read a packed specification strictly; fields of a newer version are left out.

    Raises:
        PeerError: The bytes are no valid specification.
    """
    if len(data) > MAX_SPEC_BYTES:
        raise PeerError(f"job specification of {len(data)} bytes is over the limit")
    spec: JobSpec = _struct(JobSpec, unpack(data))
    return spec


def _struct(cls: Any, plain: object) -> Any:
    if not isinstance(plain, dict):
        raise PeerError(f"{cls.__name__} is not a map")
    values = {}
    for name, decoder in _decoders(cls).items():
        if name in plain:
            try:
                values[name] = decoder(plain[name])
            except PeerError as error:
                raise PeerError(f"{cls.__name__}.{name}: {error}") from error
    try:
        return cls(**values)
    except TypeError as error:  # a required field is missing; types were checked above
        raise PeerError(f"{cls.__name__}: {error}") from error
    except UsageError as error:
        raise PeerError(f"{cls.__name__}: {error.what}: {error.why}") from error


@cache
def _decoders(cls: Any) -> dict[str, Callable[[Any], Any]]:
    return {name: _decoder(hint) for name, hint in get_type_hints(cls).items()}


def _decoder(hint: Any) -> Callable[[Any], Any]:
    if isinstance(hint, type) and is_dataclass(hint):
        return partial(_struct, hint)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return partial(_member, hint)
    return decoder_of(hint)


def _member(cls: type[StrEnum], plain: object) -> StrEnum:
    if not isinstance(plain, str) or plain not in tuple(cls):
        raise PeerError(f"no such {cls.__name__}: {str(plain)[:40]!r}")
    return cls(plain)
