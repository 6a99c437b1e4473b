"""Put one result under its name, and never over a file that is somebody's.

Three files may stand there: the result itself (nothing is done), a former result of the same job (replaced: the farm
knows its content), and anything else, which is what `ExistingFile` decides about. Whose a file is, its content says
alone: no list of written files has to be kept, and a picture that was painted over is no longer the job's.

Called by the delivery of a node and by `farmctl job download`, so that both do the same.
"""

from __future__ import annotations

import os
import stat
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from farmd.ingest.hashing import hash_descriptor
from protocol.existing import ExistingFile

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from farmd.ingest.tree import Tree
    from protocol.ids import BlobAddress


class How(Enum):
    """What was done."""

    WRITTEN = "written"
    EQUAL = "equal"
    """It was there already."""
    KEPT = "kept"
    """Another file has the name, and keeps it."""
    REFUSED = "refused"
    """The same, and it counts as a failure."""


class Placed(NamedTuple):
    """How it went; `aside` is the new name of the file that was in the way, if it was moved."""

    how: How
    aside: str = ""


class Wanted(NamedTuple):
    """One file that shall be there.

    Attributes:
        place: Name in the folder; what `place_of` returns.
        blob: The result.
        former: What the job may have written there before.
        part: See `Tree.put`.
    """

    place: str
    blob: BlobAddress
    former: Collection[BlobAddress] = ()
    part: str = ""


def place_file(tree: Tree, wanted: Wanted, fill: Callable[[int], None], existing: ExistingFile) -> Placed:
    """Write a result unless it is there.

    Args:
        tree: The folder.
        wanted: What shall be there.
        fill: Writes it, verified, as `Tree.put` wants it.
        existing: What to do with a file of somebody else.

    Raises:
        PeerError: A link or a file stands where a folder should be.
        OSError: As the system says.
    """
    status = tree.status(wanted.place)
    sizes = {blob.size for blob in (wanted.blob, *wanted.former)}
    found = None if status is None else _content(tree, wanted.place, status, sizes)
    if found == wanted.blob:
        return Placed(How.EQUAL)
    foreign = status is not None and (found is None or found not in wanted.former)
    if foreign and existing is ExistingFile.KEEP:
        return Placed(How.KEPT)
    if foreign and existing is ExistingFile.FAIL:
        return Placed(How.REFUSED)
    aside = foreign and existing is ExistingFile.RENAME
    return Placed(How.WRITTEN, tree.put(wanted.place, fill, mode=0o666 & ~_umask(), aside=aside, part=wanted.part))


def _content(tree: Tree, place: str, status: os.stat_result, sizes: Collection[int]) -> BlobAddress | None:
    """Hash what is there, if it is a file that may be one of ours by its size."""
    if not stat.S_ISREG(status.st_mode) or status.st_size not in sizes:
        return None
    try:
        file = tree.open_file(place)
    except PermissionError:
        return None
    try:
        return hash_descriptor(file)
    finally:
        os.close(file)


def _umask() -> int:
    """Read the mask without setting it: setting it, even for a moment, would hit files of other threads."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:  # noqa: PTH123  # PTH wants Path.open
        for line in status:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o022
