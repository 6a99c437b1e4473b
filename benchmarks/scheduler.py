"""How many assignments a second the scheduler alone makes: 1,200 nodes, 300 jobs, one process, no network.

The real leader with the real folds and the real matching; only who is there and who leads is given. Nodes differ in
cores and memory, jobs in priority and needs. First the empty farm is filled; then frames end one by one, as on a busy
farm: each end is folded, frees its room, and the next frame is granted. (OpenCue's documentation says 975 bookings a
second of its scheduler, dry; that is the peer, and cannot be run here.)

    python -m benchmarks.scheduler [--nodes 1200] [--jobs 300] [--seconds 5]
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from dataclasses import replace
from random import Random
from typing import Any, NamedTuple

from benchmarks.harness import NOBODY, finish, noop_job, percentile, say
from farmd.core.effects import Send
from farmd.core.jobs import Jobs
from farmd.core.leader import Leader
from farmd.core.turn import Instant, Turn
from protocol.bodies import AttemptBody, NodeBody, pack_body
from protocol.ids import AttemptRef, JobId, NodeId, new_job_id
from protocol.jobspec import Requirements, spec_to_bytes
from protocol.messages import Grant
from protocol.records import Kind, Rank, Rec, attempt_pk, job_pk
from protocol.states import AttemptState

OPENCUE_PER_S = 975
GOAL_PER_S = 1000
CORES = (8, 16, 32, 64)
GIB = 1 << 30


class _Member(NamedTuple):
    epoch: int


class World:
    """Stands in for membership, election and registry: all nodes are there, this one leads."""

    term = 1

    def __init__(self, nodes: int, rng: Random) -> None:
        self.bodies: dict[NodeId, NodeBody] = {}
        for at in range(1, nodes + 1):
            cores = rng.choice(CORES)
            body = NodeBody(f"n{at}", "", 1, cores, cores * 4 * GIB, (), 0, (), "", 1, 1)
            self.bodies[NodeId(f"{at:016x}")] = body
        self._ids = tuple(self.bodies)
        self._members = dict.fromkeys(self._ids, _Member(1))

    def alive(self) -> tuple[NodeId, ...]:
        """All."""
        return self._ids

    def recent(self, now: float, window_s: float = 600.0) -> tuple[NodeId, ...]:
        """All."""
        del now, window_s
        return self._ids

    def members(self) -> dict[NodeId, _Member]:
        """All, in their first life."""
        return self._members

    def is_alive(self, node: NodeId) -> bool:
        """True."""
        del node
        return True

    def may_grant(self, now: float) -> bool:
        """True."""
        del now
        return True


class Scheduling:
    """The leader, its folds, and frames that end when they are told to."""

    def __init__(self, nodes: int, jobs: int, rng: Random) -> None:
        world: Any = World(nodes, rng)
        self._origin, self._seq = 1, 0
        self.jobs = Jobs()
        self.running: deque[AttemptRef] = deque()
        self.node_of: dict[AttemptRef, NodeId] = {}
        self.leader = Leader(
            NOBODY,
            election=world,
            membership=world,
            jobs=self.jobs,
            nodes=lambda: world.bodies,
            may_work=world.is_alive,
        )
        self.now = 1000.0
        turn = self._turn()
        self.leader.begin(turn)
        for at in range(jobs):
            wants = Requirements(cores=rng.choice((1, 2, 4, 8)), ram_bytes=rng.choice((1, 2, 4, 8, 16)) * GIB)
            spec = replace(noop_job(f"job {at}", "1-100000"), priority=rng.randrange(101), requirements=wants)
            job = new_job_id(1_800_000_000_000 + at, rng)
            self.jobs.apply(self._rec(Kind.JOB, job_pk(job), spec_to_bytes(spec)), turn.now)
        self.now += 10.0
        self.leader.on_timer(self._turn())

    def _turn(self) -> Turn:
        return Turn(Instant(self.now, 1_800_000_000_000 + int(self.now * 1000)))

    def _rec(self, kind: int, pk: bytes, body: bytes, rank: int = Rank.NORMAL, ver: int = 1) -> Rec:
        self._seq += 1
        return Rec(int(kind), pk, ver, self._seq, self._origin, self._seq, int(rank), body)

    def pump(self) -> int:
        """Let the leader grant what it can; every frame starts at once. Returns how many."""
        turn = self._turn()
        self.leader.pump(turn)
        grants = [(e.to, e.message) for e in turn.effects if isinstance(e, Send) and isinstance(e.message, Grant)]
        for node, grant in grants:
            self.running.append(grant.ref)
            self.node_of[grant.ref] = node
            self._attempt(grant.ref, AttemptState.RUNNING, Rank.NORMAL, 1)
        return len(grants)

    def end_one(self) -> None:
        """The frame that has run longest is done."""
        ref = self.running.popleft()
        self._attempt(ref, AttemptState.DONE, Rank.FINAL, 2)
        del self.node_of[ref]

    def _attempt(self, ref: AttemptRef, state: AttemptState, rank: Rank, ver: int) -> None:
        self.now += 0.0001
        body = pack_body(AttemptBody(self.node_of[ref], 1, 0, state, started_ms=1, ended_ms=2))
        rec = self._rec(Kind.ATTEMPT, attempt_pk(ref), body, rank, ver)
        self.jobs.apply(rec, Instant(self.now, 1_800_000_000_000))
        self.leader.on_attempt_row(rec, self.now)

    def granted_jobs(self) -> set[JobId]:
        """Jobs that have a running frame."""
        return {ref.job for ref in self.running}


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1200)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=5)
    asked = parser.parse_args()
    scheduling = Scheduling(asked.nodes, asked.jobs, Random(1))
    began = time.process_time()
    filled = scheduling.pump()
    fill_s = time.process_time() - began
    say(
        f"filled the farm with {filled} frames of {len(scheduling.granted_jobs())} jobs in {fill_s:.2f} s of processor time"
    )
    turns: list[float] = []
    granted = 0
    began = time.process_time()
    while time.process_time() - began < asked.seconds and scheduling.running:
        at = time.process_time()
        scheduling.end_one()
        granted += scheduling.pump()
        turns.append(time.process_time() - at)
    steady = granted / (time.process_time() - began)
    say(f"{granted} frames granted one by one: {steady:.0f}/s")
    figures = {
        "assignments_per_s": steady,
        "fill_per_s": filled / fill_s,
        "filled": filled,
        "turn_ms_p50": 1000 * percentile(turns, 50),
        "turn_ms_p99": 1000 * percentile(turns, 99),
        "nodes": asked.nodes,
        "jobs": asked.jobs,
    }
    finish("scheduler", {"of_goal": steady / GOAL_PER_S, "vs_opencue_docs": steady / OPENCUE_PER_S}, figures)


if __name__ == "__main__":
    main()
