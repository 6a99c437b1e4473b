"""Reads the first bytes of a .blend file: which Blender wrote it, for which kind of machine, and how it is packed.

Two layouts exist. Until Blender 4 the file starts with twelve bytes, `BLENDER-v279`: the size of a pointer (`_` 4, `-` 8
bytes), the byte order (`v` little, `V` big) and three digits of version. Blender 5 writes seventeen, `BLENDER17-01v0500`:
the size of the header, the pointer, two digits of file format, the byte order and four digits of version. Either may
lie inside gzip (until 2.93) or zstd (since 3.0).

Python 3.11 has no zstd. The header inside is read where Python 3.14, the package zstandard or the program zstd is
there, and is unknown elsewhere, which costs nothing but the version in the report.
"""

from __future__ import annotations

import importlib
import io
import re
import shutil
import subprocess
import tempfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from protocol.errors import NotFound, UserError

if TYPE_CHECKING:
    from pathlib import Path

MAGIC: Final = b"BLENDER"
HEADER_BYTES: Final = 17
FIRST_BYTES: Final = 1 << 18
"""Enough for the first block of a zstd frame, which may have 128 KiB."""
_OLD: Final = re.compile(rb"BLENDER([-_])([vV])(\d)(\d\d)")
_NEW: Final = re.compile(rb"BLENDER\d\d([-_])\d\d([vV])(\d\d)(\d\d)")
_GZIP: Final = b"\x1f\x8b"
_LFS: Final = b"version https://git-lfs"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


class Compression(StrEnum):
    """What lies around the file."""

    RAW = "raw"
    GZIP = "gzip"
    ZSTD = "zstd"


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes say.

    Attributes:
        compression: What lies around the rest.
        version: Major and minor of the Blender that saved it; None = unknown.
        pointer_bytes: 4 or 8; 0 = unknown.
        byte_order: "little", "big"; "" = unknown.
        is_large: Written with the header of Blender 5, which no Blender before 4.5 opens.
    """

    compression: Compression = Compression.RAW
    version: tuple[int, int] | None = None
    pointer_bytes: int = 0
    byte_order: str = ""
    is_large: bool = False

    @property
    def version_text(self) -> str:
        """The version as people write it: "2.79", "4.5"; "" = unknown."""
        if self.version is None:
            return ""
        major, minor = self.version
        return f"{major}.{minor:02d}" if major < 3 else f"{major}.{minor}"


def read_header(scene: Path) -> Header:
    """Read the header of a .blend file.

    Raises:
        UserError: It is not there, cannot be read, is empty, a folder, or no .blend file.
    """
    head = _first_bytes(scene)
    if head.startswith(_GZIP):
        return _header_in(scene, _ungzip(head), Compression.GZIP)
    if head.startswith(_ZSTD):
        inner = _unzstd(head)
        return Header(Compression.ZSTD) if inner is None else _header_in(scene, inner, Compression.ZSTD)
    return _header_in(scene, head, Compression.RAW)


def parse_header(head: bytes, compression: Compression = Compression.RAW) -> Header | None:
    """Understand unpacked first bytes; None if they are no header."""
    for pattern in (_OLD, _NEW):
        found = pattern.match(head)
        if found is not None:
            pointer, order, major, minor = found.groups()
            return Header(
                compression,
                version=(int(major), int(minor)),
                pointer_bytes=8 if pointer == b"-" else 4,
                byte_order="little" if order == b"v" else "big",
                is_large=pattern is _NEW,
            )
    return None


def _first_bytes(scene: Path) -> bytes:
    try:
        with scene.open("rb") as file:
            head = file.read(FIRST_BYTES)
    except FileNotFoundError:
        raise NotFound(f"there is no file {scene}", "", "is the path right?") from None
    except IsADirectoryError:
        raise UserError(f"{scene} is a folder", "a .blend file is needed", "name the file in it") from None
    except OSError as error:
        raise UserError(f"{scene} cannot be read", error.strerror or str(error), "may you read it?") from None
    if not head:
        raise UserError(f"{scene.name} is empty", "it has 0 bytes", "copy or save it again") from None
    return head


def _header_in(scene: Path, head: bytes, compression: Compression) -> Header:
    header = parse_header(head, compression)
    if header is not None:
        return header
    if head.startswith(MAGIC) or MAGIC.startswith(head[: len(MAGIC)]):
        raise UserError(f"{scene.name} is damaged", "it ends within the first bytes", "copy or save it again")
    if head.startswith(_LFS):
        why = "it is a pointer of Git LFS: the file itself was not fetched"
        raise UserError(f"{scene.name} is no Blender file", why, "git lfs pull")
    raise UserError(
        f"{scene.name} is no Blender file", "it does not begin with BLENDER", "did something else get its name?"
    )


def _ungzip(packed: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(packed, HEADER_BYTES)
    except zlib.error:
        return b"?"


def _unzstd(packed: bytes) -> bytes | None:
    """Unpack no more than the header; None where nothing here can, or where the packed bytes are damaged."""
    for reader in (_unzstd_by_module, _unzstd_by_program):
        inner = reader(packed)
        if inner:
            return inner
    return None


def _unzstd_by_module(packed: bytes) -> bytes | None:
    with suppress(ImportError):
        zstd = importlib.import_module("compression.zstd")  # the standard library of Python 3.14
        with suppress(zstd.ZstdError):
            return bytes(zstd.ZstdDecompressor().decompress(packed, max_length=HEADER_BYTES))
    with suppress(ImportError):
        zstandard = importlib.import_module("zstandard")
        with suppress(zstandard.ZstdError):
            return bytes(zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed)).read(HEADER_BYTES))
    return None


def _unzstd_by_program(packed: bytes) -> bytes | None:
    """Let the program unpack until it has said enough: what is packed may be far larger than it looks."""
    program = shutil.which("zstd")
    if program is None:
        return None
    with suppress(OSError), tempfile.TemporaryFile() as given:
        given.write(packed)
        given.seek(0)
        argv = [program, "-dc", "--quiet", "--memory=64MB"]
        with subprocess.Popen(argv, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            inner = process.stdout.read(HEADER_BYTES) if process.stdout is not None else b""
            process.kill()
            return inner
    return None
