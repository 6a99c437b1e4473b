"""Write outputs of attempts from the content store into the folder where their owner wants them.

Invariant: under an output's name there is either what was there before or the whole output, never a part; and nothing is
written outside the folder, not even through a link in it (`farmd.ingest.tree`). What was written is read back and its MD5
compared before it gets its name: an output folder is often on a network drive.

An equal file that is there already is left alone, so delivering twice, or from two nodes, is harmless. After a kill a
hidden `.*.farmd-tmp` file may stay; its name is random, since two nodes may deliver into one folder at once.
"""

from __future__ import annotations

import os
import stat
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from farmd.ingest.copying import clone, copy, is_full
from farmd.ingest.hashing import hash_descriptor
from farmd.ingest.tree import Tree, place_of
from protocol.errors import FarmError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from protocol.bodies import OutputFact
    from protocol.ids import BlobAddress

    FindBlob = Callable[[BlobAddress], Path | None]
    """Names the file of a blob that is complete here."""


class DeliveryFailed(FarmError):
    """An output could not be delivered; outputs before it were, and trying again does no harm."""


class DeliveryFull(DeliveryFailed):
    """The disk of the output folder is full."""


class IfDifferent(Enum):
    """What to do when another file has the output's name."""

    OVERWRITE = "overwrite"
    KEEP = "keep"
    """Leave it and go on; its name is reported."""
    FAIL = "fail"


class DeliveryReport(NamedTuple):
    """Names of outputs that were written, that were there already, and that were kept although different."""

    written: tuple[str, ...]
    equal: tuple[str, ...]
    kept: tuple[str, ...]


def deliver(
    folder: Path,
    outputs: Iterable[OutputFact],
    find_blob: FindBlob,
    *,
    if_different: IfDifferent = IfDifferent.OVERWRITE,
) -> DeliveryReport:
    """Write outputs into a folder, which is made if it is not there.

    Args:
        folder: Absolute.
        outputs: Names may have subfolders (`beauty/0001.exr`).
        find_blob: See `FindBlob`.
        if_different: What to do when another file has the name.

    Raises:
        PeerError: A name leads out of the folder.
        DeliveryFull: No room.
        DeliveryFailed: The folder cannot be written, or an output is not here or damaged.
    """
    places = [(place_of(output.name), output) for output in outputs]
    written: list[str] = []
    equal: list[str] = []
    kept: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with Tree(folder) as inside:
            for place, output in places:
                found = _compare(inside, place, output.blob)
                if found:
                    equal.append(output.name)
                elif found is None or if_different is IfDifferent.OVERWRITE:
                    _write(inside, place, output, find_blob)
                    written.append(output.name)
                elif if_different is IfDifferent.KEEP:
                    kept.append(output.name)
                else:
                    raise DeliveryFailed(f"{folder / place} exists and is a different file")
    except OSError as error:
        kind = DeliveryFull if is_full(error) else DeliveryFailed
        raise kind(f"cannot write into {folder}: {error.strerror}") from error
    return DeliveryReport(tuple(written), tuple(equal), tuple(kept))


def _compare(inside: Tree, place: str, blob: BlobAddress) -> bool | None:
    """Tell whether the file that is there is this blob; None if nothing is there."""
    status = inside.status(place)
    if status is None:
        return None
    if not stat.S_ISREG(status.st_mode) or status.st_size != blob.size:
        return False
    found = inside.open_file(place)
    try:
        return hash_descriptor(found) == blob
    finally:
        os.close(found)


def _write(inside: Tree, place: str, output: OutputFact, find_blob: FindBlob) -> None:
    source_path = find_blob(output.blob)
    if source_path is None:
        raise DeliveryFailed(f"output {output.name} is not in the content store here")
    source = os.open(source_path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        inside.put(place, lambda target: _fill(source, target, output), mode=0o666 & ~_umask())
    finally:
        os.close(source)


def _fill(source: int, target: int, output: OutputFact) -> None:
    if not clone(source, target) and copy(source, target) != output.blob:
        raise DeliveryFailed(f"output {output.name} is damaged in the content store")
    os.fsync(target)  # what a network drive refuses, it refuses here, and not after the file has its name
    os.lseek(target, 0, os.SEEK_SET)
    if hash_descriptor(target) != output.blob:
        raise DeliveryFailed(f"output {output.name} is not the same when it is read back")


def _umask() -> int:
    """Read the mask without setting it: setting it, even for a moment, would hit files of other threads."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:  # noqa: PTH123  # PTH wants Path.open
        for line in status:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o022
