"""The contact sheet: all frames of a film in one small picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

GAP_PX: Final = 4
BACKGROUND: Final = (18, 20, 26)
COLOURS: Final = 224
"""A palette of so many colours keeps the sheet small enough for a README."""


def contact_sheet(images: Sequence[Path], file: Path, *, columns: int = 6, width: int = 136) -> Path:
    """Put pictures side by side.

    Args:
        images: In the order in which they shall stand.
        file: The PNG to write.
        columns: Pictures in a row.
        width: Of one picture, in pixels.
    """
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    with Image.open(images[0]) as first:
        height = round(width * first.height / first.width)
    sheet = Image.new("RGB", (columns * (width + GAP_PX) + GAP_PX, rows * (height + GAP_PX) + GAP_PX), BACKGROUND)
    for place, path in enumerate(images):
        with Image.open(path) as image:
            small = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
        column, row = place % columns, place // columns
        sheet.paste(small, (GAP_PX + column * (width + GAP_PX), GAP_PX + row * (height + GAP_PX)))
    sheet.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    return file
