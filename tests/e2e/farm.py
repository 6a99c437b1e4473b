"""Farms of real daemons for tests: founded, started, killed, frozen and cleaned up as processes.

    with Farm(tmp_path) as farm:
        a, b, c = farm.start("a", "b", "c")
        job = a.submit("--command", "true", "--frames", "1-3")
        until(lambda: c.state(job) == "completed", "c sees the job completed")

Rules: a test waits for facts with a deadline (`until`), never for durations. Every process that a farm started, renders
included, is gone when the farm is closed, and what the daemons printed is shown with a test that fails.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from farmd.daemon.membership import found, invitation, prepare_to_join
from protocol.client import Client
from protocol.errors import UserError
from protocol.places import SYSTEM_RUNTIME_DIR, user_runtime_dir
from protocol.states import JOB_TERMINAL, TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
LOOK_S = 0.05
READY_S = 30.0
END_S = 20.0
SHOWN_LINES = 40
_RENDERERS = "renderers.json"
_ports = random.Random(os.getpid())  # tests of two checkouts run at once on one machine
_probed: list[bytes] = []
"""What the first daemon of this session found out about renderers: Blender takes seconds to answer."""


def until(fact: Callable[[], T], what: str, within_s: float = 30.0) -> T:
    """Look again and again until a fact holds, and return what it is.

    A node that does not answer while it is asked is a fact that does not hold yet.
    """
    deadline = time.monotonic() + within_s
    seen: object = None
    while True:
        last = time.monotonic() > deadline
        try:
            found = fact()
        except UserError as error:
            seen = error
        else:
            if found:
                return found
            seen = found
        if last:
            raise AssertionError(f"not within {within_s:g} s: {what} (last seen: {seen!r})")
        time.sleep(LOOK_S)  # noqa: TID251  # the pause between two looks at a fact


def free_port() -> int:
    """Name a port that nobody uses, below those that the kernel gives to connections."""
    for _ in range(200):
        port = _ports.randrange(17_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


class Member:
    """One node of a farm: its data dir, and its daemon while that runs.

    Args:
        farm: Where it belongs.
        name: For people.
        address: HOST:PORT where it listens.
        prefix: Words in front of the daemon's command line (`ip netns exec NAME`).
        options: Further options of `farmd run`.
    """

    def __init__(
        self, farm: Farm, name: str, address: str, *, prefix: Sequence[str] = (), options: Sequence[str] = ()
    ) -> None:
        self.farm = farm
        self.name = name
        self.address = address
        self.prefix = tuple(prefix)
        self.options = tuple(options)
        self.data_dir = farm.folder / name
        self.log = farm.folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<{self.name} at {self.address}>"

    # -- life -----------------------------------------------------------------------------------------------------

    def launch(self) -> Self:
        """Start the daemon and return at once."""
        assert not self.is_running, f"{self.name} runs already"
        if _probed and not (self.data_dir / _RENDERERS).exists():
            (self.data_dir / _RENDERERS).write_bytes(_probed[0])
        words = [*self.prefix, *FARMD, "run", "--data-dir", str(self.data_dir), "--listen", self.address]
        words += ["--name", self.name, "--no-mdns", *self.options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.farm.environ, start_new_session=True
            )
        return self

    def ready(self) -> Self:
        """Wait until clients are served."""
        until(self._is_ready, f"{self.name} serves", READY_S)
        if not _probed and (self.data_dir / _RENDERERS).exists():
            _probed.append((self.data_dir / _RENDERERS).read_bytes())
        return self

    def _is_ready(self) -> bool:
        assert self.process is not None
        code = self.process.poll()
        assert code is None, f"{self.name} ended with {code}:\n{self.printed()}"
        return bool(self.ask("farm.status"))

    def start(self) -> Self:
        """Start the daemon and wait until it serves."""
        return self.launch().ready()

    @property
    def is_running(self) -> bool:
        """Tell whether the daemon's process is there."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """The daemon's process."""
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        """End the daemon as a power cut would, SIGKILL; what it renders lives on."""
        self._signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(END_S)

    def stop(self) -> int:
        """End the daemon in good order and return its exit code."""
        self._signal(signal.SIGTERM)
        assert self.process is not None
        return self.process.wait(END_S)

    def freeze(self) -> None:
        """Stop the daemon from running on, as a machine that sleeps."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it run on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self.is_running, f"{self.name} does not run:\n{self.printed()}"
        os.kill(self.pid, number)

    def printed(self) -> str:
        """Return the last lines that the daemon printed."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-SHOWN_LINES:])

    def renders(self) -> list[int]:
        """List the processes that this node's attempts have left running, whoever started them."""
        return processes_of(self.data_dir)

    # -- asking ---------------------------------------------------------------------------------------------------

    def ask(self, op: str, /, **args: Any) -> Any:
        """Ask the daemon for one operation."""
        with Client(self.data_dir, timeout_s=5.0) as client:
            return client.call(op, **args)

    @property
    def id(self) -> str:
        """Node id."""
        return str(self.ask("farm.status")["node"])

    def status(self) -> dict[str, Any]:
        """Return the farm as this node sees it."""
        status: dict[str, Any] = self.ask("farm.status")
        return status

    def leader(self) -> str | None:
        """Return the name of the leader whom this node knows."""
        name: str | None = self.status()["leader_name"]
        return name

    def alive(self) -> set[str]:
        """Return the names of the nodes that this node believes to be there."""
        return alive_in(self.status())

    def job(self, job: str) -> dict[str, Any]:
        """Return a job as this node sees it."""
        view: dict[str, Any] = self.ask("job.show", job=job)
        return view

    def state(self, job: str) -> str:
        """Return a job's state as this node sees it."""
        return str(self.job(job)["state"])

    def tasks(self, job: str) -> list[dict[str, Any]]:
        """Return all tasks of a job as this node sees them."""
        tasks: list[dict[str, Any]] = self.ask("task.list", job=job, limit=10_000)["tasks"]
        return tasks

    def control(self, job: str, action: str, **args: Any) -> dict[str, Any]:
        """Ask for pause, resume, cancel, approve, reject, retry, priority."""
        answer: dict[str, Any] = self.ask("job.control", job=job, action=action, **args)
        return answer

    def events(self) -> list[dict[str, Any]]:
        """Return the event log of this node."""
        events: list[dict[str, Any]] = self.ask("event.list", limit=10_000)["events"]
        return events

    # -- the command line -----------------------------------------------------------------------------------------

    def unfinished(self) -> list[str]:
        """Return what this node knows of jobs that are not over: state, why, and the tasks that are not done."""
        told: list[str] = []
        with suppress(UserError):
            for job in self.ask("job.list")["jobs"]:
                if job["state"] in JOB_TERMINAL:
                    continue
                told.append(f"{job['name']}: {job['state']}, {job['done']} of {job['total']} done, {job['reason']}")
                tasks = self.ask("task.list", job=job["id"])["tasks"]
                told += [str(task) for task in tasks if task["state"] != TaskState.DONE][:20]
                told.append(str(self.ask("why", job=job["id"])))
        return told

    def ctl(self, *words: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run `farmctl` against this node."""
        return self.farm.run([*FARMCTL, *words], FARM_NODE=str(self.data_dir), timeout_s=timeout_s)

    def ctl_json(self, *words: str) -> Any:
        """Run `farmctl … -o json`, which must succeed, and return what it printed."""
        return json.loads(_succeeded(self.ctl(*words, "-o", "json")).stdout)

    def submit(self, *words: str) -> str:
        """Run `farmctl submit -q`, which must succeed, and return the job's id."""
        return _succeeded(self.ctl("submit", "-q", *words)).stdout.strip()


def _succeeded(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert done.returncode == 0, f"{done.args} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done


FARMD = (sys.executable, "-m", "farmd")
FARMCTL = (sys.executable, "-c", "from farmctl.cli import main; main()")


class Farm:
    """Founds a farm in a folder, and ends everything that ran for it.

    Args:
        folder: Holds data dirs, logs, homes; of this farm alone.
        slots: Most frames at once on each node.
    """

    def __init__(self, folder: Path, *, slots: int = 2) -> None:
        self.folder = folder
        self.slots = slots
        self.members: dict[str, Member] = {}
        folder.mkdir(parents=True, exist_ok=True)
        home = folder / "home"
        home.mkdir(exist_ok=True)
        unwanted = ("FARM_", "XDG_", "COLUMNS", "PYTHON", "NOTIFY_SOCKET")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
        self.environ = kept | {"HOME": str(home), "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close()
        if kind is None:
            self.check_logs()

    def __getitem__(self, name: str) -> Member:
        return self.members[name]

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self.members.values()))

    def run(self, words: Sequence[str], *, timeout_s: float = 60.0, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ours to its end."""
        return subprocess.run(
            words,
            env=self.environ | environ,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def farmd(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `farmd` to its end."""
        return self.run([*FARMD, *words])

    def add(self, name: str, *options: str, address: str = "", prefix: Sequence[str] = ()) -> Member:
        """Prepare a node that belongs to the farm: the first founds it, the others hold a token."""
        given = options if "--slots" in options else ("--slots", str(self.slots), *options)
        member = Member(self, name, address or f"127.0.0.1:{free_port()}", prefix=prefix, options=given)
        if not self.members:
            found(member.data_dir, "farm")
        else:
            prepare_to_join(member.data_dir, self.invite())
        self.members[name] = member
        return member

    def invite(self, valid_s: float = 600.0) -> str:
        """Return a token of the founder; it names the founder's address also before its first start."""
        first = next(iter(self.members.values()))
        return invitation(first.data_dir, int((time.time() + valid_s) * 1000), (first.address,))

    def start(self, *names: str) -> list[Member]:
        """Add nodes that are not there yet, start all named ones, and wait until they agree on one leader."""
        for name in names:
            if name not in self.members:
                self.add(name)
        started = [self.members[name].launch() for name in names]
        for member in started:
            member.ready()
        self.settle()
        return started

    def running(self) -> list[Member]:
        """List the nodes whose daemons run."""
        return [member for member in self if member.is_running]

    def settle(self, within_s: float = 40.0) -> str:
        """Wait until all running nodes see one another and agree on a leader; return its name."""
        names = {member.name for member in self.running()}

        def agreed() -> str | None:
            seen = [member.status() for member in self.running()]
            leaders = {(status["leader_name"], status["term"]) for status in seen}
            if any(alive_in(status) != names for status in seen) or len(leaders) != 1:
                return None
            leader: str | None = leaders.pop()[0]
            return leader if leader in names else None

        leader = until(agreed, f"{sorted(names)} see one another and agree on a leader", within_s)
        assert leader is not None
        return leader

    def leader(self) -> Member:
        """Wait for the leader that all agree on."""
        return self.members[self.settle()]

    def checked(self) -> None:
        """Check that every data dir is sound; no daemon may run."""
        assert not self.running()
        for member in self:
            done = self.farmd("--check", "--data-dir", str(member.data_dir))
            assert done.returncode == 0, f"{member.name}: {done.stdout}{done.stderr}"
            assert done.stdout.rstrip().endswith("sound"), f"{member.name}: {done.stdout}"

    def check_logs(self) -> None:
        """Check that no daemon met a bug of its own, whatever the test was about."""
        for member in self:
            said = member.log.read_text(errors="replace") if member.log.exists() else ""
            assert "Traceback" not in said, f"{member.name} printed:\n{said[-6000:]}"
            assert "Assertion failed" not in said, f"{member.name} was ended by libzmq:\n{said[-2000:]}"

    def close(self) -> None:
        """End all processes, and show what daemons printed (pytest shows it only with a test that fails)."""
        for member in self.running():
            print(f"---- {member.name}: jobs that are not over", *member.unfinished(), sep="\n")  # noqa: T201
        for member in self:
            if member.is_running:
                with suppress(ProcessLookupError):
                    os.killpg(member.pid, signal.SIGKILL)
                assert member.process is not None
                member.process.wait(END_S)
        for pid in processes_of(self.folder):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        forget_daemons(self.folder)
        for member in self:
            print(f"---- {member.name}", member.printed(), sep="\n")  # noqa: T201  # for who reads the failure


def alive_in(status: dict[str, Any]) -> set[str]:
    """Return the names of the nodes that are there, from the view of one node."""
    return {node["name"] for node in status["nodes"] if node["state"] not in ("lost", "left", "reconnecting")}


def processes_of(folder: Path) -> list[int]:
    """List processes that render for a node below a folder: their environment says so."""
    mark = b"FARM_OUTPUT=" + os.fsencode(folder) + b"/"
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            environ = Path(entry.path, "environ").read_bytes()
            if any(word.startswith(mark) for word in environ.split(b"\0")):
                found.append(int(entry.name))
    return found


def forget_daemons(folder: Path) -> None:
    """Take killed daemons from the machine's list of running ones: they could not do it themselves."""
    for place in {SYSTEM_RUNTIME_DIR, user_runtime_dir()}:
        for entry in place.glob("*.json"):
            with suppress(OSError, ValueError, KeyError):
                if Path(json.loads(entry.read_text())["data_dir"]).is_relative_to(folder):
                    entry.unlink()


def copy_scene(folder: Path) -> Path:
    """Write a small file for jobs that only copy."""
    scene = folder / "scene.txt"
    scene.write_text("what is copied\n")
    return scene
