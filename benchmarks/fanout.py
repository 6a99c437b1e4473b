"""How long one large file takes from one node to eight, beside how long it takes to one, when every link is slow.

Nine real daemons, each in a network namespace of its own; all hang on one bridge, and every link carries so many
megabits a second in each direction (tc, token bucket). The source could send the file to eight nodes one after the
other, in eight times the time to one; nodes that exchange what they have already need little more than the time to one.

Needs root, iproute2, and leave to make network namespaces; it removes those that it made.

    python -m benchmarks.fanout [--megabytes 1024] [--nodes 8] [--megabit 200]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from benchmarks.carrying import LOOK_S, PATIENCE_S
from benchmarks.harness import NOBODY, SCRATCH, Farm, finish, say, until
from benchmarks.transfer import MIB, write_file
from farmctl.forms import ProgressMode
from farmctl.progress import Progress
from farmctl.upload import send_files
from farmd.ingest.hashing import hash_file
from protocol.jobspec import GateMode, GateSpec, JobSpec

if TYPE_CHECKING:
    from collections.abc import Sequence


PORT = 7777


@dataclass(frozen=True, slots=True)
class Place:
    """Where a daemon runs: its address, and what its command begins with."""

    address: str
    prefix: tuple[str, ...]


class Network(AbstractContextManager["Network"]):
    """Namespaces on one bridge, each behind a link of limited rate; the bridge lives in a namespace too.

    Args:
        count: Namespaces.
        megabit: Rate of each link in each direction, in megabits a second.
    """

    def __init__(self, count: int, megabit: int) -> None:
        self._name = f"farm-{os.getpid()}"
        self._count = count
        self._megabit = megabit
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Make it."""
        try:
            self._namespace(self._hub)
            _ip("-n", self._hub, "link", "add", "hub", "type", "bridge")
            _ip("-n", self._hub, "link", "set", "hub", "up")
            for number in range(self._count):
                self._join(number)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Remove it."""
        self._stack.close()

    @property
    def places(self) -> list[Place]:
        """One for each namespace."""
        return [
            Place(f"10.77.0.{number + 1}:{PORT}", ("ip", "netns", "exec", f"{self._name}-{number}"))
            for number in range(self._count)
        ]

    @property
    def _hub(self) -> str:
        return f"{self._name}-hub"

    def _namespace(self, name: str) -> None:
        _ip("netns", "add", name)
        self._stack.callback(_ip, "netns", "delete", name)

    def _join(self, number: int) -> None:
        name, port = f"{self._name}-{number}", f"port{number}"
        self._namespace(name)
        _ip("link", "add", "eth0", "netns", name, "type", "veth", "peer", port, "netns", self._hub)
        _ip("-n", self._hub, "link", "set", port, "master", "hub", "up")
        _ip("-n", name, "addr", "add", f"10.77.0.{number + 1}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", name, "link", "set", device, "up")
        for place, device in ((name, "eth0"), (self._hub, port)):
            rate = ("rate", f"{self._megabit}mbit", "burst", "128kb", "latency", "50ms")
            _run("tc", "-n", place, "qdisc", "add", "dev", device, "root", "tbf", *rate)


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*argv: str) -> None:
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)}: {done.stderr.strip()}")


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--megabit", type=int, default=200)
    asked = parser.parse_args()
    if os.geteuid() or not (shutil.which("ip") and shutil.which("tc")):
        raise SystemExit("this benchmark needs root and iproute2 (ip, tc)")
    size = asked.megabytes * MIB
    with Network(asked.nodes + 1, asked.megabit) as network, _farm_in(network.places) as farm:
        source = farm.daemons[0]
        source.call("node.hold", node=str(source.status()["node"]))
        times = {}
        for count in (1, asked.nodes):
            times[count] = spread(farm, size, count)
            say(f"to {count}: the first has it after {times[count][0]:.1f} s, the last after {times[count][-1]:.1f} s")
    line_s = size * 8 / (asked.megabit * 1e6)
    one, last = times[1][-1], times[asked.nodes][-1]
    ratios = {"time_to_all_vs_one": last / one, "one_of_line": line_s / one, "all_of_line": line_s / last}
    figures = {"megabytes": size / 1e6, "nodes": asked.nodes, "megabit": asked.megabit, "line_s": line_s}
    finish("fanout", ratios, {**figures, "to_one_s": one, "to_first_s": times[asked.nodes][0], "to_all_s": last})


def _farm_in(places: Sequence[Place]) -> Farm:
    farm = Farm(len(places), slots=1)
    for daemon, place in zip(farm.daemons, places, strict=True):
        daemon.address, daemon.prefix = place.address, place.prefix
    return farm


def spread(farm: Farm, size: int, count: int) -> list[float]:
    """Submit a job of so many frames with one large file; return the seconds after which each node had the file.

    A frame lasts longer than the transfer, so each node is needed.
    """
    source, *others = farm.daemons
    with tempfile.TemporaryDirectory(prefix="farm-benchmark-", dir=SCRATCH) as folder:
        path = Path(folder) / f"large{count}.bin"
        write_file(path, size, count)
        name = str(hash_file(path).address)
        with Progress(ProgressMode.NONE, sys.stderr, time.monotonic) as progress:
            sent = send_files(source.call, path, (), progress)
    spec = JobSpec(
        name=f"to {count}",
        owner="benchmark",
        submitted_at_ms=0,
        submit_node=NOBODY,
        renderer="command",
        command="/bin/sleep 600",
        scene=sent.scene,
        manifest=sent.manifest,
        frames=f"1-{count}",
        gate=GateSpec(mode=GateMode.OFF),
    )
    found: dict[str, float] = {}

    def have_it() -> bool:
        for daemon in others:
            if daemon.name not in found and (daemon.data_dir / "blobs" / "blobs" / name[:2] / name).exists():
                found[daemon.name] = time.perf_counter() - began
        return len(found) == count

    began = time.perf_counter()
    job = source.submit(spec)
    until(f"{count} nodes have the file", have_it, PATIENCE_S * 5, LOOK_S)
    source.call("job.control", job=job, action="cancel")
    until("the job ends", lambda: source.show(job).get("state") == "cancelled", PATIENCE_S)
    return sorted(found.values())


if __name__ == "__main__":
    main()
