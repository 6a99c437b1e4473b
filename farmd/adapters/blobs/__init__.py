"""The content store; `farmd.adapters.blobs.store` tells what it promises."""

from farmd.adapters.blobs.errors import BlobsFailed, DiskFull
from farmd.adapters.blobs.parts import PIECE_BYTES, Wrote, piece_count
from farmd.adapters.blobs.shelf import Held
from farmd.adapters.blobs.store import BlobStore, How, Pack
from farmd.adapters.blobs.upload import Upload

__all__ = [
    "PIECE_BYTES",
    "BlobStore",
    "BlobsFailed",
    "DiskFull",
    "Held",
    "How",
    "Pack",
    "Upload",
    "Wrote",
    "piece_count",
]
