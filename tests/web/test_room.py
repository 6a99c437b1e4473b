"""What is still to come takes room, too: of files that begin at once only those come that fit together."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from farmd.web import app as app_module
from farmd.web import room as room_module
from farmd.web.errors import Refusal
from farmd.web.room import Room
from farmd.web.settings import SPOOL_DAYS
from farmd.web.spool import Spool
from tests.e2e.farm import until
from tests.web.serving import Served

if TYPE_CHECKING:
    from pathlib import Path

A, B, C = "a" * 32, "b" * 32, "c" * 32


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "web", 100)
    made.open()
    return made


async def fits(room: Room, path: Path, size: int, *, tree: bool = False) -> bool:
    try:
        async with room.for_tree(path, size) if tree else room.for_part(path, size):
            return True
    except Refusal as refusal:
        return refusal.status != 413


def test_files_that_begin_at_once_share_the_quota(spool: Spool) -> None:
    anna, ben = spool.user("anna"), spool.user("ben")

    async def scenario() -> None:
        async with spool.room.for_part(anna.part(A), 60):
            assert await fits(spool.room, anna.part(B), 40)
            assert not await fits(spool.room, anna.part(B), 41)
            assert await fits(spool.room, ben.part(B), 100)
            anna.part(A).write_bytes(b"x" * 30)
            assert not await fits(spool.room, anna.part(B), 41), "what came of it and what will come is one file"
        assert await fits(spool.room, anna.part(B), 70), "it is not coming any more"
        assert await fits(spool.room, anna.part(A), 100), "what is here of a file is a part of it"

    asyncio.run(scenario())


def test_files_and_trees_that_begin_at_once_share_the_disk(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = spool.user("anna").part(A).parent
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    monkeypatch.setattr(room_module, "RESERVE_BYTES", 0)
    room = Room(folder, 1 << 62)

    async def scenario() -> None:
        async with room.for_part(folder / A, free * 6 // 10):
            assert not await fits(room, folder / B, free * 6 // 10)
            assert not await fits(room, folder / "tree-b", free * 6 // 10, tree=True)
        async with room.for_tree(folder / "tree-b", free * 6 // 10):
            assert not await fits(room, folder / A, free * 6 // 10)
        assert await fits(room, folder / A, free * 6 // 10)

    asyncio.run(scenario())


def test_what_has_come_of_a_tree_is_not_waited_for_any_more(spool: Spool) -> None:
    tree = spool.user("anna").root / "tree-a"

    async def scenario() -> None:
        async with spool.room.for_tree(tree, 60):
            spool.room.has_come(tree, 40)
            assert spool.room._promised[tree] == 20
        assert spool.room._promised == {}

    asyncio.run(scenario())


def test_what_nobody_went_on_with_is_let_go_while_the_door_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "CLEAN_EVERY_S", 0.01)
    with Served(tmp_path) as served:
        anna = Spool(served.settings.spool_dir, 100).user("anna")
        for md5, days in ((A, SPOOL_DAYS + 1), (B, SPOOL_DAYS - 1)):
            anna.part(md5).write_bytes(b"x")
            os.utime(anna.part(md5), (time.time() - days * 86_400,) * 2)
        until(lambda: not anna.part(A).exists(), "the old one is gone", 5)
        assert anna.part(B).exists()


def test_an_old_part_that_a_request_goes_on_with_stays(spool: Spool) -> None:
    part = spool.user("anna").part(A)
    part.write_bytes(b"x")
    os.utime(part, (0, 0))

    async def scenario() -> None:
        async with spool.room.for_part(part, 2):
            spool.clean()
            assert part.exists()
        spool.clean()
        assert not part.exists()

    asyncio.run(scenario())


def test_a_user_has_only_so_many_files_on_their_way(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_module, "MAX_PARTS", 2)
    anna = spool.user("anna")
    anna.part(A).write_bytes(b"x")

    async def scenario() -> None:
        async with spool.room.for_part(anna.part(B), 1):
            assert not await fits(spool.room, anna.part(C), 1)
            assert await fits(spool.room, anna.part(A), 2), "it has its place already"

    asyncio.run(scenario())


def test_files_that_go_while_they_are_counted_take_no_room(spool: Spool) -> None:
    anna = spool.user("anna")
    ended = threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            for number in range(50):
                anna.part(f"{number:032x}").write_bytes(b"")
            for number in range(50):
                with suppress(FileNotFoundError):
                    anna.part(f"{number:032x}").unlink()

    thread = threading.Thread(target=come_and_go)
    thread.start()

    async def scenario() -> None:
        for _ in range(200):
            assert await fits(spool.room, anna.part(A), 100)

    try:
        asyncio.run(scenario())
    finally:
        ended.set()
        thread.join()
