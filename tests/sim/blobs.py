"""The simulated content store: contents are a few bytes, also those of files that count as many pieces.

A content that begins with "big:N:" stands for a file of N pieces; each of its pieces is the content with the number of
the piece before it. So a piece can be lost, corrupt or a lie on its own, and a whole made of different contents is
wrong although each of its pieces agreed with its hash.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from farmd.core.incoming import PIECE_BYTES, is_small, piece_count
from protocol.ids import BlobAddress

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random


def flipped(content: bytes) -> bytes:
    """The content with one bit changed, or as it is if it is empty; a large one stays as large."""
    return content[:-1] + bytes((content[-1] ^ 1,)) if content else content


def large(pieces: int, name: str) -> bytes:
    """A content that counts as so many pieces."""
    return f"big:{pieces}:{name}".encode()


def address_of(content: bytes) -> BlobAddress:
    """Address of a content; the simulated xxHash64 is a slice of BLAKE2b."""
    digest = hashlib.blake2b(content, digest_size=8).digest()
    size = int(content.split(b":", 2)[1]) * PIECE_BYTES if content.startswith(b"big:") else len(content)
    return BlobAddress(int.from_bytes(digest, "big"), size, hashlib.md5(content, usedforsecurity=False).digest())


def piece_of(content: bytes, index: int) -> bytes:
    """One piece of a large content."""
    return b"%d/%s" % (index, content)


class Weighed(bytes):
    """A few bytes that are as long as a real piece, to whoever asks for their length; `bytes()` gives what is there."""

    size = 0

    def __len__(self) -> int:
        return self.size


def weighed(content: bytes, size: int) -> Weighed:
    """Make a content look that long."""
    made = Weighed(content)
    made.size = size
    return made


@dataclass(slots=True)
class Blobs:
    """What survives a crash is what was finished, and most of what is not.

    Attributes:
        held: By address.
        parts: Pieces of blobs that are not complete, as they arrived.
        verified: All pieces that ever stood here.
        rotten: Blobs in which a bit has flipped, and nobody has noticed yet.
        painted: Blobs that were rendered here: another render would bring such a picture again.
        unsettled: Blobs that were fetched and not synced since: a power cut takes them.
    """

    held: dict[BlobAddress, bytes] = field(default_factory=dict)
    parts: dict[BlobAddress, dict[int, bytes]] = field(default_factory=dict)
    verified: dict[BlobAddress, dict[int, None]] = field(default_factory=dict)
    rotten: dict[BlobAddress, None] = field(default_factory=dict)
    painted: dict[BlobAddress, None] = field(default_factory=dict)
    unsettled: dict[BlobAddress, None] = field(default_factory=dict)

    def lose_power(self) -> None:
        """What was not synced is gone."""
        for address in self.unsettled:
            self.set_aside(address)
        self.unsettled.clear()

    def wipe(self) -> None:
        """Somebody emptied the folder."""
        self.held.clear()
        self.parts.clear()
        self.rotten.clear()
        self.unsettled.clear()

    def crash(self, rng: Random) -> None:
        """Pieces that the disk had not written yet are gone."""
        for pieces in self.parts.values():
            for index in [index for index in pieces if rng.random() < 0.3]:
                del pieces[index]

    def spoil(self, address: BlobAddress) -> None:
        """A bit flips on the disk."""
        self.held[address] = flipped(self.held[address])
        self.rotten[address] = None

    def set_aside(self, address: BlobAddress) -> None:
        """It turned out not to be what it is called."""
        self.held.pop(address, None)
        self.rotten.pop(address, None)

    def take(self, content: bytes) -> BlobAddress:
        """Store what was fetched; it is synced later."""
        is_new = address_of(content) not in self.held
        address = self.add(content)
        if is_new:
            self.unsettled[address] = None
        return address

    def add(self, content: bytes) -> BlobAddress:
        """Store a content and return its address."""
        address = address_of(content)
        self.held[address] = content
        self.rotten.pop(address, None)
        return address

    def missing(self, blobs: Iterable[BlobAddress]) -> tuple[tuple[BlobAddress, tuple[int, ...]], ...]:
        """What is not complete here, each with the pieces that are."""
        return tuple((blob, tuple(self.parts.get(blob, ()))) for blob in blobs if blob not in self.held)

    def read_piece(self, blob: BlobAddress, index: int) -> bytes | None:
        """One piece of a blob that is complete here, or of a part."""
        content = self.held.get(blob)
        if content is None:
            return self.parts.get(blob, {}).get(index)
        return content if is_small(blob) else piece_of(content, index)

    def write_piece(self, blob: BlobAddress, index: int, piece: bytes) -> bool | None:
        """Store a piece; after the last one, True if the whole is what it is called."""
        pieces = self.parts.setdefault(blob, {})
        pieces[index] = piece
        self.verified.setdefault(blob, {})[index] = None
        if blob not in self.held and len(pieces) < piece_count(blob):
            return None
        del self.parts[blob]
        if blob in self.held:
            return True
        contents = {pieces[number].partition(b"/")[2]: None for number in pieces}
        content = next(iter(contents))
        if len(contents) > 1 or address_of(content) != blob:
            return False
        self.take(content)
        return True
