"""From submit to start on an idle farm, and what a large job costs: time to accept, memory, disk.

Real daemons, three nodes of two slots. A frame has started when its program has touched a file, so the time holds the
way to the daemon, the grant, two commits and the start of the program itself; beside it the limit: the same program
started with `posix_spawn` at once. Untouched frames belong to a job that no node can run.

    python -m benchmarks.submit [--submits 40] [--frames 100000] [--jobs 10] [--finished 2000]
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Farm, finish, median, noop_job, pause, percentile, say, until, usage_of
from benchmarks.records import disk_bytes, stored_bytes
from protocol.jobspec import Requirements

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness import Daemon

PROGRAM = "/usr/bin/touch"
NO_NODE_HAS = 1 << 50
IDLE_S = 0.3


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--submits", type=int, default=40)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--jobs", type=int, default=10)
    parser.add_argument("--finished", type=int, default=2000)
    asked = parser.parse_args()
    with Farm(3) as farm:
        farm.run_to_end(noop_job("warm-up", "1-50"))
        starts, limits = starts_of(farm, asked.submits)
        say(f"submit to start {1000 * median(starts):.1f} ms, the program alone {1000 * median(limits):.1f} ms")
        figures: dict[str, Any] = {
            "submit_to_start_p50_ms": 1000 * median(starts),
            "submit_to_start_p95_ms": 1000 * percentile(starts, 95),
            "program_alone_ms": 1000 * median(limits),
        }
        figures |= large_jobs(farm, asked.frames, asked.jobs)
        figures |= finished_frames(farm, asked.finished)
    ratios = {"start_of_limit": figures["program_alone_ms"] / figures["submit_to_start_p50_ms"]}
    finish("submit", ratios, figures)


def starts_of(farm: Farm, count: int) -> tuple[list[float], list[float]]:
    """Submit single frames to the idle farm, at each node in turn; seconds until they start, and the limit's."""
    starts: list[float] = []
    limits: list[float] = []
    for number in range(count):
        pause(IDLE_S)
        mark = farm.folder / f"mark-{number}"
        daemon = farm.daemons[number % len(farm.daemons)]
        spec = noop_job(f"start {number}", "1", f"{PROGRAM} {mark}")
        began = time.perf_counter()
        daemon.submit(spec, ack="local")
        wait_for(mark)
        starts.append(time.perf_counter() - began)
        mark.unlink()
        began = time.perf_counter()
        os.posix_spawn(PROGRAM, [PROGRAM, str(mark)], {})
        wait_for(mark)
        limits.append(time.perf_counter() - began)
        os.wait()
    return starts, limits


def wait_for(mark: Path) -> None:
    """Wait for a file; its time stamp would be a clock tick off."""
    until(f"{mark.name} is touched", mark.exists, 10, 0.0005)


def large_jobs(farm: Farm, frames: int, jobs: int) -> dict[str, float]:
    """Submit large jobs that stay untouched."""
    spec = replace(noop_job("large", f"1-{frames}"), requirements=Requirements(ram_bytes=NO_NODE_HAS))
    farm.daemons[0].submit(spec)
    memory = [usage_of(daemon.pid).rss_bytes for daemon in farm.daemons]
    disk = [stored_bytes(daemon.data_dir) for daemon in farm.daemons]
    accepts: list[float] = []
    everywhere: list[float] = []
    for number in range(jobs):
        began = time.perf_counter()
        job = farm.daemons[number % len(farm.daemons)].submit(spec, ack="local")
        accepts.append(time.perf_counter() - began)
        until("all nodes know the job", lambda job=job: all(d.show(job) for d in farm.daemons), 10, 0.002)  # type: ignore[misc]  # bound now
        everywhere.append(time.perf_counter() - began)
    total = frames * jobs
    say(f"{frames} frames accepted in {1000 * median(accepts):.1f} ms, known everywhere in {median(everywhere):.3f} s")
    grown = [usage_of(d.pid).rss_bytes - before for d, before in zip(farm.daemons, memory, strict=True)]
    written = [stored_bytes(d.data_dir) - before for d, before in zip(farm.daemons, disk, strict=True)]
    return {
        "accept_ms": 1000 * median(accepts),
        "known_everywhere_ms": 1000 * median(everywhere),
        "memory_bytes_per_untouched_frame": max(grown) / total,
        "disk_bytes_per_untouched_frame": max(written) / total,
        "status_ms": 1000 * status_s(farm.daemons[0], frames),
    }


def status_s(daemon: Daemon, frames: int) -> float:
    """How long a client waits for the status of one of these jobs; the way there and back is in it."""
    jobs = daemon.call("job.list")["jobs"]
    job = next(view["id"] for view in jobs if view["total"] == frames)
    taken: list[float] = []
    for _ in range(50):
        began = time.perf_counter()
        daemon.show(job)
        taken.append(time.perf_counter() - began)
    return median(taken)


def finished_frames(farm: Farm, count: int) -> dict[str, float]:
    """Finish frames, and see what stays of them on the disk of one node."""
    daemon = farm.daemons[0]
    stored, disk = stored_bytes(daemon.data_dir), sum(disk_bytes(d.data_dir / "logs") for d in farm.daemons)
    farm.run_to_end(noop_job("finished", f"1-{count}"))
    pause(1.5)  # the event log's last lines
    return {
        "disk_bytes_per_finished_frame": (stored_bytes(daemon.data_dir) - stored) / count,
        "log_bytes_per_finished_frame": (sum(disk_bytes(d.data_dir / "logs") for d in farm.daemons) - disk) / count,
    }


if __name__ == "__main__":
    main()
