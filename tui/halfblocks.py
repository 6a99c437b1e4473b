"""Pictures for any terminal: two pixels in each cell, the upper half block over the lower one's colour.

Decoding needs Pillow (extra `images`); without it a picture says so in words. Must not import textual.
"""

from __future__ import annotations

import io
from typing import NamedTuple

from protocol.errors import UserError
from protocol.extras import how_to_install

Colour = tuple[int, int, int]


class Picture(NamedTuple):
    """A picture of cells: for each line, the colours of the upper and the lower half of each cell."""

    width: int
    lines: list[list[tuple[Colour, Colour]]]


def draw(data: bytes, width: int, height: int) -> Picture:
    """Scale an image into so many cells, its proportions kept; a cell is twice as high as wide.

    Raises:
        UserError: It cannot be decoded here.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise UserError("no picture", "Pillow is not installed", how_to_install("images")) from error
    try:
        with Image.open(io.BytesIO(data)) as opened:
            image = opened.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise UserError("no picture", f"it cannot be decoded: {error}") from error
    scale = min(width / image.width, 2 * height / image.height)
    wide, high = max(1, round(image.width * scale)), max(2, round(image.height * scale))
    high += high % 2
    pixels = image.resize((wide, high), Image.Resampling.LANCZOS).tobytes()
    rows = [_row(pixels, wide, y) for y in range(high)]
    return Picture(wide, [list(zip(rows[y], rows[y + 1], strict=True)) for y in range(0, high, 2)])


def _row(pixels: bytes, width: int, y: int) -> list[Colour]:
    begin = y * width * 3
    return [(pixels[at], pixels[at + 1], pixels[at + 2]) for at in range(begin, begin + width * 3, 3)]
