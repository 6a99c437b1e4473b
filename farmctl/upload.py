"""Bring the files of a job to the node: hash, ask what it lacks, send that.

Runs as the artist, since the service may read neither their scene nor their textures. Files that were hashed before and
have not changed are not read again; blobs that the node has are not sent; one that was half sent goes on where it
stopped. The node verifies what it got, so a file that changes meanwhile is refused and never rendered.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from farmd.ingest.hash_cache import HashCache, default_cache_path
from farmd.ingest.manifest import encode_manifest, manifest_of
from protocol.api import MAX_CHUNK_BYTES
from protocol.errors import UserError
from protocol.human import format_size
from protocol.ids import BlobAddress, parse_blob_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from farmctl.progress import Progress
    from farmd.ingest.manifest import Manifest

    Call = Callable[..., Any]

_ASKED_AT_ONCE: Final = 1_000
_STEPS_BACK: Final = 3


class Sent(NamedTuple):
    """What was brought to the node.

    Attributes:
        manifest: Address of the list of files.
        scene: Path of the scene in the checkout.
        files: How many files the job has.
        total_bytes: Their size.
        sent_bytes: What had to be sent of them; the list of files is not counted.
    """

    manifest: BlobAddress
    scene: str
    files: int
    total_bytes: int
    sent_bytes: int


def send_files(call: Call, scene: Path, inputs: Iterable[Path], progress: Progress) -> Sent:
    """Hash the files, and send what the node lacks.

    Raises:
        UserError: A file cannot be read, or changed meanwhile.
    """
    manifest, files = _hashed(scene, inputs, progress)
    packed = encode_manifest(manifest)
    address = _address_of(packed)
    sources: dict[str, Path | bytes] = {str(entry.address): files[entry.path] for entry in manifest.entries}
    sources[str(address)] = packed
    sent = _send_missing(call, sources, progress)
    total = sum(entry.size for entry in manifest.entries)
    return Sent(address, manifest.scene, len(manifest.entries), total, sent)


def _hashed(scene: Path, inputs: Iterable[Path], progress: Progress) -> tuple[Manifest, dict[str, Path]]:
    lock, seen = threading.Lock(), 0

    def tell(count: int) -> None:
        nonlocal seen
        with lock:
            seen += count
            progress.update(0, 0, f"reading files, {format_size(seen)}", change="reading")

    with HashCache(default_cache_path()) as cache:
        return manifest_of(scene, inputs, cache=cache, progress=tell)


def _address_of(data: bytes) -> BlobAddress:
    import hashlib

    import xxhash

    return BlobAddress(xxhash.xxh64_intdigest(data), len(data), hashlib.md5(data, usedforsecurity=False).digest())


def _send_missing(call: Call, sources: dict[str, Path | bytes], progress: Progress) -> int:
    names = list(sources)
    missing: list[tuple[str, int]] = []
    for at in range(0, len(names), _ASKED_AT_ONCE):
        answer = call("blob.missing", blobs=names[at : at + _ASKED_AT_ONCE])
        missing += [(item["blob"], int(item.get("have_bytes", 0))) for item in answer["missing"]]
    total = sum(parse_blob_address(name).size - have for name, have in missing)
    done = 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        progress.update(done, total, f"sending {format_size(done)} of {format_size(total)}", change="sending", steps=10)

    for name, have in missing:
        _send(call, name, sources[name], have, tell)
    lists = sum(parse_blob_address(name).size - have for name, have in missing if isinstance(sources[name], bytes))
    return max(0, done - lists)


def _send(call: Call, name: str, source: Path | bytes, offset: int, tell: Callable[[int], None]) -> None:
    """Send one blob from `offset` on, an empty one too; the node says how far it is."""
    reader, steps_back = _reader(source), 0
    try:
        while True:
            data = reader(offset)
            answer = call("blob.put", blob=name, offset=offset, data=data)
            if answer["complete"]:
                tell(len(data))
                return
            reached = int(answer["have_bytes"])
            steps_back += reached < offset  # the node holds less in one piece than it said: go on from there
            if reached == offset or steps_back > _STEPS_BACK:
                raise UserError(
                    f"{_shown(source)} could not be sent", "it changed while it was sent", "wait for it, submit again"
                )
            tell(reached - offset)
            offset = reached
    finally:
        reader(-1)


def _reader(source: Path | bytes) -> Callable[[int], bytes]:
    """Make a function that reads a chunk at an offset; a negative offset closes the file."""
    if isinstance(source, bytes):
        return lambda offset: source[offset : offset + MAX_CHUNK_BYTES] if offset >= 0 else b""
    try:
        file = source.open("rb", buffering=0)
    except OSError as error:
        raise UserError(f"cannot read {source}", str(error.strerror), "check the permissions, submit again") from error

    def read(offset: int) -> bytes:
        if offset < 0:
            file.close()
            return b""
        file.seek(offset)
        return file.read(MAX_CHUNK_BYTES) or b""

    return read


def _shown(source: Path | bytes) -> str:
    return "the list of files" if isinstance(source, bytes) else str(source)
