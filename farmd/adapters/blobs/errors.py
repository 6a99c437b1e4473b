"""What can go wrong with the disk under the content store.

FarmError
└── BlobsFailed    the disk or the file is bad
    └── DiskFull   no room: works again as soon as there is some
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from farmd.ingest.copying import is_full
from protocol.errors import FarmError

if TYPE_CHECKING:
    from collections.abc import Iterator


class BlobsFailed(FarmError):
    """The content store could not read or write; nothing half done is left."""


class DiskFull(BlobsFailed):
    """The disk of the content store is full."""


@contextmanager
def blaming_disk(doing: str) -> Iterator[None]:
    """Turn what the system says while `doing` something into an error of this module.

    Raises:
        DiskFull: No room.
        BlobsFailed: Anything else.
    """
    try:
        yield
    except OSError as error:
        kind = DiskFull if is_full(error) else BlobsFailed
        raise kind(f"cannot {doing}: {error.strerror}") from error
