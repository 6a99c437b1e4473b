"""The invariants of the design, checked while a history unfolds. A broken one names itself and the seed.

Numbers follow docs/explanation/invariants. What is cheap is checked after every event; what costs a pass over a
replica is checked now and then and at the end (`tests.sim.passes`).

A disk that lied about syncing excuses, on its machine alone, what rests on the disk: votes and accepted terms (4, 5),
and acknowledgements that said "stored here only" (2). It never excuses that one number names two contents (3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zlib import crc32

from farmd.core.attempts import read_attempt
from farmd.core.effects import Note, Reply, Save, Send, StartAttempt
from farmd.core.events import PackWritten
from farmd.core.gate import grantable_below
from farmd.core.gossip import QUEUE_BYTES
from farmd.core.incoming import piece_count
from farmd.core.pieces import Pieces
from protocol.bodies import HoldingBody, unpack_body
from protocol.ids import TaskIndex, unpack_job
from protocol.messages import DeltaPart, Grant, Heartbeat, HeartbeatAck, PartHas, PartIs, Push, PushAck, VoteReply
from protocol.records import HoldingWhat, JobField, Kind, attempt_pk
from protocol.states import AttemptState
from tests.sim.blobs import address_of
from tests.sim.passes import rows_told

if TYPE_CHECKING:
    from collections.abc import Iterable

    from farmd.core.capacity import Claim
    from farmd.core.effects import Effect
    from farmd.core.events import Event
    from farmd.core.job import Job
    from protocol.ids import AttemptRef, BlobAddress, JobId, NodeId
    from protocol.records import Rec
    from tests.sim.machine import Machine
    from tests.sim.world import World

MAX_INBOX = 20_000
TOLD = (
    "leader", "submitted", "pause", "resume", "cancel", "delete", "approve", "reject", "retry", "priority", "hold",
    "release", "drain", "edit", "archive", "unarchive", "price", "origin-rotated", "replica-diverged", "replica-conflict", "store-failed", "store-healed", "evicted",
    "attempts-lost", "peer-corrupt", "peer-lies", "blob-corrupt", "result-lost", "delivery-failed", "manifest-unreadable", "member.epoch", "peer-error", "started",
)  # fmt: skip
"""Notes that stand in the story."""


class Broken(AssertionError):
    """An invariant does not hold."""


class Watch:
    """Sees every turn, send, start and answer of a history.

    Attributes:
        digest: Of all events and effects so far: equal for equal histories.
        exact: Take the whole of each effect into the digest, not only its kind.
    """

    def __init__(self, *, exact: bool = False) -> None:
        self.world: World
        self.exact = exact
        self.digest = 0
        self.content: dict[tuple[int, int], Rec] = {}
        self.started: dict[AttemptRef, tuple[NodeId, float]] = {}
        self.votes: dict[tuple[NodeId, int], NodeId] = {}
        self.accepted: dict[NodeId, tuple[int, str]] = {}
        self.done: dict[AttemptRef, tuple[Rec, dict[NodeId, None]]] = {}
        self._read: dict[tuple[NodeId, int, int], None] = {}
        self.deleted: dict[NodeId, dict[JobId, None]] = {}
        self.acknowledged: list[tuple[NodeId, dict[tuple[int, bytes], Rec], dict[str, Any]]] = []
        self.asked: dict[int, tuple[NodeId, str, dict[str, Any]]] = {}
        self.leaders: dict[tuple[int, NodeId], int] = {}
        self.leader_changes = 0
        self._told: dict[str, None] = {}

    def fail(self, number: int, text: str) -> None:
        """Say which invariant is broken, and end the history."""
        at = self.world.loop.time()
        broken = Broken(f"invariant {number} broken at {at:.3f} s, seed {self.world.seed}: {text}")
        self.world.loop.failure = self.world.loop.failure or broken
        raise broken

    def on_lie(self, machine: Machine) -> None:
        """The machine's disk is about to lose what it had confirmed."""
        machine.lied_at = self.world.loop.time()
        self.accepted.pop(machine.id, None)
        self.deleted.pop(machine.id, None)
        for key in [key for key in self.votes if key[0] == machine.id]:
            del self.votes[key]
        for pair in [pair for pair in self.leaders if pair[1] == machine.id]:
            del self.leaders[pair]

    # -- turns ----------------------------------------------------------------------------------------------------

    def on_birth(self, machine: Machine) -> None:
        """A daemon starts: what it accepted before must still be in force (5)."""
        image = machine.disk.image
        accepted = (image.meta.get("accepted_term", 0), image.meta.get("accepted_leader", ""))
        if accepted < self.accepted.get(machine.id, (0, "")):
            self.fail(5, f"{machine.name} accepted {self.accepted[machine.id]}, restarts with {accepted}")

    def on_turn(self, machine: Machine, event: Event | None, effects: list[Effect]) -> None:
        """One turn of one node."""
        world = self.world
        world.counts.events += 1
        self.digest = crc32(
            f"{world.loop.now!r}{machine.index}{type(event).__name__}{len(effects)}".encode(), self.digest
        )
        if self.exact:
            self.digest = crc32(repr((event, effects)).encode(), self.digest)
        self._check_pack(machine, event)
        starts = False
        for position, effect in enumerate(effects):
            kind = type(effect)
            if kind is Send and type(effect.message) is Grant:  # type: ignore[union-attr]  # its kind was just seen
                self.on_grant(machine, effect.to, effect.message)  # type: ignore[union-attr]
            elif kind is Save:
                if position:
                    self.fail(2, "a Save that is not the first effect of its turn")
                self._on_save(machine, effect)  # type: ignore[arg-type]
            elif kind is StartAttempt:
                starts = True
                self._on_grant_taken(machine, effect)  # type: ignore[arg-type]
            elif kind is Note:
                self._on_note(machine, effect)  # type: ignore[arg-type]
        if starts:
            self._check_room(machine)
        if world.counts.events % 64 == 0:
            self._check_bounds(machine)

    def _on_note(self, machine: Machine, note: Note) -> None:
        if note.what in TOLD:
            self.world.say(f"{machine.name}: {note.what}: {note.text} {note.job}")
            self.leader_changes += note.what == "leader" and note.text.startswith("leads in term")
        elif note.what == "job" and (note.job + note.text) not in self._told:
            self._told[note.job + note.text] = None
            self.world.say(f"{machine.name} sees job {note.job} {note.text}")

    def _on_save(self, machine: Machine, save: Save) -> None:
        """A number names one content (3), from the moment on at which another node has heard of it."""
        replica = machine.node.replica
        for rec in save.rows:
            known = self.content.get((rec.origin, rec.seq))
            if known is None:
                if not replica.is_own(rec.origin):
                    self.content[rec.origin, rec.seq] = rec
            elif known != rec:
                self.fail(3, f"({rec.origin}, {rec.seq}) names two contents: {known} and {rec}")
            if rec.kind == Kind.HOLDING and replica.is_own(rec.origin):
                self._check_claim(machine, rec)
        if not save.meta:
            return
        meta = dict(save.meta)
        if "accepted_term" in meta or "accepted_leader" in meta:
            accepted = machine.node.election.accepted
            if accepted < self.accepted.get(machine.id, (0, "")):
                self.fail(5, f"{machine.name} accepts {accepted} after {self.accepted[machine.id]}")

    def _check_pack(self, machine: Machine, event: Event | None) -> None:
        """What the store takes for complete is what it is called (14)."""
        for blob in event.ok if type(event) is PackWritten else ():
            content = machine.blobs.held.get(blob)
            if content is not None and blob not in machine.blobs.rotten and address_of(content) != blob:
                self.fail(14, f"{machine.name} took something else for {blob}")

    def _check_claim(self, machine: Machine, rec: Rec) -> None:
        """Nobody says that it keeps a copy of a result which the next power cut would take (2)."""
        if rec.pk[8] != HoldingWhat.OUTPUTS or (job := machine.node.jobs.get(unpack_job(rec.pk[9:19]))) is None:
            return
        runs = unpack_body(HoldingBody, rec.body).runs
        for task in [at for start, end in runs for at in range(start, end + 1)]:
            result = job.result_of(TaskIndex(task))
            for output in result.body.outputs if result is not None else ():
                if output.blob in machine.blobs.unsettled:
                    self.fail(2, f"{machine.name} says that it keeps task {task} of {job.id}, which is not synced")

    def _check_reign(self, machine: Machine, term: int) -> None:
        """A restarted leader never goes on in a term that it remembers (4)."""
        if self.leaders.setdefault((term, machine.id), machine.lives) != machine.lives:
            self.fail(4, f"{machine.name} leads term {term} in two lives")

    def on_grant(self, machine: Machine, to: NodeId, grant: Grant) -> None:
        """A leader that knows better must not grant (8), nor beyond what is offered (9)."""
        node, ref = machine.node, grant.ref
        job = node.jobs.get(ref.job)
        if job is None:
            self.fail(8, f"{machine.name} grants a task of a job that it does not know")
            return
        paused = job.control(JobField.PAUSED)
        if job.cancelled or job.paused_by_failures or (paused is not None and paused.value):
            self.fail(8, f"{machine.name} grants {ref} of a cancelled or paused job")
        if ref.task >= grantable_below(job.gate, job.plan):
            self.fail(8, f"{machine.name} grants {ref} before the gate is open")
        if job.given_up:
            self.fail(8, f"{machine.name} grants {ref} of a job that was given up")
        if to in job.barred_nodes():
            self.fail(8, f"{machine.name} grants {ref} to a machine that lacks a feature for it")
        if node.jobs.blocked_by(ref.job):
            self.fail(8, f"{machine.name} grants {ref} before the jobs that it comes after")
        attempts, generation = job.tasks.attempts_of(ref.task), job.generation_of(ref.task)
        if any(other.state == AttemptState.DONE and other.generation >= generation for other in attempts):
            self.fail(6, f"{machine.name} grants {ref}, which is done")
        if not node.registry.is_admitted(to):
            self.fail(8, f"{machine.name} grants {ref} to a machine whose key is revoked")
        capacity = node.leader.matcher.get(to)
        if capacity is None or capacity.free_cores < 0 or capacity.free_ram_bytes < 0:
            self.fail(9, f"{machine.name} grants {to} more than it offers")
            return
        self._check_claimed(machine, ref, capacity.claims.get(ref), job)

    def _check_claimed(self, machine: Machine, ref: AttemptRef, claim: Claim | None, job: Job) -> None:
        """What is set aside for a grant is what the job asks for now, not what it asked for at first (9)."""
        wants = job.spec.requirements
        if claim is not None and (claim.ram_bytes < wants.ram_bytes or claim.cores < wants.cores):
            self.fail(9, f"{machine.name} grants {ref} less than the job asks for by now")

    def _on_grant_taken(self, machine: Machine, effect: StartAttempt) -> None:
        """Nothing of a leader below the accepted one is started (5)."""
        attempt = effect.ref.attempt
        if (attempt.term, attempt.leader) < self.accepted.get(machine.id, (0, "")):
            self.fail(5, f"{machine.name} starts {effect.ref} below {self.accepted[machine.id]}")

    def _check_room(self, machine: Machine) -> None:
        """Nothing runs beyond what is advertised (9)."""
        node = machine.node
        claims = [live.claim for live in node.worker.live.values()]
        if sum(c.cores for c in claims) > node.body.cores or sum(c.ram_bytes for c in claims) > node.body.ram_bytes:
            self.fail(9, f"{machine.name} runs more than it offers")
        if node.body.slots and len(claims) > node.body.slots:
            self.fail(9, f"{machine.name} runs {len(claims)} attempts in {node.body.slots} slots")

    def _check_bounds(self, machine: Machine) -> None:
        """Queues stay bounded (12)."""
        assert machine.driver is not None
        gossip = machine.node.gossip
        if gossip._fresh_bytes > QUEUE_BYTES or len(gossip._antientropy._asks) > 1 + len(self.world.machines):
            self.fail(12, f"{machine.name}: gossip keeps too much")
        if len(machine.driver._inbox) > MAX_INBOX or len(machine.driver._next.effects) > MAX_INBOX:
            self.fail(12, f"{machine.name}: {len(machine.driver._inbox)} events wait")

    # -- effects that are carried out -----------------------------------------------------------------------------

    def on_send(self, sender: NodeId, effect: Send) -> None:
        """A message goes out: what it says must be on its sender's disk now (2)."""
        machine, message = self.world.by_id[sender], effect.message
        match message:
            case Heartbeat() | HeartbeatAck() | VoteReply():
                self._check_promise(machine, effect.to, message)
            case Push():
                self._check_durable(machine, [(span.origin, span.upto) for span in message.spans])
            case PushAck():
                self._check_durable(machine, message.known)
            case DeltaPart():
                self._check_durable(machine, message.vector)
            case PartIs(blob, pieces):
                self._check_offer(machine, blob, Pieces.from_bytes(piece_count(blob), pieces))
            case PartHas(blob, numbers):
                self._check_offer(machine, blob, numbers)

    def _check_offer(self, machine: Machine, blob: BlobAddress, numbers: Iterable[int]) -> None:
        """Nobody offers a piece that its store has not verified (14)."""
        verified = machine.blobs.verified.get(blob, {})
        for number in numbers:
            if number not in verified:
                self.fail(14, f"{machine.name} offers piece {number} of {blob}, which it never had")

    def _check_vote(self, machine: Machine, candidate: NodeId, term: int) -> None:
        if self.votes.setdefault((machine.id, term), candidate) != candidate:
            self.fail(4, f"{machine.name} votes twice in term {term}")
        if machine.disk.image.meta.get("term", 0) < term:
            self.fail(2, f"{machine.name} votes in term {term}, unsaved")

    def _check_promise(self, machine: Machine, to: NodeId, message: Heartbeat | HeartbeatAck | VoteReply) -> None:
        meta = machine.disk.image.meta
        match message:
            case Heartbeat():
                self._check_reign(machine, message.term)
                if meta.get("term", 0) < message.term:
                    self.fail(2, f"{machine.name} leads term {message.term}, unsaved")
            case HeartbeatAck():
                if meta.get("accepted_term", 0) < message.term:
                    self.fail(2, f"{machine.name} follows term {message.term}, unsaved")
                self._accept(machine)
            case VoteReply() if message.granted:
                self._check_vote(machine, to, message.term)

    def _accept(self, machine: Machine) -> None:
        """It has promised by now, aloud, to refuse what is lower."""
        meta = machine.disk.image.meta
        accepted = (meta.get("accepted_term", 0), meta.get("accepted_leader", ""))
        self.accepted[machine.id] = max(accepted, self.accepted.get(machine.id, accepted))

    def _check_durable(self, machine: Machine, pairs: Any) -> None:
        vector = machine.disk.image.vector
        for origin, seq in pairs:
            if vector.get(origin, 0) < seq:
                self.fail(2, f"{machine.name} tells of ({origin}, {seq}), which is not on its disk")

    def on_start(self, node: NodeId, effect: StartAttempt) -> None:
        """A process starts: an attempt id runs at most once (7), and its row is durable (2)."""
        machine = self.world.by_id[node]
        before = self.started.get(effect.ref)
        if before is not None and not self._has_forgotten(effect.ref, before[1]):
            self.fail(7, f"{effect.ref} starts on {machine.name} after {before[0]}")
        self.started[effect.ref] = (node, self.world.loop.time())
        if effect.ref.attempt.leader == node:
            self._check_reign(machine, effect.ref.attempt.term)
        key = (int(Kind.ATTEMPT), attempt_pk(effect.ref))
        if key not in machine.disk.image.rows and not machine.node.jobs.is_deleted(effect.ref.job):
            self.fail(2, f"{effect.ref} starts on {machine.name} before its row is durable")

    def on_checkout(self, node: NodeId, files: tuple[BlobAddress, ...]) -> None:
        """A process is about to read its files: they are what they are called (14)."""
        held = self.world.by_id[node].blobs.held
        for blob in files:
            if blob not in held or address_of(held[blob]) != blob:
                self.fail(14, f"{self.world.by_id[node].name} renders a damaged file")

    def _has_forgotten(self, ref: AttemptRef, at: float) -> bool:
        """The leader's disk has lied since: it no longer knows the term in which it gave that number away."""
        lied_at = self.world.by_id[ref.attempt.leader].lied_at
        return lied_at is not None and lied_at >= at

    def on_ask(self, machine: Machine, client: int, op: str, args: dict[str, Any]) -> None:
        """A client asks."""
        self.asked[client] = (machine.id, op, args)

    def on_reply(self, node: NodeId, effect: Reply) -> None:
        """A client is told that something is stored: it must be on that node's disk now (2)."""
        if effect.error is not None or not isinstance(effect.data, dict) or "stored" not in effect.data:
            return
        _, op, args = self.asked[effect.client]
        machine = self.world.by_id[node]
        rows = rows_told(machine, op, args, effect.data)
        if op == "job.submit" and not rows and not machine.node.jobs.is_deleted(effect.data["job"]):
            self.fail(2, f"{machine.name} acknowledges job {effect.data['job']} that its disk does not hold")
        self.acknowledged.append((node, rows, effect.data))

    def note_done(self) -> None:
        """Remember every done attempt that is durable anywhere, and where (6)."""
        for machine in self.world.machines:
            for key, rec in machine.disk.image.rows.items():
                if key[0] != Kind.ATTEMPT or (machine.id, rec.origin, rec.seq) in self._read:
                    continue
                self._read[machine.id, rec.origin, rec.seq] = None
                attempt = read_attempt(rec)
                if attempt.state == AttemptState.DONE:
                    self.done.setdefault(attempt.ref, (rec, {}))[1][machine.id] = None
