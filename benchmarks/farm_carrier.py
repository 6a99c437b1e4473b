"""The farm as one of the programs that bring files; see `benchmarks.carriers`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Final, Self

from benchmarks.carrying import PATIENCE_S, Cleanup, files_of
from benchmarks.harness import NOBODY, Farm, noop_job, until
from farmctl.forms import ProgressMode
from farmctl.progress import Progress
from farmctl.upload import send_files
from farmd.adapters.blobs.parts import piece_count
from protocol.ids import parse_blob_address
from protocol.jobspec import GateMode, GateSpec, JobSpec

FARM_LOOK_S: Final = 0.005
"""Looking whether one file is there costs nothing, whether a folder has all of its files much more."""
FEW: Final = 4
MAP_SLOT_BYTES: Final = 9
"""Of the map beside an incomplete file: a flag and the hash of the piece."""


class FarmCarrier(Cleanup):
    """Two daemons: the files are in the store of the first, which renders nothing; the second is granted a frame."""

    def __init__(self) -> None:
        super().__init__()
        self.farm = Farm(2)
        self.verified_s = 0.0
        """Of what was carried last: seconds from *go* until each piece stood verified, and not yet the MD5 of the whole."""

    def __enter__(self) -> Self:
        """Start the farm."""
        self.stack.enter_context(self.farm)
        source = self.farm.daemons[0]
        source.call("node.hold", node=str(source.status()["node"]))
        return self

    def carry(self, source: Path, target: Path) -> float:
        """Time from the submission, with the files synced before, to the last blob that is confirmed; no `target`."""
        del target
        first, second = self.farm.daemons
        files, known = files_of(source), _blobs(first.data_dir).keys()
        with Progress(ProgressMode.NONE, sys.stderr, time.monotonic) as progress:
            sent = send_files(first.call, files[0], files[1:], progress)
        self._settle()
        shards = second.data_dir / "blobs" / "blobs"
        wanted = [str(shards / name[:2] / name) for name in _blobs(first.data_dir).keys() - known]
        missing = wanted.copy()
        parts = second.data_dir / "blobs" / "parts"
        verified: list[float] = []
        spec = JobSpec(
            name=source.name,
            owner="benchmark",
            submitted_at_ms=0,
            submit_node=NOBODY,
            renderer="command",
            command="/bin/true",
            scene=sent.scene,
            manifest=sent.manifest,
            frames="1",
            gate=GateSpec(mode=GateMode.OFF),
        )
        began = time.perf_counter()
        job = first.submit(spec)

        def has_come() -> bool:
            if not verified and is_verified(missing, parts):
                verified.append(time.perf_counter() - began)
            return _has_come(missing)

        until("everything is there", has_come, PATIENCE_S, FARM_LOOK_S)
        confirmed_s = time.perf_counter() - began
        self.verified_s = verified[0] if verified else confirmed_s
        until("the job ends", lambda: first.show(job).get("state") == "completed", PATIENCE_S)
        got = sum(os.stat(path).st_size for path in wanted)  # noqa: PTH116
        assert got >= sum(path.stat().st_size for path in files), "not everything came"
        return confirmed_s

    def _settle(self) -> None:
        """Have the source sync what it took in, as what the others read is synced: it does so before it accepts a job."""
        first = self.farm.daemons[0]
        job = first.submit(noop_job("before", "1"))
        until("a job of nothing ends", lambda: first.show(job).get("state") == "completed", PATIENCE_S)


def _blobs(data_dir: Path) -> dict[str, Path]:
    return {path.name: path for path in (data_dir / "blobs" / "blobs").glob("*/*")}


def _has_come(missing: list[str]) -> bool:
    """Strike off what is there; asked fifty times a second, so it looks no further than the first that is not."""
    while missing and os.path.exists(missing[-1]):  # noqa: PTH110
        missing.pop()
    return not missing


def is_verified(missing: list[str], parts: Path) -> bool:
    """Whether what is missing has only to be confirmed: each of its pieces stands verified in its map."""
    return len(missing) <= FEW and all(os.path.exists(name) or _is_mapped(Path(name).name, parts) for name in missing)  # noqa: PTH110


def _is_mapped(name: str, parts: Path) -> bool:
    try:
        flags = (parts / f"{name}.map").read_bytes()[::MAP_SLOT_BYTES]
    except OSError:
        return False
    return flags == b"\1" * piece_count(parse_blob_address(name).size)
