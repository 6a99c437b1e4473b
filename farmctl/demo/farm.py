"""The demo's machines: three daemons in a temporary folder, as real processes, and their certain end.

Each is started as a person would: `farmd init`, `farmd run`, `farmd invite`, `farmd join`. Whatever happens, `close`
ends them and every renderer that one of them left behind, and removes the folder; nothing outside of it is touched.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from protocol.client import Client
from protocol.errors import UserError
from protocol.places import SYSTEM_RUNTIME_DIR

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

START_TIMEOUT_S: Final = 60.0
END_TIMEOUT_S: Final = 8.0
_LOOK_EVERY_S: Final = 0.1


@dataclass(slots=True)
class Machine:
    """One daemon.

    Attributes:
        name: For people.
        data_dir: Everything that it keeps.
        address: Where it listens, HOST:PORT.
        process: Its present life.
    """

    name: str
    data_dir: Path
    address: str
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.data_dir.with_suffix(".log")


class DemoFarm:
    """A farm of daemons on this machine; a context manager that leaves nothing behind."""

    def __init__(self, *, keep: bool = False) -> None:
        self._keep = keep
        self.folder = Path(tempfile.mkdtemp(prefix="farmd-demo-"))
        self.machines: list[Machine] = []
        self._environ = os.environ | {"XDG_RUNTIME_DIR": str(self.folder), "PYTHONUNBUFFERED": "1"}
        for name in ("FARM_NODE", "FARM_DATA_DIR"):
            self._environ.pop(name, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A terminal that is closed sends more than one signal, and the second one must not stop the end half-way.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self.close()

    # -- starting -------------------------------------------------------------------------------------------------

    def found(self, name: str) -> Machine:
        """Found the farm: its first machine."""
        self.command("farmd", "init", "--data-dir", str(self.folder / name), "--name", "demo")
        return self._start(name)

    def add(self, name: str, token: str) -> Machine:
        """Join another machine."""
        self.command("farmd", "join", "--data-dir", str(self.folder / name), token)
        return self._start(name)

    def invitation(self) -> str:
        """Ask the first machine for a token."""
        return self.command("farmd", "invite", "--data-dir", str(self.machines[0].data_dir)).strip()

    def _start(self, name: str) -> Machine:
        address = f"127.0.0.1:{free_port()}"
        data_dir = self.folder / name
        machine = Machine(name, data_dir, address, self._launch(name, data_dir, address))
        self.machines.append(machine)
        return machine

    def _launch(self, name: str, data_dir: Path, address: str) -> subprocess.Popen[bytes]:
        argv = [str(program("farmd")), "run", "--data-dir", str(data_dir), "--listen", address, "--name", name]
        with data_dir.with_suffix(".log").open("ab") as log:
            # Its own session: Ctrl-C in this terminal is ours, and we end the daemons in order.
            return subprocess.Popen(
                [*argv, "--slots", "1", "--no-mdns"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environ,
                start_new_session=True,
            )

    def restart(self, machine: Machine) -> None:
        """Start a machine that was killed: same folder, same address."""
        machine.process = self._launch(machine.name, machine.data_dir, machine.address)

    @staticmethod
    def kill(machine: Machine) -> None:
        """Kill -9: no farewell, nothing saved."""
        machine.process.kill()
        machine.process.wait()

    def command(self, name: str, *words: str) -> str:
        """Run one command of ours and return what it prints.

        Raises:
            UserError: It failed; with its own words.
        """
        done = subprocess.run(
            [str(program(name)), *words], capture_output=True, text=True, env=self._environ, check=False, timeout=60
        )
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()
            raise UserError(
                f"{name} {words[0]} ended with code {done.returncode}",
                "; ".join(line.strip() for line in said[-3:]) or "it said nothing",
                "--keep leaves the folders of the machines for a look",
            )
        return done.stdout

    # -- asking ---------------------------------------------------------------------------------------------------

    def ask(self, op: str, **args: Any) -> Any:
        """Ask any machine that answers; None if none does just now."""
        for machine in self.machines:
            if machine.process.poll() is None:
                with suppress(UserError), Client(machine.data_dir, timeout_s=2.0) as client:
                    return client.call(op, **args)
        return None

    def wait_for(self, what: str, look: Callable[[], Any], timeout_s: float = START_TIMEOUT_S) -> Any:
        """Look again and again until there is something to see, and return it.

        Raises:
            UserError: It took too long, or a daemon ended.
        """
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            found = look()
            if found:
                return found
            self._check_alive()
            threading.Event().wait(_LOOK_EVERY_S)
        raise UserError(
            f"{what} took longer than {timeout_s:.0f} s", self._last_words(), "try again on an idle machine"
        )

    def _check_alive(self) -> None:
        for machine in self.machines:
            code = machine.process.poll()
            if code not in (None, -signal.SIGKILL):
                raise UserError(
                    f"the daemon {machine.name} ended with code {code}",
                    self._last_words(),
                    "--keep keeps the logs of the machines",
                )

    def _last_words(self) -> str:
        said = [line for machine in self.machines for line in machine.log.read_text(errors="replace").splitlines()[-2:]]
        return "; ".join(said)[-300:] or "the daemons printed nothing"

    # -- ending ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End every process of this farm and remove its folder."""
        running = [machine.process for machine in self.machines if machine.process.poll() is None]
        for process in running:
            process.terminate()
        until = time.monotonic() + END_TIMEOUT_S
        for process in running:
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        kill_inside(self.folder)
        strike_from_list(self.folder)
        if not self._keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def program(name: str) -> Path:
    """Return one of our commands, of the environment that runs this."""
    return Path(sys.executable).parent / name


def free_port() -> int:
    """Find a free port: a fixed one for each machine, so that it comes back at its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def kill_inside(folder: Path) -> None:
    """Kill processes of ours that work below a folder: renderers whose daemon was killed."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "cwd").readlink().is_relative_to(folder):
                os.kill(int(entry.name), signal.SIGKILL)


def strike_from_list(folder: Path) -> None:
    """Remove what daemons of this farm that were killed have left in the list of running ones (as root only)."""
    for entry in SYSTEM_RUNTIME_DIR.glob("*.json"):
        with suppress(OSError, ValueError, KeyError):
            if Path(json.loads(entry.read_text())["data_dir"]).is_relative_to(folder):
                entry.unlink()
