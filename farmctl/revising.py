"""What of a job a person wants otherwise, as words and values: for jobs that are there, and for new ones made of them.

One table says how each word is written and which field of the specification it means. `job edit` takes those that can be
changed after submission; `job resubmit --with` and job files take all.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from protocol.errors import UsageError
from protocol.frames import FrameSet, parse_frames, test_frame_choice
from protocol.human import format_duration, format_size, nearest_word, parse_duration, parse_size
from protocol.jobedits import LABEL
from protocol.jobspec import GateMode, GateSpec, JobSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FEW_FRAMES: Final = 3
"""With so many frames or fewer a job that is made of another has no gate, unless that one waits for a person."""
LABEL_WORD: Final = "label."
PARAM_WORD: Final = "param."
_GATE_WORDS: Final = ("frames", "gate", "test-frames")


class Word(NamedTuple):
    """One thing that can be said.

    Attributes:
        field: Of the specification; a dot leads into one of its parts.
        read: Makes a value of what a person writes.
    """

    field: str
    read: Callable[[str], Any]


def _seconds(text: str) -> int:
    return math.ceil(parse_duration(text))


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise UsageError(f"{text[:40]!r} is no whole number", "digits alone are", "write 4") from error


def _gate_mode(text: str) -> GateMode:
    if text not in tuple(GateMode):
        raise UsageError(f"no gate is {text[:40]!r}", "", "one of " + ", ".join(GateMode))
    return GateMode(text)


WORDS: Final[dict[str, Word]] = {
    "ram": Word("requirements.ram_bytes", parse_size),
    "vram": Word("requirements.vram_bytes", parse_size),
    "cores": Word("requirements.cores", _number),
    "gpus": Word("requirements.gpus", _number),
    "version": Word("requirements.renderer_version", str),
    "retries": Word("limits.retries", _number),
    "frame-timeout": Word("limits.frame_timeout_s", _seconds),
    "silence": Word("limits.silence_s", _seconds),
    "priority": Word("priority", _number),
    "name": Word("name", str),
    "project": Word("project", str),
    "output": Word("output_dir", lambda text: text or None),
    "output-name": Word("output_name", lambda text: text or None),
    "command": Word("command", str),
    "renderer": Word("renderer", str),
    "chunk": Word("chunk", _number),
    "frames": Word("frames", lambda text: str(parse_frames(text))),
    "gate": Word("gate.mode", _gate_mode),
    "test-frames": Word("gate.test_frames", str),
}


def split_words(pairs: Sequence[str]) -> dict[str, str]:
    """Read WORD=VALUE pairs.

    Raises:
        UsageError: One is none, or its word means nothing.
    """
    said: dict[str, str] = {}
    for pair in pairs:
        word, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"cannot read {pair[:80]!r}", "it is no word and value", "write --with ram=16G")
        check_word(word)
        said[word] = value
    return said


def check_word(word: str) -> None:
    """Refuse a word that means nothing.

    Raises:
        UsageError: It does.
    """
    if word in WORDS or any(word.startswith(kind) and len(word) > len(kind) for kind in (LABEL_WORD, PARAM_WORD)):
        return
    meant = nearest_word(word, WORDS)
    hint = f"did you mean {meant}?" if meant else f"known are: {', '.join(WORDS)}, label.NAME, param.NAME"
    raise UsageError(f"no part of a job is called {word[:80]!r}", "it cannot be said of a job", hint)


def with_words(spec: JobSpec, said: dict[str, str]) -> JobSpec:
    """Return a specification in which some things are as said.

    Raises:
        UsageError: A value cannot be read, or is not allowed.
    """
    params, labels = dict(spec.params), dict(spec.labels)
    for word, text in said.items():
        for kind, texts in ((LABEL_WORD, labels), (PARAM_WORD, params)):
            if word.startswith(kind):
                texts.pop(word.removeprefix(kind), None)
                texts.update({word.removeprefix(kind): text} if text else {})
    spec = replace(spec, params=params, labels=labels)
    for word, text in said.items():
        if word in WORDS and word not in _GATE_WORDS:
            spec = _put(spec, WORDS[word].field, WORDS[word].read(text))
    return _with_frames(spec, said) if any(word in said for word in _GATE_WORDS) else spec


def _put(spec: JobSpec, field: str, value: Any) -> JobSpec:
    part, dot, name = field.partition(".")
    change: dict[str, Any] = {part: replace(getattr(spec, part), **{name: value}) if dot else value}
    return replace(spec, **change)


def _with_frames(spec: JobSpec, said: dict[str, str]) -> JobSpec:
    """Change frames and gate together: test frames of other frames would be rendered beside them."""
    frames = parse_frames(said["frames"]) if "frames" in said else spec.frame_set()
    mode = _gate_mode(said["gate"]) if "gate" in said else spec.gate.mode
    if "test-frames" in said:
        tests = test_frame_choice(said["test-frames"], frames)
    else:
        kept = tuple(frame for frame in spec.gate.test_frames if frame in frames)
        few = len(frames) <= FEW_FRAMES and mode is GateMode.AUTO and "gate" not in said
        mode = GateMode.OFF if few else mode
        tests = () if mode is GateMode.OFF else kept or test_frame_choice("", frames)
    return replace(spec, frames=str(frames), gate=GateSpec(mode, tests))


def only_frames(spec: JobSpec, frames: FrameSet) -> JobSpec:
    """Return a specification for some frames of a job, in the place of all."""
    return _with_frames(spec, {"frames": str(frames)})


def change_text(change: dict[str, Any]) -> str:
    """Write one change of a field as a person reads it."""
    field = str(change.get("field", ""))
    before, after = (value_text(field, change.get(side)) for side in ("from", "to"))
    return f"{field} {before} -> {after}"


def value_text(field: str, value: object) -> str:
    """Write the value of a field: sizes and times with their units, and a word for nothing."""
    if value in (None, ""):
        return "none"
    if isinstance(value, int) and field.endswith("_bytes"):
        return format_size(value) if value else "0"
    if isinstance(value, int) and field.endswith("_s"):
        return format_duration(value) if value else "no limit"
    return str(value)


def is_label(field: str) -> bool:
    """Tell whether a field is a label."""
    return field.startswith(LABEL)
