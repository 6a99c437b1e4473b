"""Walks the chunks of Maya's IFF files (`.mb`) without reading what they hold.

The file is a tree. A *group* (FOR4, LIS4, …) has a type of four letters and then chunks; every other chunk has data:

    FOR4 files     tag 4 bytes · size 4 bytes · data, padded to 4
    FOR8 files     tag 4 bytes · 4 bytes without meaning · size 8 bytes · data, padded to 8

All numbers are big-endian; a size counts neither header nor padding. Padding is counted from behind a group's type, not
from the beginning of the file, so that in FOR8 files chunks start at odd multiples of four; a group's own size already
covers the padding of what is in it.

Called by `maya_binary`. Every size is held against what is left of the group around it: a damaged one ends the walk with
an error, and never makes anybody read or reserve that much. Nothing is kept but the ends of the open groups.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from protocol.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

_GROUPS: Final = frozenset({b"FOR", b"LIS", b"CAT", b"PRO"})
_UNITS: Final = {b"FOR4": 4, b"FOR8": 8}
"""First four bytes of a file -> width of its sizes, which is what its data is padded to."""
_DEEPEST: Final = 64
"""Maya nests four deep."""


class Chunk(NamedTuple):
    """One chunk.

    Attributes:
        tag: Its four letters.
        kind: Of a group, what it is: four letters, or the number of a node type; empty: no group.
        start: Where its data begins in the file; behind the type, if it is a group.
        size: Bytes of data.
        parents: Types of the groups around it, the outermost first.
    """

    tag: bytes
    kind: bytes
    start: int
    size: int
    parents: tuple[bytes, ...]


def is_iff(head: bytes) -> bool:
    """Tell whether a file that begins so is a tree of chunks."""
    return head[:4] in _UNITS


class Walk:
    """The chunks of one open file, parents before their children; to be gone through once.

    Attributes:
        scene: Named in errors.
    """

    def __init__(self, scene: Path, file: BinaryIO) -> None:
        self.scene = scene
        self._file = file
        self._end = os.fstat(file.fileno()).st_size
        self._unit = _UNITS.get(file.read(4), 0)
        self._skipping = False

    def skip(self) -> None:
        """Pass over what is in the group that came last."""
        self._skipping = True

    def __iter__(self) -> Iterator[Chunk]:
        """Yield every chunk.

        Raises:
            UserError: A size does not fit into what is there.
        """
        if not self._unit:
            raise self.damaged(0, "it begins neither with FOR4 nor with FOR8")
        if self._end < 2 * self._unit:
            raise self.damaged(0, "it ends in the middle of a chunk")
        at, open_groups = 0, [(self._end, b"")]
        while open_groups:
            end = open_groups[-1][0]
            if end - at < 2 * self._unit:
                at = end
                open_groups.pop()
                continue
            chunk = self._chunk_at(at, end, tuple(kind for _, kind in open_groups[1:]))
            self._skipping = not chunk.kind
            yield chunk
            if not self._skipping:
                open_groups.append((chunk.start + chunk.size, chunk.kind))
                at = chunk.start
            else:
                at = chunk.start + chunk.size
                at += 0 if chunk.kind else min(end - at, -chunk.size % self._unit)

    def _chunk_at(self, at: int, end: int, parents: tuple[bytes, ...]) -> Chunk:
        header = self._read(at, 2 * self._unit)
        tag, size, start = header[:4], int.from_bytes(header[self._unit :], "big"), at + 2 * self._unit
        if size > end - start:
            raise self.damaged(at, f"a chunk says that it has {size} bytes, and {end - start} are left")
        if tag[:3] not in _GROUPS:
            if not parents:
                raise self.damaged(at, "data outside of any group")
            return Chunk(tag, b"", start, size, parents)
        if size < 4 or len(parents) >= _DEEPEST:
            raise self.damaged(at, "a group has no type" if size < 4 else f"groups are nested {_DEEPEST} deep")
        return Chunk(tag, self._read(start, 4), start + 4, size - 4, parents)

    def data(self, chunk: Chunk, most: int) -> bytes:
        """Read the first bytes of a chunk, so many at most."""
        return self._read(chunk.start, min(chunk.size, most))

    def _read(self, at: int, count: int) -> bytes:
        self._file.seek(at)
        found = self._file.read(count)
        if len(found) < count:
            raise self.damaged(at, "it ends in the middle of a chunk")
        return found

    def damaged(self, at: int, why: str) -> UserError:
        """Compose the error about a place in the file."""
        return UserError(
            f"{self.scene.name} is damaged or is no Maya binary scene",
            f"at byte {at}: {why}",
            "copy it again from where it was saved, or save it again in Maya",
        )
