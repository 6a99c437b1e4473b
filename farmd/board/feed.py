"""What one viewer is sent: hello, a snapshot, then what changed since; never more than it takes.

    hello{schema, server_id} -> snapshot{seq, counts, groups, tasks} -> delta{after, seq, counts, groups, changed, removed}

`after` is the `seq` of what was sent last, so a viewer that missed something sees it and asks for a `resync`. Nothing
waits in a queue: a message is made when the last one has gone, out of what is true then. A slow viewer gets fewer and
larger deltas, and a snapshot where a delta would be too large; it costs a number, not memory.

Up to `FLAT` tasks all are sent. With more, groups are, and the tasks of those that the viewer opens, page by page.

Pure but for the model that it reads; the server moves the messages.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from farmd.board.model import BoardModel

SCHEMA: Final = "farm.board.v1"
FLAT: Final = 500
"""Tasks up to which none is hidden in its group."""
FLAT_AGAIN: Final = 400
"""Fewer than `FLAT`, so that a number that goes up and down does not make the page jump."""
PAGE: Final = 2_000
"""Tasks in one message; also the most that a delta tells."""
MAX_OPENED: Final = 32
"""Groups that one viewer may have open."""

Message = dict[str, Any]


class Viewer:
    """One page that looks at the board."""

    def __init__(self, model: BoardModel, server_id: str) -> None:
        self._model = model
        self._server_id = server_id
        self._greeted = False
        self._resync = True
        self._grouped = False
        self._seq = 0
        self._opened: dict[str, None] = {}
        self._pages: deque[tuple[str, list[str], bool]] = deque()

    def asked(self, message: object) -> None:
        """Take what the page asks for: `resync`, `open`, `close`; anything else is ignored."""
        match message:
            case {"kind": "resync"}:
                self._resync = True
            case {"kind": "open", "group": str(group)}:
                self._open(group)
            case {"kind": "close", "group": str(group)} if group in self._opened:
                self._close(group)

    def next_message(self) -> Message | None:
        """Return what the viewer is to be sent now, or None if it has everything."""
        if not self._greeted:
            self._greeted = True
            return {"kind": "hello", "schema": SCHEMA, "server_id": self._server_id, "title": self._model.title}
        if self._resync or self._is_grouped() != self._grouped:
            return self._snapshot()
        if self._pages:
            return self._page()
        return self._delta() if self._model.seq != self._seq else None

    def beat(self) -> Message:
        """Return what says that the board is there, though nothing happens."""
        return {"kind": "beat", "seq": self._seq}

    def left(self) -> None:
        """Let go of what was open."""
        for group in list(self._opened):
            self._close(group)

    @property
    def has_more(self) -> bool:
        """Tell whether the next message need not wait: a part of something larger."""
        return bool(self._pages)

    def _open(self, group: str) -> None:
        if group not in self._opened:
            if len(self._opened) >= MAX_OPENED:
                self._close(next(iter(self._opened)))
            self._opened[group] = None
            self._model.watch(group)
        if self._grouped:
            self._drop_pages(group)  # who opens it again is told anew, once
            self._add_pages(group)

    def _drop_pages(self, group: str) -> None:
        self._pages = deque(page for page in self._pages if page[0] != group)

    def _close(self, group: str) -> None:
        del self._opened[group]
        self._model.unwatch(group)
        self._drop_pages(group)

    def _add_pages(self, group: str) -> None:
        keys = self._model.keys(group)
        for start in range(0, max(1, len(keys)), PAGE):
            self._pages.append((group, keys[start : start + PAGE], start + PAGE >= len(keys)))

    def _is_grouped(self) -> bool:
        limit = FLAT_AGAIN if self._grouped else FLAT
        return not self._model.is_flat or len(self._model) > limit

    def _snapshot(self) -> Message:
        self._resync, self._grouped = False, self._is_grouped()
        self._pages.clear()
        # `seq` first: what changes meanwhile is told again, and never left out
        self._seq = self._model.seq
        message = {
            "kind": "snapshot",
            "seq": self._seq,
            "title": self._model.title,
            "note": self._model.note,
            "hint": self._model.hint,
            "grouped": self._grouped,
            "counts": self._model.counts,
            "groups": self._model.group_views(),
            "tasks": [] if self._grouped else self._model.views(),
        }
        for group in self._opened if self._grouped else ():
            self._add_pages(group)
        return message

    def _page(self) -> Message:
        group, keys, is_last = self._pages.popleft()
        return {"kind": "page", "group": group, "tasks": self._model.views_of(keys), "last": is_last}

    def _delta(self) -> Message:
        opened = set(self._opened) if self._grouped else None
        changes = self._model.changes(self._seq, opened, PAGE)
        if changes is None:
            return self._snapshot()
        message = {
            "kind": "delta",
            "after": self._seq,
            "seq": changes.seq,
            "title": self._model.title,
            "note": self._model.note,
            "counts": changes.counts,
            "groups": changes.groups,
            "changed": changes.tasks,
            "removed": changes.removed,
        }
        self._seq = changes.seq
        return message
