"""Tell a task of the service from a scene, by content: asked of everything that is submitted, so it costs one short read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from farmd.scenes.renderbus.plain import Document

TASK: Final = "task.json"
_HEAD_BYTES: Final = 64
_MARK: Final = b"\xef\xbb\xbf"


def recognise(path: Path) -> Document | None:
    """Read a file if it is a task of the service; None if it is something else.

    Raises:
        UsageError: It is called task.json and cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            if not head.removeprefix(_MARK).lstrip().startswith(b"{") and path.name != TASK:
                return None
            from farmd.scenes.renderbus.plain import MAX_DOCUMENT_BYTES

            data = head + file.read(MAX_DOCUMENT_BYTES + 1)
    except OSError:
        return None  # whoever reads scenes says why
    return _task_in(data, path)


def _task_in(data: bytes, path: Path) -> Document | None:
    from farmd.scenes.renderbus.plain import parse_document
    from protocol.errors import UsageError

    try:
        document = parse_document(data, str(path))
    except UsageError:
        if path.name == TASK:
            raise
        return None
    return document if isinstance(document.get("task_info"), dict) else None
