"""The demo's scene: `python sunrise.py FRAME FRAMES OUTPUT` draws one frame of a sun that rises over the sea, as PNG.

A program that is its own renderer: the standard library is all that it needs, so that the demo runs on a machine that has
no renderer at all. It is submitted like any scene, travels to every machine, and takes about a second a frame.

The file format is PNG (W3C Recommendation, third edition, section 5: chunks, each with its CRC; filter type 0).
"""

from __future__ import annotations

import math
import struct
import sys
import zlib
from pathlib import Path

WIDTH, HEIGHT = 480, 270
HORIZON = 0.62
SUN_RADIUS = 0.11

Colour = tuple[float, float, float]


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Blend two colours."""
    share = max(0.0, min(1.0, share))
    return (
        one[0] + (other[0] - one[0]) * share,
        one[1] + (other[1] - one[1]) * share,
        one[2] + (other[2] - one[2]) * share,
    )


def sky(x: float, y: float, day: float) -> Colour:
    """Colour of the sky at a point; `day` goes from 0 before sunrise to 1."""
    above = mix((18, 22, 58), (96, 158, 222), day)
    low = mix((92, 44, 74), (255, 208, 150), day)
    colour = mix(above, low, (y / HORIZON) ** 2)
    away = math.hypot(x - 0.5, (y - sun_height(day)) * HEIGHT / WIDTH)
    glow = math.exp(-away * 7)
    disc = 1.0 if away < SUN_RADIUS * HEIGHT / WIDTH else 0.0
    return mix(mix(colour, (255, 170, 90), glow * 0.8), (255, 238, 190), disc)


def sun_height(day: float) -> float:
    """Where the middle of the sun stands, from the top."""
    return HORIZON + 0.12 - 0.42 * day


def sea(x: float, y: float, day: float, moment: float) -> Colour:
    """Colour of the water: the sky upside down, broken by waves."""
    depth = (y - HORIZON) / (1 - HORIZON)
    wave = math.sin(60 * depth**0.5 + 9 * moment + 3 * math.sin(14 * x + 4 * moment))
    seen = sky(x + 0.012 * wave * (0.2 + depth), HORIZON - (y - HORIZON) * 0.9 + 0.01 * wave, day)
    return mix(seen, (12, 38, 62), 0.35 + 0.4 * depth + 0.05 * wave)


def picture(moment: float) -> bytes:
    """Draw one frame as rows of RGB, each with the filter type in front; `moment` goes from 0 to 1."""
    rows = bytearray()
    day = moment * moment * (3 - 2 * moment)
    for row in range(HEIGHT):
        rows.append(0)
        y = (row + 0.5) / HEIGHT
        for column in range(WIDTH):
            x = (column + 0.5) / WIDTH
            red, green, blue = sky(x, y, day) if y < HORIZON else sea(x, y, day, moment)
            rows += bytes((int(red), int(green), int(blue)))
    return bytes(rows)


def png(rows: bytes) -> bytes:
    """Pack rows as a PNG of 8-bit RGB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 6)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def main() -> None:
    """Draw the frame that the command line names."""
    frame, frames, output = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    output.write_bytes(png(picture((frame - 1) / max(1, frames - 1))))


if __name__ == "__main__":
    main()
