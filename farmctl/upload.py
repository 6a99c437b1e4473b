"""Bring the files of a job to the node: hash, ask what it lacks, send that.

Runs as the artist, since the service may read neither their scene nor their textures. Files that were hashed before and
have not changed are not read again; blobs that the node has are not sent; one that was half sent goes on where it
stopped. The node verifies what it got, so a file that changes meanwhile is refused and never rendered.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from farmctl.sending import Sender
from farmd.ingest.hash_cache import HashCache, default_cache_path
from farmd.ingest.hashing import address_of_bytes
from farmd.ingest.manifest import encode_manifest, manifest_of
from protocol.human import format_size
from protocol.ids import BlobAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from farmctl.progress import Progress
    from farmd.ingest.manifest import Manifest

    Call = Callable[..., Any]

_ASKED_AT_ONCE: Final = 1_000


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

    Args:
        call: Asks the node.
        scene: The file to render; of a folder, the first file in it.
        inputs: Further files and folders.
        progress: Shows how far it is.

    Raises:
        UserError: A file cannot be read, or changed meanwhile.
    """
    manifest, files = _hashed(scene, inputs, progress)
    total = sum(entry.size for entry in manifest.entries)
    packed = encode_manifest(manifest)
    address = address_of_bytes(packed)
    sources = {entry.address: files[entry.path] for entry in manifest.entries}
    del files
    sent = _send_missing(call, sources, progress)
    _send_missing(call, {address: packed}, progress)  # last: a list on the node means that its files are there
    return Sent(address, manifest.scene, len(manifest.entries), total, sent)


def _hashed(scene: Path, inputs: Iterable[Path], progress: Progress) -> tuple[Manifest, dict[str, str]]:
    lock, seen = threading.Lock(), 0

    def tell(count: int) -> None:
        nonlocal seen
        with lock:
            seen += count
            progress.update(0, 0, f"reading files, {format_size(seen)}", change="reading")

    with HashCache(default_cache_path()) as cache:
        return manifest_of(scene, inputs, cache=cache, progress=tell)


def _send_missing(call: Call, sources: dict[BlobAddress, str] | dict[BlobAddress, bytes], progress: Progress) -> int:
    """Send what the node lacks; returns how many bytes."""
    names = {str(blob): blob for blob in sources}
    asked, missing = list(names), dict[BlobAddress, int]()
    for at in range(0, len(asked), _ASKED_AT_ONCE):
        answer = call("blob.missing", blobs=asked[at : at + _ASKED_AT_ONCE])
        missing |= {names[item["blob"]]: int(item.get("have_bytes", 0)) for item in answer["missing"]}
    total = sum(blob.size - have for blob, have in missing.items())
    done = 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        progress.update(done, total, f"sending {format_size(done)} of {format_size(total)}", change="sending", steps=10)

    Sender(call, tell).send((blob, sources[blob], have) for blob, have in missing.items())
    return max(0, done)
