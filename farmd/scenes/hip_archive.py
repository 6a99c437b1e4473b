"""Takes apart Houdini's scene files: archives of many small texts, named by the path of the node they belong to.

A commercial `.hip` is a cpio archive in the portable form (POSIX.1-1988 "odc"): a header of octal digits, which says how
long name and contents are. `.hiplc` and `.hipnc` have the same members behind a mark and 28 digits that say no length:
a member ends where the next mark begins, so that all of the file is read, block by block.

Called by `houdini`. Contents are given out only of members that the caller wants, and only up to a limit: geometry that is
locked into a scene lies in it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from protocol.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

CPIO: Final = b"070707"
_MARKS: Final = (b"HouLC\x1a", b"HouNC\x1a")
_DIGITS: Final = 28
"""Between a mark and the name."""
_HEADER: Final = 76
_NAME_SIZE: Final = slice(59, 65)
_BODY_SIZE: Final = slice(65, 76)
_LAST: Final = "TRAILER!!!"
_MOST_NAME: Final = 4096
_MOST_BODY: Final = 16 << 20
_BLOCK: Final = 1 << 20


class Member(NamedTuple):
    """One text of the archive: "obj/cam1.parm". `body` is cut at 16 MiB."""

    name: str
    body: bytes


def is_hip(head: bytes) -> bool:
    """Tell whether a file that begins so is an archive of Houdini."""
    return head.startswith((CPIO, *_MARKS))


def members(scene: Path, file: BinaryIO, wanted: Callable[[str], bool]) -> Iterator[Member]:
    """Yield the members that are wanted by name, in the order of the file.

    Raises:
        UserError: It is no such archive, or it is damaged.
    """
    mark = file.read(len(CPIO))
    file.seek(0)
    if mark == CPIO:
        yield from _by_length(scene, file, wanted)
    elif mark in _MARKS:
        yield from _by_mark(file, mark, wanted)
    else:
        raise UserError(
            f"{scene.name} is no Houdini scene that can be read",
            _what_it_may_be(mark),
            "save it uncompressed and as a binary scene (File > Save As), or unpack it first",
        )


def _what_it_may_be(head: bytes) -> str:
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")):
        return "it is compressed"
    return "it is the text form of a scene" if head.startswith(b"MIME") else "it does not begin as one"


def _by_length(scene: Path, file: BinaryIO, wanted: Callable[[str], bool]) -> Iterator[Member]:
    at, end = 0, file.seek(0, 2)
    while at < end:
        file.seek(at)
        header = file.read(_HEADER)
        try:
            name_size, size = int(header[_NAME_SIZE], 8), int(header[_BODY_SIZE], 8)
        except ValueError:
            raise _damaged(scene, at, "no header of a member") from None
        body_at = at + _HEADER + name_size
        if not header.startswith(CPIO) or name_size not in range(1, _MOST_NAME) or not 0 <= size <= end - body_at:
            raise _damaged(scene, at, f"a member of {size} bytes does not fit in")
        name = file.read(name_size).rstrip(b"\0").decode(errors="replace")
        if name == _LAST:
            return
        if wanted(name):
            yield Member(name, file.read(min(size, _MOST_BODY)))
        at = body_at + size
    raise _damaged(scene, at, "it ends before its last member")


def _by_mark(file: BinaryIO, mark: bytes, wanted: Callable[[str], bool]) -> Iterator[Member]:
    """The same of archives without lengths; keeps at most one member and one block.

    What is too long to be kept, or not wanted, is cut off behind its name at once.
    """
    held, block = bytearray(), file.read(_BLOCK)
    while block:
        # A mark may lie across two blocks.
        seek_from = max(0, len(held) - len(mark) + 1)
        held += block
        while (found := held.find(mark, max(seek_from, 1))) > 0:
            yield from _member(held[:found], len(mark), wanted)
            del held[:found]
            seek_from = 1
        _shorten(held, len(mark), wanted)
        block = file.read(_BLOCK)
    yield from _member(held, len(mark), wanted)


def _member(held: bytearray, mark: int, wanted: Callable[[str], bool]) -> Iterator[Member]:
    name, ended, body = held[mark + _DIGITS :].partition(b"\0")
    text = name[:_MOST_NAME].decode(errors="replace")
    if ended and wanted(text):
        yield Member(text, bytes(body[:_MOST_BODY]))


def _shorten(held: bytearray, mark: int, wanted: Callable[[str], bool]) -> None:
    """Let go of the middle of a member that goes on; its end stays, since a mark may begin in it."""
    named = held.find(b"\0", mark + _DIGITS, mark + _DIGITS + _MOST_NAME)
    if named < 0:
        keep = mark + _DIGITS + _MOST_NAME
    else:
        keep = named + 1 + (_MOST_BODY if wanted(held[mark + _DIGITS : named].decode(errors="replace")) else 0)
    if len(held) > keep + mark:
        del held[keep:-mark]


def _damaged(scene: Path, at: int, why: str) -> UserError:
    return UserError(
        f"{scene.name} is damaged", f"at byte {at}: {why}", "copy it again from where it was saved, or save it again"
    )
