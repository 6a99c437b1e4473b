"""Small views of finished frames, made on the node that rendered them.

What is small is drawn here, on the caller's thread; a picture whose decoding would hold the interpreter for more than a
few milliseconds goes to a process of its own (`drawing`), all pictures of an attempt to one, a few at a time. A thumbnail is a
courtesy: whatever is in the way of one, the frame is done without it.

What draws is imported with the first picture: most of a daemon's life there is none.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_BYTES", "Thumbnails"]

_LOG = logging.getLogger(__name__)
MAX_BYTES: Final = 40_000
ENDINGS: Final = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".exr")
LIGHT_PIXELS: Final = 160_000
LIGHT_BYTES: Final = 1 << 20
AT_ONCE: Final = 2
"""Processes at a time; attempts that find no room in `ROOM_S` get no thumbnails."""
ROOM_S: Final = 5.0
PATIENCE_S: Final = 20
MOST_AT_ONCE: Final = 64
"""Of a chunk of more frames, the first get a thumbnail."""
_ROOT: Final = Path(__file__).resolve().parents[3]


class Thumbnails:
    """Makes JPEGs of at most `MAX_BYTES`.

    Attributes:
        fault: Why none can be made on this node; empty if they can.
    """

    def __init__(self) -> None:
        self.fault = "" if importlib.util.find_spec("PIL") else "Pillow is not installed (extra images)"
        self._room = BoundedSemaphore(AT_ONCE)

    def wants(self, path: Path) -> bool:
        """Tell whether a file is a picture by its name, and thumbnails can be made here."""
        return not self.fault and path.suffix.lower() in ENDINGS

    def make(self, paths: Sequence[Path]) -> list[bytes]:
        """Draw thumbnails; an empty one where that is not possible. Takes seconds for large pictures: use a thread."""
        paths = paths[:MOST_AT_ONCE]
        drawn = {path: _draw_here(path) for path in paths if _is_light(path)}
        heavy = [path for path in paths if path not in drawn]
        if heavy and self._room.acquire(timeout=ROOM_S):
            try:
                drawn |= dict(zip(heavy, _draw_beside(heavy), strict=False))
            finally:
                self._room.release()
        return [drawn.get(path, b"") for path in paths]


def _is_light(path: Path) -> bool:
    """Tell whether a picture is drawn in a few milliseconds; only its header is read."""
    from PIL import Image

    from farmd.adapters.thumbnails.drawing import BROKEN

    if path.suffix.lower() == ".exr":
        return False
    with suppress(*BROKEN, Image.DecompressionBombError):
        if path.stat().st_size > LIGHT_BYTES:
            return False
        with Image.open(path) as image:
            return image.width * image.height <= LIGHT_PIXELS
    return True


def _draw_here(path: Path) -> bytes:
    from farmd.adapters.thumbnails.drawing import BROKEN, draw

    try:
        return draw(path)
    except BROKEN as error:
        _LOG.info("no thumbnail of %s: %s", path.name, error)
        return b""


def _draw_beside(paths: Sequence[Path]) -> list[bytes]:
    """Draw in a process; what it has not drawn in time stays empty."""
    argv = [sys.executable, "-P", "-m", "farmd.adapters.thumbnails.drawing", str(PATIENCE_S), *map(str, paths)]
    env = {**os.environ, "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=PATIENCE_S + 5
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        _LOG.warning("no thumbnails: %s", error)
        return []
    if done.returncode:
        _LOG.info("thumbnails ended with %d: %s", done.returncode, done.stderr[-300:].decode(errors="replace"))
    return _answers(done.stdout)


def _answers(data: bytes) -> list[bytes]:
    found: list[bytes] = []
    at = 0
    while at + 4 <= len(data):
        (length,) = struct.unpack_from("<I", data, at)
        part = data[at + 4 : at + 4 + length]
        found.append(part if len(part) == length <= MAX_BYTES else b"")
        at += 4 + length
    return found
