"""Replication as a whole: the join is a join, and no order, loss, copy or crash makes equal vectors differ.

The variants that the design rejected stand here as mutants: each must be *caught* by the same checker, by an explicit
example (random search alone misses some), while the real thing passes the very same example.
"""

from __future__ import annotations

import itertools
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from farmd.core import antientropy
from farmd.core.antientropy import Antientropy
from farmd.core.gossip import Gossip
from farmd.core.replica import Change, Replica
from farmd.core.rows import shelf_of
from farmd.core.turn import Instant, Turn
from protocol.clock import HybridClock
from protocol.ids import AttemptId, AttemptRef, NodeId, TaskIndex, new_job_id
from protocol.messages import DeltaAsk, DeltaPart, Push, Span
from protocol.records import JobField, Kind, Rank, Rec, attempt_pk, job_control_pk, job_pk, row_hash, stamp
from tests.core.replication_net import Host, Net, divergences, state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


NODE = NodeId("00000000000000aa")
JOBS = [new_job_id(1_800_000_000_000, Random(seed)) for seed in range(2)]


def pause_pk(job: int) -> bytes:
    return job_control_pk(JOBS[job], JobField.PAUSED)


def delete_pk(job: int) -> bytes:
    return job_control_pk(JOBS[job], JobField.DELETED)


def try_pk(job: int, task: int) -> bytes:
    return attempt_pk(AttemptRef(JOBS[job], TaskIndex(task), AttemptId(1, NODE, 1)))


# Everything a host can write: few keys, so that versions meet.
WRITES: list[tuple[int, bytes, int]] = [
    (Kind.NODE, b"a", Rank.NORMAL),
    (Kind.NODE, b"b", Rank.NORMAL),
    *[(Kind.JOB, job_pk(job), Rank.NORMAL) for job in JOBS],
    *[(Kind.JOB_CONTROL, pause_pk(job), Rank.NORMAL) for job in (0, 1)],
    *[(Kind.ATTEMPT, try_pk(job, 0), rank) for job in (0, 1) for rank in Rank],
    (Kind.JOB_CONTROL, delete_pk(0), Rank.FINAL),
]


# -- the join ------------------------------------------------------------------------------------------------------------


@st.composite
def histories(draw: st.DrawFn) -> list[list[Rec]]:
    """Streams of up to three origins over few keys: each number once, stamps in any relation to each other."""
    streams = []
    for origin in (1, 2, 3):
        stream = []
        for seq in range(1, draw(st.integers(0, 6)) + 1):
            kind, pk, rank = draw(st.sampled_from(WRITES))
            ver, hlc = draw(st.integers(1, 3)), draw(st.integers(0, 2)) * 100 + seq
            stream.append(Rec(kind, pk, ver, hlc, origin, seq, rank, b"%d.%d" % (origin, seq)))
        streams.append(stream)
    return streams


def fresh_turn() -> Turn:
    return Turn(Instant(0.0, 1_800_000_000_000))


def joined(streams: Sequence[Sequence[Rec]]) -> Replica:
    """Take whole streams in, one after the other."""
    replica = Replica(Random(0), HybridClock())
    for stream in streams:
        if stream:
            replica.apply(fresh_turn(), stream, [(stream[-1].origin, stream[-1].seq)])
    replica.check()
    return replica


def pull(target: Replica, source: Replica) -> None:
    target.apply(fresh_turn(), source.delta(target.vector), source.vector.pairs())


@given(histories())
def test_join_is_commutative_associative_and_idempotent(streams: list[list[Rec]]) -> None:
    all_orders = [joined(order) for order in itertools.permutations(streams)]
    left, right = joined(streams[:2]), joined(streams[1:])
    pull(left, right)
    again = joined([*streams, *streams])
    for other in (*all_orders[1:], left, again):
        assert state_of(other) == state_of(all_orders[0])
        assert (other.digest, other.vector_hash) == (all_orders[0].digest, all_orders[0].vector_hash)


@given(histories(), st.data())
def test_state_is_a_function_of_the_vector(streams: list[list[Rec]], data: st.DataObject) -> None:
    """Any walk of single writes, prefixes and deltas to a vector ends in the state that the definition names."""
    walkers = [Replica(Random(seed), HybridClock()) for seed in range(2)]
    for _ in range(data.draw(st.integers(0, 12))):
        walker, other = data.draw(st.permutations(walkers))
        stream = data.draw(st.sampled_from(streams))
        if data.draw(st.booleans()) or not stream:
            pull(walker, other)
        else:
            known = walker.vector.known(stream[0].origin)
            upto = data.draw(st.integers(known, len(stream)))
            walker.apply(fresh_turn(), stream[known:upto], [(stream[0].origin, upto)])
        walker.check()
    for walker in walkers:
        assert state_of(walker) == by_definition(streams, walker)


def by_definition(streams: list[list[Rec]], walker: Replica) -> dict[tuple[int, bytes], Rec]:
    best: dict[tuple[int, bytes], Rec] = {}
    for rec in itertools.chain.from_iterable(streams):
        standing = best.get((rec.kind, rec.pk))
        if rec.seq <= walker.vector.known(rec.origin) and (standing is None or stamp(rec) > stamp(standing)):
            best[rec.kind, rec.pk] = rec
    if (Kind.JOB_CONTROL, delete_pk(0)) in best:
        gone = job_pk(JOBS[0])
        best = {key: rec for key, rec in best.items() if key[1] == delete_pk(0) or key[1][:10] != gone}
    return best


@given(histories())
def test_changes_replayed_give_the_rows(streams: list[list[Rec]]) -> None:
    replica = joined(streams)
    replayed: dict[tuple[int, bytes], Rec] = {}
    for old, new in replica.take_changes():
        rec = new or old
        assert rec is not None
        assert replayed.get((rec.kind, rec.pk)) == old
        replayed.pop((rec.kind, rec.pk), None)
        if new is not None:
            replayed[new.kind, new.pk] = new
    assert replayed == state_of(replica)


# -- the state machine -----------------------------------------------------------------------------------------------------

HOSTS = st.integers(0, 2)


class Farm(RuleBasedStateMachine):
    """Three hosts that write, delete, push, pull, lose and repeat messages, crash, and fall back to backups."""

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        self.net = Net(3, seed=seed)
        self.backups = [host.disk.copy() for host in self.net.hosts.values()]
        self.written = 0

    @rule(host=HOSTS, what=st.sampled_from(WRITES))
    def write(self, host: int, what: tuple[int, bytes, int]) -> None:
        self.written += 1
        kind, pk, rank = what
        self.net[host].write(kind, pk, b"%d" % self.written, rank)

    @rule(host=HOSTS, whats=st.lists(st.sampled_from(WRITES), min_size=2, max_size=4))
    def write_in_one_turn(self, host: int, whats: list[tuple[int, bytes, int]]) -> None:
        self.written += 1
        target = self.net[host]

        def action(turn: Turn) -> None:
            for kind, pk, rank in whats:
                target.replica.write(turn, kind, pk, b"%d" % self.written, rank=rank)

        target.act(action)

    @rule(host=HOSTS, leader=HOSTS)
    def follow(self, host: int, leader: int) -> None:
        self.net[host].gossip.set_leader(self.net[leader].node)

    @rule(asker=HOSTS, peer=HOSTS)
    def pull(self, asker: int, peer: int) -> None:
        if asker != peer:
            self.net[asker].pull_from(self.net[peer])

    @rule(seconds=st.sampled_from([0.02, 0.1, 1.0, 11.0]), host=HOSTS)
    def tick(self, seconds: float, host: int) -> None:
        self.net.at_s += seconds
        self.net[host].act(self.net[host].gossip.on_timer)

    @precondition(lambda self: self.net.flight)
    @rule(data=st.data(), fate=st.sampled_from(["deliver", "deliver", "deliver", "repeat", "lose"]))
    def mail(self, data: st.DataObject, fate: str) -> None:
        letter = data.draw(st.sampled_from(sorted(self.net.flight, key=lambda letter: letter[1])))
        if fate != "repeat":
            self.net.flight.remove(letter)
        if fate != "lose":
            self.net.hand_over(letter)

    @rule()
    def deliver_all(self) -> None:
        self.net.deliver()

    @rule(host=HOSTS)
    def back_up(self, host: int) -> None:
        self.backups[host] = self.net[host].disk.copy()

    @rule(host=HOSTS)
    def crash(self, host: int) -> None:
        self.net[host].start()

    @rule(host=HOSTS)
    def crash_and_restore_backup(self, host: int) -> None:
        """The tail is lost; connections break, so nothing of the former life is under way any more."""
        self.net.take(to=self.net[host])
        self.net.take(sender=self.net[host])
        self.net[host].disk = self.backups[host].copy()
        self.net[host].start()

    @invariant()
    def equal_vectors_mean_equal_rows(self) -> None:
        if hasattr(self, "net"):
            assert divergences(self.net) == []
            for host in self.net.hosts.values():
                host.replica.check()
                assert host.errors == []

    @invariant()
    def disks_hold_what_the_replicas_say(self) -> None:
        if hasattr(self, "net"):
            for host in self.net.hosts.values():
                assert host.disk.rows == state_of(host.replica)
                assert host.disk.vector == dict(host.replica.vector)

    def teardown(self) -> None:
        if hasattr(self, "net"):
            self.net.exchange_all()
            self.equal_vectors_mean_equal_rows()
            assert len({host.replica.vector_hash for host in self.net.hosts.values()}) == 1
            assert all(host.replica.conflicts == 0 for host in self.net.hosts.values())


TestFarm = Farm.TestCase
TestFarm.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)


# -- mutants ---------------------------------------------------------------------------------------------------------------


class ChunkedPull(Antientropy):
    """Wrong: each part of a delta is taken in with the vector that its own streams reach."""

    def on_ask(self, turn: Turn, sender: NodeId, message: DeltaAsk) -> None:
        theirs = dict(message.vector)
        rows = self._replica.delta(theirs)
        reached = dict(self._replica.vector.beyond(theirs))
        for rec in rows:
            reached.pop(rec.origin, None)
        for part, rec in enumerate(rows):
            vector = (*reached.items(), (rec.origin, rec.seq))
            turn.send(sender, DeltaPart(message.ask, part, len(rows), (rec,), vector))

    def on_part(self, turn: Turn, sender: NodeId, message: DeltaPart) -> None:
        self._replica.apply(turn, message.rows, message.vector)


class GossipWithChunkedPull(Gossip):
    """Production gossip around the wrong pull."""

    def __init__(self, self_id: NodeId, replica: Replica, rng: Random, alive: Callable[[], Sequence[NodeId]]) -> None:
        super().__init__(self_id, replica, rng, alive)
        self._antientropy = ChunkedPull(replica, self._acks)


class PushAnywhere(Gossip):
    """Wrong: a span is taken in though writes before it are missing."""

    def _joins(self, span: Span) -> bool:
        return True


class RebuiltSpans(Gossip):
    """Wrong: a relayed span carries only the rows that still stand at the relay."""

    def _enqueue(self, turn: Turn, span: Span, source: NodeId | None) -> bool:
        standing = tuple(row for row in span.rows if self._replica.get(row.kind, row.pk) == row)
        return super()._enqueue(turn, span._replace(rows=standing), source)


class MergedFields(Replica):
    """Wrong: bodies are joined field by field (here "x=1;y=2") under the stamp of the larger one."""

    def _merge(self, rec: Rec) -> bool:
        old = self.get(rec.kind, rec.pk)
        if old is None or old.origin == rec.origin:
            return super()._merge(rec)
        small, large = sorted((old, rec), key=stamp)
        fields = {part[:1]: part for part in [*small.body.split(b";"), *large.body.split(b";")]}
        both = large._replace(body=b";".join(fields[name] for name in sorted(fields)))
        if large is rec:
            self._place(both, old)
        else:
            self._rewrite(old, both)
        self._pending.rows[both.kind, both.pk] = both
        self._changes.append(Change(old, both))
        return True

    def _rewrite(self, old: Rec, both: Rec) -> None:
        """Put other contents under the number that stands."""
        self.digest ^= row_hash(old) ^ row_hash(both)
        self._shelves[shelf_of(old.kind, old.pk)][old.kind, old.pk] = both
        stream = self._streams._streams[old.origin]
        stream.recs[stream.seqs.index(old.seq)] = both


class ReusedNumbers(Replica):
    """Wrong: a database that went back in time goes on in its old stream."""

    def _rotate(self, turn: Turn, why: str) -> None:
        self.origin_confirmed = True


def push_to(host: Host, sender: Host, *spans: Span) -> None:
    host.act(lambda turn: host.gossip.on_message(turn, sender.node, Push(spans)))


def lose_half_a_delta(net: Net) -> None:
    """B supersedes A's row in its *second* write; C gets half of B's delta."""
    a, b, c = net[0], net[1], net[2]
    a.write(Kind.NODE, b"k", b"x=1")
    net.deliver(Push, to=b)
    b.write(Kind.NODE, b"j", b"x=2")
    net.deliver(Push, to=a)
    b.write(Kind.NODE, b"k", b"x=3")
    net.take()
    c.pull_from(b)
    while not any(isinstance(letter[4], DeltaPart) for letter in net.flight):
        net.deliver()
    net.hand_over(net.take(DeltaPart)[0])


def lose_a_push(net: Net) -> None:
    """A writes twice; only the second push arrives at B."""
    net[0].write(Kind.NODE, b"k", b"x=1")
    net.take()
    net[0].write(Kind.NODE, b"j", b"x=2")
    net.deliver(Push)


def relay_a_superseded_row(net: Net) -> None:
    """B has superseded A's row when it relays A's span to C, and its own span is lost."""
    a, b, c = net[0], net[1], net[2]
    old = a.write(Kind.NODE, b"k", b"x=1")
    net.deliver(Push, to=b)
    b.write(Kind.NODE, b"k", b"x=2")
    net.take()
    b.gossip._fresh.clear()
    b.act(lambda turn: b.gossip._enqueue(turn, Span(old.origin, 0, 1, (old,)), a.node))
    net.at_s += 1.0
    b.act(b.gossip.on_timer)
    net.deliver(Push, to=c)


def three_writers_of_one_row(net: Net) -> None:
    """Three concurrent versions of one row, taken in in two orders."""
    hosts = [net[number] for number in range(3)]
    bodies = (b"x=1", b"x=2", b"y=3")
    spans = []
    for host, body in zip(hosts, bodies, strict=True):
        net.at_s += 1.0
        rec = host.write(Kind.NODE, b"k", body)
        spans.append(Span(rec.origin, 0, 1, (rec,)))
    net.take()
    push_to(hosts[0], hosts[2], spans[2], spans[1])
    push_to(hosts[1], hosts[2], spans[2], spans[0])


def write_after_a_lost_tail(net: Net) -> None:
    """A is restored from a backup that lacks what B has, and writes again."""
    a, b = net[0], net[1]
    a.write(Kind.NODE, b"k", b"x=1")
    net.quiesce()
    backup = a.disk.copy()
    a.write(Kind.NODE, b"k", b"x=2")
    net.quiesce()
    net.take()
    a.disk = backup
    a.start()
    net.take()
    a.write(Kind.NODE, b"k", b"x=4")
    b.pull_from(a)
    net.quiesce()


EXAMPLES: list[tuple[str, Callable[[Net], None], type[Replica], type[Gossip]]] = [
    ("chunked-pull", lose_half_a_delta, Replica, GossipWithChunkedPull),
    ("push-anywhere", lose_a_push, Replica, PushAnywhere),
    ("rebuilt-spans", relay_a_superseded_row, Replica, RebuiltSpans),
    ("merged-fields", three_writers_of_one_row, MergedFields, Gossip),
    ("reused-numbers", write_after_a_lost_tail, ReusedNumbers, Gossip),
]


def net_of(replica_class: type[Replica], gossip_class: type[Gossip]) -> Net:
    net = Net(3, replica_class=replica_class, gossip_class=gossip_class)
    net.quiesce()
    return net


@pytest.mark.parametrize(
    ("scene", "replica_class", "gossip_class"), [e[1:] for e in EXAMPLES], ids=[e[0] for e in EXAMPLES]
)
def test_rejected_variant_diverges_and_is_caught(
    scene: Callable[[Net], None],
    replica_class: type[Replica],
    gossip_class: type[Gossip],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(antientropy, "PART_BYTES", 1)
    net = net_of(replica_class, gossip_class)
    scene(net)
    assert divergences(net) != []


@pytest.mark.parametrize("scene", [e[1] for e in EXAMPLES], ids=[e[0] for e in EXAMPLES])
def test_real_thing_holds_where_the_variant_diverges(
    scene: Callable[[Net], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(antientropy, "PART_BYTES", 1)
    net = net_of(Replica, Gossip)
    scene(net)
    assert divergences(net) == []
    net.exchange_all()
    assert divergences(net) == []
    assert len({host.replica.digest for host in net.hosts.values()}) == 1


# -- random search ---------------------------------------------------------------------------------------------------------


def wander(net: Net, rng: Random, steps: int) -> list[str]:
    """Let seeded chance act on a farm until something diverges; everything is exchanged at the end."""
    backups = [host.disk.copy() for host in net.hosts.values()]
    for step in range(steps):
        number = rng.randrange(3)
        host = net[number]
        match rng.choices(("write", "pull", "mail", "lose", "back up", "restore"), (6, 3, 9, 3, 1, 1))[0]:
            case "write":
                host.write(Kind.NODE, rng.choice((b"a", b"b")), b"%s=%d" % (rng.choice((b"x", b"y", b"z")), step))
            case "pull":
                host.pull_from(net[(number + rng.choice((1, 2))) % 3])
            case "mail" if net.flight:
                letter = rng.choice(sorted(net.flight, key=lambda letter: letter[1]))
                net.flight.remove(letter)
                net.hand_over(letter)
            case "lose" if net.flight:
                net.flight.remove(rng.choice(sorted(net.flight, key=lambda letter: letter[1])))
            case "back up":
                backups[number] = host.disk.copy()
            case "restore":
                net.take(to=host)
                net.take(sender=host)
                host.disk = backups[number].copy()
                host.start()
        net.at_s += rng.choice((0.05, 0.5, 3.0))
        host.act(host.gossip.on_timer)
        if found := divergences(net):
            return found
    net.exchange_all()
    return divergences(net)


VARIANTS = [e for e in EXAMPLES if e[0] in {"push-anywhere", "merged-fields", "reused-numbers"}]


@pytest.mark.parametrize(("replica_class", "gossip_class"), [e[2:] for e in VARIANTS], ids=[e[0] for e in VARIANTS])
def test_random_search_finds_the_variant(replica_class: type[Replica], gossip_class: type[Gossip]) -> None:
    found = [
        seed
        for seed in range(40)
        if wander(Net(3, seed=seed, replica_class=replica_class, gossip_class=gossip_class), Random(seed), 60)
    ]
    assert len(found) >= 3


def test_random_search_finds_nothing_in_the_real_thing() -> None:
    for seed in range(80):
        assert wander(Net(3, seed=seed), Random(seed), 60) == [], f"seed {seed}"
