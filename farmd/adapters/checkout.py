"""The working tree of a job: the files of its manifest, where they lay on the artist's machine, writable.

Reflinks where the file system can, else copies, never hard links: mode, mtime and inode would be shared with the blob
store, and a renderer could write through them. Either way the bytes are read once and their hash is compared: bits that
fell over in the store are never rendered, and what is read is what the renderer finds in memory afterwards.

Invariant: nothing is written outside the job's folder, whatever the manifest says and whatever links lie in it
(`farmd.ingest.tree`). A file gets its name when it is complete, so a build that was interrupted goes on where it stopped.
The mark of completion lies beside the tree, where no renderer sees it; it names the manifest, and the boot in which the
tree was built: checkouts are not synced, so after a restart of the machine each file is looked at again.

Layout below the root: `<job>/` and `<job>.done`.
"""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import xxhash

from farmd.ingest.copying import clone, end_sparse, is_full, write_sparse
from farmd.ingest.hashing import read_all
from farmd.ingest.manifest import encode_manifest
from farmd.ingest.tree import Tree, place_of
from protocol.errors import FarmError, PeerError
from protocol.ids import JobId, pack_job

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.ingest.manifest import Manifest, ManifestEntry
    from protocol.ids import BlobAddress

    FindBlob = Callable[[BlobAddress], Path | None]
    """Names the file of a blob that is complete here."""

_LOCKS = 16
"""Jobs share so many locks: one for each job would have to be forgotten some day, and that is where races are."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class CheckoutFailed(FarmError):
    """The working tree could not be built or removed; it may be tried again."""


class CheckoutFull(CheckoutFailed):
    """The disk of the checkouts is full."""


class BlobMissing(CheckoutFailed):
    """A file of the manifest is not in the content store, or not what its address says.

    Attributes:
        blob: Which: the store should look at it again.
    """

    def __init__(self, blob: BlobAddress, path: str) -> None:
        super().__init__(f"the content of {path} is not here: {blob}")
        self.blob = blob


class CheckedOut(NamedTuple):
    """A complete working tree, and the scene in it."""

    tree: Path
    scene: Path


class Checkouts:
    """All working trees below one folder; safe to call from many threads."""

    def __init__(self, root: Path, find_blob: FindBlob) -> None:
        self._root = root
        self._find_blob = find_blob
        self._locks = tuple(Lock() for _ in range(_LOCKS))

    def build(self, job: JobId, manifest: Manifest) -> CheckedOut:
        """Make the job's tree complete; at once if it is.

        Raises:
            PeerError: A path of the manifest leads out of the tree, or the job id is none.
            BlobMissing: A file is not in the content store.
            CheckoutFull: No room.
            CheckoutFailed: The disk is bad.
        """
        tree, mark = self._folder(job), self._mark(job)
        scene = tree / place_of(manifest.scene)
        wanted = f"{xxhash.xxh64_hexdigest(encode_manifest(manifest))} {_boot_id()}\n"
        with self._lock_of(job):
            try:
                if not mark.exists() or mark.read_text() != wanted:
                    self._fill(tree, manifest)
                    mark.write_text(wanted)
            except OSError as error:
                raise _failure(f"build {tree}", error) from error
        return CheckedOut(tree, scene)

    def remove(self, job: JobId) -> None:
        """Delete the job's tree with everything that renderers left in it; does nothing if there is none.

        Raises:
            PeerError: The job id is none.
            CheckoutFailed: The disk is bad.
        """
        tree, mark = self._folder(job), self._mark(job)
        with self._lock_of(job):
            try:
                mark.unlink(missing_ok=True)
                if tree.exists():
                    shutil.rmtree(tree)
            except OSError as error:
                raise _failure(f"remove {tree}", error) from error

    def jobs(self) -> tuple[JobId, ...]:
        """List the jobs that have a tree here, complete or not."""
        try:
            names = sorted(found.name for found in self._root.iterdir() if found.is_dir())
        except FileNotFoundError:
            return ()
        return tuple(JobId(name) for name in names if _is_job(name))

    def _fill(self, tree: Path, manifest: Manifest) -> None:
        places = [place_of(entry.path) for entry in manifest.entries]  # all are looked at before anything is written
        tree.mkdir(parents=True, exist_ok=True)
        with Tree(tree) as inside:
            for place, entry in zip(places, manifest.entries, strict=True):
                if not _is_there(inside, place, entry):
                    self._put(inside, place, entry)

    def _put(self, inside: Tree, place: str, entry: ManifestEntry) -> None:
        source_path = self._find_blob(entry.address)
        if source_path is None:
            raise BlobMissing(entry.address, entry.path)
        source = os.open(source_path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            inside.put(
                place,
                lambda target: _bring(source, target, entry),
                mode=0o755 if entry.mode & 0o111 else 0o644,
                mtime_ns=entry.mtime_ms * 1_000_000,
            )
        finally:
            os.close(source)

    def _folder(self, job: JobId) -> Path:
        pack_job(job)  # raises for what is no job id, such as a path
        return self._root / job

    def _mark(self, job: JobId) -> Path:
        return self._root / f"{job}.done"

    def _lock_of(self, job: JobId) -> Lock:
        return self._locks[hash(job) % _LOCKS]


def _bring(source: int, target: int, entry: ManifestEntry) -> None:
    hasher = xxhash.xxh64()
    if clone(source, target):
        size = read_all(target, hasher.update)
    else:
        size = read_all(source, hasher.update, lambda chunk: write_sparse(target, chunk))
        end_sparse(target)
    if (size, hasher.intdigest()) != (entry.size, entry.xxh64):
        raise BlobMissing(entry.address, entry.path)


def _is_there(inside: Tree, place: str, entry: ManifestEntry) -> bool:
    found = inside.status(place)
    return (
        found is not None
        and stat.S_ISREG(found.st_mode)
        and found.st_size == entry.size
        and found.st_mtime_ns == entry.mtime_ms * 1_000_000
    )


def _is_job(name: str) -> bool:
    try:
        pack_job(JobId(name))
    except PeerError:
        return False
    return True


def _boot_id() -> str:
    with suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return "unknown"


def _failure(doing: str, error: OSError) -> CheckoutFailed:
    return (CheckoutFull if is_full(error) else CheckoutFailed)(f"cannot {doing}: {error.strerror}")
