"""What of a job may be changed after it was submitted, and what its specification is with all changes.

A specification is written once and never changes. A change is a register of its own beside it: the name of a field, and
what stands in for its value from then on. So people on two cut-off machines who change two fields both get their way,
and who takes a change back gets what was submitted. Frames, scene and command are not among them: tasks follow from
them, and a task must mean the same for ever; who wants others submits the job again.

Called by `farmd.core` to fold and to check, and by `farmctl` to read what a person writes. Imports the standard library
and this package only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from protocol.errors import UsageError
from protocol.human import nearest_word

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protocol.jobspec import JobSpec

AS_SUBMITTED: Final = -1
"""Value of a change that was taken back."""
LABEL: Final = "labels."
"""Before the name of a label."""
PRIORITY: Final = "priority"
"""Is changed like the others, and has a register of its own."""
MAX_NAME_CHARS: Final = 80

PART_OF: Final = {
    "ram_bytes": "requirements",
    "cores": "requirements",
    "gpus": "requirements",
    "vram_bytes": "requirements",
    "renderer_version": "requirements",
    "retries": "limits",
    "frame_timeout_s": "limits",
    "silence_s": "limits",
}
"""Fields that stand in a part of the specification, and in which."""
_TEXTS: Final = ("name", "project", "output_dir", "renderer_version")
FIELDS: Final = (*PART_OF, PRIORITY, "name", "project", "output_dir")
"""Fields that can be changed, labels apart."""
FOR_PEOPLE: Final = ("name", "project")
"""Fields that change nothing but what people read, labels apart: they can be changed when a job is over, too."""


class Edit(NamedTuple):
    """What stands in for a field.

    Attributes:
        value: Of a field that is a number, or `AS_SUBMITTED`; 0 for a text.
        text: Of a field that is a text; an empty one takes a label or an output folder away.
    """

    value: int
    text: str = ""


def is_text(name: str) -> bool:
    """Tell whether a field holds a text."""
    return name in _TEXTS or name.startswith(LABEL)


def is_for_people(name: str) -> bool:
    """Tell whether a field changes nothing but what people read."""
    return name in FOR_PEOPLE or name.startswith(LABEL)


def check_name(name: str) -> None:
    """Refuse the name of a field that cannot be changed.

    Raises:
        UsageError: It is none.
    """
    if name in FIELDS or (name.startswith(LABEL) and len(LABEL) < len(name) <= MAX_NAME_CHARS):
        return
    meant = nearest_word(name, FIELDS)
    hint = f"did you mean {meant!r}?" if meant else f"can be changed: {', '.join(FIELDS)}, labels.NAME"
    raise UsageError(f"{name[:80]!r} of a job cannot be changed", "it is fixed when the job is submitted", hint)


def value_of(spec: JobSpec, name: str) -> int | str:
    """Return what a specification says in a field that can be changed; a missing text is empty."""
    if name.startswith(LABEL):
        return spec.labels.get(name.removeprefix(LABEL), "")
    value: int | str | None = getattr(getattr(spec, PART_OF[name]) if name in PART_OF else spec, name)
    return "" if value is None else value


def edited(spec: JobSpec, name: str, edit: Edit) -> JobSpec:
    """Return a specification with one change.

    Raises:
        UsageError: The field cannot be changed, or not to this.
    """
    check_name(name)
    if edit.value == AS_SUBMITTED:
        return spec
    if name.startswith(LABEL):
        others = {label: text for label, text in spec.labels.items() if label != name.removeprefix(LABEL)}
        return replace(spec, labels=others | ({name.removeprefix(LABEL): edit.text} if edit.text else {}))
    change: dict[str, Any] = {name: edit.text if is_text(name) else edit.value}
    if name == "output_dir":
        change = {name: edit.text or None}
    if name in PART_OF:
        change = {PART_OF[name]: replace(getattr(spec, PART_OF[name]), **change)}
    return replace(spec, **change)


def with_edits(spec: JobSpec, edits: Iterable[tuple[str, Edit]]) -> JobSpec:
    """Return a specification with all changes that can be made; others are passed over: a newer node knows better."""
    for name, edit in sorted(edits):
        try:
            spec = edited(spec, name, edit)
        except UsageError:
            continue
    return spec
