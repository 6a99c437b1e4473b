"""How a person says what of a job is to be changed: `ram=16G`, `priority=80`, `label.shot=s010`.

One table says how each word is written and which field of `protocol.jobedits` it means, for the command line and for the
dashboard. Imports the standard library and this package only.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from protocol.errors import UsageError
from protocol.human import nearest_word, parse_duration, parse_size
from protocol.jobedits import LABEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LABEL_WORD: Final = "label."
"""Before the name of a label."""
_MAY_BE_EMPTY: Final = ("output",)
"""Whose empty value means something; that of any other word takes the change back."""


class Word(NamedTuple):
    """One thing that can be said.

    Attributes:
        field: Of a job, or of its specification.
        read: Makes a value of what a person writes.
    """

    field: str
    read: Callable[[str], Any]


def seconds(text: str) -> int:
    """Read a duration as whole seconds.

    Raises:
        UsageError: It is none.
    """
    return math.ceil(parse_duration(text))


def whole_number(text: str) -> int:
    """Read a number.

    Raises:
        UsageError: It is none.
    """
    try:
        return int(text)
    except ValueError as error:
        raise UsageError(f"{text[:40]!r} is no whole number", "digits alone are", "write 4") from error


def _folder(text: str) -> str:
    if text and not text.startswith("/"):
        raise UsageError(f"{text[:80]!r} is no whole path", "nobody knows from where it counts", "begin it with /")
    return text


EDIT_WORDS: Final[dict[str, Word]] = {
    "priority": Word("priority", whole_number),
    "ram": Word("ram_bytes", parse_size),
    "cores": Word("cores", whole_number),
    "gpus": Word("gpus", whole_number),
    "vram": Word("vram_bytes", parse_size),
    "version": Word("renderer_version", str),
    "retries": Word("retries", whole_number),
    "frame-timeout": Word("frame_timeout_s", seconds),
    "silence": Word("silence_s", seconds),
    "name": Word("name", str),
    "project": Word("project", str),
    "output": Word("output_dir", _folder),
}
"""What can be changed after submission, labels apart."""
_FIXED: Final = ("frames", "command", "renderer", "chunk", "gate", "test-frames", "output-name")
"""What people try to change, though tasks follow from it."""


def read_edits(words: Iterable[str]) -> dict[str, int | str | None]:
    """Read WORD=VALUE pairs as the changes of `job.edit`; a word without a sign goes on with the value before it.

    An empty value takes a change back (None); of a label or the output folder it means: none.

    Raises:
        UsageError: A word means nothing, or a value cannot be read.
    """
    said: dict[str, str] = {}
    last = ""
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            last, said[name] = name, value
        elif last:
            said[last] += f" {word}"
        else:
            raise UsageError(f"cannot read {word[:80]!r}", "it is no word and value", "write edit ram=16G")
    return dict(_edit_of(name, text.strip()) for name, text in said.items())


def _edit_of(name: str, text: str) -> tuple[str, int | str | None]:
    if name.startswith(LABEL_WORD) and name != LABEL_WORD:
        return LABEL + name.removeprefix(LABEL_WORD), text
    word = EDIT_WORDS.get(name)
    if word is None:
        raise UsageError(
            f"{name[:80]!r} of a job cannot be changed", "it is fixed when the job is submitted", _hint(name)
        )
    return word.field, word.read(text) if text or name in _MAY_BE_EMPTY else None


def _hint(name: str) -> str:
    if name in _FIXED:
        return f"make a new job with another: farmctl job resubmit JOB --with {name}=VALUE"
    meant = nearest_word(name, EDIT_WORDS)
    return f"did you mean {meant}?" if meant else f"can be changed: {', '.join(EDIT_WORDS)}, label.NAME"
