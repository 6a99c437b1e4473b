"""Packs of small files written by a process of their own: what it stores, and what happens when it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from farmd.adapters.blobs import BlobStore, packwriter
from farmd.adapters.blobs.packwriter import ROOM_BYTES, PackWriter, PackWriters
from farmd.adapters.blobs.packwriter_process import CORRUPT
from farmd.ingest.hashing import address_of_bytes
from tests.colliding import colliding_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from protocol.ids import BlobAddress

COUNT, SIZE = 16, 50_000
PAUSE = Event()


def until(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not fact():
        assert time.monotonic() < deadline, "it did not happen"
        PAUSE.wait(0.01)


def pack_of(name: str) -> tuple[list[BlobAddress], bytes]:
    files = [f"{name} {number} ".encode().ljust(SIZE, b".") for number in range(COUNT)]
    return [address_of_bytes(file) for file in files], b"".join(files)


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[PackWriters]:
    made = PackWriters(str(tmp_path))
    yield made
    made.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BlobStore]:
    made = BlobStore(tmp_path / "blobs")
    yield made
    made.close()


def writers_of(store: BlobStore) -> PackWriters:
    return store._intake._writers


def started(store: BlobStore) -> int:
    """Write a pack, which starts a process; returns its pid."""
    store.write_pack(*pack_of("first"))
    until(lambda: bool(writers_of(store).pids))
    return writers_of(store).pids[0]


def left_over(store: BlobStore) -> list[str]:
    return [path.name for path in store._intake._folder.iterdir()]


def test_pack_is_verified_and_stored_by_a_process(store: BlobStore) -> None:
    pid = started(store)
    addresses, data = pack_of("second")
    wrong = bytearray(data)
    wrong[SIZE * 3 + 5] ^= 1
    pack = store.write_pack(addresses, bytes(wrong))
    assert pack.corrupt == [addresses[3]]
    assert sorted(pack.stored) == sorted(set(addresses) - {addresses[3]})
    for number, address in enumerate(addresses):
        path = store.path(address)
        if number == 3:
            assert path is None
        else:
            assert path is not None
            assert path.read_bytes() == data[number * SIZE :][:SIZE]
            assert path.stat().st_mode & 0o777 == 0o444
    assert writers_of(store).pids == [pid]
    assert left_over(store) == []


def test_file_of_the_right_xxhash_and_another_md5_is_corrupt(store: BlobStore) -> None:
    started(store)
    one = bytes(range(100))
    other = colliding_with(one)
    addresses, data = pack_of("second")
    pack = store.write_pack([*addresses, address_of_bytes(one)], data + other)
    assert pack.corrupt == [address_of_bytes(one)]
    assert len(pack.stored) == COUNT


def test_pack_whose_process_is_killed_in_the_middle_is_written_by_the_daemon(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid, write = started(store), PackWriter.write

    def write_half_and_die(self: PackWriter, addresses: list[BlobAddress], data: bytes, serial: int) -> bytes:
        assert write(self, addresses[:8], data[: 8 * SIZE], serial) == bytes(8)
        assert len(left_over(store)) == 8
        os.kill(self.pid, signal.SIGKILL)
        return write(self, addresses, data, serial)

    monkeypatch.setattr(PackWriter, "write", write_half_and_die)
    addresses, data = pack_of("second")
    pack = store.write_pack(addresses, data)
    assert sorted(pack.stored) == sorted(addresses)
    assert is_gone(pid)
    assert left_over(store) == []


def test_process_that_calls_right_files_corrupt_is_not_believed(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = started(store)
    monkeypatch.setattr(PackWriter, "write", lambda self, addresses, data, serial: bytes([CORRUPT]) * len(addresses))
    addresses, data = pack_of("second")
    pack = store.write_pack(addresses, data)
    assert sorted(pack.stored) == sorted(addresses)
    assert pack.corrupt == []
    assert is_gone(pid)


def test_process_that_died_meanwhile_is_not_taken(store: BlobStore) -> None:
    os.kill(started(store), signal.SIGKILL)
    until(lambda: writers_of(store)._free[0].has_ended)
    store.write_pack(*pack_of("second"))
    until(lambda: bool(writers_of(store).pids))


def test_machine_without_threads_or_processes_writes_by_itself(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(Thread, "start", refuse)
        addresses, data = pack_of("first")
        assert sorted(store.write_pack(addresses, data).stored) == sorted(addresses)
    assert writers_of(store)._count == 0
    monkeypatch.setattr(writers_of(store), "_rests_until", 0.0)
    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", refuse)
        store.write_pack(*pack_of("second"))
        until(lambda: writers_of(store)._rests_until > 0)
    assert writers_of(store)._count == 0


def test_end_of_the_store_does_not_wait_for_a_process_that_hangs(store: BlobStore) -> None:
    os.kill(started(store), signal.SIGSTOP)
    addresses, data = pack_of("second")
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(store.write_pack, addresses, data)
        until(lambda: bool(writers_of(store)._taken))
        store.close()
        assert sorted(writing.result(packwriter.ANSWER_S / 2).stored) == sorted(addresses)


def test_process_that_hangs_is_ended_and_its_pack_written_by_the_daemon(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packwriter, "ANSWER_S", 0.2)
    pid = started(store)
    os.kill(pid, signal.SIGSTOP)
    addresses, data = pack_of("second")
    assert sorted(store.write_pack(addresses, data).stored) == sorted(addresses)
    assert is_gone(pid)
    assert left_over(store) == []


def test_after_a_process_failed_none_is_started_for_a_while(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    started(store)
    with monkeypatch.context() as patched:
        patched.setattr(PackWriter, "write", lambda self, addresses, data, serial: bytes([CORRUPT]) * len(addresses))
        store.write_pack(*pack_of("second"))
    store.write_pack(*pack_of("third"))
    assert writers_of(store)._count == 0
    monkeypatch.setattr(writers_of(store), "_rests_until", 0.0)
    store.write_pack(*pack_of("fourth"))
    until(lambda: bool(writers_of(store).pids))


def test_files_that_the_disk_refuses_are_told_and_nothing_is_left(store: BlobStore) -> None:
    started(store)
    store._intake._folder.rmdir()
    addresses, data = pack_of("second")
    pack = store.write_pack(addresses, data)
    assert pack.failed == addresses
    assert pack.stored == pack.corrupt == []
    assert len(writers_of(store).pids) == 1


def test_process_ends_when_nothing_came_for_a_while(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = started(store)
    store.rest()
    assert not is_gone(pid)
    monkeypatch.setattr(packwriter, "IDLE_S", 0.0)
    store.rest()
    assert is_gone(pid)
    assert started(store) != pid


def test_closed_store_writes_by_itself(store: BlobStore) -> None:
    pid = started(store)
    store.close()
    assert is_gone(pid)
    addresses, data = pack_of("second")
    assert sorted(store.write_pack(addresses, data).stored) == sorted(addresses)
    assert writers_of(store)._count == 1


@pytest.mark.parametrize(("files", "size"), [(1, ROOM_BYTES + 1), (5000, ROOM_BYTES), (3, 1000)])
def test_pack_that_is_too_large_or_not_worth_it_starts_no_process(writers: PackWriters, files: int, size: int) -> None:
    assert writers.take(files, size) is None
    assert writers._count == 0


def test_at_most_two_processes_are_started(writers: PackWriters) -> None:
    taken: list[PackWriter] = []
    for _ in range(6):
        writer = writers.take(20, ROOM_BYTES)
        if writer is not None:
            taken.append(writer)
        until(lambda: len(writers.pids) + len(taken) == writers._count)
    assert len(taken) == writers._count == 2
    for writer in taken:
        writers.give_back(writer)
    assert len(writers.pids) == 2


def test_process_ends_with_the_daemon_however_that_went(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from farmd.adapters.blobs.packwriter import PackWriter\n"
        "print(PackWriter(sys.argv[1]).pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        pid = int(daemon.stdout.readline())
        assert not is_gone(pid)
        daemon.kill()
    until(lambda: is_gone(pid) or Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")


def test_most_files_that_fit_a_question_are_answered(tmp_path: Path) -> None:
    writer = PackWriter(str(tmp_path))
    try:
        address = address_of_bytes(b"x")
        said = writer.write([address] * packwriter.MOST_FILES, b"x" * packwriter.MOST_FILES, 7)
        assert said == bytes(packwriter.MOST_FILES)
        assert len(list(tmp_path.iterdir())) == packwriter.MOST_FILES
    finally:
        writer.close()
