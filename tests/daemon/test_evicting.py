"""A daemon's store under pressure, on a real disk: pages, drops, working trees, and files promised to clients."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import pytest

from farmd.adapters.blobs import BlobStore, How
from farmd.adapters.checkout import Checkouts
from farmd.core.effects import EvictBlobs, ListBlobs, RemoveCheckouts, Tidy
from farmd.core.events import BlobsEvicted, BlobsListed, CheckoutsFound, ClientAsked
from farmd.core.evictable import RESERVED_MS
from farmd.daemon.evicting import Evicting
from farmd.daemon.reserving import reserving
from farmd.ingest.manifest import Manifest, ManifestEntry
from protocol.ids import JobId

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from typing import Any

    from farmd.core.events import Event
    from protocol.ids import BlobAddress

JOB = JobId("0123456789abcdef")


class Bench:
    """A store with some blobs, working trees, and what is told of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs = BlobStore(folder / "blobs")
        self.checkouts = Checkouts(folder / "checkouts", self.blobs.use)
        self.told: asyncio.Queue[Event] = asyncio.Queue()
        self.evicting = Evicting(self.blobs, self.checkouts, self.told.put_nowait)

    def put(self, data: bytes, *, age_s: float = 0.0) -> BlobAddress:
        path = self.folder / "new"
        path.write_bytes(data)
        blob = self.blobs.adopt(path, How.MOVE)
        os.utime(self.path(blob), (time.time() - age_s,) * 2)
        return blob

    def path(self, blob: BlobAddress) -> Path:
        path = self.blobs.path(blob)
        assert path is not None
        return path

    def tree(self, job: JobId) -> Path:
        blob = self.put(b"scene")
        entry = ManifestEntry("shot.txt", blob.size, 0, 0o644, blob.xxh64, blob.md5)
        return self.checkouts.build(job, Manifest("/home/anna", entry.path, (entry,))).tree


def live(folder: Path, scene: Callable[[Bench], Awaitable[None]]) -> None:
    async def run() -> None:
        bench = Bench(folder)
        try:
            async with asyncio.timeout(15):
                await scene(bench)
        finally:
            bench.evicting.close()

    asyncio.run(run())


def test_store_is_listed_in_pages_of_one_look(tmp_path: Path) -> None:
    async def scene(bench: Bench) -> None:
        blobs = [bench.put(f"{number}".encode(), age_s=1000.0 - number) for number in range(5)]
        seen: list[BlobAddress] = []
        for start, more in ((0, True), (2, True), (4, False)):
            bench.evicting.list(ListBlobs(3, start, 2))
            page = await bench.told.get()
            assert isinstance(page, BlobsListed)
            assert (page.ask, page.more) == (3, more)
            seen += [held.blob for held in page.blobs]
            if start == 0:
                bench.put(b"came while the round lasts")
        assert seen == blobs

    live(tmp_path, scene)


def test_blobs_are_dropped_but_for_the_one_that_was_used_meanwhile(tmp_path: Path) -> None:
    async def scene(bench: Bench) -> None:
        kept, gone = bench.put(b"kept", age_s=9000.0), bench.put(b"gone", age_s=8000.0)
        bench.evicting.list(ListBlobs(1, 0, 10))
        listed = await bench.told.get()
        assert isinstance(listed, BlobsListed)
        bench.blobs.use(kept)

        bench.evicting.evict(EvictBlobs(1, listed.blobs))

        assert await bench.told.get() == BlobsEvicted(1, (gone,))
        assert [path.name for path in (tmp_path / "blobs" / "blobs").glob("*/*")] == [str(kept)]

    live(tmp_path, scene)


def test_store_that_is_gone_lists_nothing_and_ends_the_round(tmp_path: Path) -> None:
    async def scene(bench: Bench) -> None:
        for folder in sorted((tmp_path / "blobs").rglob("*"), reverse=True):
            folder.rmdir()
        bench.evicting.list(ListBlobs(1, 0, 10))
        assert await bench.told.get() == BlobsListed(1, (), more=False)

    live(tmp_path, scene)


def test_working_tree_is_named_removed_and_waited_for(tmp_path: Path) -> None:
    async def scene(bench: Bench) -> None:
        tree = bench.tree(JOB)
        (tree / "cache.tx").write_bytes(b"left by a renderer")
        bench.evicting.tidy(Tidy(3600.0))
        assert await bench.told.get() == CheckoutsFound((JOB,))

        bench.evicting.remove_checkouts(RemoveCheckouts((JOB,)))
        await bench.evicting.settled(JOB)

        assert not tree.exists()
        assert bench.checkouts.jobs() == ()
        await bench.evicting.settled(JOB)

    live(tmp_path, scene)


@pytest.mark.parametrize(
    ("op", "answer", "reserved"),
    [
        ("blob.missing", {"missing": []}, True),
        ("blob.put", {"have_bytes": 1, "complete": False}, False),
        ("blob.put", {"have_bytes": 5, "complete": True}, True),
    ],
)
def test_file_of_which_a_client_was_told_is_reserved(
    tmp_path: Path, op: str, answer: dict[str, Any], reserved: bool
) -> None:
    async def scene(bench: Bench) -> None:
        blob = bench.put(b"there")

        async def handler(asked: ClientAsked) -> dict[str, Any]:
            return answer

        args = {"blobs": [str(blob), "nonsense"]} if op == "blob.missing" else {"blob": str(blob)}
        handle = reserving(bench.blobs, {op: handler})[op]
        assert await handle(ClientAsked(1, op, args, "anna")) == answer

        ahead_ms = bench.path(blob).stat().st_mtime * 1000 - time.time() * 1000
        assert (ahead_ms > RESERVED_MS - 60_000) is reserved

    live(tmp_path, scene)


def test_many_small_files_that_were_sent_at_once_are_reserved(tmp_path: Path) -> None:
    async def scene(bench: Bench) -> None:
        blobs = [bench.put(f"{number}".encode()) for number in range(3)]

        async def handler(asked: ClientAsked) -> dict[str, Any]:
            return {"changed": []}

        handle = reserving(bench.blobs, {"blob.put_small": handler})["blob.put_small"]
        await handle(ClientAsked(1, "blob.put_small", {"blobs": [[str(blob), b""] for blob in blobs]}, "anna"))

        assert all(bench.path(blob).stat().st_mtime > time.time() + 3600 for blob in blobs)

    live(tmp_path, scene)
