"""The manifest of a job: every file that it needs, where each lies below the tree root, and which blob it is.

A manifest is itself a blob, so its bytes are canonical: entries sorted by path, msgpack in one fixed shape; the same
input gives the same bytes on every machine. It comes back from other nodes, so decoding is strict: whatever would place
a file outside the tree, or two files in one place, is a `PeerError` before anything touches the disk.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgpack

from farmd.ingest.hashing import hash_files
from farmd.ingest.tree import place_of
from protocol.codec import decoder_of
from protocol.errors import PeerError, UserError
from protocol.ids import BlobAddress
from protocol.jobspec import MAX_MANIFEST_BYTES
from protocol.plaindata import MAX_ITEMS, unpack

if TYPE_CHECKING:
    from collections.abc import Iterable

    from farmd.ingest.hash_cache import HashCache
    from farmd.ingest.hashing import FileDigest, Progress

FORMAT = 1
_MAX_U64 = 1 << 64


class ManifestEntry(NamedTuple):
    """One file.

    Attributes:
        path: Below the tree root, with `/`; or with a drive (`C:/x`), then it lies in `C/x`.
        size: Bytes.
        mtime_ms: Time of last change, milliseconds since the Unix epoch.
        mode: Permission bits on the artist's machine.
        xxh64: Of the content.
        md5: Of the content, 16 bytes.
    """

    path: str
    size: int
    mtime_ms: int
    mode: int
    xxh64: int
    md5: bytes

    @property
    def address(self) -> BlobAddress:
        """Blob of the content."""
        return BlobAddress(self.xxh64, self.size, self.md5)


class Manifest(NamedTuple):
    """All files of a job.

    Attributes:
        root: Folder on the artist's machine that the paths are relative to: paths inside scenes are mapped by it.
        scene: Path of the entry to render.
        entries: Sorted by path.
    """

    root: str
    scene: str
    entries: tuple[ManifestEntry, ...]

    @property
    def blobs(self) -> tuple[BlobAddress, ...]:
        """Blobs of all files, each once, in the order of the entries."""
        return tuple(dict.fromkeys(entry.address for entry in self.entries))


def encode_manifest(manifest: Manifest) -> bytes:
    """Pack a manifest into its canonical bytes."""
    packed: bytes = msgpack.packb((FORMAT, *manifest))
    return packed


def decode_manifest(data: bytes) -> Manifest:
    """Read a manifest back, strictly.

    Raises:
        PeerError: It is none, or one that no honest node makes.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise PeerError(f"manifest of {len(data)} bytes is over the limit")
    fields = unpack(data)
    if type(fields) is not list or not fields or fields[0] != FORMAT:
        raise PeerError("not a manifest of a format that we know")
    manifest: Manifest = decoder_of(Manifest)(fields[1:])
    _check(manifest)
    return manifest


def manifest_of(
    scene_path: Path,
    extra_paths: Iterable[Path] = (),
    *,
    cache: HashCache | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> tuple[Manifest, dict[str, Path]]:
    """Hash a scene and the files that it needs, and describe them.

    Args:
        scene_path: The file to render.
        extra_paths: Further files, or folders, which stand for all files below them.
        cache: Hashes known from before.
        threads: As in `hash_files`.
        progress: As in `hash_files`.

    Returns:
        The manifest, and for each of its paths the local file.

    Raises:
        UserError: A file cannot be read or has a name that cannot be sent.
    """
    local = {_original(path): path for path in (scene_path, *_files(extra_paths))}
    if len(local) > MAX_ITEMS:
        raise UserError(f"{len(local)} files are too many", f"a job may have {MAX_ITEMS}", "leave out what is not used")
    root = os.path.commonpath([original.parent for original in local])
    digest_all = hash_files if cache is None else cache.digests
    digests = digest_all(local.values(), threads=threads, progress=progress)
    files = {str(original.relative_to(root)): path for original, path in local.items()}
    entries = tuple(_entry(path, digests[files[path]]) for path in sorted(files))
    manifest = Manifest(root, str(_original(scene_path).relative_to(root)), entries)
    try:
        _check(manifest)
    except PeerError as error:
        raise UserError("a file cannot be sent", str(error), "rename it to a plain name") from error
    return manifest, files


def _original(path: Path) -> Path:
    """Where a scene names this file: absolute, `..` taken lexically, as it will be inside the checkout (no links)."""
    return Path(os.path.normpath(path.absolute()))


def _files(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(found for found in path.rglob("*") if found.is_file())
        else:
            yield path


def _entry(path: str, digest: FileDigest) -> ManifestEntry:
    return ManifestEntry(path, digest.size, digest.mtime_ns // 1_000_000, digest.mode, digest.xxh64, digest.md5)


def _check(manifest: Manifest) -> None:
    """Refuse what places files badly or carries impossible numbers.

    Raises:
        PeerError: With the reason.
    """
    places = [place_of(entry.path) for entry in manifest.entries]
    taken = set(places)
    if len(taken) != len(places):
        raise PeerError("two files of the manifest lie in one place")
    for place in places:
        while "/" in place:
            place = place.rpartition("/")[0]  # noqa: PLW2901  # walks up to the root
            if place in taken:
                raise PeerError(f"{place!r} is a file and a folder")
    paths = [entry.path for entry in manifest.entries]
    if paths != sorted(paths):
        raise PeerError("the manifest is not sorted")
    if manifest.scene not in set(paths):
        raise PeerError("the manifest does not name its scene")
    if not all(map(_is_possible, manifest.entries)):
        raise PeerError("an entry of the manifest has an impossible number")


def _is_possible(entry: ManifestEntry) -> bool:
    return (
        0 <= entry.size < 1 << 63
        and abs(entry.mtime_ms) < 1 << 43  # in nanoseconds it must still fit 64 bits
        and 0 <= entry.mode <= 0o777
        and 0 <= entry.xxh64 < _MAX_U64
        and len(entry.md5) == 16
    )
