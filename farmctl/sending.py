"""Send blobs to the node: many small files in one message, larger ones chunk by chunk.

A message for each of 2,000 small files costs more than hashing, sending and storing them; so files of at most one chunk
go together, as many as a message holds. A larger one goes on where an earlier try stopped, as the node says.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from farmd.ingest.hashing import unreadable
from protocol.api import MAX_CHUNK_BYTES, MAX_SMALL_BYTES, MAX_SMALL_FILES
from protocol.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from protocol.ids import BlobAddress

    Source = str | bytes
    """Path of a file, or the bytes themselves."""

_STEPS_BACK: Final = 3


class Sender:
    """Sends blobs.

    Args:
        call: Asks the node.
        tell: Takes the number of bytes just sent; negative if the node has lost some.
    """

    def __init__(self, call: Callable[..., Any], tell: Callable[[int], None]) -> None:
        self._call = call
        self._tell = tell
        self._small: dict[BlobAddress, Source] = {}
        self._small_bytes = 0

    def send(self, blobs: Iterable[tuple[BlobAddress, Source, int]]) -> None:
        """Send each blob from what the node has of it.

        Raises:
            UserError: A file cannot be read, or is not what was hashed any more.
        """
        for blob, source, have in blobs:
            if blob.size > MAX_CHUNK_BYTES:
                self._send_large(blob, source, have)
                continue
            if self._small_bytes + blob.size > MAX_SMALL_BYTES or len(self._small) >= MAX_SMALL_FILES:
                self._send_small()
            self._small[blob] = source
            self._small_bytes += blob.size
        self._send_small()

    def _send_small(self) -> None:
        if not self._small:
            return
        small, size = self._small, self._small_bytes
        self._small, self._small_bytes = {}, 0
        data = b"".join([_whole(blob, source) for blob, source in small.items()])
        names = {str(blob): source for blob, source in small.items()}
        for name in self._call("blob.put_small", blobs=list(names), data=data)["changed"]:
            raise _changed(names[name])
        self._tell(size)

    def _send_large(self, blob: BlobAddress, source: Source, offset: int) -> None:
        steps_back = 0
        with _opened(source) as read:
            while True:
                data = read(offset)
                answer = self._call("blob.put", blob=str(blob), offset=offset, data=data)
                if answer["complete"]:
                    self._tell(len(data))
                    return
                reached = int(answer["have_bytes"])
                steps_back += reached < offset  # the node holds less in one piece than it said: go on from there
                if reached == offset or steps_back > _STEPS_BACK:
                    raise _changed(source)
                self._tell(reached - offset)
                offset = reached


def _whole(blob: BlobAddress, source: Source) -> bytes:
    with _opened(source) as read:
        data = read(0)
    if len(data) != blob.size:
        raise _changed(source)
    return data


@contextmanager
def _opened(source: Source) -> Iterator[Callable[[int], bytes]]:
    """Give a function that reads a chunk at an offset."""
    if isinstance(source, bytes):
        yield lambda offset: source[offset : offset + MAX_CHUNK_BYTES]
        return
    try:
        file = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # it may be a pipe by now
    except OSError as error:
        raise unreadable(source, error) from error

    def read(offset: int) -> bytes:
        try:
            return os.pread(file, MAX_CHUNK_BYTES, offset)
        except OSError as error:
            raise unreadable(source, error) from error

    try:
        yield read
    finally:
        os.close(file)


def _changed(source: Source) -> UserError:
    shown = "the list of files" if isinstance(source, bytes) else source
    return UserError(f"{shown} could not be sent", "it changed while it was sent", "wait for it, submit again")
