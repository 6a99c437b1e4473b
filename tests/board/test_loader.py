"""Loaders that hold the board: they pickle, they stream, and the board shows what they do."""

from __future__ import annotations

import pickle  # noqa: TID251  # what libraries of data sets do with a generator's arguments
import tracemalloc
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from farmd.board import TaskBoard, start_server
from farmd.board.examples.streaming_loader import count_in_processes, read_in_threads, read_rows, write_samples
from tests.board.test_taskboard import tasks_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class StreamedSet:
    """What a library makes of a generator: it keeps the function and its arguments, pickled, and iterates later."""

    def __init__(self, generator: Callable[..., Iterator[Any]], gen_kwargs: dict[str, Any]) -> None:
        self._pickled = pickle.dumps((generator, gen_kwargs))

    @classmethod
    def from_generator(cls, generator: Callable[..., Iterator[Any]], gen_kwargs: dict[str, Any]) -> StreamedSet:
        return cls(generator, gen_kwargs)

    @property
    def size(self) -> int:
        return len(self._pickled)

    def __iter__(self) -> Iterator[Any]:
        generator, gen_kwargs = pickle.loads(self._pickled)
        yield from generator(**gen_kwargs)


def test_generator_that_holds_the_board_pickles_and_stays_streaming(board: TaskBoard, tmp_path: Path) -> None:
    presence = start_server(port=0)
    shards = write_samples(tmp_path, 3, 10_000)
    rows = iter(StreamedSet.from_generator(read_rows, {"shards": shards, "board": board}))
    tracemalloc.start()
    try:
        first = list(islice(rows, 10))
        at_first, _ = tracemalloc.get_traced_memory()
        rest = sum(1 for _ in rows)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [row["text"] for row in first] == [f"row {n} of shard 0" for n in range(10)]
    assert rest == 29_990
    assert peak - at_first < 1 << 20, "the rows were collected"
    assert [task["state"] for task in tasks_at(presence).values()] == ["completed"] * 3


def test_what_is_pickled_does_not_grow_with_the_board(board: TaskBoard, tmp_path: Path) -> None:
    start_server(port=0)
    before = StreamedSet.from_generator(read_rows, {"shards": [], "board": board}).size
    for number in range(1_000):
        board.add_task(f"{number}", "x" * 100)
    assert StreamedSet.from_generator(read_rows, {"shards": [], "board": board}).size == before


def test_row_that_was_not_asked_for_is_not_read(board: TaskBoard, tmp_path: Path) -> None:
    presence = start_server(port=0)
    shards = write_samples(tmp_path, 2, 1_000)
    rows = read_rows(shards, board)
    assert len(list(islice(rows, 11))) == 11
    found = tasks_at(presence)
    assert list(found) == ["shard-000.txt"]
    assert found["shard-000.txt"]["done"] == sum(len(f"row {n} of shard 0\n") for n in range(10))


def test_threads_read_every_row_and_stop_with_their_reader(board: TaskBoard, tmp_path: Path) -> None:
    presence = start_server(port=0)
    shards = write_samples(tmp_path, 8, 500)
    assert sum(1 for _ in read_in_threads(shards, board)) == 4_000
    found = tasks_at(presence)
    assert [found[path.name]["state"] for path in shards] == ["completed"] * 8
    stream = read_in_threads(shards, board)
    next(stream)
    stream.close()  # type: ignore[attr-defined]  # it is a generator; would hang if its threads went on


def test_workers_of_another_process_show_on_the_same_board(board: TaskBoard, tmp_path: Path) -> None:
    presence = start_server(port=0)
    shards = write_samples(tmp_path, 4, 300)
    assert count_in_processes(shards, board) == 1_200
    found = tasks_at(presence)
    assert [found[path.name]["state"] for path in shards] == ["completed"] * 4
    assert found[shards[0].name]["done"] == shards[0].stat().st_size


def test_file_that_cannot_be_read_fails_its_task(board: TaskBoard, tmp_path: Path) -> None:
    presence = start_server(port=0)
    broken = tmp_path / "broken.txt"
    broken.write_bytes(b"fine\n\xff\n")
    with pytest.raises(UnicodeDecodeError):
        list(read_rows([broken], board))
    task = tasks_at(presence)["broken.txt"]
    assert task["state"] == "failed"
    assert task["error"].startswith("UnicodeDecodeError: ")
