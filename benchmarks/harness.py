"""What all benchmarks share: a private farm of real daemons, what the kernel says of a process, medians, the last line.

A claim is a ratio taken in one run: machines are shared and noisy, so each benchmark measures its peer or its limit
beside itself, in rounds that alternate. Progress goes to stderr; the last line of stdout is one JSON object:

    {"benchmark": NAME, "ratios": {"of_limit": 0.21, …}, "figures": {"frames_per_s": 640.0, …}}
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from protocol.client import Client
from protocol.errors import UserError
from protocol.ids import NodeId
from protocol.jobspec import GateMode, GateSpec, JobSpec, spec_to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

ROOT = Path(__file__).resolve().parents[1]
SCRATCH = os.environ.get("FARM_BENCHMARK_DIR") or "/var/tmp"
"""Where farms live. Not /tmp: beside the churn of tests, making a file took ten times as long on ext4 (it does not
give freed inodes out again for some seconds, and searches)."""
NOBODY = NodeId("0" * 16)
"""Stands in a specification until the node that takes it writes its own id."""
FINISHED = frozenset({"completed", "failed", "cancelled", "rejected"})
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_LOOK_S = 0.01


# -- what is printed ------------------------------------------------------------------------------------------------


def say(text: str) -> None:
    """Show progress."""
    print(text, file=sys.stderr, flush=True)


def result_line(name: str, ratios: Mapping[str, float | None], figures: Mapping[str, Any]) -> str:
    """Compose the last line; None and what is no number are left out of the ratios."""
    plain = {key: rounded(value) for key, value in ratios.items() if value is not None and math.isfinite(value)}
    return json.dumps({"benchmark": name, "ratios": plain, "figures": {k: rounded(v) for k, v in figures.items()}})


def finish(name: str, ratios: Mapping[str, float | None], figures: Mapping[str, Any]) -> None:
    """Print the last line."""
    print(result_line(name, ratios, figures), flush=True)


def rounded(value: Any) -> Any:
    """Keep four significant digits of a float; all else stays as it is."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many per cent do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def median(values: Iterable[float]) -> float:
    """Return the median."""
    return statistics.median(values)


# -- what the kernel says --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Usage:
    """One process: resident memory; processor time since its start, its own and that of its ended children."""

    rss_bytes: int
    cpu_s: float
    children_s: float


def usage_of(pid: int) -> Usage:
    """Read /proc/PID/stat.

    Raises:
        OSError: It is gone.
    """
    line = Path(f"/proc/{pid}/stat").read_bytes()
    fields = line[line.rindex(b")") + 2 :].split()
    own, children = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    return Usage(int(fields[21]) * os.sysconf("SC_PAGE_SIZE"), own / _TICKS_PER_S, children / _TICKS_PER_S)


def until(what: str, fact: Callable[[], bool], limit_s: float, look_s: float = _LOOK_S) -> float:
    """Wait for a fact and return how long it took.

    Raises:
        TimeoutError: It did not come.
    """
    began = time.perf_counter()
    while not fact():
        if time.perf_counter() - began > limit_s:
            raise TimeoutError(f"{what}: not within {limit_s:g} s")
        pause(look_s)
    return time.perf_counter() - began


def pause(seconds: float) -> None:
    """Let time pass: measuring is waiting."""
    time.sleep(seconds)  # noqa: TID251


def free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on now."""
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            sock = stack.enter_context(socket.socket())
            sock.bind(("127.0.0.1", 0))
            found.append(int(sock.getsockname()[1]))
        return found


# -- a farm -----------------------------------------------------------------------------------------------------------


def noop_job(name: str, frames: str, command: str = "/bin/true") -> JobSpec:
    """A job of frames that do nothing, without gate, files or outputs."""
    return JobSpec(
        name=name,
        owner="benchmark",
        submitted_at_ms=0,
        submit_node=NOBODY,
        renderer="command",
        command=command,
        frames=frames,
        gate=GateSpec(mode=GateMode.OFF),
    )


@dataclass(slots=True)
class Daemon:
    """One `farmd run`."""

    name: str
    data_dir: Path
    address: str
    options: tuple[str, ...]
    prefix: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    _client: Client | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start it; `serves` tells when it answers."""
        words = ["run", "--data-dir", str(self.data_dir), "--listen", self.address, "--name", self.name, "--no-mdns"]
        with (self.data_dir / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, *farmd(), *words, *self.options], stdout=log, stderr=log, cwd=ROOT
            )

    def call(self, op: str, /, **args: Any) -> Any:
        """Ask the daemon."""
        if self._client is None:
            self._client = Client(self.data_dir, timeout_s=30.0)
        return self._client.call(op, **args)

    def serves(self) -> bool:
        """Tell whether it answers."""
        try:
            return bool(self.call("farm.status"))
        except UserError:
            self.hang_up()
            return False

    def status(self) -> dict[str, Any]:
        """What it says of the farm; nothing if it says nothing."""
        try:
            return dict(self.call("farm.status"))
        except UserError:
            return {}

    def submit(self, spec: JobSpec, ack: str = "peer") -> str:
        """Submit a job and return its id."""
        return str(self.call("job.submit", spec=spec_to_bytes(spec), ack=ack, deliver=False)["job"])

    def show(self, job: str) -> dict[str, Any]:
        """What it says of a job; nothing while it does not know it."""
        try:
            return dict(self.call("job.show", job=job))
        except UserError:
            return {}

    def hang_up(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def end(self, signum: int = signal.SIGTERM) -> None:
        """End it and wait."""
        self.hang_up()
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(signum)
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        if process.returncode is None:
            process.kill()
            process.wait()


class Farm:
    """So many daemons in a temporary directory, joined to one farm, encrypted as always; to be used as `with`.

    Attributes:
        daemons: In the order of their names; the first founded the farm.
    """

    def __init__(self, count: int, *, slots: int = 2, options: Sequence[str] = ()) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="farm-benchmark-", dir=SCRATCH))
        ports = free_ports(count)
        self.daemons = [
            Daemon(f"n{at}", self.folder / f"n{at}", f"127.0.0.1:{port}", ("--slots", str(slots), *options))
            for at, port in enumerate(ports)
        ]

    def __enter__(self) -> Self:
        try:
            self._begin()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _begin(self) -> None:
        first, *others = self.daemons
        subprocess.run([*farmd(), "init", "--data-dir", str(first.data_dir)], check=True, capture_output=True, cwd=ROOT)
        first.start()
        until("the first node serves", first.serves, 20)
        if others:
            asked = [*farmd(), "invite", "--data-dir", str(first.data_dir)]
            token = subprocess.run(asked, check=True, capture_output=True, text=True, cwd=ROOT).stdout.strip()
            for daemon in others:
                words = ["join", "--data-dir", str(daemon.data_dir), token]
                subprocess.run([*farmd(), *words], check=True, capture_output=True, cwd=ROOT)
                daemon.start()
        until("all nodes know one another and one leader", self.is_whole, 40)
        say(f"farm of {len(self.daemons)} in {self.folder}")

    def _end(self) -> None:
        for daemon in self.daemons:
            if daemon.process is not None:
                daemon.process.terminate()
        for daemon in self.daemons:
            daemon.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def is_whole(self) -> bool:
        """Tell whether all running daemons see one another, and follow one leader."""
        running = [daemon for daemon in self.daemons if daemon.process is not None]
        views = [daemon.status() for daemon in running]
        leaders = {view.get("leader") for view in views}
        if len(leaders) != 1 or None in leaders:
            return False
        there = [[node for node in view["nodes"] if node["state"] in ("idle", "busy")] for view in views]
        return all(len(nodes) == len(running) for nodes in there)

    def leader(self) -> Daemon:
        """Return the daemon that leads.

        Raises:
            LookupError: None does, or they do not agree.
        """
        for daemon in self.daemons:
            if daemon.process is not None and (view := daemon.status()) and view["leader"] == view["node"]:
                return daemon
        raise LookupError("no daemon leads")

    def run_to_end(self, spec: JobSpec, *, at: int = 0, limit_s: float = 300) -> tuple[str, float]:
        """Submit a job, wait until it has ended, and return its id and the seconds from submit to end.

        Raises:
            RuntimeError: It did not complete.
        """
        daemon = self.daemons[at]
        began = time.perf_counter()
        job = daemon.submit(spec)
        state = ""
        while state not in FINISHED and time.perf_counter() - began < limit_s:
            state = str(daemon.show(job).get("state", ""))
            pause(0.25)
        took = time.perf_counter() - began
        if state != "completed":
            raise RuntimeError(f"job {job} is {state!r} after {took:.1f} s; see {self.folder}")
        return job, took


def farmd() -> list[str]:
    """The command that starts this tree's farmd."""
    return [sys.executable, "-m", "farmd"]
