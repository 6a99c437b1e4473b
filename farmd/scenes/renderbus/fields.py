"""Reading a task into a wish and writing a wish into a task, by the table of `rows`: one row for each thing that a job says.

Theory: a row that is written is read back at once. If that does not give what was meant (12.5 GB where only whole ones
can be said), the exact value is put beside it, under `additional_info`, where the service lets people put their own; it
counts as long as nobody has changed what it stands beside. So every job survives the way there and back, and whoever
edits the file by hand is obeyed. A row whose text says already what is meant is left as it is written.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from farmd.scenes.renderbus.plain import Document, object_at
from farmd.scenes.renderbus.rows import ROWS, Row
from farmd.scenes.renderbus.wish import Wish
from protocol.errors import UserError

if TYPE_CHECKING:
    from protocol.frames import FrameSet

OWN: Final = "farmd"
"""Our part of `additional_info`."""


def read_wish(task: Document, *, renderer: str | None = None, frames: FrameSet | None = None) -> Wish:
    """Read what a task asks for.

    Args:
        task: The document task.json.
        renderer: What renders it, said by a person: the document is not asked.
        frames: The same of its frames.

    Raises:
        UsageError: Something cannot be read, or is not said and has no default.
    """
    said: dict[str, Any] = {}
    if renderer is not None:
        said["renderer"] = renderer
    if frames is not None:
        said["frames"] = frames
    exact = object_at(own_part(task), "exact")
    for row in ROWS:
        if row.name not in said:
            said[row.name] = _read(row, task, said, exact)
    return Wish(**said)


def _read(row: Row, task: Document, said: dict[str, Any], exact: Document) -> Any:
    kept = exact.get(row.name)
    if row.from_exact is not None and isinstance(kept, list) and len(kept) == 2 and kept[0] == row.beside(task):
        try:
            return row.from_exact(kept[1])
        except (TypeError, ValueError, KeyError):
            pass  # not written by us: what stands beside it counts
    return row.read(task, said)


def write_wish(task: Document, wish: Wish) -> None:
    """Write into a task what is asked for; what says it already stays as it is."""
    exact: Document = {}
    said = {item.name: getattr(wish, item.name) for item in fields(Wish)}
    for row in ROWS:
        wanted = said[row.name]
        if _says(row, task, said) != wanted:
            row.write(task, wish)
            if row.from_exact is not None and _says(row, task, said) != wanted:
                exact[row.name] = [row.beside(task), _plain(wanted)]
    put_own(task, "exact", exact)


def _says(row: Row, task: Document, said: dict[str, Any]) -> Any:
    try:
        return row.read(task, said)
    except UserError:
        return None


def _plain(value: Any) -> Any:
    """Return a value as JSON gives it back."""
    return list(map(_plain, value)) if isinstance(value, tuple) else str(value) if isinstance(value, str) else value


def own_part(task: Document) -> Document:
    """Return our part of the task's additional fields."""
    return object_at(object_at(task, "additional_info"), OWN)


def put_own(task: Document, name: str, value: object) -> None:
    """Put something into our part; an empty thing is taken out, and so is a part without anything."""
    own = {key: inner for key, inner in own_part(task).items() if key != name}
    if value:
        own[name] = value
    added = {key: inner for key, inner in object_at(task, "additional_info").items() if key != OWN}
    if own:
        task["additional_info"] = added | {OWN: own}
    elif OWN in object_at(task, "additional_info"):
        task["additional_info"] = added
        if not added:
            del task["additional_info"]
