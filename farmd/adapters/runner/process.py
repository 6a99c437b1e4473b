"""Processes of the operating system: start one in a session of its own, know when it ends, end all of its group.

Decides how a child starts: own session (so that the whole group can be ended), standard output straight into the log's
descriptor (a child never waits for the daemon to read), no inherited descriptors, default signal handlers, and a higher
OOM score than the daemon's, which it would inherit. A pidfd tells its end: no thread, no SIGCHLD, no polling.

`subprocess.Popen` and not `os.posix_spawn`: it too starts by vfork (as long as there is no `preexec_fn`), was within ten
per cent of it here, and posix_spawn can neither set a working directory nor say which of the two was missing.

Never goes through a shell. Knows nothing of jobs.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

OOM_SCORE: Final = 200
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PROC: Final = Path("/proc")


class Born(NamedTuple):
    """When a process was started, by the kernel's clock of start times: with the pid and the boot, its identity.

    The clock is read before and after, which costs a tenth of asking /proc for the one tick.

    Attributes:
        first_ticks: Not before this tick since boot (proc(5), field 22 of stat).
        last_ticks: Not after this one.
    """

    first_ticks: int
    last_ticks: int

    def includes(self, started_ticks: int) -> bool:
        """Say whether a process that started in this tick can be the one."""
        return self.first_ticks <= started_ticks <= self.last_ticks


@dataclass(frozen=True, slots=True)
class Child:
    """A process of ours that has not been reaped: its pid cannot be anybody else's.

    Attributes:
        pid: Also its process group and session.
        pidfd: Readable when it has ended.
        born: When it was started.
    """

    pid: int
    pidfd: int
    born: Born


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended: exit code (negative = signal), largest resident set if it is known, else 0."""

    exit_code: int
    peak_ram_bytes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a session uses now; `cpu_s` falls when a member ends, so only its changes mean something."""

    ram_bytes: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """One line of /proc/PID/stat, as far as it matters here."""

    pid: int
    state: str
    group: int
    session: int
    cpu_ticks: int
    started_ticks: int
    rss_bytes: int


def spawn(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log_fd: int) -> Child:
    """Start a process in a session of its own.

    Raises:
        OSError: The program or the folder is missing, or may not be used, or the machine is out of processes.
    """
    first_ticks = _ticks_now()
    popen = subprocess.Popen(
        argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log_fd, stderr=log_fd, start_new_session=True
    )
    popen.returncode = 0  # we reap it ourselves, by wait4: Popen must neither wait for it nor complain
    pid = popen.pid
    # Raising one's own score needs no right. The process may have ended already.
    with suppress(OSError), open(f"/proc/{pid}/oom_score_adj", "wb", buffering=0) as file:  # noqa: PTH123 - as below
        file.write(b"%d" % OOM_SCORE)
    return Child(pid, os.pidfd_open(pid), Born(first_ticks, _ticks_now()))


def _ticks_now() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) * _TICKS_PER_S // 1_000_000_000


async def exited(child: Child) -> None:
    """Wait until the process has ended; it stays a zombie, so that its pid and group stay its own."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.add_reader(child.pidfd, _settle, ended)
    try:
        await ended
    finally:
        loop.remove_reader(child.pidfd)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def reap(child: Child) -> Ended:
    """End what is left of the group of an exited child, then take its exit code."""
    signal_group(child.pid, signal.SIGKILL)
    _, status, usage = os.wait4(child.pid, 0)
    os.close(child.pidfd)
    peak = usage.ru_maxrss << 10
    # A vforked child starts in its parent's memory, and the kernel counts that as the child's own peak.
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    return Ended(os.waitstatus_to_exitcode(status), peak if peak > own else 0)


def signal_group(group: int, signum: int) -> bool:
    """Signal a whole process group; False if none is left. Signal 0 only asks."""
    try:
        os.killpg(group, signum)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # only processes of other users are left in it
    return True


def read_stat(pid: int) -> ProcessStat | None:
    """Read one process; None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - read for every process of the machine: half the time
            line = file.read()
    except OSError:
        return None
    # The name may hold blanks and brackets; the fields begin behind its last bracket, with number 3.
    fields = line[line.rindex(b")") + 2 :].split()
    return ProcessStat(
        pid,
        state=fields[0].decode("ascii"),
        group=int(fields[2]),
        session=int(fields[3]),
        cpu_ticks=int(fields[11]) + int(fields[12]),
        started_ticks=int(fields[19]),
        rss_bytes=int(fields[21]) * _PAGE_BYTES,
    )


def all_processes() -> Iterator[ProcessStat]:
    """Read every process that is not dead."""
    for entry in os.scandir("/proc"):
        stat = read_stat(int(entry.name)) if entry.name.isdigit() else None
        if stat is not None and stat.state not in "ZX":
            yield stat


def usage_of(sessions: Collection[int]) -> dict[int, Usage]:
    """Sum up what sessions use, in one pass over /proc; shared pages count once per process."""
    ram = dict.fromkeys(sessions, 0)
    ticks = dict.fromkeys(sessions, 0)
    for stat in all_processes():
        if stat.session in ram:
            ram[stat.session] += stat.rss_bytes
            ticks[stat.session] += stat.cpu_ticks
    return {session: Usage(ram[session], ticks[session] / _TICKS_PER_S) for session in ram}


def oom_kills() -> int:
    """How many processes the kernel has killed for memory since boot; the only evidence of it that needs no right."""
    try:
        text = (_PROC / "vmstat").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill ")), 0)


def boot_id() -> str:
    """Name this boot of the machine: pids mean nothing in another one."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
