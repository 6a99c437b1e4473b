"""How long the last 1,000 lines of a log of a gigabyte take, from the node that has it and through another one.

The peer is `tail -n 1000` (GNU coreutils) on the same file in the same round, started as people start it; and, since
that is mostly the start of a process, reading the same bytes in this process. Searching is measured beside `grep -c`,
which reads the whole file too. Two real daemons; only the first renders, and its log is made longer afterwards.

    python -m benchmarks.logs [--rounds 15] [--gib 1.0]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import ROOT, Daemon, Farm, finish, median, noop_job, percentile, say

if TYPE_CHECKING:
    from collections.abc import Callable

LINES = 1000
NEEDLE = "the needle"
LINE = "Fra:%d Mem:200.00M (Peak 300.00M) | Time:00:%02d.%02d | Rendering %d / 4096 samples"


def timed_ms(act: Callable[[], object]) -> float:
    """Do something and return how many milliseconds that took."""
    began = time.perf_counter()
    act()
    return 1000 * (time.perf_counter() - began)


def fill(log: Path, size: int) -> None:
    """Make a log as long as wanted, with a needle at its end."""
    block = "".join(f"{LINE % (n % 500, n % 60, n % 97, n % 4096)}\n" for n in range(20_000)).encode()
    with log.open("ab") as file:
        while file.tell() < size:
            file.write(block)
        file.write(f"{NEEDLE}\n".encode() + block[:100_000] + b"\n")


def asking(daemon: Daemon, job: str) -> Callable[[], object]:
    """Make a question for the last lines, whose answer is checked."""

    def ask() -> None:
        answer: dict[str, Any] = daemon.call("log.tail", job=job, lines=LINES)
        assert len(answer["lines"]) == LINES, f"{len(answer['lines'])} lines came"

    return ask


def searching(daemon: Daemon, job: str) -> Callable[[], object]:
    """Make a search of the whole log, whose answer is checked."""

    def search() -> None:
        at, found, complete = 0, 0, False
        while not complete:
            answer = daemon.call("log.find", job=job, pattern=NEEDLE, **{"from": at})
            found, at, complete = found + len(answer["lines"]), answer["next"], answer["complete"]
        assert found == 1, f"{found} matches"

    return search


def running(*words: str | Path) -> Callable[[], object]:
    """Make a command that is run to its end."""
    return lambda: subprocess.run([str(word) for word in words], check=True, capture_output=True, cwd=ROOT)


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--gib", type=float, default=1.0)
    asked = parser.parse_args()
    with Farm(2) as farm:
        here, there = farm.daemons
        there.call("node.hold", node=there.status()["node"])
        spec = noop_job("logs", "1", "echo the log")
        job, _ = farm.run_to_end(replace(spec, name="logs"))
        (log,) = (here.data_dir / "logs" / job).glob("*.log")
        fill(log, int(asked.gib * (1 << 30)))
        size = log.stat().st_size
        say(f"a log of {size / (1 << 30):.2f} GiB")
        farmctl = Path(sys.executable).parent / "farmctl"
        acts: dict[str, Callable[[], object]] = {
            "tail": running("tail", "-n", str(LINES), log),
            "here": asking(here, job),
            "there": asking(there, job),
            "farmctl": running(farmctl, "--node", there.data_dir, "logs", job, "--tail", str(LINES)),
            "grep": running("grep", "-a", "-F", "-c", NEEDLE, log),
            "find": searching(there, job),
        }
        taken: dict[str, list[float]] = {name: [] for name in acts}
        for number in range(asked.rounds + 1):
            for name, act in acts.items():
                lasted = timed_ms(act)
                if number:  # the first round fills the page cache
                    taken[name].append(lasted)
    medians = {name: median(times) for name, times in taken.items()}
    say(", ".join(f"{name} {value:.1f} ms" for name, value in medians.items()))

    def ratio(name: str, peer: str) -> float:
        return median(a / b for a, b in zip(taken[name], taken[peer], strict=True))

    ratios = {
        "tail_here_of_tail": ratio("here", "tail"),
        "tail_through_another_node_of_tail": ratio("there", "tail"),
        "tail_by_farmctl_of_tail": ratio("farmctl", "tail"),
        "find_through_another_node_of_grep": ratio("find", "grep"),
        "tail_through_another_node_of_200_ms": percentile(taken["there"], 95) / 200,
    }
    figures: dict[str, Any] = {f"{name}_ms": value for name, value in medians.items()}
    figures |= {
        "log_gib": size / (1 << 30),
        "there_p95_ms": percentile(taken["there"], 95),
        "processors": os.cpu_count(),
    }
    finish("logs", ratios, figures)


if __name__ == "__main__":
    main()
