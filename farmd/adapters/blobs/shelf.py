"""Complete blobs: one read-only file each, named by its address, counted, and set aside when it turns out wrong.

Layout below the root: `blobs/ab/<address>` (ab = first byte of the xxHash64) and `aside/` (what turned out wrong, the
last few, for a person to look at).

Durability: with `durable=True` a file is synced before it gets its name, and the name before `install` returns. With
`durable=False` both wait for `settle`: 1,000 files of 50 kB took 1.1 s synced one by one as they came, and 0.5 s in all
synced together. A mark on the disk says that something is unsettled; if it is found at start, blobs younger than the
mark are hashed again.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from farmd.adapters.blobs.ageing import Listing, touch, used_ms, was_touched
from farmd.adapters.blobs.errors import blaming_disk
from farmd.adapters.blobs.syncing import Disk, sync
from farmd.ingest.hashing import hash_descriptor
from protocol.errors import PeerError
from protocol.ids import BlobAddress, parse_blob_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from farmd.core.events import HeldBlob

ASIDE_KEPT = 4
_CLOCK_STEP_NS = 3_600 * 10**9
"""How far the wall clock may be set back between the mark and a blob before a blob escapes the check at start."""


class Held(NamedTuple):
    """How much is complete here."""

    blobs: int
    size_bytes: int


class Shelf:
    """All complete blobs below one folder. Methods raise `OSError` unless they say otherwise."""

    def __init__(self, root: Path, on_lost: Callable[[BlobAddress], None]) -> None:
        """Open or make it; `on_lost` is told, in any thread, of each blob that turned out not to be what it is called."""
        self._on_lost = on_lost
        self._root, self._aside, self._mark = root / "blobs", root / "aside", root / "unsettled"
        self._root_name = str(self._root)
        self._lock, self._settling = Lock(), Lock()
        self._unsettled: list[str] = []
        self._unsettled_bytes = 0
        self._is_marked = self._has_failed = False
        self._held = Held(0, 0)
        self._open()
        self._recheck_unsettled()

    def _open(self) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        self._aside.mkdir(exist_ok=True)
        self._identity = _identity(self._root)
        self._disk = Disk(self._root)
        self._held = Held(0, 0)
        for address in self.addresses():
            self._account(address, 1)

    def is_in_place(self) -> bool:
        """Whether the folder is still the one that was opened; another one, or none, is opened anew."""
        with suppress(FileNotFoundError):
            if _identity(self._root) == self._identity:
                return True
        with self._lock:
            self._open()
        return False

    @property
    def held(self) -> Held:
        """Number and size of the blobs."""
        return self._held

    def addresses(self) -> Iterator[BlobAddress]:
        """Go through all blobs, in no order."""
        for shard in self._root.iterdir():
            for entry in shard.iterdir():
                with suppress(PeerError):  # somebody else's file
                    yield parse_blob_address(entry.name)

    def path(self, address: BlobAddress) -> Path | None:
        """Return the file of a blob, or None; one of the wrong size is set aside."""
        return Path(self._name(address)) if self.holds(address) else None

    def holds(self, address: BlobAddress, *, likely: bool = True) -> bool:
        """Whether a blob is here; one of the wrong size is set aside.

        Asked for 200,000 files of a manifest at a time: one that is not `likely` to be here costs no exception.
        """
        name = self._name(address)
        if not likely and not os.access(name, os.F_OK):
            return False
        try:
            size = os.stat(name).st_size  # noqa: PTH116
        except OSError:
            return False
        if size != address.size:
            self.drop(address)
            return False
        return True

    def read(self, address: BlobAddress) -> bytes | None:
        """Read a small blob; None if it is not here or cannot be read, and one of the wrong size is set aside."""
        try:
            descriptor = os.open(self._name(address), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            data = os.read(descriptor, address.size + 1)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        if len(data) != address.size:
            self.drop(address)
            return None
        return data

    def candidates(self, xxh64: int, size: int) -> list[BlobAddress]:
        """List blobs of this xxHash64 and size."""
        prefix = f"{xxh64:016x}-{size}-"
        try:
            names = os.listdir(self._root / prefix[:2])  # noqa: PTH208  # names are wanted, not paths
        except FileNotFoundError:
            return []
        return [parse_blob_address(name) for name in sorted(names) if name.startswith(prefix)]

    def install(self, path: Path, address: BlobAddress, *, durable: bool) -> None:
        """Give a file whose content was just hashed its name; if that is taken, the file goes."""
        final = self._path(address)
        path.chmod(0o444)
        if durable:
            sync(path)
        with self._lock:
            is_new = not final.exists()
            if is_new:
                self._give_name(path, final, address, durable=durable)
            else:
                with suppress(OSError):  # the blob is here; what cannot be deleted is one file too many
                    path.unlink()
                touch(final)
        if durable:
            if not is_new:
                sync(final)  # it may be one that waits to be settled
            sync(final.parent)

    def put(self, files: Iterable[tuple[str, BlobAddress]]) -> list[BlobAddress]:
        """As `install` with `durable=False`, for read-only files; without `Path`s, for they come by the thousand.

        Returns:
            Those that the disk refused; what was to become them is gone.
        """
        refused = []
        with self._lock:
            for temporary, address in files:
                try:
                    self._put(temporary, address)
                except OSError:
                    refused.append(address)
                    with suppress(OSError):  # as where nothing can be written any more; the next start deletes it
                        os.unlink(temporary)  # noqa: PTH108
        return refused

    def _put(self, temporary: str, address: BlobAddress) -> None:
        final = self._name(address)
        if os.access(final, os.F_OK):
            with suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
            touch(Path(final))
            return
        self._mark_unsettled(final, address.size)
        try:
            os.rename(temporary, final)  # noqa: PTH104
        except FileNotFoundError:  # the first blob of this first byte
            self._path(address).parent.mkdir(exist_ok=True)
            os.rename(temporary, final)  # noqa: PTH104
        self._account(address, 1)

    def _give_name(self, path: Path, final: Path, address: BlobAddress, *, durable: bool) -> None:
        if not durable:
            self._mark_unsettled(str(final), address.size)
        try:
            path.rename(final)
        except FileNotFoundError:  # the first blob of this first byte
            final.parent.mkdir(exist_ok=True)
            if durable:
                sync(self._root)
            path.rename(final)
        self._account(address, 1)

    @property
    def is_settled(self) -> bool:
        """Whether everything is durable."""
        return not self._is_marked

    def settle(self, beyond_bytes: int = -1) -> None:
        """Make durable what was installed with `durable=False`; after an error call it again.

        One at a time: whoever comes while another one syncs must not return before that is done.

        Args:
            beyond_bytes: Only if more than this waits for it.
        """
        if self._unsettled_bytes > beyond_bytes:
            with self._settling:
                self._settle()

    def _settle(self) -> None:
        with self._lock:
            waiting, self._unsettled = self._unsettled, []
            size, self._unsettled_bytes = self._unsettled_bytes, 0
        try:
            if waiting:
                self._disk.sync([Path(name) for name in waiting])
        except OSError:
            # The kernel tells of a lost write once, and another sync would succeed: the mark stays for the next start.
            self._has_failed = True
            with self._lock:
                self._unsettled += waiting
                self._unsettled_bytes += size
            raise
        with self._lock:
            if not self._unsettled and not self._has_failed:
                self._is_marked = False
                self._mark.unlink(missing_ok=True)

    def verify(self, address: BlobAddress) -> bool:
        """Hash a blob again; one that is no longer what its name says is set aside."""
        path = self.path(address)
        if path is None:
            return False
        try:
            if address_of(path) == address:
                return True
        except FileNotFoundError:
            return False
        self.drop(address)
        return False

    def remove(self, address: BlobAddress) -> None:
        """Delete a blob."""
        with self._lock, suppress(FileNotFoundError):
            self._path(address).unlink()
            self._account(address, -1)

    def listing(self) -> Listing:
        """Look at all blobs, by their last use."""
        return Listing(self._root)

    def touch(self, address: BlobAddress) -> None:
        """Note that a blob is used now; under the lock, so that it is not evicted in between."""
        with self._lock:
            touch(self._path(address))

    def evict(self, held: HeldBlob) -> bool:
        """Delete a blob that nobody has used since it was listed; True if it is gone."""
        path = self._path(held.blob)
        with self._lock:
            try:
                if used_ms(path) != held.used_ms:
                    return False
                path.unlink()
            except FileNotFoundError:
                return True
            self._account(held.blob, -1)
        return True

    def drop(self, address: BlobAddress) -> None:
        """Set a blob aside: it is not what its name says.

        Raises:
            BlobsFailed: The disk is bad.
        """
        with self._lock, blaming_disk(f"set {address} aside"), suppress(FileNotFoundError):
            self.set_aside(self._path(address))
            self._account(address, -1)
        self._on_lost(address)

    def set_aside(self, path: Path) -> None:
        """Move a file that turned out wrong to where a person can look at it; only the last few are kept."""
        self._aside.mkdir(exist_ok=True)
        path.rename(self._aside / f"{path.name}.{time.time_ns()}")
        with suppress(OSError):
            kept = sorted(self._aside.iterdir(), key=lambda found: found.stat().st_ctime_ns)
            for old in kept[:-ASIDE_KEPT]:
                old.unlink(missing_ok=True)

    def _path(self, address: BlobAddress) -> Path:
        return Path(self._name(address))

    def _name(self, address: BlobAddress) -> str:
        name = str(address)
        return f"{self._root_name}/{name[:2]}/{name}"

    def _account(self, address: BlobAddress, sign: int) -> None:
        self._held = Held(self._held.blobs + sign, self._held.size_bytes + sign * address.size)

    def _mark_unsettled(self, final: str, size: int) -> None:
        if not self._is_marked:
            self._mark.touch()
            sync(self._mark.parent)
            self._is_marked = True
        self._unsettled.append(final)
        self._unsettled_bytes += size

    def _recheck_unsettled(self) -> None:
        if not self._mark.exists():
            return
        since_ns = self._mark.stat().st_mtime_ns - _CLOCK_STEP_NS
        for address in list(self.addresses()):
            found = self._path(address).stat()
            if found.st_ctime_ns >= since_ns and not was_touched(found.st_mtime_ns):
                self.verify(address)
        self._mark.unlink()


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def address_of(path: Path) -> BlobAddress:
    """Hash a file of ours."""
    with path.open("rb", buffering=0) as file:
        return hash_descriptor(file.fileno())
