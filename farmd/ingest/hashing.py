"""Hash files: MD5 and xxHash64 of the same read, so that a file is read once.

MD5 is 94 % of the cost. Reads are 512 KiB: then a chunk still lies in the processor's own cache when the second hash
wants it; smaller reads cost up to 10 %. Both hashes release the interpreter lock, so several files are hashed on as many
threads. MD5 of one file cannot be split; where there are fewer files than processors it gets a thread for itself, and
reading and xxHash64 run beside it.

Invariant: a digest is of one moment of the file. What changes while it is read raises `FileChanged`.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import xxhash

from protocol.errors import UserError
from protocol.ids import BlobAddress

if TYPE_CHECKING:
    from _hashlib import HASH
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Sink = Callable[[memoryview], object]
    """Takes each chunk that is read; must not keep it."""
    Progress = Callable[[int], object]
    """Takes the number of bytes just hashed; called from several threads."""

P = TypeVar("P", bound="str | os.PathLike[str]")
READ_BYTES = 1 << 19
BESIDE_BYTES = 1 << 21
"""Of a read, where MD5 has a thread for itself: each is handed over, which costs some 30 µs."""
BESIDE_FROM_BYTES = 16 << 20
SPARSE_FROM_BYTES = 16 << 20
"""In smaller files no hole is looked for."""
_ZEROS = memoryview(bytes(READ_BYTES))
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe, not a regular file"),
    (stat.S_ISSOCK, "a socket, not a regular file"),
    (stat.S_ISCHR, "a device, not a regular file"),
    (stat.S_ISBLK, "a device, not a regular file"),
)
RACY_NS = 2_000_000_000
"""A file touched this shortly before it was hashed may change again within one tick of its clock."""


class FileChanged(UserError):
    """A file was written to while it was read."""


class FileDigest(NamedTuple):
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
    status = os.fstat(descriptor)
    total = 0
    for chunk in _chunks(descriptor, status, (memoryview(bytearray(min(READ_BYTES, status.st_size + 1))),)):
        for sink in sinks:
            sink(chunk)
        total += len(chunk)
    return total


def _chunks(descriptor: int, status: os.stat_result, buffers: Sequence[memoryview]) -> Iterator[memoryview]:
    """Read to the end; a chunk may be used until as many more have been asked for as there are other buffers."""
    turn = cycle(buffers)
    if status.st_size >= SPARSE_FROM_BYTES and status.st_blocks * 512 < status.st_size:
        yield from _sparse_chunks(descriptor, status.st_size, turn)
    while count := os.readv(descriptor, [buffer := next(turn)]):
        yield buffer[:count]


def _sparse_chunks(descriptor: int, size: int, turn: Iterator[memoryview]) -> Iterator[memoryview]:
    """Read what is data, and make up what is hole: reading that would fill the page cache with zeros.

    A file system that takes data for a hole for a moment, as ZFS once did, makes a wrong hash here; what is sent is read
    without a look at holes, so that it does not match and is refused.
    """
    at = os.lseek(descriptor, 0, os.SEEK_CUR)
    while at < size:
        data = _seek(descriptor, at, os.SEEK_DATA, size)
        for start in range(at, data, READ_BYTES):
            yield _ZEROS[: min(READ_BYTES, data - start)]
        at, end = data, _seek(descriptor, data, os.SEEK_HOLE, size)
        os.lseek(descriptor, at, os.SEEK_SET)
        while at < end and (count := os.readv(descriptor, [buffer := next(turn)[: end - at]])):
            yield buffer[:count]
            at += count
        if at < end:
            return  # it was cut short meanwhile


def _seek(descriptor: int, at: int, whence: int, size: int) -> int:
    """Find the next data or hole; the end of the file if there is none."""
    try:
        return min(size, os.lseek(descriptor, at, whence))
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return size


def _md5(data: bytes | memoryview = b"") -> HASH:
    import hashlib  # loads OpenSSL, 3 MiB that a daemon does without until it meets a file

    return hashlib.md5(data, usedforsecurity=False)


def hash_descriptor(descriptor: int, *sinks: Sink) -> BlobAddress:
    """Hash an open file from its present position; `sinks` see the same chunks."""
    md5, xxh64 = _md5(), xxhash.xxh64()
    size = read_all(descriptor, md5.update, xxh64.update, *sinks)
    return BlobAddress(xxh64.intdigest(), size, md5.digest())


def _hash_beside(descriptor: int, *sinks: Sink) -> BlobAddress:
    """Hash an open file with MD5 on a thread of its own, one chunk behind."""
    md5, xxh64, size = _md5(), xxhash.xxh64(), 0
    buffers = [memoryview(bytearray(BESIDE_BYTES)) for _ in range(2)]
    with ThreadPoolExecutor(1, "md5") as pool:
        behind = pool.submit(md5.update, b"")
        for chunk in _chunks(descriptor, os.fstat(descriptor), buffers):
            for sink in (xxh64.update, *sinks):
                sink(chunk)
            behind.result()  # also frees the buffer of the next read
            behind = pool.submit(md5.update, chunk)
            size += len(chunk)
    return BlobAddress(xxh64.intdigest(), size, md5.digest())


def address_of_bytes(data: bytes | memoryview) -> BlobAddress:
    """Hash what is in memory."""
    return BlobAddress(xxhash.xxh64_intdigest(data), len(data), _md5(data).digest())


def hash_file(path: str | os.PathLike[str], progress: Progress | None = None, *, beside: bool = False) -> FileDigest:
    """Hash one regular file.

    Args:
        path: Links are followed.
        progress: See `Progress`.
        beside: A processor is free: a large file may use a second thread.

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
            raise not_regular(path, before.st_mode)
        address = _hash_open(descriptor, before.st_size, progress, beside=beside)
        after = os.fstat(descriptor)
    except OSError as error:
        raise unreadable(path, error) from error
    finally:
        os.close(descriptor)
    if _marks(before) != _marks(after) or address.size != after.st_size:
        raise FileChanged(
            f"{os.fspath(path)} changed while it was being read", "a program writes to it", "wait for it, try again"
        )
    return _digest(address, after, hashed_at_ns)


def _hash_open(descriptor: int, size: int, progress: Progress | None, *, beside: bool) -> BlobAddress:
    if size < READ_BYTES:
        # Each call that lets go of the interpreter lock is a chance to wait for it: with the fewest of them, two threads
        # hash files of 50 KB a third faster than through `read_all`.
        address = address_of_bytes(os.read(descriptor, size + 1))
        if progress is not None:
            progress(address.size)
        return address
    sinks = [] if progress is None else [_counting(progress)]
    return (_hash_beside if beside and size >= BESIDE_FROM_BYTES else hash_descriptor)(descriptor, *sinks)


def hash_files(
    paths: Iterable[P], *, threads: int | None = None, progress: Progress | None = None
) -> dict[P, FileDigest]:
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
    done: dict[P, FileDigest] = {}
    most = threads or os.cpu_count() or 1
    count = max(1, min(most, len(ordered)))

    def work() -> None:
        # A shared queue, not a future for each file: 2,000 small ones would spend more on futures than on hashing.
        while True:
            try:
                path = waiting.popleft()
            except IndexError:
                return
            try:
                done[path] = hash_file(path, progress, beside=count < most)
            except BaseException:
                waiting.clear()
                raise

    with ThreadPoolExecutor(count, "hash") as pool:
        for worker in [pool.submit(work) for _ in range(count)]:
            worker.result()
    return {path: done[path] for path in ordered}


def unreadable(path: str | os.PathLike[str], error: OSError) -> UserError:
    """Say in three lines that a file cannot be read."""
    return UserError(f"cannot read {os.fspath(path)}", str(error.strerror), "check the name and the permissions")


def not_regular(path: str | os.PathLike[str], mode: int) -> UserError:
    """Say in three lines what a file is that has no content of its own."""
    kind = next((word for test, word in _KINDS if test(mode)), "no regular file")
    return UserError(f"cannot read {os.fspath(path)}", f"it is {kind}", "name regular files; leave this one out")


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
