"""A data loader that shows on the task board what it reads, and still pickles and still streams.

    python -m farmd.board.examples.streaming_loader [FILE ...]

`read_rows` is a plain generator that is given the board like any other argument. It can be handed to whatever takes a
generator and its arguments, pickles both, and iterates later, perhaps in another process:

    IterableDataset.from_generator(read_rows, gen_kwargs={"shards": shards, "board": get_task_board()})

One row is in memory at a time, with or without a board: what pickles is a reference to the board, not its contents.
"""

from __future__ import annotations

import multiprocessing
import queue
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from farmd.board import TaskBoard, get_task_board, start_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Row = dict[str, str]
PREFETCHED: Final = 64
"""Rows that threads read ahead, at most."""
_SAMPLE_SHARDS: Final = 12
_SAMPLE_ROWS: Final = 20_000


def read_rows(shards: Sequence[Path], board: TaskBoard) -> Iterator[Row]:
    """Yield the lines of some files, one at a time; each file is a task.

    Raises:
        OSError: A file cannot be read; its task fails with the reason.
    """
    for shard in shards:
        board.add_task(shard.name, f"Read {shard.name}", shard.stat().st_size, {"file": str(shard)})
        board.start_task(shard.name)
        try:
            with shard.open("rb") as lines:
                for line in lines:
                    yield {"file": shard.name, "text": line.decode().rstrip("\n")}
                    board.advance_task(shard.name, len(line))
        except (OSError, UnicodeDecodeError) as error:
            board.fail_task(shard.name, error)
            raise
        board.complete_task(shard.name)


def read_in_threads(shards: Sequence[Path], board: TaskBoard, threads: int = 4) -> Iterator[Row]:
    """Yield the same lines, read ahead by threads; in no particular order."""
    rows: queue.Queue[Row] = queue.Queue(PREFETCHED)
    over = threading.Event()

    def read(shard: Path) -> None:
        for row in read_rows([shard], board):
            while not over.is_set():
                try:
                    rows.put(row, timeout=0.1)
                    break
                except queue.Full:
                    continue
            else:
                return

    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(threads))
        stack.callback(over.set)  # whoever stops iterating stops the threads
        futures = [pool.submit(read, shard) for shard in shards]
        while not all(future.done() for future in futures) or not rows.empty():
            try:
                yield rows.get(timeout=0.1)
            except queue.Empty:
                continue
        for future in futures:
            future.result()


def count_rows(shards: Sequence[Path], board: TaskBoard) -> int:
    """Count lines without ever holding more than one: what a worker process may do."""
    return sum(1 for _ in read_rows(shards, board))


def count_in_processes(shards: Sequence[Path], board: TaskBoard, processes: int = 2) -> int:
    """Count the lines of all files in worker processes, which report to this one's board."""
    parts = [(list(shards[start::processes]), board) for start in range(processes)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        counted = sum(pool.starmap(count_rows, parts))
        pool.close()
        pool.join()
    return counted


def main(words: Sequence[str]) -> None:
    """Read files, or samples, first in threads and then in processes."""
    board = get_task_board()
    presence = start_server()
    sys.stdout.write(f"{presence.url}\n")
    with tempfile.TemporaryDirectory() as folder:
        shards = [Path(word) for word in words] or write_samples(Path(folder))
        rows = sum(1 for _ in read_in_threads(shards, board))
        counted = count_in_processes(shards, board)
    sys.stdout.write(f"{rows} rows in threads, {counted} in processes; Enter ends\n")
    sys.stdin.readline()


def write_samples(folder: Path, shards: int = _SAMPLE_SHARDS, rows: int = _SAMPLE_ROWS) -> list[Path]:
    """Write some files to read."""
    paths = [folder / f"shard-{number:03}.txt" for number in range(shards)]
    for number, path in enumerate(paths):
        path.write_text("".join(f"row {row} of shard {number}\n" for row in range(rows)))
    return paths


if __name__ == "__main__":
    main(sys.argv[1:])
