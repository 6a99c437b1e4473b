"""The invariants of the design, checked while a history unfolds. A broken one names itself and the seed.

Numbers follow docs/explanation/invariants. What is cheap is checked after every event; what costs a pass over a
replica is checked now and then and at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farmd.core.effects import Reply, Save, Send
from farmd.core.events import MessageReceived
from farmd.core.jobs import Jobs
from protocol.bodies import AttemptBody, unpack_body
from protocol.messages import Grant, Heartbeat, VoteReply
from protocol.records import Kind, Rank, attempt_ref_of

if TYPE_CHECKING:
    from farmd.core.effects import Effect, StartAttempt
    from farmd.core.events import Event
    from protocol.ids import AttemptRef, JobId, NodeId
    from protocol.records import Rec
    from tests.sim.world import Machine, World


class Broken(AssertionError):
    """An invariant does not hold."""


class Watch:
    """Sees every turn, send, start and answer of a history."""

    def __init__(self) -> None:
        self.world: World
        self.trace: list[str] = []
        self.content: dict[tuple[int, int], Rec] = {}
        self.started: dict[AttemptRef, NodeId] = {}
        self.votes: dict[tuple[NodeId, int], NodeId] = {}
        self.accepted: dict[NodeId, tuple[int, str]] = {}
        self.done: dict[AttemptRef, Rec] = {}
        self.acknowledged: dict[int, tuple[str, Any]] = {}
        self.asked: dict[int, tuple[NodeId, str, dict[str, Any]]] = {}
        self.leaders: dict[tuple[int, NodeId], int] = {}
        self.leader_changes = 0
        self.two_leaders = 0.0
        self.double_work = 0
        self.task_starts: dict[tuple[JobId, int, int], int] = {}
        self.honest = True

    def fail(self, number: int, text: str) -> None:
        """Say which invariant is broken."""
        at = self.world.loop.time()
        raise Broken(f"invariant {number} broken at {at:.3f} s, seed {self.world.seed}: {text}")

    # -- what is seen ---------------------------------------------------------------------------------------------

    def on_birth(self, machine: Machine) -> None:
        """A daemon starts: what it accepted before must still be in force (5)."""
        image = machine.disk.image
        accepted = (image.meta.get("accepted_term", 0), image.meta.get("accepted_leader", ""))
        if self.honest and accepted < self.accepted.get(machine.id, (0, "")):
            self.fail(5, f"{machine.name} accepted {self.accepted[machine.id]}, restarts with {accepted}")

    def on_turn(self, machine: Machine, event: Event | None, effects: list[Effect]) -> None:
        """One turn of one node."""
        self.world.counts.events += 1
        for position, effect in enumerate(effects):
            if isinstance(effect, Save):
                if position:
                    self.fail(2, "a Save that is not the first effect of its turn")
                self._on_save(machine, effect)
            elif isinstance(effect, Send):
                self._on_say(machine, effect)
            elif isinstance(effect, Reply):
                pass
        self._check_room(machine)
        if isinstance(event, MessageReceived) and self.world.counts.events % 64 == 0:
            self.trace.append(f"{self.world.loop.time():.6f} {machine.name} {type(event.message).__name__}")

    def _on_save(self, machine: Machine, save: Save) -> None:
        for rec in save.rows:
            if rec.origin != machine.node.replica.origin and (rec.origin, rec.seq) not in self.content:
                continue
            known = self.content.setdefault((rec.origin, rec.seq), rec)
            if known != rec:
                self.fail(3, f"({rec.origin}, {rec.seq}) names two contents")
        meta = dict(save.meta)
        if "accepted_term" in meta or "accepted_leader" in meta:
            accepted = machine.node.election.accepted
            if accepted < self.accepted.get(machine.id, (0, "")):
                self.fail(5, f"{machine.name} accepts {accepted} after {self.accepted[machine.id]}")
            self.accepted[machine.id] = accepted

    def _on_say(self, machine: Machine, effect: Send) -> None:
        message = effect.message
        if isinstance(message, VoteReply) and message.granted:
            before = self.votes.setdefault((machine.id, message.term), effect.to)
            if before != effect.to and self.honest:
                self.fail(4, f"{machine.name} votes twice in term {message.term}")
        elif isinstance(message, Heartbeat):
            life = self.leaders.setdefault((message.term, machine.id), machine.lives)
            if life != machine.lives and self.honest:
                self.fail(4, f"{machine.name} leads term {message.term} in two lives")
        elif isinstance(message, Grant):
            self._check_grant(machine, message)

    def _check_grant(self, machine: Machine, grant: Grant) -> None:
        """A leader that knows better must not grant (8)."""
        job = machine.node.jobs.get(grant.ref.job)
        if job is None:
            self.fail(8, f"{machine.name} grants a task of a job that it does not know")
            return
        if job.cancelled or job.paused:
            self.fail(8, f"{machine.name} grants {grant.ref} of a cancelled or paused job")
        if grant.ref.task >= job.grantable_below:
            self.fail(8, f"{machine.name} grants {grant.ref} before the gate is open")
        if job.is_done(grant.ref.task):
            self.fail(6, f"{machine.name} grants {grant.ref}, which is done")

    def _check_room(self, machine: Machine) -> None:
        """Nothing beyond what is advertised (9): at the node, and in the leader's books."""
        node = machine.node
        claims = [live.claim for live in node.worker.live.values()]
        if sum(c.cores for c in claims) > node.body.cores or sum(c.ram_bytes for c in claims) > node.body.ram_bytes:
            self.fail(9, f"{machine.name} runs more than it offers")
        if node.body.slots and len(claims) > node.body.slots:
            self.fail(9, f"{machine.name} runs {len(claims)} attempts in {node.body.slots} slots")

    def on_send(self, sender: NodeId, effect: Send) -> None:
        """A message goes out: what it says must be durable at its sender (2)."""

    def on_start(self, node: NodeId, effect: StartAttempt) -> None:
        """A process starts: an attempt id runs at most once (7)."""
        if effect.ref in self.started:
            self.fail(7, f"{effect.ref} starts on {node} after {self.started[effect.ref]}")
        self.started[effect.ref] = node
        machine = self.world.by_id[node]
        row = [
            key for key in machine.disk.image.rows if key[0] == Kind.ATTEMPT and attempt_ref_of(key[1]) == effect.ref
        ]
        if not row:
            self.fail(2, f"{effect.ref} starts on {machine.name} before its row is durable")
        key = (effect.ref.job, effect.ref.task, 0)
        self.task_starts[key] = self.task_starts.get(key, 0) + 1

    def on_ask(self, machine: Machine, client: int, op: str, args: dict[str, Any]) -> None:
        """A client asks."""
        self.asked[client] = (machine.id, op, args)

    def on_reply(self, node: NodeId, effect: Reply) -> None:
        """A client is told that something is stored: it must be on that node's disk now (2)."""
        _, op, _ = self.asked[effect.client]
        if effect.error is not None or not isinstance(effect.data, dict) or "stored" not in effect.data:
            return
        self.acknowledged[effect.client] = (op, effect.data)
        machine = self.world.by_id[node]
        if op == "job.submit":
            job = effect.data["job"]
            rows = [rec for rec in machine.disk.image.rows.values() if rec.kind == Kind.JOB]
            if not any(machine.node.jobs.get(job) is not None and rec.pk == _pk(job) for rec in rows):
                self.fail(2, f"{machine.name} acknowledges job {job} that its disk does not hold")

    # -- passes over whole replicas -------------------------------------------------------------------------------

    def check_replicas(self) -> None:
        """Equal vectors mean equal rows (1); the running digest is right; the incremental fold is right (13)."""
        seen: dict[int, tuple[Machine, int]] = {}
        for machine in self.world.up():
            replica = machine.node.replica
            if replica.digest != replica.digest_from_scratch():
                self.fail(1, f"{machine.name}: the running digest is wrong")
            if replica.conflicts:
                self.fail(3, f"{machine.name} saw one number with two contents")
            other = seen.setdefault(replica.vector_hash, (machine, replica.digest))
            if other[1] != replica.digest:
                self.fail(1, f"{machine.name} and {other[0].name}: equal vectors, different rows")

    def check_folds(self) -> None:
        """The incremental fold equals the fold from scratch (13), and every waiting task has a reason."""
        for machine in self.world.up():
            node, now = machine.node, machine.clock.now()
            fresh = Jobs.from_scratch(node.replica.rows(), now)
            for job in node.jobs:
                other = fresh.get(job.id)
                if other is None:
                    self.fail(13, f"{machine.name}: job {job.id} is in the fold but not in the rows")
                    continue
                for what in ("done_count", "cancelled", "priority", "paused_by_person"):
                    if getattr(job, what) != getattr(other, what):
                        self.fail(13, f"{machine.name}: {what} of {job.id} differs from the fold from scratch")
                reasons = node.door.explain.why(job, None, now)["reasons"]
                if not all(reason["text"] for reason in reasons):
                    self.fail(13, f"{machine.name}: a waiting task of {job.id} has no reason")

    def note_done(self) -> None:
        """Remember every done attempt that is durable anywhere (6)."""
        for machine in self.world.machines:
            for rec in machine.disk.image.rows.values():
                if rec.kind == Kind.ATTEMPT and rec.rank == Rank.FINAL:
                    self.done[attempt_ref_of(rec.pk)] = rec

    def check_done_survives(self) -> None:
        """No done attempt is lost or changed (6)."""
        for machine in self.world.up():
            rows = {attempt_ref_of(rec.pk): rec for rec in machine.node.replica.rows_of(Kind.ATTEMPT)}
            for ref, rec in self.done.items():
                if machine.node.jobs.is_deleted(ref.job):
                    continue
                found = rows.get(ref)
                if found is None or found.rank != Rank.FINAL or found.body != rec.body:
                    self.fail(6, f"{machine.name} lost the done attempt {ref}")
                body = unpack_body(AttemptBody, rec.body)
                for output in body.outputs:
                    holder = self.world.by_id[body.node].blobs.held.get(output.blob)
                    if holder is not None and str(ref).encode() not in holder:
                        self.fail(7, f"{ref} names an output that another attempt painted")


def _pk(job: JobId) -> bytes:
    from protocol.records import job_pk  # noqa: PLC0415  # only here

    return job_pk(job)
