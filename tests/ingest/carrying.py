"""Carries files as a submission does: manifest, content store, checkout; all real, without daemon and socket."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from farmctl.sending import Sender
from farmd.adapters.blobs import BlobStore
from farmd.adapters.checkout import Checkouts
from farmd.daemon.uploads import Uploads
from farmd.ingest.manifest import decode_manifest, encode_manifest, manifest_of
from protocol.ids import JobId, parse_blob_address

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

JOB = JobId("0123456789abcdef")


class Node:
    """The side of the node: takes what `Sender` sends."""

    def __init__(self, folder: Path) -> None:
        self.blobs = BlobStore(folder / "blobs")
        self.checkouts = Checkouts(folder / "checkouts", self.blobs.path)
        self.uploads = Uploads(self.blobs, lambda: "")
        self.calls: list[str] = []

    def call(self, op: str, /, **args: Any) -> Any:
        self.calls.append(op)
        if op == "blob.put":
            return self.uploads._put_now(parse_blob_address(args["blob"]), args["offset"], args["data"])
        assert op == "blob.put_small"
        return self.uploads._put_small_now([parse_blob_address(name) for name in args["blobs"]], args["data"])

    def missing(self, blobs: Iterable[Any]) -> list[Any]:
        return [blob for blob, _ in self.blobs.missing(blobs)]


def carry(folder: Path, scene: Path, *inputs: Path) -> Path:
    """Bring a scene and its files to a node below `folder` and lay them out; returns the tree."""
    manifest, files = manifest_of(scene, inputs)
    node = Node(folder)
    sources = {entry.address: files[entry.path] for entry in manifest.entries}
    Sender(node.call, lambda _: None).send((blob, sources[blob], 0) for blob in node.missing(sources))
    return node.checkouts.build(JOB, decode_manifest(encode_manifest(manifest))).tree


def contents(tree: Path) -> dict[bytes, bytes]:
    """Every file below a folder, by its name as bytes; links are not followed."""
    found: dict[bytes, bytes] = {}
    for folder, _, names in os.walk(tree):
        for name in names:
            path = Path(folder, name)
            assert not path.is_symlink()
            found[os.fsencode(path.relative_to(tree))] = path.read_bytes()
    return found
