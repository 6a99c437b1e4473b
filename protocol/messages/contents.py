"""Assets and results: who has them, their pieces, and who keeps them."""

from __future__ import annotations

from typing import NamedTuple

from protocol.ids import AttemptRef, BlobAddress, JobId


class HaveAsk(NamedTuple):
    """Which of these blobs do you hold?"""

    blobs: tuple[BlobAddress, ...]


class HaveIs(NamedTuple):
    """Those that are held, completely and verified.

    Attributes:
        blobs: Which of those asked for.
        hashed: Answers a `Doubt`: the whole was read and hashed again since then.
    """

    blobs: tuple[BlobAddress, ...]
    hashed: bool = False


class PieceAsk(NamedTuple):
    """Send piece `number` (0-based, 1 MiB each) of this blob."""

    blob: BlobAddress
    number: int


class PieceIs(NamedTuple):
    """One piece with its xxHash64."""

    blob: BlobAddress
    number: int
    xxh64: int
    data: bytes


class PieceRefused(NamedTuple):
    """Not held here, or over the sender's credit."""

    blob: BlobAddress
    number: int


class PackAsk(NamedTuple):
    """Send these small blobs, all in one message."""

    blobs: tuple[BlobAddress, ...]


class PackIs(NamedTuple):
    """Small blobs that were asked for with one `PackAsk`.

    Attributes:
        blobs: In the order of the question; what is not held here, or is refused, is left out.
        data: Their bytes, one after the other; the addresses tell the lengths.
        most_bytes: The largest pack that may be asked of the sender. Who does not say it takes a mebibyte.
    """

    blobs: tuple[BlobAddress, ...]
    data: bytes
    most_bytes: int = 1 << 20


class PartIs(NamedTuple):
    """Pieces of a blob that is still on its way to the sender: those that are verified and can be had from it.

    Attributes:
        blob: Which.
        pieces: Bitmap as in BEP 3: the highest bit of the first byte is piece 0; zero bytes at the end are left out.
    """

    blob: BlobAddress
    pieces: bytes


class PartHas(NamedTuple):
    """More pieces of a blob that is on its way to the sender, verified since the last message about it."""

    blob: BlobAddress
    numbers: tuple[int, ...]


class Doubt(NamedTuple):
    """Pieces of this blob came from you, and the whole had another MD5: hash your copy; answered by `HaveIs`."""

    blob: BlobAddress


class Keep(NamedTuple):
    """Keep a second copy of an attempt's outputs."""

    ref: AttemptRef
    blobs: tuple[BlobAddress, ...]


class Wanted(NamedTuple):
    """A blob that its holder would drop: a file of this job (`task` -1), or an output of this task's result."""

    blob: BlobAddress
    job: JobId
    task: int


class PledgeAsk(NamedTuple):
    """To the node where these jobs were submitted: do you keep these? Answered by `PledgeIs`."""

    ask: int
    items: tuple[Wanted, ...]


class PledgeIs(NamedTuple):
    """Those of them that the sender has just hashed and does not drop while their jobs need them."""

    ask: int
    blobs: tuple[BlobAddress, ...]
