"""`farmd --check`: is what stands on this node's disk sound? Nothing is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.adapters.blobs import BlobStore
from farmd.adapters.store import check

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def check_store(data_dir: Path, say: Callable[[str], None]) -> int:
    """Check records and blobs; returns the number of problems.

    Raises:
        UserError: There is no store.
    """
    verdict = check(data_dir)
    say(f"records: {verdict.rows} rows, {len(verdict.vector)} streams, digest {verdict.digest:016x}")
    problems = list(verdict.problems)
    blobs = BlobStore(data_dir / "blobs")
    bad = [address for address in blobs.addresses() if not blobs.verify(address)]
    say(f"blobs: {blobs.held.blobs} complete, {blobs.held.size_bytes} bytes, {len(bad)} damaged (set aside)")
    problems += [f"blob {address} was not what its name says" for address in bad]
    for problem in problems:
        say(f"problem: {problem}")
    say("sound" if not problems else f"{len(problems)} problems")
    return len(problems)
