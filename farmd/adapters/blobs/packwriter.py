"""Processes that verify and write small files while a project arrives, beside the interpreter of the daemon.

MD5, making and naming a file are 120 µs for 50 kB, each with several calls that let go of the interpreter lock and wait
for it; two threads of the daemon did 1.2 times as much as one, and its loop waited for the same lock. A process of its own
costs 15 MiB (10 of them shared) and 20 ms of a processor to start, so it is started with the first full pack and ended when
none came for a while: an idle daemon has none.

The files of a pack lie one after the other in memory that both share. The question is a serial number (u64, little
endian) and for each file xxHash64 (u64), size (u32) and MD5; the answer is a byte for each: see `packwriter_process`.
What is stored lies in the folder as PID.SERIAL.NUMBER and has no name in the store yet.

A process that dies is noticed at once, one that does not answer after `ANSWER_S`: then the daemon writes by itself what it had
been given.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from mmap import mmap
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Final

from farmd.adapters.blobs.packwriter_process import FILE, MOST_ASKED, SERIAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protocol.ids import BlobAddress

_LOG = logging.getLogger(__name__)
ROOM_BYTES: Final = 4 << 20
"""Of the memory that is shared: what a pack holds at most."""
WORTH_BYTES: Final = 1 << 19
"""A smaller pack starts no process."""
MOST_FILES: Final = (MOST_ASKED - SERIAL.size) // FILE.size
MOST_PROCESSES: Final = 2
IDLE_S: Final = 20.0
REST_S: Final = 60.0
"""After a process failed, none is started for so long."""
ANSWER_S: Final = 4.0
"""Shorter than peers wait for a piece, for a thread that answers them waits here. Four mebibytes take 12 ms."""
END_S: Final = 1.0
"""A process that was killed is not waited for any longer: its disk may hang."""


class PackWriter:
    """One process.

    Args:
        folder: For the files.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(self, folder: str) -> None:
        import xxhash

        program = Path(__file__).with_name("packwriter_process.py")
        packages = Path(xxhash.__file__).parent.parent
        memory = os.memfd_create("farmd-pack")
        try:
            os.ftruncate(memory, ROOM_BYTES)
            self._room = memoryview(mmap(memory, ROOM_BYTES))
            self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._link.settimeout(ANSWER_S)
            with ExitStack() as undo, theirs:
                undo.callback(self._link.close)
                words = (sys.executable, "-I", "-S", str(program), folder, str(memory), str(ROOM_BYTES), str(packages))
                self._process = subprocess.Popen(
                    words, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, pass_fds=(memory,), cwd="/"
                )
                undo.pop_all()
        finally:
            os.close(memory)
        self.used_at = time.monotonic()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it ended by itself."""
        return self._process.poll() is not None

    def write(self, addresses: Sequence[BlobAddress], data: bytes | memoryview, serial: int) -> bytes:
        """Have files verified and written.

        Args:
            addresses: Of at most `MOST_FILES`.
            data: Their bytes, one after the other, at most `ROOM_BYTES`.
            serial: Of the pack: no other may have it.

        Returns:
            For each file what became of it.

        Raises:
            OSError: There is no answer.
        """
        self._room[: len(data)] = data
        self._link.send(SERIAL.pack(serial) + b"".join([FILE.pack(*address) for address in addresses]))
        said = self._link.recv(len(addresses) + 1)
        if len(said) != len(addresses):
            raise OSError(f"the process that writes packs ended with {self._process.poll()}")
        self.used_at = time.monotonic()
        return said

    def kill(self) -> None:
        """End it; whoever waits for its answer is told that there is none."""
        self._process.kill()

    def close(self) -> None:
        """End it, and let go of what it needed."""
        self._link.close()
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)


class PackWriters:
    """Up to two of them, for as many threads; none until there is work, and none some time after.

    Args:
        folder: For the files.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._lock = Lock()
        self._free: list[PackWriter] = []
        self._taken: list[PackWriter] = []
        self._count = 0
        self._rests_until = 0.0
        self._is_closed = False

    @property
    def pids(self) -> list[int]:
        """Of the processes that have nothing to do now."""
        with self._lock:
            return [writer.pid for writer in self._free]

    def take(self, files: int, size: int) -> PackWriter | None:
        """Return a process for a pack of so many files and bytes; None if the caller has to do it by itself."""
        if files > MOST_FILES or size > ROOM_BYTES:
            return None
        with self._lock:
            while self._free:
                writer = self._free.pop()
                if not writer.has_ended:
                    self._taken.append(writer)
                    return writer
                writer.close()
                self._count -= 1
            is_wanted = size >= WORTH_BYTES and self._count < MOST_PROCESSES and not self._is_closed
            if is_wanted and time.monotonic() >= self._rests_until:
                self._begin()
        return None

    def _begin(self) -> None:
        try:
            Thread(target=self._start, name="farmd-packwriter", daemon=True).start()
        except RuntimeError:  # no threads: that passes
            self._rests_until = time.monotonic() + REST_S
        else:
            self._count += 1

    def _start(self) -> None:
        try:
            writer = PackWriter(self._folder)
        except Exception as error:  # noqa: BLE001  # no memory, no processes, no xxhash: the daemon writes by itself
            _LOG.warning("no process writes packs: %s", error)
            self._lost()
            return
        with self._lock:
            if not self._is_closed:
                self._free.append(writer)
                return
        writer.close()

    def give_back(self, writer: PackWriter) -> None:
        """It may be used by others."""
        with self._lock:
            self._taken.remove(writer)
            if not self._is_closed:
                self._free.append(writer)
                return
        writer.close()

    def give_up(self, writer: PackWriter) -> None:
        """It failed."""
        with self._lock:
            self._taken.remove(writer)
        writer.close()
        self._lost()

    def _lost(self) -> None:
        with self._lock:
            self._count -= 1
            self._rests_until = time.monotonic() + REST_S

    def rest(self) -> None:
        """End those that had nothing to do for a while; to be called now and then."""
        before = time.monotonic() - IDLE_S
        with self._lock:
            idle = [writer for writer in self._free if writer.used_at < before]
            self._free = [writer for writer in self._free if writer.used_at >= before]
            self._count -= len(idle)
        for writer in idle:
            writer.close()

    def close(self) -> None:
        """End all, also those that write just now; no more are started."""
        with self._lock:
            self._is_closed, ended, self._free = True, self._free, []
            for writer in self._taken:
                writer.kill()
        for writer in ended:
            writer.close()
