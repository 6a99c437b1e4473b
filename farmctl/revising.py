"""What of a job a person wants otherwise, as words and values: for jobs that are there, and for new ones made of them.

One table says how each word is written and which field of the specification it means. `job edit` takes those that can be
changed after submission; `job resubmit --with` and job files take all.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from protocol.errors import UsageError
from protocol.frames import FrameSet, parse_frames, test_frame_choice
from protocol.human import format_duration, format_size, nearest_word, printable
from protocol.jobedits import LABEL, PART_OF
from protocol.jobspec import GateMode, GateSpec, JobSpec
from protocol.jobwords import EDIT_WORDS, LABEL_WORD, Word, whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence

FEW_FRAMES: Final = 3
"""With so many frames or fewer a job that is made of another has no gate, unless that one waits for a person."""
PARAM_WORD: Final = "param."
_GATE_WORDS: Final = ("frames", "gate", "test-frames")


def _gate_mode(text: str) -> GateMode:
    if text not in tuple(GateMode):
        raise UsageError(f"no gate is {text[:40]!r}", "", "one of " + ", ".join(GateMode))
    return GateMode(text)


def _in_a_specification(field: str) -> str:
    return f"{PART_OF[field]}.{field}" if field in PART_OF else field


WORDS: Final[dict[str, Word]] = {
    **{name: Word(_in_a_specification(word.field), word.read) for name, word in EDIT_WORDS.items()},
    "output": Word("output_dir", lambda text: text or None),
    "output-name": Word("output_name", lambda text: text or None),
    "command": Word("command", str),
    "renderer": Word("renderer", str),
    "chunk": Word("chunk", whole_number),
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


def changes_line(result: dict[str, Any]) -> str:
    """Say what an order changed of a job, or would change."""
    changes = ", ".join(change_text(item) for item in result["changes"])
    would = " (would be)" if result.get("dry_run") and changes else ""
    return printable(f"{changes}{would}" if changes else "(is so already)")


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
