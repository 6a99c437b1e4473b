"""Write outputs of attempts from the content store into the folder where their owner wants them.

Invariant: under an output's name there is either what was there before or the whole output, never a part; and nothing is
written outside the folder, not even through a link in it (`farmd.ingest.tree`). What was written is read back and its MD5
compared before it gets its name: an output folder is often on a network drive.

An equal file that is there already is left alone, so delivering twice, or from two nodes, is harmless. What becomes of
somebody else's file is the job's to say (`farmd.ingest.placing`). After a kill a hidden `.*.farmd-tmp` file may stay; its
name is random, since two nodes may deliver into one folder at once.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from farmd.ingest.copying import clone, copy, is_full
from farmd.ingest.hashing import hash_descriptor
from farmd.ingest.placing import How, Placed, Wanted, place_file
from farmd.ingest.tree import Tree, place_of
from protocol.errors import FarmError
from protocol.existing import ExistingFile
from protocol.human import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from protocol.bodies import OutputFact
    from protocol.ids import BlobAddress

    FindBlob = Callable[[BlobAddress], Path | None]
    """Names the file of a blob that is complete here."""


class DeliveryFailed(FarmError):
    """An output could not be delivered; outputs before it were, and trying again does no harm."""


class DeliveryFull(DeliveryFailed):
    """The disk of the output folder is full."""


class DeliveryRefused(DeliveryFailed):
    """Files of somebody else have names of outputs, and the job says that this is a failure; all others were written."""


class DeliveryReport(NamedTuple):
    """Names of outputs that were written, that were there already, that others keep; and (old, new name) of files moved."""

    written: tuple[str, ...]
    equal: tuple[str, ...]
    kept: tuple[str, ...]
    aside: tuple[tuple[str, str], ...] = ()

    @property
    def remark(self) -> str:
        """What the owner should know, in one line; empty if nothing."""
        said = []
        if self.aside:
            old, new = self.aside[0]
            said.append(f"{old} was another file; it is {new} now" + _and_more(len(self.aside)))
        if self.kept:
            said.append(
                f"{self.kept[0]} is another file and was left, so the result was not written"
                + _and_more(len(self.kept))
            )
        return "; ".join(said)


def deliver(
    folder: Path,
    outputs: Iterable[OutputFact],
    find_blob: FindBlob,
    *,
    existing: ExistingFile = ExistingFile.RENAME,
    former: Collection[BlobAddress] = (),
) -> DeliveryReport:
    """Write outputs into a folder, which is made if it is not there.

    Args:
        folder: Absolute.
        outputs: Names may have subfolders (`beauty/0001.exr`).
        find_blob: See `FindBlob`.
        existing: What to do with other files of these names.
        former: What the job may have delivered there before; it is replaced.

    Raises:
        PeerError: A name leads out of the folder.
        DeliveryFull: No room.
        DeliveryRefused: See there.
        DeliveryFailed: The folder cannot be written, or an output is not here or damaged.
    """
    places = [(place_of(output.name), output) for output in outputs]
    done: list[tuple[str, Placed]] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with Tree(folder) as inside:
            for place, output in places:
                wanted = Wanted(place, output.blob, former)
                done.append((place, place_file(inside, wanted, partial(_fill, output, find_blob), existing)))
    except OSError as error:
        kind = DeliveryFull if is_full(error) else DeliveryFailed
        raise kind(f"cannot write into {folder}: {error.strerror}") from error
    return _report(folder, done)


def _report(folder: Path, done: list[tuple[str, Placed]]) -> DeliveryReport:
    names = {how: tuple(place for place, placed in done if placed.how is how) for how in How}
    refused = names[How.REFUSED]
    if refused:
        raise DeliveryRefused(f"{folder / refused[0]} exists and is a different file" + _and_more(len(refused)))
    aside = tuple((place, placed.aside) for place, placed in done if placed.aside)
    return DeliveryReport(names[How.WRITTEN], names[How.EQUAL], names[How.KEPT], aside)


def _and_more(count: int) -> str:
    return f" (and {counted(count - 1, 'other')})" if count > 1 else ""


def _fill(output: OutputFact, find_blob: FindBlob, target: int) -> None:
    source_path = find_blob(output.blob)
    if source_path is None:
        raise DeliveryFailed(f"output {output.name} is not in the content store here")
    source = os.open(source_path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not clone(source, target) and copy(source, target) != output.blob:
            raise DeliveryFailed(f"output {output.name} is damaged in the content store")
    finally:
        os.close(source)
    os.fsync(target)  # what a network drive refuses, it refuses here, and not after the file has its name
    os.lseek(target, 0, os.SEEK_SET)
    if hash_descriptor(target) != output.blob:
        raise DeliveryFailed(f"output {output.name} is not the same when it is read back")
