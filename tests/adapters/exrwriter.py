"""Writes small OpenEXR files of scan lines, from the format's description, to read them back."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping

NONE, RLE, ZIPS, ZIP, PIZ = range(5)
LINES = {NONE: 1, RLE: 1, ZIPS: 1, ZIP: 16, PIZ: 32}
HALF, FLOAT = 1, 2
Shader = Callable[[int, int], float]


def exr(channels: Mapping[str, Shader], width: int, height: int, *, packing: int = ZIP, kind: int = HALF) -> bytes:
    """Write a file whose channels are functions of column and row."""
    names = sorted(channels)
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    listed = b"".join(name.encode() + b"\0" + struct.pack("<i4xii", kind, 1, 1) for name in names) + b"\0"
    attributes = {
        b"channels\0chlist\0": listed,
        b"compression\0compression\0": bytes([packing]),
        b"dataWindow\0box2i\0": window,
        b"displayWindow\0box2i\0": window,
        b"lineOrder\0lineOrder\0": b"\0",
    }
    head = struct.pack("<II", 20000630, 2)
    head += b"".join(name + struct.pack("<I", len(value)) + value for name, value in attributes.items()) + b"\0"
    blocks = []
    for first in range(0, height, LINES[packing]):
        rows = range(first, min(first + LINES[packing], height))
        plain = b"".join(_line(channels[name], y, width, kind) for y in rows for name in names)
        packed = _pack(plain, packing)
        blocks.append(struct.pack("<iI", first, len(packed)) + packed)
    offsets, at = [], len(head) + 8 * len(blocks)
    for block in blocks:
        offsets.append(at)
        at += len(block)
    return head + struct.pack(f"<{len(offsets)}Q", *offsets) + b"".join(blocks)


def _line(shader: Shader, y: int, width: int, kind: int) -> bytes:
    return struct.pack(f"<{width}{'e' if kind == HALF else 'f'}", *[shader(x, y) for x in range(width)])


def _pack(plain: bytes, packing: int) -> bytes:
    if packing == NONE:
        return plain
    apart = plain[0::2] + plain[1::2]
    differences = bytes([apart[0]] + [(apart[i] - apart[i - 1] + 128) & 255 for i in range(1, len(apart))])
    packed = _runs(differences) if packing == RLE else zlib.compress(differences)
    return packed if len(packed) < len(plain) else plain


def _runs(data: bytes) -> bytes:
    out, at = bytearray(), 0
    while at < len(data):
        end = at + 1
        while end < len(data) and end - at < 128 and data[end] == data[at]:
            end += 1
        if end - at >= 3:
            out += bytes([end - at - 1, data[at]])
        else:
            end = min(len(data), at + 5)
            out += bytes([256 - (end - at)]) + data[at:end]
        at = end
    return bytes(out)
