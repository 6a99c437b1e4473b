"""What a former life of this daemon left running: recorded at each start of a process, ended before the node speaks.

A frame must never be given away while a process still renders it. So each attempt has a record on disk, written before
its process starts and completed with the pid after; a starting daemon reads what is there, finds the processes, ends
them with all their children, and only then advertises itself.

Identity is boot, pid and start time, for a pid alone may be another process by now; or the variables FARM_ATTEMPT and
FARM_DAEMON in the process's environment, which find children that outlived the leader of their session, and close the
gap between a start and its record. FARM_DAEMON is the folder of the daemon's data: two daemons on one machine, or a
copied folder, never end each other's.

Called by the runner. Never signals a process that it has not identified.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from farmd.adapters.runner.process import Born, all_processes, boot_id, read_stat

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_JOURNAL_BYTES: Final = 1 << 20
_JOURNAL_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
NEVER: Final = Born(1, 0)
MARK: Final = "FARM_ATTEMPT"
OWNER: Final = "FARM_DAEMON"
KILL_PATIENCE_S: Final = 10.0
"""How long killed processes may take to go; what stays longer hangs in the kernel (a dead network drive)."""


@dataclass(frozen=True, slots=True)
class Record:
    """One attempt that had, or was about to get, a process; pid 0 = no process was recorded yet."""

    mark: str
    boot_id: str
    pid: int = 0
    born: Born = NEVER


class Records:
    """The journal of attempts in flight: one appended line when a process is about to start, has started, is over.

    One open file, because a file made and removed for each frame would wait for the file system's own journal, which
    the database keeps busy. Not synced: what a power cut takes, it took the processes with it.
    """

    def __init__(self, folder: Path) -> None:
        """Open the journal.

        Raises:
            OSError: The disk refused.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "journal.jsonl"
        self._boot_id = boot_id()
        self._open: dict[str, Record] = {}
        self._fd = os.open(self._file, _JOURNAL_FLAGS, 0o644)
        self._size_bytes = os.fstat(self._fd).st_size

    def open(self, mark: str) -> None:
        """A process of this attempt is about to start."""
        self._write(Record(mark, self._boot_id))

    def complete(self, mark: str, pid: int, born: Born) -> None:
        """The process has started."""
        self._write(Record(mark, self._boot_id, pid, born))

    def close(self, mark: str) -> None:
        """No process of this attempt runs any more."""
        if self._open.pop(mark, None) is not None:
            with suppress(OSError):  # a full disk: then the next life looks for a process that is gone
                self._append([Record(mark, "")])

    def read(self) -> list[Record]:
        """Read what was in flight when the daemon's last life ended."""
        found: dict[str, Record] = {}
        for line in self._file.read_text(encoding="utf-8", errors="replace").splitlines():
            record = _read_record(line)
            if record is not None and record.boot_id:
                found[record.mark] = record
            elif record is not None:
                found.pop(record.mark, None)
        return list(found.values())

    def clear(self) -> None:
        """Forget everything: the processes of the last life are gone."""
        os.ftruncate(self._fd, 0)
        self._size_bytes = 0

    def _write(self, record: Record) -> None:
        self._open[record.mark] = record
        if self._size_bytes > MAX_JOURNAL_BYTES:
            self._rewrite()
        else:
            self._append([record])

    def _append(self, records: Iterable[Record]) -> None:
        lines = "".join([_line(record) for record in records]).encode()
        self._size_bytes += os.write(self._fd, lines)

    def _rewrite(self) -> None:
        """Keep only what is in flight; the old journal stands until the new one is whole."""
        fresh = self._file.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        os.close(self._fd)
        self._fd = os.open(fresh, _JOURNAL_FLAGS, 0o644)
        self._size_bytes = 0
        self._append(self._open.values())
        fresh.replace(self._file)


def _line(record: Record) -> str:
    """Write one line of JSON; marks and boot ids are made of letters, digits and plain signs."""
    first, last = record.born
    return f'["{record.mark}", "{record.boot_id}", {record.pid}, {first}, {last}]\n'


def _read_record(line: str) -> Record | None:
    """Read one line; the last one may be torn, and then the one before it still names the attempt."""
    try:
        mark, boot, pid, first, last = json.loads(line)
        return Record(str(mark), str(boot), int(pid), Born(int(first), int(last)))
    except (ValueError, TypeError):
        return None


def survivors(records: Sequence[Record], owner: str) -> dict[int, int]:
    """Find the living processes of recorded attempts of the daemon with this data folder: pid -> start time."""
    here = [record for record in records if record.boot_id == boot_id()]
    marks = {f"{MARK}={record.mark}".encode() for record in here}
    owned = f"{OWNER}={owner}".encode()
    leaders = {record.pid: record.born for record in here if record.pid}
    sessions = {pid for pid, born in leaders.items() if (stat := read_stat(pid)) and born.includes(stat.started_ticks)}
    found = {}
    for stat in all_processes():
        if stat.pid == os.getpid():
            continue
        if stat.session in sessions or (marks and _is_marked(_environ_of(stat.pid), marks, owned)):
            found[stat.pid] = stat.started_ticks
    return found


def _is_marked(environ: list[bytes], marks: set[bytes], owned: bytes) -> bool:
    return owned in environ and not marks.isdisjoint(environ)


def _environ_of(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []  # gone, or not ours: then we did not start it


async def end_leftovers(records: Sequence[Record], owner: str, grace_s: float) -> tuple[int, ...]:
    """End all processes of these attempts: ask, then kill; return the pids that would not go.

    Looks again after each end, because what is ended may have started more.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    asked: dict[tuple[int, int], int] = {}
    while alive := survivors(records, owner):
        passed = loop.time() - began
        if passed > grace_s + KILL_PATIENCE_S:
            return tuple(alive)
        signum = signal.SIGTERM if passed < grace_s else signal.SIGKILL
        with ExitStack() as stack:
            pidfds = []
            for pid, ticks in alive.items():
                pidfd = _open_identified(pid, ticks)
                if pidfd is None:
                    continue
                stack.callback(os.close, pidfd)
                pidfds.append(pidfd)
                if asked.get((pid, ticks)) != signum:
                    asked[pid, ticks] = signum
                    with suppress(ProcessLookupError, PermissionError):
                        signal.pidfd_send_signal(pidfd, signum)
            await _one_ends(pidfds, timeout_s=max(0.01, grace_s - passed) if passed < grace_s else 0.5)
    return ()


def _open_identified(pid: int, started_ticks: int) -> int | None:
    """Open a pidfd that is surely of the process that was found."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return None
    stat = read_stat(pid)
    if stat is not None and stat.started_ticks == started_ticks:
        return pidfd
    os.close(pidfd)
    return None


async def _one_ends(pidfds: Sequence[int], timeout_s: float) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for pidfd in pidfds:
        loop.add_reader(pidfd, ended.set)
    waiting = asyncio.ensure_future(ended.wait())
    try:
        if pidfds:
            await asyncio.wait({waiting}, timeout=timeout_s)
    finally:
        waiting.cancel()
        for pidfd in pidfds:
            loop.remove_reader(pidfd)
