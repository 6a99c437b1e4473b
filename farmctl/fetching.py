"""Bring the results of a job into a folder: list, let the node fetch what it lacks, copy, verify.

A file appears under its name complete and verified (size, xxHash64 and MD5 of its address), or not at all; one that is
there already and has the right content is left alone, so that a second download costs little. What was interrupted lies
beside it under the name of its content (`.*.farmd-part`) and is gone on with. Files of others are dealt with as the job
or the command says (`farmd.ingest.placing`). Names come from other machines and never lead out of the folder.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from farmctl.lacking import Missing, missing_error
from farmctl.resultlist import all_results
from farmd.ingest.copying import write_all
from farmd.ingest.hashing import hash_descriptor
from farmd.ingest.placing import How, Wanted, place_file
from farmd.ingest.tree import Tree, place_of
from protocol.api import MAX_CHUNK_BYTES
from protocol.errors import UserError
from protocol.existing import ExistingFile
from protocol.frames import FrameSet, parse_frames
from protocol.human import format_size
from protocol.ids import BlobAddress, parse_blob_address

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from farmctl.links import Links
    from farmctl.output import View
    from farmctl.progress import Progress

    Call = Callable[..., Any]

FETCH_TRIES: Final = 4
"""Each is a long poll of half a minute at the node."""


class Brought(NamedTuple):
    """What is in the folder now.

    Attributes:
        files: Names below the folder, those that were there already too.
        size_bytes: Of what was copied.
        missing: Outputs that no reachable machine has.
        frames: All frames of which every output is here.
        kept: Names that files of others have kept.
        refused: The same, where that counts as a failure.
        aside: Files of others that were moved, as (old, new name).
    """

    files: tuple[str, ...]
    size_bytes: int
    missing: tuple[Missing, ...]
    frames: FrameSet
    kept: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    aside: tuple[tuple[str, str], ...] = ()


class Fetch:
    """One run over the outputs of some frames."""

    def __init__(self, call: Call, job: str, folder: Path, progress: Progress) -> None:
        """Prepare.

        Args:
            call: Asks the node; must have the patience for transfers.
            job: Its id.
            folder: Exists.
            progress: Shows how far it is.
        """
        self._call = call
        self._job = job
        self._folder = folder
        self._progress = progress
        self._there: dict[int, bool] = {}
        self._done = self._total = self._copied = 0
        self._named: dict[How, list[str]] = {how: [] for how in How}
        self._aside: list[tuple[str, str]] = []
        self._missing: list[Missing] = []

    def bring(self, frames: FrameSet, *, tries: int = FETCH_TRIES, existing: ExistingFile | None = None) -> Brought:
        """Copy the outputs of these frames: first what the node has, then what others that answer have.

        What only silent machines have is not waited for.

        Args:
            frames: All of them done.
            tries: How often the node is asked to get an output that it lacks.
            existing: What to do with files of others; None = as the job says.

        Raises:
            UserError: The node does not answer, or a file cannot be written.
        """
        listed: View = all_results(self._call, self._job, str(frames)) if frames else {"outputs": []}
        outputs: list[View] = listed["outputs"]
        self._total = sum(int(output["size"]) for output in outputs)
        existing = existing or _existing_of(listed)
        with Tree(self._folder) as tree:
            for output in sorted(outputs, key=_distance):
                self._bring(tree, output, tries, existing)
        return self._brought(frames, outputs)

    def _bring(self, tree: Tree, output: View, tries: int, existing: ExistingFile) -> None:
        place, address = place_of(output["name"]), parse_blob_address(output["blob"])
        before = self._done
        self._show(place, 0)
        former = [parse_blob_address(str(blob)) for blob in output.get("former") or []]
        wanted = Wanted(place, address, former, f".{address.md5.hex()}.farmd-part")
        try:
            placed = place_file(tree, wanted, partial(self._fill, output, tries), existing)
        except _NotThere:
            holders = tuple(str(node.get("name")) for node in output.get("nodes") or [])
            self._missing.append(Missing(int(output["frame"]), holders, silent=_is_out_of_reach(output)))
        else:
            self._named[placed.how].append(place)
            if placed.aside:
                self._aside.append((place, placed.aside))
        self._done = before + address.size

    def _fill(self, output: View, tries: int, target: int) -> None:
        """Write a file, or the rest of it, and verify the whole."""
        if _is_out_of_reach(output) or not self._is_at_node(output, tries):
            raise _NotThere
        place, address = place_of(output["name"]), parse_blob_address(output["blob"])
        half = os.lseek(target, 0, os.SEEK_CUR)
        starts = (half, 0) if 0 < half <= address.size else (0,)
        for start in starts:
            os.ftruncate(target, start)
            os.lseek(target, start, os.SEEK_SET)
            self._receive(place, address, start, target)
            os.lseek(target, 0, os.SEEK_SET)
            if hash_descriptor(target) == address:
                self._copied += address.size - start
                return
        os.ftruncate(target, 0)
        raise UserError(f"{place} arrived damaged", "its content does not match its address", "download it again")

    def _receive(self, place: str, address: BlobAddress, offset: int, target: int) -> None:
        while offset < address.size:
            self._show(place, offset)
            answer = self._call("blob.get", blob=str(address), offset=offset, limit=MAX_CHUNK_BYTES)
            data: bytes = answer["data"]
            if not data:
                return
            write_all(target, data)
            offset += len(data)

    def _show(self, place: str, offset: int) -> None:
        done = self._done + offset
        text = f"fetching {place}, {format_size(done)} of {format_size(self._total)}"
        self._progress.update(done, self._total, text, change="fetch", steps=10)

    def _is_at_node(self, output: View, tries: int) -> bool:
        """Tell whether the node has an output, after asking it once for each task to get it from others."""
        task = int(output["task"])
        if output.get("here"):
            return True
        if task not in self._there:
            tries = tries if any(node.get("alive") for node in output.get("nodes") or []) else 1
            answers = (self._call("result.fetch", job=self._job, task=task)["here"] for _ in range(tries))
            self._there[task] = any(answers)
        return self._there[task]

    def _brought(self, frames: FrameSet, outputs: list[View]) -> Brought:
        # An output names the first frame of its task: only if all are here, it is sure that all frames are.
        lacking = {output.frame for output in self._missing}
        whole = frames if not lacking else FrameSet.of({int(output["frame"]) for output in outputs} - lacking)
        here = {*self._named[How.WRITTEN], *self._named[How.EQUAL]}
        return Brought(
            files=tuple(place for place in (place_of(output["name"]) for output in outputs) if place in here),
            size_bytes=self._copied,
            missing=tuple(self._missing),
            frames=whole,
            kept=tuple(self._named[How.KEPT]),
            refused=tuple(self._named[How.REFUSED]),
            aside=tuple(self._aside),
        )


class _NotThere(Exception):  # not an error: the answer to the question whether an output can be had
    """No machine that answers has it."""


def _existing_of(listed: View) -> ExistingFile:
    """Read what the job says; a node of the version before says nothing, and then nothing is lost."""
    try:
        return ExistingFile(str(listed.get("existing")))
    except ValueError:
        return ExistingFile.RENAME


def _distance(output: View) -> int:
    """Say how far an output is: at the node, at another that answers, out of reach."""
    return 0 if output.get("here") else 2 if _is_out_of_reach(output) else 1


def _is_out_of_reach(output: View) -> bool:
    """Tell whether all machines that have an output are known, and none of them answers."""
    holders = output.get("nodes") or []
    return bool(holders) and not output.get("here") and not any(node.get("alive") for node in holders)


class Delivery:
    """Brings results into one folder while a job is followed."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self._folder = folder
        self._progress = progress
        self._here = FrameSet()

    def step(self, links: Links, view: View) -> None:
        """Fetch the frames that were finished since last time; what cannot be had now is tried again at the end."""
        if view.get("deliver") == "client":
            try:
                self._bring(links, view, tries=1)
            except UserError as error:
                self._progress.line(f"not fetched yet: {error.what}")

    def finish(self, links: Links, view: View) -> None:
        """Fetch the rest.

        Raises:
            UserError: Something cannot be had.
        """
        brought = self._bring(links, view, tries=FETCH_TRIES)
        if brought.missing or brought.refused:
            raise missing_error(str(view["id"]), brought.missing, brought.refused, partly=bool(self._here))

    def _bring(self, links: Links, view: View, *, tries: int) -> Brought:
        new = frames_of(str(view.get("completed_frames") or "")) - self._here
        brought = Fetch(links.transfer, str(view["id"]), self._folder, self._progress).bring(new, tries=tries)
        self._here = self._here | brought.frames
        for line in remarks(brought):
            self._progress.line(line)
        return brought


def remarks(brought: Brought) -> list[str]:
    """Say what became of files of others, a line each."""
    moved = [f"{old} was another file; it is {new} now" for old, new in brought.aside]
    return moved + [f"{name} is another file and was left; the result was not written" for name in brought.kept]


def frames_of(text: str) -> FrameSet:
    """Read a list of frames that may be empty."""
    return parse_frames(text) if text.strip() else FrameSet()
