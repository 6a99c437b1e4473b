"""The Python API: `get_task_board()` and what a program says of its tasks.

One board per process, safe to call from any thread. Nothing here raises because of what it is given: a board must not
break the program that it shows. A task that is updated before it was added is added by that.

What holds a board can be pickled: it comes out as the board of the process that reads it. In a child process (forked,
or spawned by multiprocessing) that board reports to its parent's. No socket and no thread is reachable from a
`TaskBoard`: they belong to the module, and are started anew in a child.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any, Final

from farmd.board import ops
from farmd.board.identity import Identity, new_identity
from farmd.board.ledger import Ledger
from farmd.board.words import ERROR_CHARS, about, number, task_key, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.board.ops import Op
    from farmd.board.presence import Presence

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8765


class TaskBoard:
    """What this process does, for people to see. Get it with `get_task_board()`."""

    def add_task(
        self, task_id: object, name: object = "", total: object = 0, metadata: object = None, *, group: object = ""
    ) -> None:
        """Put a task on the board; one with this id is begun anew.

        Args:
            task_id: How the program calls it.
            name: For people; the id if empty.
            total: How much there is to do; 0 = not known.
            metadata: Anything; shown by its repr, shortened.
            group: What it belongs to; the program if empty.
        """
        # never asked whether they are true: an array raises
        _say(task_id, ops.added(text_of(name), max(0, number(total)), about(metadata), text_of(group)))

    def start_task(self, task_id: object) -> None:
        """Say that a task begins, now and from nothing."""
        _say(task_id, ops.started(_now_ms()))

    def update_task(self, task_id: object, progress: object) -> None:
        """Say how much of a task is done, in the unit of its total."""
        _say(task_id, ops.updated(number(progress), _now_ms()))

    def advance_task(self, task_id: object, step: object = 1) -> None:
        """Say how much more is done: for a task that several threads or processes work on."""
        _say(task_id, ops.advanced(number(step), _now_ms()))

    def complete_task(self, task_id: object) -> None:
        """Say that a task ended well."""
        _say(task_id, ops.completed(_now_ms()))

    def fail_task(self, task_id: object, error: object = "") -> None:
        """Say that a task ended badly, and why: a text or an exception."""
        _say(task_id, ops.failed(text_of(error, ERROR_CHARS), _now_ms()))

    def remove_task(self, task_id: object) -> None:
        """Take a task off the board."""
        _say(task_id, ops.removed())

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until the board knows everything; only of use right before a process is killed."""
        ends = time.monotonic() + timeout_s
        while not (told := _process.is_told) and time.monotonic() < ends:
            _process.wait_a_little()
        return told

    def __repr__(self) -> str:
        return f"<task board, {len(_process.ledger)} tasks>"

    def __reduce__(self) -> tuple[Callable[[], TaskBoard], tuple[()], dict[str, Any]]:
        return get_task_board, (), _process.introduction()

    def __setstate__(self, introduction: dict[str, Any]) -> None:
        _process.meet(introduction)


class _Process:
    """Everything that this process has beside the board that programs hold."""

    def __init__(self) -> None:
        self.board = TaskBoard()
        self.ledger = Ledger()
        self.identity = new_identity()
        self.presence: Presence | None = None
        self._dormant = False
        self._lock = threading.Lock()

    @property
    def is_told(self) -> bool:
        return self.presence is None or self.presence.is_server or self.ledger.is_told

    def wait_a_little(self) -> None:
        threading.Event().wait(0.01)

    def start(self, host: str, port: int) -> Presence:
        """Serve or join a board, once."""
        from farmd.board.presence import Presence

        with self._lock:
            presence = self.presence
            if presence is None or not (presence.is_open or self._dormant):
                self.identity = self.identity.named()
                presence = Presence(self.ledger, self.identity, host, port)
                presence.open()
                self.presence = presence
                _at_exit(self.stop)
            return presence

    def stop(self) -> None:
        """Tell the rest, and let go."""
        presence, self.presence = self.presence, None
        if presence is not None and not self._dormant:
            presence.close()

    def introduction(self) -> dict[str, Any]:
        """Tell a child process who its parent is, and where its board is."""
        place = (self.presence.host, self.presence.port) if self.presence is not None else None
        return {"pid": os.getpid(), "program": self.identity.program, "name": self.identity.name, "place": place}

    def meet(self, introduction: dict[str, Any]) -> None:
        """Take over from a parent what it said of itself; from anybody else, nothing."""
        place = introduction.get("place")
        is_parent = introduction.get("pid") == os.getppid()
        if self.presence is not None or len(self.ledger) or not is_parent or place is None:
            return
        self.identity = Identity(str(introduction["program"]), self.identity.process, str(introduction["name"]), True)
        self._sleep_at(*place)

    def fork(self) -> None:
        """Begin anew in a forked child: what was said is the parent's, and so are its sockets, threads and locks."""
        parent, self.presence = self.presence, None
        self._lock = threading.Lock()
        self.ledger = Ledger()
        self.identity = self.identity.child()
        if parent is None or not (parent.is_open or self._dormant):
            return
        if not self._dormant:
            parent.release_in_child()
        self._sleep_at(parent.host, parent.port)

    def wake(self) -> None:
        """Begin to report: only a child that says something needs a thread."""
        if self._dormant:
            with self._lock:
                self._begin_to_report()

    def _begin_to_report(self) -> None:
        if self._dormant and self.presence is not None:
            self._dormant = False
            self.presence.follow()
            _at_exit(self.stop)

    def _sleep_at(self, host: str, port: int) -> None:
        from farmd.board.presence import Presence

        self.presence = Presence(self.ledger, self.identity, host, port)
        self._dormant = True


_process = _Process()


def _begin_anew() -> None:
    _process.fork()


os.register_at_fork(after_in_child=_begin_anew)


def get_task_board() -> TaskBoard:
    """Return the board of this process; there is one."""
    return _process.board


def start_server(host: str = DEFAULT_HOST, port: int = DEFAULT_PORT) -> Presence:
    """Show the tasks of this process in a browser: serve a board, or join the one that is there.

    Args:
        host: Address to listen on; anything but this machine's own loopback can be read by others.
        port: TCP port; 0 = any that is free.

    Returns:
        Where it is (`.url`); `.close()` ends it. A second call returns the same, wherever it asks for, and warns if
        that is not where the board is.

    Raises:
        UserError: The port is held by something else, or a package is missing.
    """
    presence = _process.start(host, port)
    doubt = _doubt_of(presence, host, port)
    if doubt:
        warnings.warn(doubt, UserWarning, stacklevel=2)
    return presence


def _doubt_of(presence: Presence, host: str, port: int) -> str:
    """Say in what a board is not what was asked for, or more than one may think; empty if in nothing."""
    from farmd.board.access import is_loopback

    if host != presence.host or port not in (0, presence.port):
        return f"the board of this process is at {presence.url} already; close() it to have one at {host}:{port}"
    if is_loopback(host):
        return ""
    if not presence.is_server:
        return (
            f"the board at {presence.url} is another program's, which decided who can read it; {host} changes nothing"
        )
    return f"the board on {host} can be read by everybody who reaches this machine"


def _say(task_id: object, op: Op) -> None:
    _process.ledger.record(task_key(task_id), op)
    _process.wake()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _at_exit(call: Callable[[], None]) -> None:
    """Call at the end of this process, also of one that multiprocessing started and ends without atexit."""
    atexit.register(call)
    finalize = getattr(sys.modules.get("multiprocessing.util"), "Finalize", None)
    if finalize is not None:
        finalize(None, call, exitpriority=100)
