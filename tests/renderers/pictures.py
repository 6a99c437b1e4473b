"""Tiny pictures, made byte by byte, so that tests can break them byte by byte."""

from __future__ import annotations

import struct
import zlib


def png(width: int = 8, height: int = 4, pixel: bytes = b"\x80\x40\x20", *, filtering: int = 0) -> bytes:
    """Write an 8-bit PNG of one colour: 1, 2, 3 or 4 bytes a pixel choose grey, grey-alpha, RGB, RGBA."""
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[len(pixel)]
    plain = pixel * width
    if filtering == 1:
        plain = pixel + bytes(len(pixel) * (width - 1))
    rows = (bytes([filtering]) + plain) * height
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def exr(width: int = 4, height: int = 3, *, filled: bool = True) -> bytes:
    """Write the skeleton of an uncompressed scan-line EXR."""
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    attributes = {
        b"compression\0compression\0": b"\0",
        b"dataWindow\0box2i\0": window,
        b"displayWindow\0box2i\0": window,
    }
    head = struct.pack("<II", 20000630, 2)
    head += b"".join(name + struct.pack("<I", len(value)) + value for name, value in attributes.items()) + b"\0"
    at = len(head) + 8 * height
    blocks = [at + row * 16 if filled else 0 for row in range(height)]
    return head + struct.pack(f"<{height}Q", *blocks) + bytes(16 * height)


def pixels(data: bytes) -> list[list[tuple[int, ...]]]:
    """Read an 8-bit PNG back: rows of pixels, as many numbers each as it has channels."""
    width, height, _, colour = struct.unpack_from(">IIBB", data, 16)
    size = {0: 1, 4: 2, 2: 3, 6: 4}[colour]
    plain, at = b"", 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"IDAT":
            plain += data[at + 8 : at + 8 + length]
        at += length + 12
    packed, above, rows = zlib.decompress(plain), bytearray(width * size), []
    for row in range(height):
        line = bytearray(packed[row * (width * size + 1) : (row + 1) * (width * size + 1)])
        above = _unfiltered(line[0], line[1:], above, size)
        rows.append([tuple(above[at : at + size]) for at in range(0, len(above), size)])
    return rows


def _unfiltered(kind: int, line: bytearray, above: bytearray, size: int) -> bytearray:
    for at in range(len(line)):
        left, up = line[at - size] if at >= size else 0, above[at]
        corner = above[at - size] if at >= size else 0
        line[at] = (line[at] + (0, left, up, (left + up) // 2, _paeth(left, up, corner))[kind]) & 255
    return line


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min((left, up, corner), key=lambda value: abs(guess - value))
