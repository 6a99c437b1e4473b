"""Is this file the picture that was promised? Asked after every frame, because exit codes prove nothing.

A promised file exists, is not empty, decodes to its end, and has the size that the renderer named. A frame that is
uniformly black is *suspect*, and wrong only beside good neighbours: a fade to black is a picture too. What is no image
by its name is checked for existence and content alone.

Decoding is our own for PNG (whole stream, checksums, in bounded memory) and for the structure of JPEG, EXR and TIFF, so
that a node without Pillow is no blind one; with Pillow, JPEG and TIFF are decoded fully, and the mean luminance of
moderate pictures is known instead of only "black or not".

Called by the daemon's verification of outputs, off the event loop for larger files. Must never raise anything but
`BadImage` for what a file holds.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from farmd.renderers import Inspected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from farmd.renderers import Promise

BLACK: Final = 1.5 / 255
"""Mean luminance up to which a picture counts as black: dither lifts a black one by less than a step."""
MAX_LUMINANCE_PIXELS: Final = 1 << 24
"""Larger pictures are decoded but not measured: Pillow would hold them whole in the daemon's memory."""
_PIECE: Final = 1 << 20
_BROKEN: Final = (struct.error, zlib.error, EOFError, MemoryError, OverflowError, ValueError, LookupError)


class BadImage(Exception):
    """The file is not the picture that was promised."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What a file turned out to be.

    Attributes:
        width: Pixels; 0 if it is no image by its name.
        height: Pixels.
        luminance: Mean, 0..1; None = not measured.
    """

    width: int = 0
    height: int = 0
    luminance: float | None = None

    @property
    def black(self) -> bool:
        """Uniformly black, as far as it was measured."""
        return self.luminance is not None and self.luminance <= BLACK


def check_file(path: Path, width: int = 0, height: int = 0, *, any_content: bool = False) -> Picture:
    """Check one output.

    Args:
        path: The promised file.
        width: Expected pixels, 0 = not known.
        height: Expected pixels, 0 = not known.
        any_content: See `Promise`.

    Raises:
        BadImage: It is missing, empty, broken, or of another size.
    """
    try:
        size_bytes = path.stat().st_size if path.is_file() else -1
        if size_bytes <= 0:
            raise BadImage(f"{path.name} was not written" if size_bytes < 0 else f"{path.name} is empty")
        read = _READERS.get(path.suffix.lower())
        if read is None:
            return Picture()
        with path.open("rb") as file:
            if any_content and not file.read(4).startswith(_MAGIC):
                return Picture()
            file.seek(0)
            picture = _measured(path, read(file, size_bytes))
    except OSError as error:
        raise BadImage(f"{path.name} cannot be read: {error.strerror or error}") from error
    except _BROKEN as error:
        raise BadImage(f"{path.name} is broken: {error}") from error
    if (width and picture.width != width) or (height and picture.height != height):
        raise BadImage(f"{path.name} has {picture.width}x{picture.height} pixels instead of {width}x{height}")
    return picture


def inspect(promises: Sequence[Promise], neighbours: Sequence[float]) -> Inspected:
    """Check all files of an attempt, and judge black frames by the company they keep.

    Args:
        promises: Files that must be there.
        neighbours: Mean luminances of other frames of the job, as far as this node knows them.
    """
    pictures: list[Picture] = []
    try:
        pictures.extend(check_file(p.path, p.width, p.height, any_content=p.any_content) for p in promises)
    except BadImage as bad:
        return Inspected(fault=str(bad))
    measured = tuple(picture.luminance for picture in pictures if picture.luminance is not None)
    black = [item.path.name for item, picture in zip(promises, pictures, strict=True) if picture.black]
    if not black:
        return Inspected(luminances=measured)
    names = ", ".join(black[:5]) + (" …" if len(black) > 5 else "")
    # A picture that was decoded, is too large to be measured and is not black has no luminance: it counts as bright.
    bright = sum(value > BLACK for value in neighbours) + sum(
        picture.width > 0 and not picture.black for picture in pictures
    )
    if bright:
        return Inspected(fault=f"{names}: uniformly black, and {bright} other frame(s) of the job are not")
    return Inspected(remark=f"suspect: {names} uniformly black", luminances=measured)


def _measured(path: Path, picture: Picture) -> Picture:
    """Decode with Pillow where that tells more; without it, what the own reader found stands."""
    small = 0 < picture.width * picture.height <= MAX_LUMINANCE_PIXELS
    if not small or picture.black or path.suffix.lower() in _PILLOW_CANNOT:
        return picture
    try:
        from PIL import Image
    except ImportError:
        return picture
    try:
        with Image.open(path) as image:
            image.load()
            scale = 65535 if image.mode.startswith("I") else 255
            grey = image.convert("F" if image.mode.startswith("I") else "L").convert("F")
            (mean,) = struct.unpack("f", grey.resize((1, 1), Image.Resampling.BOX).tobytes())
            return Picture(image.width, image.height, mean / scale)
    except (SyntaxError, Image.DecompressionBombError) as error:
        raise BadImage(f"{path.name} is broken: {error}") from error


# PNG -------------------------------------------------------------------------------------------------------------

_MAGIC: Final = (b"\x89PNG", b"\xff\xd8\xff", b"v/1\x01", b"II*\0", b"MM\0*")
_PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ALPHA: Final = (4, 6)


def _read_png(file: BinaryIO, size_bytes: int) -> Picture:
    """Inflate the whole picture, count its bytes and look whether any colour byte differs from 0.

    PNG's filters predict each byte from bytes of the same channel, so a channel that is all zero stays all zero when
    filtered: black is seen without undoing a filter.
    """
    if file.read(8) != _PNG_MAGIC:
        raise ValueError("it does not begin like a PNG")
    chunks = _png_chunks(file, size_bytes)
    kind, header = next(chunks, (b"", b""))
    if kind != b"IHDR":
        raise ValueError("it has no header")
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header[:13])
    bits = _CHANNELS.get(colour, 0) * depth
    if not bits or not width or not height:
        raise ValueError("its header makes no sense")
    row = _Rows((width * bits + 7) // 8, max(1, bits // 8), max(1, depth // 8) if colour in _ALPHA else 0)
    inflate = zlib.decompressobj()
    for packed in (data for kind, data in chunks if kind == b"IDAT"):
        rest = packed
        while rest:
            row.add(inflate.decompress(rest, _PIECE))
            rest = inflate.unconsumed_tail
    row.add(inflate.flush())
    if not inflate.eof or (not interlaced and row.total != height * (row.length + 1)):
        raise ValueError("the picture ends early")
    black = row.black and depth >= 8 and colour != 3 and not interlaced
    return Picture(width, height, 0.0 if black else None)


class _Rows:
    """Counts inflated bytes and watches for colour, row by row, in bounded memory."""

    __slots__ = ("alpha", "black", "length", "pixel", "rest", "total")

    def __init__(self, length: int, pixel: int, alpha: int) -> None:
        self.length = length
        self.pixel = pixel
        self.alpha = alpha
        self.total = 0
        self.rest = b""
        self.black = True

    def add(self, data: bytes) -> None:
        self.total += len(data)
        if not self.black:
            return
        data = self.rest + data
        stride = self.length + 1
        whole = len(data) // stride * stride
        self.rest = data[whole:]
        for at in range(0, whole, stride):
            row = data[at + 1 : at + stride]
            if row.count(0) != len(row) and self._has_colour(row):
                self.black = False
                self.rest = b""
                return

    def _has_colour(self, row: bytes) -> bool:
        channels = range(self.pixel - self.alpha)
        return any(row[at :: self.pixel].strip(b"\0") for at in channels)


def _png_chunks(file: BinaryIO, size_bytes: int) -> Iterator[tuple[bytes, bytes]]:
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise ValueError("it ends before its end mark")
        length, kind = struct.unpack(">I4s", head)
        if length > size_bytes:
            raise ValueError("a chunk is longer than the file")
        data = file.read(length)
        if file.read(4) != zlib.crc32(kind + data).to_bytes(4, "big"):
            raise ValueError(f"the checksum of {kind.decode('latin-1')!r} is wrong")
        if kind == b"IEND":
            return
        yield kind, data


# JPEG, EXR, TIFF: structure --------------------------------------------------------------------------------------


def _read_jpeg(file: BinaryIO, size_bytes: int) -> Picture:
    if file.read(2) != b"\xff\xd8":
        raise ValueError("it does not begin like a JPEG")
    width = height = 0
    while not width:
        mark, kind, length = struct.unpack(">BBH", file.read(4))
        if mark != 0xFF:
            raise ValueError("its segments do not follow one another")
        body = file.read(length - 2)
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", body[1:5])
    file.seek(max(0, size_bytes - 64))
    if b"\xff\xd9" not in file.read():
        raise ValueError("the picture ends early")
    return Picture(width, height)


def _read_exr(file: BinaryIO, size_bytes: int) -> Picture:
    """Read the header of an OpenEXR file and see that its table of blocks is filled and points into the file."""
    magic, version = struct.unpack("<II", file.read(8))
    if magic != 20000630:
        raise ValueError("it does not begin like an EXR")
    attributes = dict(_exr_attributes(file))
    left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
    window = struct.unpack("<4i", attributes["displayWindow"])
    single_scanline = not version & 0x1A00
    if single_scanline:
        lines = _EXR_LINES.get(attributes["compression"][0], 1)
        count = (bottom - top + lines) // lines
        table = file.read(8 * count)
        blocks = struct.unpack(f"<{count}Q", table)
        if not all(0 < block < size_bytes for block in blocks):
            raise ValueError("the picture ends early")
    if right < left or bottom < top:
        raise ValueError("its data window is empty")
    return Picture(window[2] - window[0] + 1, window[3] - window[1] + 1)


_EXR_LINES: Final = {0: 1, 1: 1, 2: 1, 3: 16, 4: 32, 5: 16, 6: 32, 7: 32, 8: 32, 9: 256}
"""Scan lines per block, by compression."""


def _exr_attributes(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    while name := _exr_name(file):
        _exr_name(file)
        (length,) = struct.unpack("<I", file.read(4))
        if length > 1 << 24:
            raise ValueError("an attribute is too long")
        yield name, file.read(length)


def _exr_name(file: BinaryIO) -> str:
    letters = bytearray()
    while (letter := file.read(1)) != b"\0":
        if not letter or len(letters) > 255:
            raise ValueError("its header ends early")
        letters += letter
    return letters.decode("latin-1")


def _read_tiff(file: BinaryIO, size_bytes: int) -> Picture:
    head = file.read(8)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(head[:4])
    if order is None:
        raise ValueError("it does not begin like a TIFF")
    file.seek(struct.unpack(order + "I", head[4:])[0])
    (count,) = struct.unpack(order + "H", file.read(2))
    values = {}
    for _ in range(count):
        tag, kind, _, raw = struct.unpack(order + "HHI4s", file.read(12))
        values[tag] = struct.unpack(order + ("H" if kind == 3 else "I"), raw[: 2 if kind == 3 else 4])[0]
    if not values.get(256) or not values.get(257) or size_bytes <= 8:
        raise ValueError("it names no size")
    return Picture(values[256], values[257])


_READERS: Final[dict[str, Callable[[BinaryIO, int], Picture]]] = {
    ".png": _read_png,
    ".jpg": _read_jpeg,
    ".jpeg": _read_jpeg,
    ".exr": _read_exr,
    ".tif": _read_tiff,
    ".tiff": _read_tiff,
}
_PILLOW_CANNOT: Final = (".exr",)
