"""Keeps a fork from falling into the middle of an import that a thread of the board makes.

A child that is forked then has half a module for ever, and whoever imports it there fails, the board or somebody else.
Late imports of our threads happen inside of `importing`; a fork waits for their end, though not without limit: the
thread that forks may itself be importing what ours waits for.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_WAIT_S: Final = 5.0


class _Gate:
    """A lock that forks pass, too."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._held = False

    def close(self) -> None:
        self._held = self.lock.acquire(timeout=_WAIT_S)

    def open(self) -> None:
        if self._held:
            self.lock.release()

    def renew(self) -> None:
        self.lock = threading.Lock()


_gate: Final = _Gate()
os.register_at_fork(before=_gate.close, after_in_parent=_gate.open, after_in_child=_gate.renew)


@contextmanager
def importing() -> Iterator[None]:
    """Import inside of this what a thread of the board needs."""
    with _gate.lock:
        yield
