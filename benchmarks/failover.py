"""The leader is killed (-9) while frames run: how long until another node assigns the next one?

Real daemons, three nodes. The time ends when a survivor's store holds an attempt of a later term, durable: the new
leader has been elected, has asked what runs, has granted, and the frame's node has committed its start. Beside it the
detection limit: the lease after which a silent leader may be replaced at all.

    python -m benchmarks.failover [--rounds 5]
"""

from __future__ import annotations

import argparse
import signal

from benchmarks.harness import Farm, finish, median, noop_job, pause, say, until
from benchmarks.records import newest_term
from farmd.core.reign import LEASE_S

SETTLE_S = 2.0


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    taken: list[float] = []
    with Farm(3) as farm:
        farm.daemons[0].submit(noop_job("long", "1-100000", "/bin/sleep 0.3"))
        for number in range(asked.rounds):
            pause(SETTLE_S)
            leader = farm.leader()
            survivor = next(daemon for daemon in farm.daemons if daemon is not leader)
            term = newest_term(survivor.data_dir)
            leader.end(signal.SIGKILL)
            taken.append(
                until("a new leader assigns", lambda s=survivor, t=term: newest_term(s.data_dir) > t, 30)  # type: ignore[misc]  # bound now
            )
            say(f"round {number + 1}: {leader.name} killed, next assignment after {taken[-1]:.2f} s")
            leader.start()
            until("the farm is whole again", farm.is_whole, 60)
    figures = {"failover_s": median(taken), "failover_worst_s": max(taken), "lease_s": LEASE_S, "rounds": len(taken)}
    finish("failover", {"of_lease": LEASE_S / median(taken)}, figures)


if __name__ == "__main__":
    main()
