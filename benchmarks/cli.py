"""How long a person waits for `farmctl --help` and `farmctl status`.

Real processes, in alternating rounds with two limits: a Python that does nothing, and one that imports click. Bytecode is
kept, as where the program is installed. Besides the time that a person waits, the processor time of each is noted: on a
machine that does other things too, the least of it says what the program itself costs.

    python -m benchmarks.cli [--rounds 15]
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.harness import ROOT, Farm, finish, median, say


def children_cpu_s() -> float:
    """Return the processor time of all processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # os.times() counts in ticks of 10 ms
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    farmctl = str(Path(sys.executable).parent / "farmctl")
    with Farm(1) as farm:
        node = ["--node", str(farm.daemons[0].data_dir)]
        commands = {
            "python": [sys.executable, "-c", "pass"],
            "click": [sys.executable, "-c", "import click"],
            "help": [farmctl, "--help"],
            "status": [farmctl, *node, "status"],
        }
        taken: dict[str, list[float]] = {name: [] for name in commands}
        spent: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(asked.rounds + 1):
            for name, command in commands.items():
                began, used = time.perf_counter(), children_cpu_s()
                subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=environment)
                if number:  # the first round writes bytecode and fills the page cache
                    taken[name].append(1000 * (time.perf_counter() - began))
                    spent[name].append(1000 * (children_cpu_s() - used))
    medians = {name: median(times) for name, times in taken.items()}
    best = {name: min(times) for name, times in taken.items()}
    say(", ".join(f"{name} {value:.0f} ms" for name, value in medians.items()))
    ratios = {
        "help_of_click": median(c / h for c, h in zip(taken["click"], taken["help"], strict=True)),
        "status_of_click": median(c / s for c, s in zip(taken["click"], taken["status"], strict=True)),
    }
    figures = {f"{name}_ms": value for name, value in medians.items()}
    figures |= {f"{name}_best_ms": value for name, value in best.items()}
    finish("cli", ratios, figures | {f"{name}_cpu_ms": min(times) for name, times in spent.items()})


if __name__ == "__main__":
    main()
