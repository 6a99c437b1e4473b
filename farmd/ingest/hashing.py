"""Hash files: MD5 and xxHash64 of the same read, so that a file is read once.

MD5 is 94 % of the cost. Reads are 1 MiB: smaller ones cost up to 10 %, larger ones bring nothing. Both hashes release
the interpreter lock, so several files are hashed on as many threads; one file is never split.

Invariant: a digest is of one moment of the file. What changes while it is read raises `FileChanged`.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import xxhash

from protocol.errors import UserError
from protocol.ids import BlobAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    Sink = Callable[[memoryview], object]
    """Takes each chunk that is read; must not keep it."""
    Progress = Callable[[int], object]
    """Takes the number of bytes just hashed; called from several threads."""

READ_BYTES = 1 << 20
RACY_NS = 2_000_000_000
"""A file touched this shortly before it was hashed may change again within one tick of its clock."""


class FileChanged(UserError):
    """A file was written to while it was read."""


@dataclass(frozen=True, slots=True)
class FileDigest:
    """What a file contained, and the marks by which the same file is known again."""

    xxh64: int
    md5: bytes
    size: int
    mtime_ns: int
    ctime_ns: int
    device: int
    inode: int
    mode: int
    hashed_at_ns: int

    @property
    def address(self) -> BlobAddress:
        """Address of the content."""
        return BlobAddress(self.xxh64, self.size, self.md5)

    @property
    def is_racy(self) -> bool:
        """Whether the file was touched so shortly before hashing that its marks prove nothing."""
        return max(self.mtime_ns, self.ctime_ns) > self.hashed_at_ns - RACY_NS


def read_all(descriptor: int, *sinks: Sink) -> int:
    """Read a file from its present position to its end and hand each chunk to every sink.

    Returns:
        The number of bytes read.
    """
    # One byte more than the file has: its end is seen by the read that a small file needs anyway.
    buffer = memoryview(bytearray(min(READ_BYTES, os.fstat(descriptor).st_size + 1)))
    total = 0
    while count := os.readv(descriptor, [buffer]):
        chunk = buffer[:count]
        for sink in sinks:
            sink(chunk)
        total += count
    return total


def hash_descriptor(descriptor: int, *sinks: Sink) -> BlobAddress:
    """Hash an open file from its present position; `sinks` see the same chunks."""
    md5, xxh64 = hashlib.md5(usedforsecurity=False), xxhash.xxh64()
    size = read_all(descriptor, md5.update, xxh64.update, *sinks)
    return BlobAddress(xxh64.intdigest(), size, md5.digest())


def address_of_bytes(data: bytes | memoryview) -> BlobAddress:
    """Hash what is in memory."""
    return BlobAddress(xxhash.xxh64_intdigest(data), len(data), hashlib.md5(data, usedforsecurity=False).digest())


def hash_file(path: Path | str, progress: Progress | None = None) -> FileDigest:
    """Hash one regular file.

    Raises:
        FileChanged: It changed meanwhile.
        UserError: It cannot be read, or is no regular file.
    """
    hashed_at_ns = time.time_ns()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not block the open
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise UserError(f"cannot read {path}", "it is not a regular file", "name files, not folders or devices")
        address = hash_descriptor(descriptor, *([] if progress is None else [_counting(progress)]))
        after = os.fstat(descriptor)
    except OSError as error:
        raise unreadable(path, error) from error
    finally:
        os.close(descriptor)
    if _marks(before) != _marks(after) or address.size != after.st_size:
        raise FileChanged(f"{path} changed while it was being read", "a program writes to it", "wait for it, try again")
    return _digest(address, after, hashed_at_ns)


def hash_files(
    paths: Iterable[Path], *, threads: int | None = None, progress: Progress | None = None
) -> dict[Path, FileDigest]:
    """Hash many files on several threads; the first that fails ends it.

    Args:
        paths: Each is hashed once.
        threads: As many as there are processors when not given.
        progress: See `Progress`.

    Raises:
        UserError: As `hash_file`.
    """
    ordered = list(dict.fromkeys(paths))
    waiting = deque(ordered)
    done: dict[Path, FileDigest] = {}

    def work() -> None:
        # A shared queue, not a future for each file: 2,000 small ones would spend more on futures than on hashing.
        while True:
            try:
                path = waiting.popleft()
            except IndexError:
                return
            try:
                done[path] = hash_file(path, progress)
            except BaseException:
                waiting.clear()
                raise

    count = max(1, min(threads or os.cpu_count() or 1, len(ordered)))
    with ThreadPoolExecutor(count, "hash") as pool:
        for worker in [pool.submit(work) for _ in range(count)]:
            worker.result()
    return {path: done[path] for path in ordered}


def unreadable(path: Path | str, error: OSError) -> UserError:
    """Say in three lines that a file cannot be read."""
    return UserError(f"cannot read {path}", str(error.strerror), "check the name and the permissions")


def _counting(progress: Progress) -> Sink:
    return lambda chunk: progress(len(chunk))


def _marks(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _digest(address: BlobAddress, status: os.stat_result, hashed_at_ns: int) -> FileDigest:
    return FileDigest(
        address.xxh64,
        address.md5,
        address.size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_dev,
        status.st_ino,
        status.st_mode & 0o777,
        hashed_at_ns,
    )
