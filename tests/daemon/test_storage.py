"""What a daemon's storage answers when the disk, or the program, goes wrong: each write is answered, whatever happens."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from pathlib import Path
from threading import Event as Moment
from typing import TYPE_CHECKING

import pytest
import xxhash

from farmd.adapters.blobs import PIECE_BYTES, BlobStore, packwriter
from farmd.adapters.joblog import JobLogs
from farmd.core.effects import FindBlobs, ReadPack, WritePack, WritePiece
from farmd.core.events import BlobFinished, BlobLost, BlobsFound, PackWritten, PieceWritten
from farmd.daemon.storage import Storage
from protocol.ids import BlobAddress, NodeId
from protocol.messages import PackIs

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from farmd.core.events import Event
    from protocol.messages import Message

FROM = NodeId("a" * 16)
CONTENTS = (b"one", b"two", b"three")
PAUSE = Moment()
NO_DESCRIPTOR = OSError(errno.EMFILE, "Too many open files")
BUG = ZeroDivisionError("a bug")


def address_of(data: bytes) -> BlobAddress:
    return BlobAddress(xxhash.xxh64_intdigest(data), len(data), hashlib.md5(data).digest())


PACK = WritePack(tuple(map(address_of, CONTENTS)), b"".join(CONTENTS), FROM)
PIECE = b"p" * PIECE_BYTES
LARGE = address_of(PIECE)
WRITE = WritePiece(LARGE, 0, xxhash.xxh64_intdigest(PIECE), PIECE, FROM)


def answer_to(folder: Path, ask: ReadPack) -> Message:
    """Let a storage that has a pack answer a question for it."""
    said: list[Message] = []

    async def run() -> None:
        storage = Storage(folder, JobLogs(folder / "logs"), post=lambda _: None, send=lambda _, one: said.append(one))
        try:
            storage._write_pack(PACK)
            storage._read_pack(ask)
            await asyncio.sleep(0)
        finally:
            storage.close()

    asyncio.run(run())
    (message,) = said
    return message


def test_answer_for_a_pack_says_how_large_the_next_may_be(tmp_path: Path) -> None:
    answer = answer_to(tmp_path, ReadPack(FROM, PACK.blobs, 12_345))
    assert answer == PackIs(PACK.blobs, PACK.data, 12_345)


def told(folder: Path, act: Callable[[Storage], object], count: int = 1) -> tuple[list[Event], list[Exception]]:
    """Let a storage do something; return so many of the events that it posts, and what was raised in the loop."""

    async def run() -> tuple[list[Event], list[Exception]]:
        raised: list[Exception] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context["exception"]))
        events: asyncio.Queue[Event] = asyncio.Queue()
        storage = Storage(folder, JobLogs(folder / "logs"), post=events.put_nowait, send=lambda to, message: None)
        try:
            async with asyncio.timeout(5):
                act(storage)
                return [await events.get() for _ in range(count)], raised
        finally:
            storage.close()

    return asyncio.run(run())


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(("error", "raised"), [(NO_DESCRIPTOR, []), (BUG, [BUG])])
def test_pack_of_which_writing_raises_is_answered_as_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, raised: list[Exception]
) -> None:
    monkeypatch.setattr(BlobStore, "write_pack", raising(error))
    answer = told(tmp_path, lambda storage: storage.write_pack(PACK))
    assert answer == ([PackWritten(FROM, failed=PACK.blobs)], raised)


@pytest.mark.parametrize(("error", "raised"), [(NO_DESCRIPTOR, []), (BUG, [BUG])])
def test_piece_of_which_writing_raises_is_answered_as_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, raised: list[Exception]
) -> None:
    monkeypatch.setattr(BlobStore, "write_piece", raising(error))
    answer = told(tmp_path, lambda storage: storage.write(WRITE))
    assert answer == ([PieceWritten(LARGE, 0, FROM, ok=False)], raised)


@pytest.mark.parametrize(("error", "raised"), [(NO_DESCRIPTOR, []), (BUG, [BUG])])
def test_last_piece_of_which_confirming_raises_is_written_and_the_whole_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, raised: list[Exception]
) -> None:
    monkeypatch.setattr(BlobStore, "confirm", raising(error))
    events, seen = told(tmp_path, lambda storage: storage.write(WRITE), 2)
    assert PieceWritten(LARGE, 0, FROM, ok=True) in events
    assert BlobFinished(LARGE, ok=False) in events
    assert seen == raised


def test_question_for_blobs_while_no_folder_can_be_listed_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(storage: Storage) -> None:
        monkeypatch.setattr(os, "listdir", raising(NO_DESCRIPTOR))
        storage.find(FindBlobs(7, (LARGE,)))

    assert told(tmp_path, find) == ([BlobsFound(7, ((LARGE, ()),))], [])


def test_pack_is_stored_though_no_folder_can_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(storage: Storage) -> None:
        monkeypatch.setattr(os, "listdir", raising(NO_DESCRIPTOR))
        storage.write_pack(PACK)

    assert told(tmp_path, write) == ([PackWritten(FROM, PACK.blobs)], [])


def test_pulse_ends_processes_that_wrote_packs_and_the_end_of_the_daemon_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packwriter, "IDLE_S", 0.0)
    files = [bytes([number]) * 60_000 for number in range(16)]
    pack = WritePack(tuple(map(address_of, files)), b"".join(files), FROM)
    pids: list[int] = []

    def act(storage: Storage) -> None:
        writers = storage.blobs._intake._writers
        for looks in (True, False):
            storage.blobs.write_pack(pack.blobs, pack.data)
            while not writers.pids:
                PAUSE.wait(0.01)
            pids.append(writers.pids[0])
            if looks:
                storage.look()
                assert not Path(f"/proc/{pids[0]}").exists()
        storage.write_pack(pack)

    told(tmp_path, act)
    assert len(set(pids)) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_pack_that_is_asked_of_a_store_without_it_is_told_as_lost_once(tmp_path: Path) -> None:
    def act(storage: Storage) -> None:
        storage._read_pack(ReadPack(FROM, PACK.blobs, 1 << 20))
        storage.find(FindBlobs(1, ()))

    events, _ = told(tmp_path, act, 2)
    assert events == [BlobLost(PACK.blobs[0]), BlobsFound(1, ())]
