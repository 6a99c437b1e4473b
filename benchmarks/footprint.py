"""What an idle daemon costs: resident memory, and its share of a processor.

Real daemons, three nodes, one finished job, then nothing happens for half a minute. Beside them, in the same time, the
limit: a bare Python that has imported what any such daemon needs (asyncio, zmq, sqlite3, msgpack, xxhash) and wakes
once a second.

    python -m benchmarks.footprint [--seconds 30]
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks.harness import Farm, finish, noop_job, pause, say, usage_of

BARE = """
import asyncio, sqlite3, msgpack, xxhash, zmq
async def beat():
    context = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    socket.bind("tcp://127.0.0.1:*")
    while True:
        await asyncio.sleep(1)
asyncio.run(beat())
"""
SETTLE_S = 5.0


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30)
    asked = parser.parse_args()
    bare = subprocess.Popen([sys.executable, "-c", BARE])
    try:
        with Farm(3) as farm:
            farm.run_to_end(noop_job("one job", "1-20"))
            pids = [*[daemon.pid for daemon in farm.daemons], bare.pid]
            pause(SETTLE_S)
            before = [usage_of(pid) for pid in pids]
            pause(asked.seconds)
            after = [usage_of(pid) for pid in pids]
    finally:
        bare.kill()
        bare.wait()
    shares = [100 * (b.cpu_s - a.cpu_s) / asked.seconds for a, b in zip(before, after, strict=True)]
    mib = [usage.rss_bytes / (1 << 20) for usage in after]
    for name, size, share in zip(("n0", "n1", "n2", "bare"), mib, shares, strict=True):
        say(f"{name}: {size:.1f} MiB, {share:.2f} % of a core")
    *ours, limit = mib
    figures = {
        "rss_mib": max(ours),
        "cpu_percent": max(shares[:-1]),
        "cpu_percent_mean": sum(shares[:-1]) / 3,
        "bare_rss_mib": limit,
        "bare_cpu_percent": shares[-1],
    }
    finish("footprint", {"rss_of_limit": limit / max(ours)}, figures)


if __name__ == "__main__":
    main()
