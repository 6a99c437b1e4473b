"""The manifest of a job: every file that it needs, where each lies below the tree root, and which blob it is.

A manifest is itself a blob, so its bytes are canonical: entries sorted by path, msgpack in one fixed shape; the same
input gives the same bytes on every machine. It comes back from other nodes, so decoding is strict: whatever would place
a file outside the tree, or two files in one place, is a `PeerError` before anything touches the disk.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple, cast

import msgpack

from farmd.ingest.finding import batches, find_nothing
from farmd.ingest.gathering import gather, original_of
from farmd.ingest.hashing import hash_files
from farmd.ingest.tree import place_of
from protocol.codec import decoder_of
from protocol.errors import PeerError, UserError
from protocol.ids import BlobAddress
from protocol.jobspec import MAX_MANIFEST_BYTES
from protocol.plaindata import MAX_ITEMS, unpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from farmd.ingest.hash_cache import HashCache
    from farmd.ingest.hashing import FileDigest, Progress

FORMAT = 1
_MAX_U64 = 1 << 64
_MAX_MTIME_MS = 1 << 43
"""In nanoseconds it must still fit 64 bits."""


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
        made = tuple.__new__  # the constructor takes as long as all the rest
        return tuple(
            dict.fromkeys([made(BlobAddress, (xxh64, size, md5)) for _, size, _, _, xxh64, md5 in self.entries])
        )


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
    scene_path: str | os.PathLike[str],
    extra_paths: Iterable[str | os.PathLike[str]] = (),
    *,
    cache: HashCache | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> tuple[Manifest, dict[str, str]]:
    """Hash a scene and the files that it needs, and describe them.

    Args:
        scene_path: The file to render; of a folder, the first file in it.
        extra_paths: Further files, or folders, which stand for all files below them.
        cache: Hashes known from before.
        threads: As in `hash_files`.
        progress: As in `hash_files`; a file that is known counts with its whole size.

    Returns:
        The manifest, and for each of its paths the local file.

    Raises:
        UserError: A file cannot be read or has a name that cannot be sent; names are looked at before anything is read.
    """
    local, known = _found((scene_path, *extra_paths), cache)
    originals = sorted(local)
    root = _common_folder(originals)
    inside = len(root) + (root != "/")
    files = {original[inside:]: local[original] for original in originals}
    scene = _scene(original_of(scene_path)[inside:], files)
    _refuse_names(root, files)
    digests = _complete(local, known, cache, threads, progress)
    return Manifest(root, scene, _entries(files, map(digests.__getitem__, originals))), files


def _found(
    paths: Iterable[str | os.PathLike[str]], cache: HashCache | None
) -> tuple[dict[str, str], dict[str, FileDigest | None]]:
    """Find the files; by original, how each is opened, and what is known of it."""
    local: dict[str, str] = {}
    known: dict[str, FileDigest | None] = {}
    with nullcontext(find_nothing) if cache is None else cache.finding() as find:
        for batch in batches(gather(paths)):
            originals, opened, files = zip(*batch, strict=True)
            local.update(zip(originals, opened, strict=True))
            known.update(zip(originals, find(files), strict=True))
            if len(local) > MAX_ITEMS:  # links to folders can make many of few: say so before they are all listed
                raise UserError(
                    f"more than {MAX_ITEMS} files are too many",
                    f"the last was {opened[-1]}",
                    "leave out what is not used",
                )
    if not local:
        raise UserError("there is no file to send", "the folders are empty", "check the names")
    return local, known


def _common_folder(originals: Sequence[str]) -> str:
    """Return the folder that all these lie below, however deep; what the first and the last share, all share.

    Args:
        originals: Sorted.
    """
    return os.path.commonpath([original.rpartition("/")[0] or "/" for original in (originals[0], originals[-1])])


def _complete(
    local: Mapping[str, str],
    known: dict[str, FileDigest | None],
    cache: HashCache | None,
    threads: int | None,
    progress: Progress | None,
) -> dict[str, FileDigest]:
    """Read the files that are not known, and remember them; by original, as both are."""
    if progress is not None:
        progress(sum(digest.size for digest in known.values() if digest is not None))
    unknown = [original for original, digest in known.items() if digest is None]
    if unknown:
        read = hash_files([local[original] for original in unknown], threads=threads, progress=progress)
        if cache is not None:
            cache.remember(read.values())
        known |= {original: read[local[original]] for original in unknown}
    return cast("dict[str, FileDigest]", known)


def _scene(wanted: str, files: Iterable[str]) -> str:
    """Return the scene's place: the file itself, or the first in the folder of this name."""
    below = f"{wanted}/" if wanted else ""
    return next(place for place in files if place == wanted or place.startswith(below))


def _refuse_names(root: str, places: Iterable[str]) -> None:
    """Say to the artist which name cannot travel.

    Raises:
        UserError: Some cannot.
    """
    try:
        place_of(root.lstrip("/") or "-")
        _check_places(list(places))
    except PeerError as error:
        raise UserError("a file cannot be sent", str(error), "rename it to a plain name") from error


def _entries(places: Iterable[str], digests: Iterable[FileDigest]) -> tuple[ManifestEntry, ...]:
    made = tuple.__new__  # the constructor takes as long as all the rest
    entries = [
        made(ManifestEntry, (place, size, mtime_ns // 1_000_000, mode, xxh64, md5))
        for place, (xxh64, md5, size, mtime_ns, _, _, _, mode, _) in zip(places, digests, strict=True)
    ]
    # A broken clock, or an archive, leaves a time that cannot be sent: the content is good.
    return tuple([e if -_MAX_MTIME_MS < e[2] < _MAX_MTIME_MS else e._replace(mtime_ms=0) for e in entries])


def _check(manifest: Manifest) -> None:
    """Refuse what places files badly or carries impossible numbers.

    Raises:
        PeerError: With the reason.
    """
    paths = [entry.path for entry in manifest.entries]
    _check_places(paths)
    if paths != sorted(paths):
        raise PeerError("the manifest is not sorted")
    if manifest.scene not in set(paths):
        raise PeerError("the manifest does not name its scene")
    _, sizes, times, modes, hashes, md5s = zip(*manifest.entries, strict=True)
    if not (
        _lie_in(sizes, 0, 1 << 63)
        and _lie_in(times, 1 - _MAX_MTIME_MS, _MAX_MTIME_MS)
        and _lie_in(modes, 0, 0o1000)
        and _lie_in(hashes, 0, _MAX_U64)
        and set(map(len, md5s)) == {16}
    ):
        raise PeerError("an entry of the manifest has an impossible number")


def _check_places(paths: list[str]) -> None:
    places = dict(zip(map(place_of, paths), paths, strict=True))
    if len(places) < len(paths):
        _refuse_twins(paths)
    folders = {place.rpartition("/")[0] for place in places}
    while folders - {""}:
        for folder in folders & places.keys():
            raise PeerError(f"{folder!r} is a file and a folder")
        folders = {folder.rpartition("/")[0] for folder in folders}


def _refuse_twins(paths: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for path in paths:
        if (place := place_of(path)) in seen:
            raise PeerError(f"two files lie in one place: {seen[place]!r} and {path!r}")
        seen[place] = path


def _lie_in(numbers: Sequence[int], first: int, end: int) -> bool:
    return first <= min(numbers) and max(numbers) < end
