"""Makes the bytes of scene files by hand: chunks of Maya, archives of Houdini."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from farmd.scenes.content import Content, Reader

HOU_LC = b"HouLC\x1a"


def data(tag: bytes, payload: bytes, width: int = 8) -> bytes:
    """One chunk with data, and the padding behind it."""
    return _header(tag, len(payload), width) + payload + bytes(-len(payload) % width)


def group(tag: bytes, kind: bytes, *chunks: bytes, width: int = 8) -> bytes:
    """A group: FOR4, FOR8, LIS8."""
    payload = kind + b"".join(chunks)
    return _header(tag, len(payload), width) + payload


def _header(tag: bytes, size: int, width: int) -> bytes:
    return tag + bytes(width - 4) + size.to_bytes(width, "big")


def cpio(members: Mapping[str, str | bytes]) -> bytes:
    """A commercial scene of Houdini."""
    parts = [_cpio_member(name, body) for name, body in members.items()]
    return b"".join((*parts, _cpio_member("TRAILER!!!", b"")))


def _cpio_member(name: str, body: str | bytes) -> bytes:
    named, contents = name.encode() + b"\0", body.encode() if isinstance(body, str) else body
    widths = ((1, 6), (1, 6), (0o666, 6), (0, 6), (0, 6), (1, 6), (0, 6), (0, 11), (len(named), 6), (len(contents), 11))
    numbers = "".join(f"{value:0{width}o}" for value, width in widths)
    return b"070707" + numbers.encode() + named + contents


def marked(members: Mapping[str, str | bytes], mark: bytes = HOU_LC) -> bytes:
    """A scene of an indie or apprentice licence."""
    texts = ((name, body.encode() if isinstance(body, str) else body) for name, body in members.items())
    return b"".join(mark + b"1033600bbf0626e4915092bb9909" + name.encode() + b"\0" + body for name, body in texts)


def parms(**values: str) -> str:
    """A `.parm`; each value as it stands between the parentheses: "$HIP/a.exr", "1\t2"."""
    lines = [f"{name}\t[ 0\tlocks=0 ]\t(\t{value}\t)" for name, value in values.items()]
    return "\n".join(("{", "version 0.8", *lines, "}", ""))


def outcome(reader: Reader, scene: Path, contents: bytes) -> Content | UserError:
    """Let a reader read these bytes; anything else that it raises ends the test."""
    scene.write_bytes(contents)
    try:
        return reader(scene)
    except UserError as error:
        return error
