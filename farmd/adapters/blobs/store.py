"""The content store: every file of every job once, named by what is in it.

Invariant: a blob that is held has the size, xxHash64 and MD5 of its address, and nobody changes it (mode 0444; what no
longer matches is set aside as soon as it is noticed). Two blobs of one xxHash64 and one size but different MD5 are two
blobs: the MD5 is part of the name. What is not complete lies apart, as a `Part`, and survives a restart.

Synchronous and safe to call from many threads: the composition root runs it off the event loop. No decisions: what to
fetch, from whom, and what to delete when the quota is reached, the core says.

Layout below the root: that of `shelf`, `parts/`, and `tmp/`, which is emptied at start.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import xxhash

from farmd.adapters.blobs.ageing import reserve
from farmd.adapters.blobs.begun import Begun
from farmd.adapters.blobs.errors import BlobsFailed, blaming_disk
from farmd.adapters.blobs.intake import How, Intake, Pack
from farmd.adapters.blobs.parts import PIECE_BYTES, Wrote
from farmd.adapters.blobs.shelf import Shelf, address_of
from farmd.adapters.blobs.upload import Upload
from protocol.ids import BlobAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from farmd.adapters.blobs.ageing import Listing
    from farmd.adapters.blobs.shelf import Held
    from farmd.core.events import HeldBlob

EMPTY = BlobAddress(xxhash.xxh64(b"").intdigest(), 0, bytes.fromhex("d41d8cd98f00b204e9800998ecf8427e"))


class BlobStore:
    """The content store below one folder.

    Args:
        root: The folder.
        on_lost: Told, in any thread, of each blob that is set aside since it is not what it is called.

    Raises:
        BlobsFailed: The folder cannot be used.
    """

    def __init__(self, root: Path, on_lost: Callable[[BlobAddress], None] = lambda _: None) -> None:
        self._begun = Begun(root / "parts")
        with blaming_disk(f"open the content store {root}"):
            self._shelf = Shelf(root, on_lost)
            self._begun.prepare()
            self._intake = Intake(self._shelf, root / "tmp")
            self._intake.prepare()

    @property
    def held(self) -> Held:
        """Number and size of complete blobs."""
        return self._shelf.held

    def is_in_place(self) -> bool:
        """Whether the store's folder is still the one that was opened; if somebody deleted it, it is made anew.

        Raises:
            BlobsFailed: The disk is full or bad.
        """
        with blaming_disk("open the content store again"):
            if self._shelf.is_in_place() and self._begun.is_in_place():
                return True
            self._begun.begin_anew()
            self._intake.make_folder()
            return False

    def rest(self) -> None:
        """Keep nothing ready that was not used for a while; to be called now and then."""
        self._intake.rest()

    def close(self) -> None:
        """End what runs for the store; it may be used on, more slowly."""
        self._intake.close()

    def addresses(self) -> Iterator[BlobAddress]:
        """Go through all complete blobs, in no order."""
        return self._shelf.addresses()

    def path(self, address: BlobAddress) -> Path | None:
        """Return the file of a complete blob, to be read only; None if it is not here."""
        return self._shelf.path(address)

    def use(self, address: BlobAddress) -> Path | None:
        """Return the file of a complete blob that is about to be used, and note that; None if it is not here."""
        self._shelf.touch(address)
        return self._shelf.path(address)

    def reserve(self, address: BlobAddress, until_ms: int) -> None:
        """Keep a blob for a client that was told that it is here; `until_ms` is a time of day, since 1970."""
        path = self._shelf.path(address)
        if path is not None:
            reserve(path, until_ms)

    def listing(self) -> Listing:
        """Look at all complete blobs, by their last use.

        Raises:
            BlobsFailed: The disk is bad.
        """
        with blaming_disk("list the content store"):
            return self._shelf.listing()

    def evict(self, held: HeldBlob) -> bool:
        """Delete a blob that nobody has used since it was listed; True if it is gone.

        Raises:
            BlobsFailed: The disk is bad.
        """
        with blaming_disk(f"delete {held.blob}"):
            return self._shelf.evict(held)

    def drop_idle_parts(self, idle_s: float) -> int:
        """Delete what has arrived of blobs to which nothing was added for so long; return how many.

        Raises:
            BlobsFailed: The disk is bad.
        """
        with blaming_disk("look at unfinished blobs"):
            return self._begun.drop_idle(idle_s)

    def candidates(self, xxh64: int, size: int) -> list[BlobAddress]:
        """List complete blobs of this xxHash64 and size; only an equal MD5 makes one of them the same content."""
        return self._shelf.candidates(xxh64, size)

    def missing(self, addresses: Iterable[BlobAddress]) -> tuple[tuple[BlobAddress, tuple[int, ...]], ...]:
        """Tell which blobs are not complete here, each with the indexes of its pieces that are.

        A part that a crash caught between its last piece and its confirmation is confirmed here.

        Raises:
            BlobsFailed: The disk is full or bad.
        """
        absent: list[tuple[BlobAddress, tuple[int, ...]]] = []
        with blaming_disk("list what has been begun"):
            begun, here = self._begun.names(), True
        for address in dict.fromkeys(addresses):
            here = self._shelf.holds(address, likely=here)  # mostly as the one before: all files of a job, or none
            if here or (address == EMPTY and self.confirm(address)):
                continue
            if not begun or f"{address}.part" not in begun:
                absent.append((address, ()))
                continue
            with self._begun.part(address) as part, blaming_disk(f"read {address}"):
                if not (part.have and part.is_full and self.confirm(address)):
                    absent.append((address, tuple(sorted(part.have))))
        return tuple(absent)

    def read_piece(self, address: BlobAddress, index: int) -> tuple[int, bytes] | None:
        """Return (xxHash64, bytes) of one piece, of a complete blob or of a part; None if it is not here."""
        path = self.path(address)
        try:
            if path is None:
                with self._begun.part(address) as part:
                    return part.read(index)
            with path.open("rb", buffering=0) as file:
                data = os.pread(file.fileno(), PIECE_BYTES, index * PIECE_BYTES) if index >= 0 else b""
        except OSError:
            return None
        return (xxhash.xxh64_intdigest(data), data) if data else None

    def write_piece(self, address: BlobAddress, index: int, xxh64: int, data: bytes) -> Wrote:
        """Check one piece against its hash and store it.

        Raises:
            DiskFull: No room; the pieces before it stay.
            BlobsFailed: The disk is bad.
        """
        with self._begun.part(address) as part, blaming_disk(f"write {address}"):
            return Wrote.HELD if self.path(address) else part.write(index, xxh64, data)

    def confirm(self, address: BlobAddress, *, durable: bool = True) -> bool:
        """Hash a part that has all its pieces; make it a blob, or set it aside and return False.

        Args:
            address: Which.
            durable: False = it survives a power cut only after `settle`.

        Raises:
            BlobsFailed: The disk is full or bad, or pieces are missing.
        """
        with self._begun.part(address) as part, blaming_disk(f"complete {address}"):
            if self.path(address):
                return True
            if address.size == 0:
                part.path.touch()
            elif not part.is_full:
                raise BlobsFailed(f"cannot complete {address}: pieces are missing")
            agrees = (address_of(part.path) if address.size <= PIECE_BYTES else part.digest()) == address
            if agrees:
                self._shelf.install(part.path, address, durable=durable)
            else:
                self._shelf.set_aside(part.path)
            with suppress(OSError):  # a map without its part is deleted at the next start
                part.forget()
            return agrees

    def follow(self, address: BlobAddress) -> None:
        """Hash what has arrived of a blob without a gap, so that `confirm` finds little left to do."""
        part = self._begun.known(address)
        if part is not None:
            part.follow()

    def read_pack(self, addresses: Iterable[BlobAddress]) -> tuple[list[BlobAddress], bytes]:
        """Read small blobs; what is not here, or cannot be read, is left out.

        Returns:
            Those that were read, and their bytes one after the other.
        """
        found, parts = [], []
        for address in addresses:
            data = self._shelf.read(address)
            if data is not None:
                found.append(address)
                parts.append(data)
        return found, b"".join(parts)

    def write_pack(self, addresses: Sequence[BlobAddress], data: bytes) -> Pack:
        """Verify small blobs that arrived together, and store each that is what it is called.

        Args:
            addresses: Which, in order.
            data: Their bytes, one after the other.

        A power cut may take them back until `settle`.
        """
        pack = self._intake.put(addresses, data)
        self._begun.discard(pack.stored)
        return pack

    def begin(self, address: BlobAddress) -> Upload:
        """Start or resume taking a blob from a client; see `Upload`.

        Raises:
            BlobsFailed: The disk is full or bad.
        """
        absent = self.missing((address,))
        return Upload(self, address, absent[0][1] if absent else None)

    @property
    def is_settled(self) -> bool:
        """Whether nothing waits for `settle`, nor for one that is going on."""
        return self._shelf.is_settled

    def settle(self, *, beyond_bytes: int = -1) -> None:
        """Make durable what was confirmed with `durable=False`.

        Args:
            beyond_bytes: Only if more than this waits for it.

        Raises:
            BlobsFailed: The disk is full or bad; call it again.
        """
        with blaming_disk("sync the content store"):
            self._shelf.settle(beyond_bytes)

    def adopt(self, path: Path, how: How) -> BlobAddress:
        """Take a local file in, durably; whoever wrote it must have finished, and its name must be no link.

        Raises:
            DiskFull: No room; nothing changed.
            BlobsFailed: It cannot be read, is no regular file, or changed meanwhile.
        """
        with blaming_disk(f"take in {path}"):
            return self._intake.adopt(path, how)

    def verify(self, address: BlobAddress) -> bool:
        """Hash a complete blob again; one that is no longer what its name says is set aside.

        Raises:
            BlobsFailed: The disk is bad.
        """
        with blaming_disk(f"read {address}"):
            return self._shelf.verify(address)

    def remove(self, address: BlobAddress) -> None:
        """Delete a blob, or what is there of it.

        Raises:
            BlobsFailed: The disk is bad.
        """
        with self._begun.part(address) as part, blaming_disk(f"delete {address}"):
            part.forget()
            part.path.unlink(missing_ok=True)
            self._shelf.remove(address)


__all__ = ["EMPTY", "BlobStore", "How", "Pack"]
