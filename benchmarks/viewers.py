"""Whether a hundred people who watch slow the farm down: frames a second with so many live viewers, and with none.

One real daemon of 2 slots renders frames that do nothing, each a process of its own. In alternating rounds nobody
watches, or viewers in a process of their own follow the live feed, as dashboards do: every answer is read and applied
to a picture. Some of them also look at the job, task by task. `with_viewers` is the ratio of the rates within a pair
of rounds, its median and an interval that holds the median of such ratios with 95 % (order statistics, by the
binomial distribution). `daemon_cpu` compares processor seconds of the daemon per frame in the same way; what is more
of it with viewers, divided by the viewers and the time, is the cost of one viewer.

The viewers' own work, which other machines do in a studio, is done here at the lowest priority; still it takes part of
a machine that has few cores. `daemon_cpu` shows what the daemon itself does for them.

    python -m benchmarks.viewers [--viewers 100] [--rounds 9] [--frames 3000]
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from contextlib import contextmanager
from math import comb
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.harness import Farm, finish, median, noop_job, say, usage_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SLOTS = 2
LOOKING_AT_A_JOB = 10
"""One viewer in so many looks at the tasks of a job, too."""
CONFIDENCE = 0.95


class Round(NamedTuple):
    """One measurement: frames a second, seconds that it took, processor seconds of the daemon for all of it."""

    per_s: float
    took_s: float
    cpu_s: float


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewers", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--frames", type=int, default=3000)
    asked = parser.parse_args()
    pairs: list[tuple[Round, Round]] = []
    with Farm(1, slots=SLOTS) as farm:
        farm.run_to_end(noop_job("warm-up", "1-200"))
        for number in range(asked.rounds):
            alone = frames_through(farm, asked.frames, f"alone {number}")
            with viewers_of(farm, asked.viewers):
                watched = frames_through(farm, asked.frames, f"watched {number}")
            pairs.append((alone, watched))
            say(f"round {number + 1}: {alone.per_s:.0f}/s alone, {watched.per_s:.0f}/s with {asked.viewers} viewers")
    rates = [watched.per_s / alone.per_s for alone, watched in pairs]
    cpu = [watched.cpu_s / alone.cpu_s for alone, watched in pairs]
    each = [(watched.cpu_s - alone.cpu_s) / watched.took_s / asked.viewers for alone, watched in pairs]
    low, high = interval(rates)
    figures = {
        "viewers": asked.viewers,
        "alone_per_s": median(alone.per_s for alone, _ in pairs),
        "watched_per_s": median(watched.per_s for _, watched in pairs),
        "with_viewers_low": low,
        "with_viewers_high": high,
        "cpu_percent_per_viewer": 100 * median(each),
    }
    finish("viewers", {"with_viewers": median(rates), "daemon_cpu": median(cpu)}, figures)


def frames_through(farm: Farm, count: int, name: str) -> Round:
    """Run one job."""
    pid = farm.daemons[0].pid
    before = usage_of(pid).cpu_s
    _, took = farm.run_to_end(noop_job(name, f"1-{count}"))
    return Round(count / took, took, usage_of(pid).cpu_s - before)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the order statistics between which the median lies with 95 %, or all if there are too few of them."""
    ordered, count = sorted(values), len(values)
    cut, outside = 0, 0.0
    for below in range(count // 2):
        outside += 2 * comb(count, below) / 2**count
        if outside > 1 - CONFIDENCE:
            break
        cut = below
    return ordered[cut], ordered[count - 1 - cut]


@contextmanager
def viewers_of(farm: Farm, count: int) -> Iterator[None]:
    """Let so many viewers follow, in a process of their own, until the block ends."""
    words = [sys.executable, "-m", "benchmarks.viewers_process", str(farm.daemons[0].data_dir), str(count)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"all follow\n"
        yield
        process.stdin.close()
        process.wait(20)


async def watch(data_dir: str, count: int) -> None:
    """Be so many viewers until the standard input ends."""
    from protocol.client import AsyncClient
    from protocol.feed import FarmPicture, JobPicture

    first = [asyncio.Event() for _ in range(count)]

    async def follow(number: int) -> None:
        picture = FarmPicture()
        async with AsyncClient(data_dir) as client:
            while True:
                picture.apply(await client.call("farm.feed", **picture.question(2.0)))
                first[number].set()

    async def look() -> None:
        async with AsyncClient(data_dir) as client:
            while True:
                jobs = (await client.call("job.list"))["jobs"]
                picture = JobPicture(jobs[-1]["id"])
                while picture.job.get("state") not in ("completed", "failed"):
                    picture.apply(await client.call("job.feed", **picture.question(2.0)))
                await asyncio.sleep(0.5)

    tasks = [asyncio.create_task(follow(number)) for number in range(count)]
    tasks += [asyncio.create_task(look()) for _ in range(count // LOOKING_AT_A_JOB)]
    await asyncio.gather(*[event.wait() for event in first])
    sys.stdout.write("all follow\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    main()
