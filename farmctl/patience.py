"""Say, on a terminal, that an answer is being waited for, when it does not come at once.

A node that is far away or gone is waited for up to ten seconds; a person who sees nothing in that time presses Ctrl-C. The
line is gone before anything else is printed, and nothing is drawn where a bar is, or where nobody looks.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Self, TextIO

from farmctl.progress import CLEAR, shorten, terminal_cells
from protocol.errors import Starting
from protocol.human import printable

if TYPE_CHECKING:
    from types import TracebackType

    from farmctl.context import Caller, Session

NOTICE_S: Final = 0.1
"""An answer that comes sooner needs no line."""
START_S: Final = 10.0
"""How long a daemon that is starting is waited for: it looks for its renderers first, which takes seconds."""
_AGAIN_S: Final = 0.2


def when_up(session: Session) -> Caller:
    """Connect to a daemon that is starting, as soon as it serves.

    Raises:
        Starting: It does not in all that time.
        UserError: It has ended, or says no.
    """
    until = session.clock() + START_S
    while True:
        session.pause(_AGAIN_S)
        try:
            return session.connect(session.node, session.patience_s)
        except Starting:
            if session.clock() >= until:
                raise


class Notice:
    """One line while something takes long; a context manager.

    Args:
        stream: The terminal.
        text: What is waited for.
        after_s: When it appears.
    """

    def __init__(self, stream: TextIO, text: str, *, after_s: float = NOTICE_S) -> None:
        self._stream = stream
        self._text = text
        self._lock = threading.Lock()
        self._over = self._drawn = False
        self._timer = threading.Timer(after_s, self._draw)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            self._over = True
            if self._drawn:
                self._write(CLEAR)

    def _draw(self) -> None:
        with self._lock:
            if not self._over:
                self._drawn = True
                self._write(shorten(printable(self._text), terminal_cells() - 1))

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
