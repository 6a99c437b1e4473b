"""Which pieces of a blob: one bit for each, and none for stretches of which nothing is known.

The bits stand in whole numbers of `CHUNK` pieces (piece i of a chunk is bit i), kept in a dict: a search masks 4,096
pieces at a time at the speed of memory, a change copies 512 bytes, and a blob of terabytes of which ten pieces are
known costs ten numbers. On the wire the set is the bitfield of BitTorrent (BEP 3: the highest bit of the first byte is
piece 0). One number for the whole blob was rejected, for a change would copy it; a bytearray, for it cannot be masked.

Invariant: no bit at or above `count`; no empty chunk; `len` is the number of bits. Called by `farmd.core.incoming`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHUNK = 4096
_FULL = (1 << CHUNK) - 1
_REVERSED = bytes([int(f"{byte:08b}"[::-1], 2) for byte in range(256)])
"""A byte with its bits in the other order: the wire begins with the highest."""


class Pieces:
    """A set of the numbers 0..count-1."""

    __slots__ = ("_chunks", "_size", "count")

    def __init__(self, count: int, numbers: Iterable[int] = ()) -> None:
        self.count = count
        self._chunks: dict[int, int] = {}
        self._size = 0
        for number in numbers:
            self.add(number)

    @classmethod
    def all_of(cls, count: int) -> Pieces:
        """Make the set of all pieces; it shares one number for all its full chunks."""
        pieces = cls(count)
        whole, rest = divmod(count, CHUNK)
        if whole:
            pieces._chunks = dict.fromkeys(range(whole), _FULL)
        if rest:
            pieces._chunks[whole] = (1 << rest) - 1
        pieces._size = count
        return pieces

    def __len__(self) -> int:
        return self._size

    def __contains__(self, number: int) -> bool:
        return bool(self._chunks.get(number // CHUNK, 0) >> number % CHUNK & 1)

    def __iter__(self) -> Iterator[int]:
        return iter(self.find(0, self.count))

    def chunk(self, index: int) -> int:
        """Return the bits of one chunk."""
        return self._chunks.get(index, 0)

    def add(self, number: int) -> None:
        """Put a piece in; numbers that no piece has are passed over."""
        if 0 <= number < self.count and number not in self:
            self._chunks[number // CHUNK] = self._chunks.get(number // CHUNK, 0) | 1 << number % CHUNK
            self._size += 1

    def discard(self, number: int) -> None:
        """Take a piece out if it is in."""
        if number not in self:
            return
        left = self._chunks[number // CHUNK] ^ 1 << number % CHUNK
        self._size -= 1
        if left:
            self._chunks[number // CHUNK] = left
        else:
            del self._chunks[number // CHUNK]

    def update(self, other: Pieces) -> None:
        """Put all pieces of another set of the same blob in."""
        for index, word in other._chunks.items():
            old = self._chunks.get(index, 0)
            self._chunks[index] = old | word
            self._size += (word & ~old).bit_count()

    def find(self, begin: int, most: int, *, within: Pieces | None = None, without: Pieces | None = None) -> list[int]:
        """List the first pieces at or after `begin`, going on at 0 when the end is reached.

        Args:
            begin: Where to start.
            most: How many at most.
            within: Only those that are also in this set.
            without: Only those that are not in this one.
        """
        found: list[int] = []
        chunks = -(-self.count // CHUNK)
        first, offset = divmod(begin, CHUNK)
        for step in range(chunks + 1):
            index = (first + step) % chunks
            word = self._chunks.get(index, 0)
            if within is not None and word:
                word &= within.chunk(index)
            if without is not None and word:
                word &= ~without.chunk(index)
            if step == 0:
                word = word >> offset << offset
            elif step == chunks:
                word &= (1 << offset) - 1
            while word and len(found) < most:
                low = word & -word
                found.append(index * CHUNK + low.bit_length() - 1)
                word ^= low
            if len(found) >= most:
                break
        return found

    def to_bytes(self) -> bytes:
        """Pack as a bitfield, without the zero bytes at its end."""
        bits = b"".join(
            [self._chunks.get(index, 0).to_bytes(CHUNK // 8, "little") for index in range(-(-self.count // CHUNK))]
        )
        return bits.translate(_REVERSED).rstrip(b"\0")

    @classmethod
    def from_bytes(cls, count: int, bitfield: bytes) -> Pieces:
        """Read a bitfield of a blob of `count` pieces.

        Raises:
            PeerError: It names pieces that the blob does not have.
        """
        pieces, bits = cls(count), bitfield.rstrip(b"\0").translate(_REVERSED)
        if int.from_bytes(bits[-1:], "little").bit_length() + 8 * (len(bits) - 1) > count:
            raise PeerError(f"a bitmap of {len(bitfield)} bytes for a blob of {count} pieces")
        for start in range(0, len(bits), CHUNK // 8):
            word = int.from_bytes(bits[start : start + CHUNK // 8], "little")
            if word:
                pieces._chunks[start * 8 // CHUNK] = word
                pieces._size += word.bit_count()
        return pieces
