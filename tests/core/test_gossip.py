"""Gossip over a network that the tests hold in their hands."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from farmd.core import antientropy, gossip
from farmd.core.effects import Send
from farmd.core.turn import Turn
from protocol.errors import PeerError
from protocol.messages import (
    DeltaAsk,
    DeltaPart,
    OriginAsk,
    OriginIs,
    Ping,
    PullAsk,
    PullSame,
    Push,
    PushAck,
    Span,
    VectorIs,
)
from protocol.records import Kind, Rec
from tests.core.replication_net import Host, Net, divergences, state_of

if TYPE_CHECKING:
    from protocol.ids import NodeId
    from protocol.messages import Message


def quiet_net(hosts: int, **options: float) -> Net:
    """Hosts after their start, nothing under way."""
    net = Net(hosts, **options)  # type: ignore[arg-type]  # loss or seed
    net.take()
    return net


def sends(host: Host, message: Message, sender: Host) -> list[Message]:
    turn = Turn(host.net.now())
    host.gossip.on_message(turn, sender.node, message)
    return [effect.message for effect in turn.effects if isinstance(effect, Send)]


def is_confirmed(host: Host) -> bool:
    return host.replica.origin_confirmed


def knows(host: Host, rec: Rec) -> bool:
    return host.replica.vector.known(rec.origin) >= rec.seq


# -- push ----------------------------------------------------------------------------------------------------------------


def test_own_rows_go_to_the_leader_and_one_other_in_the_same_turn() -> None:
    net = quiet_net(5)
    net[0].gossip.set_leader(net[3].node)
    rec = net[0].write(Kind.NODE, b"k", b"body")
    letters = net.take(Push)
    assert len({to for _, _, _, to, _ in letters}) == 2
    assert letters[0][3] == net[3].node
    assert letters[0][4] == Push((Span(rec.origin, 0, 1, (rec,)),))


def test_ack_of_the_leader_comes_within_one_round_trip() -> None:
    net = quiet_net(5)
    net[0].gossip.set_leader(net[3].node)
    rec = net[0].write(Kind.NODE, b"k", b"body")
    assert net[0].gossip.acked_by(rec.origin, rec.seq) == []
    net.deliver(Push, to=net[3])
    net.deliver(PushAck)
    assert net[0].gossip.acked_by(rec.origin, rec.seq) == [net[3].node]
    assert [tuple(ack) for ack in net[0].gossip.take_acks()] == [(net[3].node, rec.origin, 1)]
    assert net[0].gossip.take_acks() == []


def test_every_send_waits_for_the_save() -> None:
    net = quiet_net(3)
    net[0].write(Kind.NODE, b"k", b"")
    turn = Turn(net.now())
    net[0].gossip.pull_from(turn, net[1].node)
    net[0].gossip.on_timer(turn)
    assert turn.effects
    assert not any(isinstance(effect, Send) and effect.volatile for effect in turn.effects)


def test_nothing_fresh_asks_for_no_push_round() -> None:
    net = quiet_net(3)
    deadline = net[0].gossip.next_deadline()
    assert deadline is not None
    assert deadline > net.at_s, "only the pull is due"
    net[0].write(Kind.NODE, b"k", b"")
    assert net[0].gossip.next_deadline() == pytest.approx(net.at_s + gossip.GATHER_S)


def test_span_is_sent_in_two_rounds_of_three_peers_and_then_no_more() -> None:
    net = quiet_net(20)
    net[0].write(Kind.NODE, b"k", b"")
    net.take()
    for _ in range(5):
        net.at_s += gossip.PUSH_EVERY_S
        net[0].act(net[0].gossip.on_timer)
    assert len(net.take(Push)) == gossip.ROUNDS * gossip.FANOUT


def test_span_is_not_pushed_back_to_its_source_nor_to_who_acknowledged_it() -> None:
    net = quiet_net(2)
    net[0].write(Kind.NODE, b"k", b"")
    net.deliver()
    net.deliver()
    for host in (net[0], net[1]):
        net.at_s += gossip.PUSH_EVERY_S
        host.act(host.gossip.on_timer)
    assert net.take(Push) == []


def test_news_learned_from_a_push_is_relayed() -> None:
    net = quiet_net(10)
    net[0].write(Kind.NODE, b"k", b"")
    push = net.take(Push)[0][4]
    net[1].act(lambda turn: net[1].gossip.on_message(turn, net[0].node, push))
    net.take()
    net.at_s += gossip.PUSH_EVERY_S
    net[1].act(net[1].gossip.on_timer)
    relayed = net.take(Push)
    assert len(relayed) >= gossip.FANOUT - 1
    assert all(letter[4] == push for letter in relayed)


def test_span_behind_a_gap_is_left_to_pull() -> None:
    net = quiet_net(2)
    net[0].write(Kind.NODE, b"k", b"")
    net.take()
    net[0].write(Kind.NODE, b"j", b"")
    net.deliver(Push)
    assert len(net[1].replica) == 0
    assert net[1].gossip.counts.spans_gap == 1
    net[1].pull_from(net[0])
    net.quiesce()
    assert state_of(net[1].replica) == state_of(net[0].replica)


def test_span_that_overlaps_what_is_known_is_taken_in() -> None:
    net = quiet_net(2)
    one = net[0].write(Kind.NODE, b"k", b"")
    net.deliver(Push)
    two = net[0].write(Kind.NODE, b"j", b"")
    net.take()
    sends(net[1], Push((Span(one.origin, 0, 2, (one, two)),)), net[0])
    assert knows(net[1], two)


def test_push_of_one_stream_is_acknowledged_and_a_mixed_one_is_not() -> None:
    net = quiet_net(3)
    spans = tuple(Span(host.replica.origin, 0, 1, (host.write(Kind.NODE, b"k", b""),)) for host in (net[0], net[1]))
    net.take()
    assert sends(net[2], Push(spans[:1]), net[0]) == [PushAck(((net[0].replica.origin, 1),))]
    assert sends(net[2], Push(spans), net[0]) == []


def test_relay_carries_rows_that_are_superseded_here() -> None:
    net = quiet_net(3)
    first = net[0].write(Kind.NODE, b"k", b"old")
    net.deliver(Push, to=net[1])
    net[1].write(Kind.NODE, b"k", b"new")
    net.take()
    net.at_s += gossip.PUSH_EVERY_S
    net[1].act(net[1].gossip.on_timer)
    relayed = [span for letter in net.take(Push) for span in letter[4].spans if span.origin == first.origin]
    assert relayed
    assert all(span.rows == (first,) for span in relayed)


def test_span_over_the_limit_is_left_to_pull() -> None:
    net = quiet_net(2)
    net[0].write(Kind.NODE, b"k", bytes(gossip.PUSH_BYTES))
    assert net.take(Push) == []
    net[1].pull_from(net[0])
    net.quiesce()
    assert len(net[1].replica) == 1


def test_many_spans_are_split_over_rounds_below_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip, "PUSH_BYTES", 1000)
    net = quiet_net(9)
    for number in range(40):
        net[0].write(Kind.NODE, b"%d" % number, bytes(100))
    net.take()
    for _ in range(40):
        net.at_s += gossip.PUSH_EVERY_S
        net[0].act(net[0].gossip.on_timer)
    pushes = [letter[4] for letter in net.take(Push)]
    assert all(sum(len(row.body) for span in push.spans for row in span.rows) < 1000 for push in pushes)
    assert {span.upto for push in pushes for span in push.spans} == set(range(1, 41))


def test_queue_of_spans_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip, "QUEUE_BYTES", 2000)
    net = quiet_net(3)
    for number in range(100):
        net[0].write(Kind.NODE, b"%d" % number, bytes(100))
    assert net[0].gossip._fresh_bytes <= 2000
    assert net[0].gossip.counts.spans_left_to_pull > 80
    assert net[0].gossip._fresh_bytes == sum(fresh.size for fresh in net[0].gossip._fresh)


@pytest.mark.parametrize("span", [(7, -1, 1), (7, 1, 1), (7, 2, 1), (7, 1, 2), (8, 0, 1)])
def test_span_whose_rows_lie_outside_is_refused(span: tuple[int, int, int]) -> None:
    net = quiet_net(2)
    row = Rec(Kind.NODE, b"k", 1, 1, 7, 1, 0, b"")
    with pytest.raises(PeerError):
        sends(net[1], Push((Span(*span, (row,)),)), net[0])
    assert len(net[1].replica) == 0


def test_messages_of_others_are_declined() -> None:
    net = quiet_net(2)
    assert net[0].gossip.on_message(Turn(net.now()), net[1].node, Ping(1)) is False


# -- pull ----------------------------------------------------------------------------------------------------------------


def test_equal_replicas_exchange_two_small_messages() -> None:
    net = quiet_net(2)
    net[0].pull_from(net[1])
    assert net.deliver(PullAsk) == 1
    assert net.deliver(PullSame) == 1
    assert net.flight == []


def test_asker_that_has_more_makes_the_peer_ask() -> None:
    net = quiet_net(2)
    net[0].write(Kind.NODE, b"k", b"")
    net.take()
    net[0].pull_from(net[1])
    net.quiesce()
    assert len(net[1].replica) == 1
    net[0].pull_from(net[1])
    net.quiesce()
    assert net[0].gossip.acked_by(net[0].replica.origin, 1) == [net[1].node]


def test_one_pull_makes_both_sides_equal() -> None:
    net = quiet_net(2)
    for host in (net[0], net[1]):
        for number in range(5):
            host.write(Kind.NODE, b"%d" % number, host.node.encode())
    net.take()
    net[0].pull_from(net[1])
    net.quiesce()
    assert state_of(net[0].replica) == state_of(net[1].replica)
    assert net[0].replica.vector_hash == net[1].replica.vector_hash


def delta_in_parts(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write twenty rows at host 0 and let host 1 ask for them in parts of two rows."""
    monkeypatch.setattr(antientropy, "PART_BYTES", 300)
    for number in range(20):
        net[0].write(Kind.NODE, b"%d" % number, bytes(60))
    net.take()
    net[1].pull_from(net[0])
    while net.flight and not isinstance(net.flight[0][4], DeltaPart):
        net.deliver()


def test_delta_in_parts_is_taken_in_with_the_last_part_whatever_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    net = quiet_net(2)
    delta_in_parts(net, monkeypatch)
    parts = net.take(DeltaPart)
    assert len(parts) > 5
    for letter in reversed(parts[1:]):
        net.hand_over(letter)
        net.hand_over(letter)
        assert len(net[1].replica) == 0
        assert dict(net[1].replica.vector) == {}
    net.hand_over(parts[0])
    assert state_of(net[1].replica) == state_of(net[0].replica)
    net[1].replica.check()


def test_delta_with_a_lost_part_is_forgotten_and_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    net = quiet_net(2)
    delta_in_parts(net, monkeypatch)
    for letter in net.take(DeltaPart)[1:]:
        net.hand_over(letter)
    net[1].pull_from(net[0])
    net.quiesce()
    assert len(net[1].replica) == 0, "one delta of several parts at a time"
    net.at_s += antientropy.PART_WITHIN_S
    net[1].pull_from(net[0])
    net.quiesce()
    assert len(net[1].replica) == 20
    assert net[1].gossip.metrics()["deltas_lost"] == 1


def test_part_of_an_unknown_or_a_strangers_delta_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    net = quiet_net(3)
    delta_in_parts(net, monkeypatch)
    part = net.take(DeltaPart)[0][4]
    sends(net[1], part, net[2])
    sends(net[1], part._replace(ask=99), net[0])
    assert net[1].gossip.metrics()["parts_late"] == 2


@pytest.mark.parametrize("numbers", [(-1, 3), (3, 3), (0, 0), (0, 1 << 20)])
def test_part_outside_its_delta_is_refused(numbers: tuple[int, int]) -> None:
    net = quiet_net(2)
    net[0].write(Kind.NODE, b"k", b"")
    net.take()
    net[1].pull_from(net[0])
    net.deliver(PullAsk)
    net.deliver(VectorIs)
    ask = net.take(DeltaAsk)[0][4].ask
    with pytest.raises(PeerError):
        sends(net[1], DeltaPart(ask, *numbers, (), ()), net[0])


def test_equal_vectors_with_different_rows_raise_one_alarm_a_minute_at_both_ends() -> None:
    net = quiet_net(2)
    net[1].replica.digest ^= 1
    for _ in range(3):
        net[0].pull_from(net[1])
        net.quiesce()
    assert (net[0].noted("replica-diverged"), net[1].noted("replica-diverged")) == (1, 1)
    assert net[0].gossip.metrics()["divergences"] == 3
    net.at_s += antientropy.ALARM_EVERY_S
    net[0].pull_from(net[1])
    net.quiesce()
    assert net[0].noted("replica-diverged") == 2


def test_answer_to_a_comparison_is_judged_by_what_was_asked() -> None:
    net = quiet_net(2)
    net[0].pull_from(net[1])
    net.deliver(PullAsk)
    net[0].write(Kind.NODE, b"k", b"")
    net.deliver(PullSame)
    assert net[0].noted("replica-diverged") == 0


def test_pulls_come_about_once_a_second_with_jitter() -> None:
    net = quiet_net(4)
    net.run(20.0)
    assert 15 * 4 <= sum(host.gossip.metrics()["pulls"] for host in net.hosts.values()) <= 27 * 4


def test_idle_farm_sends_few_messages() -> None:
    net = quiet_net(10)
    net.run(10.0)
    assert net.posted / 10 / 10.0 <= 4


# -- our stream ----------------------------------------------------------------------------------------------------------


def test_restarted_node_goes_on_in_its_stream_once_peers_confirmed_it() -> None:
    net = quiet_net(4)
    rec = net[0].write(Kind.NODE, b"k", b"")
    net.exchange_all()
    net[0].start()
    assert net.deliver(OriginAsk) == gossip.CONFIRMATIONS
    assert not is_confirmed(net[0])
    net.deliver(OriginIs)
    assert is_confirmed(net[0])
    assert net[0].write(Kind.NODE, b"k", b"2")[4:6] == (rec.origin, 2)
    assert net[0].gossip.acked_by(rec.origin, 1) == net.names[1:]


def test_node_restored_from_a_backup_learns_that_its_tail_was_lost() -> None:
    net = quiet_net(3)
    net[0].write(Kind.NODE, b"k", b"")
    backup = net[0].disk.copy()
    lost = net[0].write(Kind.NODE, b"tail", b"")
    net.exchange_all()
    net[0].disk = backup
    net[0].start()
    net.quiesce()
    assert net[0].noted("origin-rotated") == 1
    net[0].write(Kind.NODE, b"k", b"2")
    net.exchange_all()
    assert all(knows(host, lost) for host in net.hosts.values())
    assert divergences(net) == []


def test_origin_is_asked_again_until_it_is_confirmed() -> None:
    net = quiet_net(2)
    net[0].write(Kind.NODE, b"k", b"")
    net.exchange_all()
    net[0].start()
    net.take()
    net[0].pull_from(net[1])
    net.quiesce()
    assert is_confirmed(net[0])


def test_late_discovery_of_a_lost_tail_leaves_the_stream_at_once() -> None:
    net = quiet_net(2)
    rec = net[0].write(Kind.NODE, b"k", b"")
    sends(net[0], PushAck(((rec.origin, 2),)), net[1])
    assert net[0].replica.origin != rec.origin


# -- many ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_change_reaches_fifty_nodes_within_a_second_and_a_half(loss: float) -> None:
    times = []
    for seed in range(5):
        net = Net(50, seed=seed, loss=loss)
        net.run(1.0)
        net[0].gossip.set_leader(net[1].node)
        rec = net[0].write(Kind.NODE, b"k", b"")
        began_at = net.at_s
        assert net.run(10.0, until=lambda net=net, rec=rec: all(knows(host, rec) for host in net.hosts.values()))  # type: ignore[misc]  # bound now
        times.append(net.at_s - began_at)
    assert sorted(times)[2] <= 1.5


def test_halves_of_a_partition_are_equal_soon_after_healing() -> None:
    net = Net(20, seed=3)
    net.run(2.0)
    halves = (net.names[:10], net.names[10:])
    whole = net.post
    net.post = lambda sender, to, message: (  # type: ignore[method-assign]  # the partition
        whole(sender, to, message) if (sender in halves[0]) == (to in halves[0]) else None
    )
    for number in range(10):
        net[number].write(Kind.NODE, b"k", b"left")
        net[10 + number].write(Kind.NODE, b"k", b"right")
        net.run(0.3)
    net.post = whole  # type: ignore[method-assign]  # healed
    assert net.run(5.0, until=lambda: len({host.replica.vector_hash for host in net.hosts.values()}) == 1)
    assert len({host.replica.digest for host in net.hosts.values()}) == 1
    assert divergences(net) == []


def history(seed: int) -> str:
    """Run a small farm and hash every message that was sent."""
    net = Net(8, seed=seed, loss=0.1)
    seen = hashlib.blake2b()
    post = net.post

    def recording(sender: NodeId, to: NodeId, message: Message) -> None:
        seen.update(repr((net.at_s, sender, to, message)).encode())
        post(sender, to, message)

    net.post = recording  # type: ignore[method-assign]  # listens
    for number in range(10):
        net[number % 8].write(Kind.NODE, b"%d" % (number % 3), b"%d" % number)
        net.run(0.25)
    return seen.hexdigest()


def test_same_seed_gives_the_same_history_whatever_the_hash_seed() -> None:
    here = history(5)
    assert here == history(5)
    assert here != history(6)
    command = "from tests.core.test_gossip import history; print(history(5))"
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", command],
            env=dict(os.environ, PYTHONHASHSEED=hash_seed),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == here
