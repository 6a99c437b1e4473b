"""Bring the results of a job into a folder: list, let the node fetch what it lacks, copy, verify.

A file appears under its name complete and verified (size, xxHash64 and MD5 of its address), or not at all; one that is
there already and has the right content is left alone, so that a second download costs little and an interrupted one
goes on. Names come from other machines and never lead out of the folder.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from farmd.ingest.copying import write_all
from farmd.ingest.hashing import hash_descriptor, hash_file
from farmd.ingest.tree import Tree, place_of
from protocol.api import MAX_CHUNK_BYTES
from protocol.errors import UserError
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


class Missing(NamedTuple):
    """An output that could not be had.

    Attributes:
        frame: The first frame of its task.
        holders: The machines that have it, by name.
        silent: None of them answers, so that it was not even asked for.
    """

    frame: int
    holders: str
    silent: bool


class Brought(NamedTuple):
    """What is in the folder now.

    Attributes:
        files: Names below the folder, those that were there already too.
        size_bytes: Of what was copied.
        missing: Outputs that no reachable machine has.
        frames: All frames of which every output is here.
    """

    files: tuple[str, ...]
    size_bytes: int
    missing: tuple[Missing, ...]
    frames: FrameSet


def bring(
    call: Call, job: str, frames: FrameSet, folder: Path, progress: Progress, *, tries: int = FETCH_TRIES
) -> Brought:
    """Copy the outputs of these frames into a folder: first what the node has, then what others that answer have.

    What only silent machines have is not waited for.

    Args:
        call: Asks the node; must have the patience for transfers.
        job: Its id.
        frames: All of them done.
        folder: Exists.
        progress: Shows how far it is.
        tries: How often the node is asked to get an output that it lacks.

    Raises:
        UserError: The node does not answer, or a file cannot be written.
    """
    outputs: list[View] = call("result.list", job=job, frames=str(frames))["outputs"] if frames else []
    total = sum(int(output["size"]) for output in outputs)
    there: dict[int, bool] = {}
    files, missing, done, copied = set(), [], 0, 0
    with Tree(folder) as tree:
        for output in sorted(outputs, key=_distance):
            place, address = place_of(output["name"]), parse_blob_address(output["blob"])
            progress.update(
                done, total, f"fetching {place}, {format_size(done)} of {format_size(total)}", change="fetch", steps=10
            )
            done += address.size
            if _has(tree, folder, place, address):
                files.add(place)
            elif not _is_out_of_reach(output) and _is_at_node(call, job, output, there, tries):
                _copy(call, tree, place, address)
                files.add(place)
                copied += address.size
            else:
                holders = ", ".join(str(node.get("name")) for node in output.get("nodes") or [])
                missing.append(Missing(int(output["frame"]), holders, _is_out_of_reach(output)))
    # An output names the first frame of its task: only if all are here, it is sure that all frames are.
    lacking = {output.frame for output in missing}
    whole = frames if not lacking else FrameSet.of({int(output["frame"]) for output in outputs} - lacking)
    places = (place_of(output["name"]) for output in outputs)
    return Brought(tuple(place for place in places if place in files), copied, tuple(missing), whole)


def _distance(output: View) -> int:
    """Say how far an output is: at the node, at another that answers, out of reach."""
    return 0 if output.get("here") else 2 if _is_out_of_reach(output) else 1


def _is_out_of_reach(output: View) -> bool:
    """Tell whether all machines that have an output are known, and none of them answers."""
    holders = output.get("nodes") or []
    return bool(holders) and not output.get("here") and not any(node.get("alive") for node in holders)


def _has(tree: Tree, folder: Path, place: str, address: BlobAddress) -> bool:
    status = tree.status(place)
    if status is None or status.st_size != address.size:
        return False
    try:
        return hash_file(folder / place).address == address
    except UserError:
        return False


def _is_at_node(call: Call, job: str, output: View, there: dict[int, bool], tries: int) -> bool:
    """Tell whether the node has an output, after asking it once for each task to get it from others."""
    task = int(output["task"])
    if output.get("here"):
        return True
    if task not in there:
        tries = tries if any(node.get("alive") for node in output.get("nodes") or []) else 1
        there[task] = any(call("result.fetch", job=job, task=task)["here"] for _ in range(tries))
    return there[task]


def _copy(call: Call, tree: Tree, place: str, address: BlobAddress) -> None:
    def fill(target: int) -> None:
        offset = 0
        while offset < address.size:
            data: bytes = call("blob.get", blob=str(address), offset=offset, limit=MAX_CHUNK_BYTES)["data"]
            if not data:
                break
            write_all(target, data)
            offset += len(data)
        os.lseek(target, 0, os.SEEK_SET)
        if hash_descriptor(target) != address:
            raise UserError(f"{place} arrived damaged", "its content does not match its address", "download it again")

    mask = os.umask(0o022)
    os.umask(mask)
    tree.put(place, fill, mode=0o666 & ~mask)


def missing_error(brought: Brought, job: str) -> UserError:
    """Say which results could not be had, by their frames, and who has them."""
    by_holders: dict[tuple[str, bool], set[int]] = {}
    for output in brought.missing:
        by_holders.setdefault((output.holders, output.silent), set()).add(output.frame)
    why = "; ".join(_whereabouts(frames, *holders) for holders, frames in by_holders.items())
    lacking = named_frames(FrameSet.of(frame for frames in by_holders.values() for frame in frames))
    hint = "switch it on, then" if any(output.silent for output in brought.missing) else "try again"
    return UserError(f"{lacking} could not be fetched", why, f"{hint}: farmctl job download {job}")


def _whereabouts(frames: set[int], holders: str, silent: bool) -> str:
    named = named_frames(FrameSet.of(frames))
    if not holders:
        return f"no machine that answers has {named}"
    return f"{named}: only on {holders}, " + ("not reachable now" if silent else "which did not send in time")


def named_frames(frames: FrameSet) -> str:
    """Write frames with their noun: frame 7, frames 1-4."""
    return f"frame {frames}" if len(frames) == 1 else f"frames {frames}"


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
        if brought.missing:
            raise missing_error(brought, str(view["id"]))

    def _bring(self, links: Links, view: View, *, tries: int) -> Brought:
        new = frames_of(str(view.get("completed_frames") or "")) - self._here
        brought = bring(links.transfer, str(view["id"]), new, self._folder, self._progress, tries=tries)
        self._here = self._here | brought.frames
        return brought


def frames_of(text: str) -> FrameSet:
    """Read a list of frames that may be empty."""
    return parse_frames(text) if text.strip() else FrameSet()
