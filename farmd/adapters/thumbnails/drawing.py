"""Draws one thumbnail: at most `MAX_BYTES` of JPEG, of a PNG, JPEG, TIFF or OpenEXR file.

    python -P -m farmd.adapters.thumbnails.drawing PATIENCE_S PATH...

As a program it runs beside the daemon, with little memory and low priority, and ends by itself: a picture that is broken
or monstrous costs the farm a thumbnail and nothing else. Each answer on stdout is a length (4 bytes) and that many bytes.
Pillow is imported late: a node without it must be able to import this and say so.
"""

from __future__ import annotations

import os
import resource
import signal
import struct
import sys
import warnings
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from farmd.adapters.thumbnails import MAX_BYTES
from farmd.adapters.thumbnails.exr import CannotShow, view_of

if TYPE_CHECKING:
    from PIL import Image

SIDE: Final = 480
"""Pixels of the longer side; fewer if it does not fit otherwise."""
BACKGROUND: Final = (64, 64, 64)
"""What shows through where a picture is transparent."""
BROKEN: Final = (
    CannotShow, OSError, ValueError, LookupError, SyntaxError, MemoryError, OverflowError, struct.error, zlib.error,
)  # fmt: skip
"""What a file may make the readers raise; Pillow's own errors are among them, `UnidentifiedImageError` is an OSError."""
_MEMORY_BYTES: Final = 3 << 30
_NICE: Final = 15
_QUALITIES: Final = (82, 70, 55, 40)


def draw(path: Path, ending: str = "") -> bytes:
    """Return a JPEG of at most `MAX_BYTES`.

    Args:
        path: The picture.
        ending: Of its name, where the file has another one.

    Raises:
        One of `BROKEN`, or an ImportError.
    """
    image = _open(path, ending or path.suffix.lower())
    side = SIDE
    while True:
        small = image.copy()
        small.thumbnail((side, side))
        for quality in _QUALITIES:
            data = _jpeg(small, quality)
            if len(data) <= MAX_BYTES:
                return data
        side = side * 3 // 4


def _jpeg(image: Image.Image, quality: int) -> bytes:
    out = BytesIO()
    image.save(out, "JPEG", quality=quality, optimize=True)
    return out.getvalue()


def _open(path: Path, ending: str) -> Image.Image:
    from PIL import Image

    if ending == ".exr":
        view = view_of(path, 2 * SIDE)
        return Image.frombytes("RGB", (view.width, view.height), view.rgb)
    with Image.open(path) as image:
        image.draft("RGB", (2 * SIDE, 2 * SIDE))  # a JPEG is unpacked at a fraction of its size
        image.load()
        return _opaque(image)


def _opaque(image: Image.Image) -> Image.Image:
    """Make 8-bit RGB of whatever it is."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        image = image.convert("I")
    if image.mode == "I":
        return image.point(lambda value: value / 256).convert("L").convert("RGB")
    if image.mode == "F":
        return image.point(lambda value: value * 255).convert("L").convert("RGB")
    if image.has_transparency_data:
        shown = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", shown.size, (*BACKGROUND, 255)), shown).convert("RGB")
    return image.convert("RGB")


def main() -> None:
    """Answer for each path in turn, an empty answer where none can be drawn."""
    patience_s, *paths = sys.argv[1:]
    signal.alarm(int(patience_s))
    with suppress(OSError):
        os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    warnings.simplefilter("ignore")
    for path in paths:
        data = b""
        with suppress(*BROKEN):
            data = draw(Path(path))
        sys.stdout.buffer.write(struct.pack("<I", len(data)) + data)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
