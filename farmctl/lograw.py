"""Bytes of a log as the renderer printed them, for files and pipes: a terminal obeys what stands in there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from farmctl.logreading import broke_off

if TYPE_CHECKING:
    from farmctl.context import Session
    from farmctl.output import View

_CHUNK_BYTES: Final = 256 << 10
_LINE_BYTES: Final = 256
"""A tail is looked for in so many bytes for each line that is wanted; longer lines give fewer of them."""
_POLL_S: Final = 0.5


def print_raw(session: Session, asked: View, tail: int | None, *, follow: bool) -> None:
    """Print bytes of the log of one attempt.

    Raises:
        UserError: Its machine does not answer any more, or has removed it.
    """
    answer = session.call("logs", **asked, offset=0, limit=0)
    offset = _print_tail(session, asked, answer, tail) if tail is not None else 0
    while True:
        answer = session.call("logs", **asked, offset=offset, limit=_CHUNK_BYTES)
        _write(answer["data"])
        offset += len(answer["data"])
        if not answer["data"]:
            is_over = answer.get("ended") or not follow
            if is_over and not answer.get("found", True):
                raise broke_off(answer | {"away": None})
            if is_over:
                return
            session.pause(_POLL_S)


def _print_tail(session: Session, asked: View, answer: View, tail: int) -> int:
    """Print the last lines and return where the log goes on."""
    size = int(answer.get("size") or 0)
    begin = max(0, size - max(tail * _LINE_BYTES, 4096)) if tail else size
    data, offset = b"", begin
    while offset < size:
        part: bytes = session.call("logs", **asked, offset=offset, limit=min(_CHUNK_BYTES, size - offset))["data"]
        if not part:
            break
        data, offset = data + part, offset + len(part)
    lines = data.splitlines(keepends=True)
    whole = lines if begin == 0 else lines[1:] or lines  # the first one may be cut
    _write(b"".join(whole[-tail:]) if tail else b"")
    return offset


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
