"""One attempt, from its checkout to its one `AttemptEnded`.

    checkout -> plan -> ( spawn -> wait -> judge ) per process -> check outputs -> ingest -> ended

Every step may fail, and a stop may come at any moment; each way leads to exactly one `AttemptEnded`, and it is sent
only when no process of the attempt's group runs any more. A finished frame wins over a stop that came too late: its
outputs are there, and done is never undone.

Called by the runner, which owns the task that runs `run`.
"""

from __future__ import annotations

import asyncio
import errno
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from farmd.adapters.runner.logtail import LogTail, SpareLogs
from farmd.adapters.runner.process import exited, oom_kills, reap, signal_group, spawn
from farmd.adapters.runner.room import Room, environ_of, paths_of
from farmd.core.events import AttemptEnded, AttemptProgressed
from protocol.bodies import OutputFact
from protocol.errors import FarmError, FilesLost, MissingFeature, UserError
from protocol.logtext import harmless, harmless_lines
from protocol.states import FailureClass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from farmd.adapters.runner.leftovers import Records
    from farmd.adapters.runner.ports import Checked, Command, Tools, Work
    from farmd.adapters.runner.process import Child, Usage
    from farmd.core.effects import StartAttempt, StopAttempt
    from protocol.ids import BlobAddress

VERDICT_BYTES: Final = 16 << 10
LAST_LINES_BYTES: Final = 2 << 10
LIGHT_BYTES: Final = 1 << 20
"""Files up to this size are hashed on the event loop: a thread would cost more than the hash."""
KILL_GRACE_S: Final = 10.0
GROUP_PATIENCE_S: Final = 5.0
"""How long killed group members may take to vanish before the attempt ends without them (a hung network drive)."""
REPORT_EVERY_S: Final = 1.0
_DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


@dataclass(slots=True)
class Host:
    """What all attempts of this daemon share.

    Attributes:
        node: Name of this node, for the processes.
        environ: Variables that every process gets.
        records: Where processes are recorded.
        logs: Files for logs.
        oom_kills_before: The kernel's count at the last look, at most a second ago while anything runs.
    """

    node: str
    environ: Mapping[str, str]
    records: Records
    logs: SpareLogs
    oom_kills_before: int = 0


class Attempt:
    """Carries out one `StartAttempt`."""

    def __init__(self, effect: StartAttempt, tools: Tools, host: Host) -> None:
        """Prepare; nothing happens before `run`."""
        self.effect = effect
        self.ref = effect.ref
        self.began_at = 0.0
        self.child: Child | None = None
        self.task: asyncio.Task[AttemptEnded] | None = None
        self._tools = tools
        self._host = host
        self._room: Room | None = None
        self._log: LogTail | None = None
        self._work: Work | None = None
        self._stopped: tuple[int, str] | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._peak_ram_bytes = 0
        self._vital: tuple[int, float] = (0, 0.0)
        self._vital_at = 0.0
        self._reported = (0.0, 0)
        self._reported_at = 0.0
        self._good = False

    async def run(self, folder: Path) -> AttemptEnded:
        """Do everything; `folder` is the attempt's own and goes afterwards."""
        try:
            return await self._render(folder)
        except (FarmError, OSError) as error:
            return self._failed(cause_of(error, FailureClass.START_FAILED), text_of(error))
        finally:
            self._clean_up()

    def stop(self, effect: StopAttempt) -> None:
        """End it as early as its state allows; its `AttemptEnded` carries this cause."""
        if self.child is not None:
            self._terminate(effect.cause, effect.text, effect.grace_s)
        elif self._stopped is None:
            self._stopped = (effect.cause, effect.text)
            if self._work is None and self.task is not None:
                self.task.cancel()

    def stopped_event(self) -> AttemptEnded:
        """The end of an attempt that was stopped before it had a process."""
        cause, text = self._stopped or (FailureClass.NODE_LOST, "the daemon stops")
        return AttemptEnded(self.ref, cause, text=text)

    # Steps -------------------------------------------------------------------------------------------------------

    async def _render(self, folder: Path) -> AttemptEnded:
        try:
            laid = await self._tools.checkout(self.ref, self.effect.spec)
        except (FarmError, OSError) as error:
            return self._failed(cause_of(error, FailureClass.MISSING_ASSET), text_of(error))
        paths = paths_of(self.effect, laid)
        self._room = Room(laid.tree, folder, self.effect.cores, self.effect.gpus, paths)
        self._room.make()
        path = self._tools.log_path(self.ref)
        self._log = self._host.logs.open(path) if self._room.is_shared else LogTail(path)
        self._work = self._tools.renderers.open(self.ref.job, self.effect.spec, self.effect.frames, self._room)
        for index, command in enumerate(self._work.commands):
            failure = await self._run_command(self._room, self._log, command)
            if failure is not None:
                return failure
            self._work.command_done(index)
        return await self._finish(self._work)

    async def _run_command(self, room: Room, log: LogTail, command: Command) -> AttemptEnded | None:
        """Run one process to its end; None if it ended well."""
        if self._stopped is not None:
            return self._failed(*self._stopped)
        for path, content in command.files:
            path.write_bytes(content)
        env = environ_of(self._host.environ, self.ref, node=self._host.node, frames=command.frames, room=room)
        log.remark(f"{self.ref} on {self._host.node}: {' '.join(command.argv)}")
        mark = str(self.ref)
        self._host.records.open(mark)
        try:
            child = self.child = spawn(command.argv, env={**env, **command.env}, cwd=room.checkout, log_fd=log.fd)
        except (FileNotFoundError, PermissionError) as error:
            return self._failed(FailureClass.START_FAILED, f"cannot start {error.filename!r}: {error.strerror}")
        try:
            self._host.records.complete(mark, child.pid, child.born)
            self._watch(len(command.frames))
            await exited(child)
        finally:
            self.child = None
            self._cancel_timers()
            ended = reap(child)
        self._peak_ram_bytes = max(self._peak_ram_bytes, ended.peak_ram_bytes)
        await self._group_gone(child.pid)
        self._follow()
        return self._judge(log, ended.exit_code)

    async def _finish(self, work: Work) -> AttemptEnded:
        """Check what is there, and take it into the store."""
        checked = work.check() if work.is_light else await asyncio.to_thread(work.check)
        if checked.cause:
            cause, text = self._stopped or (checked.cause, checked.text)
            return self._failed(cause, text)
        try:
            outputs = await self._ingest(checked)
        except (FarmError, OSError) as error:
            return self._failed(cause_of(error, FailureClass.ERROR), f"outputs not stored: {text_of(error)}")
        self._good = True
        return AttemptEnded(self.ref, 0, peak_ram_bytes=self._peak_ram_bytes, outputs=outputs, text=checked.text)

    async def _ingest(self, checked: Checked) -> tuple[OutputFact, ...]:
        facts, thumbnails = [], await self._thumbnails(checked)
        for name, path in checked.outputs:
            if path.stat().st_size <= LIGHT_BYTES:
                blob = self._tools.ingest(path)
            else:
                blob = await asyncio.to_thread(self._tools.ingest, path)
            facts.append(OutputFact(name, blob, thumbnails.get(path)))
        return tuple(facts)

    async def _thumbnails(self, checked: Checked) -> dict[Path, BlobAddress | None]:
        """Have thumbnails made of the frames, before the store takes the files."""
        maker = self._tools.thumbnails
        wanted = [path for path in checked.promised if maker.wants(path)] if maker is not None else []
        if maker is None or not wanted:
            return {}
        return dict(zip(wanted, await asyncio.to_thread(maker.make, wanted), strict=False))

    # Judging -----------------------------------------------------------------------------------------------------

    def _judge(self, log: LogTail, exit_code: int) -> AttemptEnded | None:
        if self._stopped is not None:
            return self._failed(*self._stopped, exit_code=exit_code)
        if exit_code == 0:
            return None
        assert self._work is not None
        cause, text = self._work.verdict(exit_code, log.tail(VERDICT_BYTES))
        if exit_code == -signal.SIGKILL and oom_kills() > self._host.oom_kills_before:
            cause, text = FailureClass.OOM, f"the kernel killed it for memory: {text}"
        return self._failed(cause, text, exit_code=exit_code)

    def _failed(self, cause: int, text: str, *, exit_code: int = 0) -> AttemptEnded:
        line = harmless(" ".join(text.split()).encode(errors="replace"))  # what a program printed, mostly
        last_lines = ""
        if self._log is not None:
            with suppress(OSError):  # a full disk must not hide the failure that it caused
                self._log.remark(f"ended: {FailureClass(cause).name.lower()}: {line}")
            last_lines = "\n".join(harmless_lines(self._log.tail(LAST_LINES_BYTES)))
        return AttemptEnded(
            self.ref,
            cause,
            exit_code=exit_code,
            peak_ram_bytes=self._peak_ram_bytes,
            text=line,
            last_lines=last_lines,
        )

    # Ending processes --------------------------------------------------------------------------------------------

    def _watch(self, frames: int) -> None:
        loop = asyncio.get_running_loop()
        self._vital_at = loop.time()
        limit_s = self.effect.spec.limits.frame_timeout_s * frames
        if limit_s:
            text = f"over the time limit of {self.effect.spec.limits.frame_timeout_s} s a frame"
            self._timers.append(loop.call_later(limit_s, self._terminate, FailureClass.TIMEOUT, text, KILL_GRACE_S))

    def _terminate(self, cause: int, text: str, grace_s: float) -> None:
        """Ask the whole group to end, kill it after the grace; asked again, the shorter grace counts."""
        if self.child is None:
            return
        group = self.child.pid
        if self._stopped is None:
            self._stopped = (cause, text)
            if self._log is not None:
                with suppress(OSError):
                    self._log.remark(f"stopping it: {text}")
            signal_group(group, signal.SIGTERM)
            signal_group(group, signal.SIGCONT)  # a frozen process cannot end itself
        self._timers.append(asyncio.get_running_loop().call_later(grace_s, self._kill, group))

    def _kill(self, group: int) -> None:
        if self.child is not None and self.child.pid == group:
            signal_group(group, signal.SIGKILL)

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    async def _group_gone(self, group: int) -> None:
        """Wait for the killed rest of the group; usually there is none and this costs one system call."""
        loop = asyncio.get_running_loop()
        until = loop.time() + GROUP_PATIENCE_S
        while signal_group(group, 0) and loop.time() < until:  # noqa: ASYNC110 - a group has nothing to wait on
            await asyncio.sleep(0.01)

    # Looking at it while it runs ---------------------------------------------------------------------------------

    def look(self, usage: Usage, now: float) -> AttemptProgressed | None:
        """Read along, measure, and say something if a second has passed and something has changed."""
        self._follow()
        self._stamp()
        self._peak_ram_bytes = max(self._peak_ram_bytes, usage.ram_bytes)
        self._check_silence(usage, now)
        if self._work is None or now - self._reported_at < REPORT_EVERY_S:
            return None
        report = (round(self._work.progress, 3), usage.ram_bytes)
        if report == self._reported:
            return None
        self._reported, self._reported_at = report, now
        return AttemptProgressed(self.ref, *report)

    def _check_silence(self, usage: Usage, now: float) -> None:
        """Neither a processor nor the log has moved for long: it is stuck."""
        vital = (self._log.size_bytes if self._log is not None else 0, usage.cpu_s)
        if vital != self._vital:
            self._vital, self._vital_at = vital, now
        limit_s = self.effect.spec.limits.silence_s
        if limit_s and now - self._vital_at >= limit_s:
            text = f"stuck: no processor time and no log line for {limit_s} s"
            self._terminate(FailureClass.TIMEOUT, text, KILL_GRACE_S)

    def _follow(self) -> None:
        if self._log is not None and self._work is not None:
            for line in self._log.new_lines():
                self._work.read(line)

    def _stamp(self) -> None:
        if self._log is not None:
            with suppress(OSError):  # a full disk is told by whoever needs room on it
                self._log.stamp()

    def _clean_up(self) -> None:
        if self._log is not None and self._good and self._room is not None and self._room.is_shared:
            self._host.logs.give_back(self._log)
        elif self._log is not None:
            self._log.close()
        self._host.records.close(str(self.ref))


def cause_of(error: BaseException, otherwise: FailureClass) -> FailureClass:
    """Find a full disk, a missing feature or a damaged store behind an error, whoever wrapped it."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.errno in _DISK_FULL:
            return FailureClass.DISK_FULL
        if isinstance(link, MissingFeature):
            return FailureClass.MISSING_FEATURE
        if isinstance(link, FilesLost):
            return FailureClass.FILES_LOST
        link = link.__cause__
    return otherwise


def text_of(error: BaseException) -> str:
    """Say an error in one line."""
    if isinstance(error, UserError):
        return ": ".join(filter(None, (error.what, error.why)))
    return str(error)
