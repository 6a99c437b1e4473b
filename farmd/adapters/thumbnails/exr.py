"""A small sRGB view of an OpenEXR file, without a library: enough pixels for a thumbnail, nothing exact.

Pillow cannot read OpenEXR, and the library that can brings numpy and 60 MB; renderers mostly write scan lines that are
packed with ZIP, which the standard library unpacks. So those are read here, with NONE, RLE and ZIPS, in half and float;
other packings (PIZ, PXR24, B44, DWA), tiles and several parts need the `OpenEXR` module (extra `exr`), and are read
through it where it is installed.

Light is shown as it is: linear values from 0 to 1 become sRGB, brighter ones white, as an image viewer shows a file that
it knows nothing of. Only every n-th row and column is looked at.

Source: "OpenEXR File Layout", openexr.com. Runs in a process of its own: one pass over every byte, in Python.
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MAX_RAW_BYTES: Final = 512 << 20
"""Pictures with more than that unpacked are not looked at: it would take more than ten seconds."""
_MAGIC: Final = 20000630
_OTHER_KINDS: Final = 0x1A00
"""Bits of the version: tiles, deep data, several parts."""
_LINES: Final = {0: 1, 1: 1, 2: 1, 3: 16}
"""Scan lines in a block: not packed, RLE, ZIPS, ZIP."""
_HALF, _FLOAT = 1, 2
_SIZES: Final = {0: 4, _HALF: 2, _FLOAT: 4}
_MAX_ATTRIBUTE_BYTES: Final = 1 << 24


class CannotShow(Exception):
    """This file cannot be made a view of here; says why."""


class Pixels(NamedTuple):
    """A picture of 8 bits a channel: rows from the top, red, green and blue of each pixel."""

    width: int
    height: int
    rgb: bytes


class _Channel(NamedTuple):
    """One channel: its pixel type, and where its samples begin in a scan line."""

    name: str
    kind: int
    at: int


class _Block(NamedTuple):
    """Some scan lines: their even and their odd bytes, since they are packed apart."""

    even: bytes
    odd: bytes


@dataclass(frozen=True, slots=True)
class _Header:
    """What is needed of a header."""

    compression: int
    width: int
    height: int
    top: int
    channels: tuple[_Channel, ...]
    row_bytes: int


def view_of(path: Path, side: int) -> Pixels:
    """Read a view whose longer side has at most about `side` pixels.

    Raises:
        CannotShow: It is packed in a way that is not known here, too large, or holds no colours.
        ValueError, LookupError, struct.error, zlib.error, OSError: It is broken.
    """
    with path.open("rb") as file:
        magic, version = struct.unpack("<II", file.read(8))
        if magic != _MAGIC:
            raise ValueError("it does not begin like an EXR")
        attributes = {} if version & _OTHER_KINDS else dict(_attributes(file))
        if version & _OTHER_KINDS or attributes["compression"][0] not in _LINES:
            return _by_library(path, side)
        header = _header_of(attributes)
        if header.row_bytes * header.height > MAX_RAW_BYTES:
            return _by_library(path, side)
        return _sampled(file, header, side)


def _sampled(file: BinaryIO, header: _Header, side: int) -> Pixels:
    """Take every n-th pixel; the rows of a block come out of it in one go."""
    chosen = [_find(header.channels, name) for name in _colours_of([c.name for c in header.channels])]
    step = -(-max(header.width, header.height) // side)
    lines = _LINES[header.compression]
    count = -(-header.height // lines)
    offsets = struct.unpack(f"<{count}Q", file.read(8 * count))
    rows: dict[int, bytes] = {}
    for offset in offsets:
        file.seek(offset)
        y, size = struct.unpack("<iI", file.read(8))
        first = y - header.top
        wanted = [row for row in range(first, min(first + lines, header.height)) if row % step == 0]
        if not wanted or first < 0:
            continue
        whole = header.row_bytes * min(lines, header.height - first)
        block = _unpacked(file.read(size), header.compression, whole)
        for row in wanted:
            rows[row] = _colours(block, chosen, (row - first) * header.row_bytes, header.width, step)
    width = -(-header.width // step)
    picture = b"".join(rows.get(row, bytes(3 * width)) for row in range(0, header.height, step))
    return Pixels(width, -(-header.height // step), picture)


def _colours(block: _Block, chosen: Sequence[_Channel], at: int, width: int, step: int) -> bytes:
    """Turn the samples of one scan line, which begins at byte `at` of its block, into sRGB."""
    row = bytearray(3 * -(-width // step))
    tables = _tables()
    for place, channel in enumerate(chosen):
        half = _SIZES[channel.kind] // 2
        begin = (at + channel.at) // 2 + half - 1  # of a float only the upper two bytes count
        end, stride = begin + half * width, half * step
        table = tables[channel.kind]
        pairs = zip(block.odd[begin:end:stride], block.even[begin:end:stride], strict=True)
        row[place::3] = bytes([table[upper << 8 | lower] for upper, lower in pairs])
    return bytes(row)


def _unpacked(packed: bytes, compression: int, whole: int) -> _Block:
    """Unpack a block of scan lines that has so many bytes as a whole."""
    if len(packed) == whole:  # what would not shrink is stored as it is
        return _Block(packed[0::2], packed[1::2])
    plain = _unpack_runs(packed, whole) if compression == 1 else zlib.decompress(packed, bufsize=whole)
    if len(plain) != whole:
        raise ValueError("a block has another size than its scan lines")
    # Each byte is stored as its difference to the one before, plus 128. Sums in an array: a loop would take seconds.
    sums = array("Q", accumulate(plain[:1] + plain[1:].translate(_MINUS_128)))
    undone = sums.tobytes()[:: sums.itemsize] if sys.byteorder == "little" else sums.tobytes()[7::8]
    middle = (whole + 1) // 2
    return _Block(undone[:middle], undone[middle:])


def _unpack_runs(packed: bytes, whole: int) -> bytes:
    """Undo run lengths: a count below 128 repeats the next byte once more often, others copy that many."""
    out = bytearray()
    at = 0
    while at < len(packed) and len(out) < whole:
        count = packed[at]
        if count < 128:
            out += packed[at + 1 : at + 2] * (count + 1)
            at += 2
        else:
            out += packed[at + 1 : at + 1 + 256 - count]
            at += 257 - count
    return bytes(out)


# Header ------------------------------------------------------------------------------------------------------------


def _attributes(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    while name := _name(file):
        _name(file)
        (length,) = struct.unpack("<I", file.read(4))
        if length > _MAX_ATTRIBUTE_BYTES:
            raise ValueError("an attribute is too long")
        yield name, file.read(length)


def _name(file: BinaryIO) -> str:
    letters = bytearray()
    while (letter := file.read(1)) != b"\0":
        if not letter or len(letters) > 255:
            raise ValueError("its header ends early")
        letters += letter
    return letters.decode("utf-8", "replace")


def _header_of(attributes: dict[str, bytes]) -> _Header:
    left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    if not 0 < width <= 1 << 20 or not 0 < height <= 1 << 20:
        raise ValueError("its data window makes no sense")
    channels: list[_Channel] = []
    at = 0
    for name, kind, *sampling in _channel_list(attributes["channels"]):
        if sampling != [1, 1]:
            raise CannotShow("its channels have different sizes")
        channels.append(_Channel(name, kind, at))
        at += _SIZES[kind] * width
    return _Header(attributes["compression"][0], width, height, top, tuple(channels), at)


def _channel_list(data: bytes) -> Iterator[tuple[str, int, int, int]]:
    at = 0
    while data[at : at + 1] not in (b"\0", b""):
        end = data.index(b"\0", at)
        kind, x, y = struct.unpack_from("<i4xii", data, end + 1)
        yield data[at:end].decode("utf-8", "replace"), kind, x, y
        at = end + 17


def _colours_of(names: Sequence[str]) -> tuple[str, str, str]:
    """Choose three channels: the picture itself, else the first layer that has colours, else grey."""
    layers = dict.fromkeys(name.rpartition(".")[0] for name in names)
    order = sorted(layers, key=lambda layer: (layer != "", not layer.lower().endswith(("combined", "beauty", "rgba"))))
    for layer in order:
        front = f"{layer}." if layer else ""
        found = [f"{front}{letter}" for letter in "RGB"]
        if all(name in names for name in found):
            return found[0], found[1], found[2]
    for name in ("Y", *(name for name in names if name.rpartition(".")[2] in ("Y", "V"))):
        if name in names:
            return name, name, name
    raise CannotShow("it holds no colours")


def _find(channels: Sequence[_Channel], name: str) -> _Channel:
    channel = next(channel for channel in channels if channel.name == name)
    if channel.kind not in (_HALF, _FLOAT):
        raise CannotShow("its colours are whole numbers")
    return channel


# Light -------------------------------------------------------------------------------------------------------------

_MINUS_128: Final = bytes([(value - 128) & 255 for value in range(256)])


@cache
def _tables() -> dict[int, bytes]:
    """Make, by pixel type, tables from the upper two bytes of a sample to sRGB."""
    keys = struct.pack("<65536H", *range(65536))
    floats = b"".join([b"\0\0" + keys[at : at + 2] for at in range(0, len(keys), 2)])
    return {_HALF: _table(struct.unpack("<65536e", keys)), _FLOAT: _table(struct.unpack("<65536f", floats))}


def _table(values: Sequence[float]) -> bytes:
    return bytes([_srgb(value) for value in values])


def _srgb(value: float) -> int:
    """Show a linear value with 8 bits; what is no number is black."""
    if not value > 0.0:
        return 0
    if value >= 1.0:
        return 255
    curve = 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
    return int(255 * curve + 0.5)


# Library -----------------------------------------------------------------------------------------------------------


def _by_library(path: Path, side: int) -> Pixels:
    try:
        import OpenEXR
    except ImportError as error:
        raise CannotShow("it is packed in a way that needs the module OpenEXR (extra exr)") from error
    with OpenEXR.File(str(path), separate_channels=True) as file:
        channels = file.channels()
        planes = [channels[name].pixels for name in _colours_of(list(channels))]
    height, width = planes[0].shape
    step = -(-max(width, height) // side)
    reds, greens, blues = ([_srgb(float(v)) for v in plane[::step, ::step].ravel()] for plane in planes)
    rgb = bytes([value for pixel in zip(reds, greens, blues, strict=True) for value in pixel])
    return Pixels(-(-width // step), -(-height // step), rgb)
