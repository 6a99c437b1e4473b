"""How many frames that do nothing a farm carries through in a second, and how long a slot waits between two of them.

Real daemons, 2 nodes of 2 slots, encrypted, every start and every end committed before anything is said of it, each
frame a process of its own. Beside it, in alternating rounds of the same run: the limit (`posix_spawn`, two processes
at a time, nothing else), dask.distributed and HyperQueue running the same program, where they can be installed.

`of_limit` compares rates; `of_limit_cpu` compares processor time per frame, which a busy machine disturbs less.

    python -m benchmarks.dispatch [--frames 3000] [--rounds 3] [--no-peers]
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import peers
from benchmarks.harness import Farm, finish, median, noop_job, percentile, say, usage_of
from benchmarks.records import attempts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from farmd.core.attempts import Attempt

PROGRAM = "/bin/true"
SLOTS = 2


class Round(NamedTuple):
    """One measurement: frames a second, and processor seconds per frame, those of the frames' processes included."""

    per_s: float
    cpu_s: float


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-peers", action="store_true", help="without dask and HyperQueue")
    asked = parser.parse_args()
    python = None if asked.no_peers else peers.environment(*peers.PACKAGES)
    limits: list[Round] = []
    ours: list[Round] = []
    gaps: list[float] = []
    others: dict[str, list[float]] = {name: [] for name in (peers.PEERS if python else ())}
    with Farm(2, slots=SLOTS) as farm:
        farm.run_to_end(noop_job("warm-up", "1-200"))
        for number in range(asked.rounds):
            limits.append(spawn_limit(min(asked.frames, 2000)))
            one, waited = frames_through(farm, asked.frames, number)
            ours.append(one)
            gaps += waited
            say(
                f"round {number + 1}: limit {limits[-1].per_s:.0f}/s, farm {one.per_s:.0f}/s, gap {median(waited):.1f} ms"
            )
            for name, rates in others.items():
                rate = peers.rate_of(name, python, asked.frames)
                if rate is not None:
                    rates.append(rate)
                    say(f"  {name}: {rate:.0f}/s")
    limit, farm_rate = median(r.per_s for r in limits), median(r.per_s for r in ours)
    ratios = {
        "of_limit": median(our.per_s / of.per_s for our, of in zip(ours, limits, strict=True)),
        "of_limit_cpu": median(of.cpu_s / our.cpu_s for our, of in zip(ours, limits, strict=True)),
    }
    for name, rates in others.items():
        if rates:
            ratios[f"vs_{name}"] = farm_rate / median(rates)
    figures = {
        "frames_per_s": farm_rate,
        "limit_per_s": limit,
        "gap_ms": median(gaps),
        "gap_p95_ms": percentile(gaps, 95),
        "slot_ms_per_frame": 1000 * 2 * SLOTS / farm_rate,
        "cpu_us_per_frame": 1e6 * median(r.cpu_s for r in ours),
        "limit_cpu_us": 1e6 * median(r.cpu_s for r in limits),
        **{f"{name}_per_s": median(rates) for name, rates in others.items() if rates},
    }
    finish("dispatch", ratios, figures)


def spawn_limit(count: int) -> Round:
    """Start and reap so many processes, two at a time."""
    before, began = _own_cpu_s(), time.perf_counter()
    alive = started = ended = 0
    while ended < count:
        while alive < 2 and started < count:
            os.posix_spawn(PROGRAM, [PROGRAM], {})
            started, alive = started + 1, alive + 1
        os.wait()
        ended, alive = ended + 1, alive - 1
    return Round(count / (time.perf_counter() - began), (_own_cpu_s() - before) / count)


def frames_through(farm: Farm, count: int, number: int) -> tuple[Round, list[float]]:
    """Run one job; also returns how long slots waited between frames, in milliseconds."""
    before = sum(_cpu_s(daemon.pid) for daemon in farm.daemons)
    job, took = farm.run_to_end(noop_job(f"round {number}", f"1-{count}", PROGRAM))
    cpu_s = sum(_cpu_s(daemon.pid) for daemon in farm.daemons) - before
    return Round(count / took, cpu_s / count), slot_gaps(attempts_of(farm.daemons[0].data_dir, job), SLOTS)


def slot_gaps(attempts: Sequence[Attempt], slots: int) -> list[float]:
    """Return, in milliseconds, how long a slot stood free before each attempt but the first ones of a node."""
    gaps: list[float] = []
    free: dict[str, list[int]] = {}
    for attempt in sorted(attempts, key=lambda a: (a.started_ms, a.ended_ms)):
        ends = free.setdefault(attempt.node, [])
        if len(ends) >= slots:
            gaps.append(float(max(0, attempt.started_ms - ends.pop(0))))
        ends.append(attempt.ended_ms)
        ends.sort()
    return gaps


def _cpu_s(pid: int) -> float:
    usage = usage_of(pid)
    return usage.cpu_s + usage.children_s


def _own_cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
