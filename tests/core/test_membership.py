"""Membership: short transcripts of single machines, then whole farms on the virtual clock."""

from __future__ import annotations

import itertools
from random import Random
from typing import TYPE_CHECKING

import pytest

from farmd.core.dissemination import MOST_PER_MESSAGE, UPDATES_PER_MESSAGE, Rumours, copies_for, room_for
from farmd.core.effects import Send
from farmd.core.membership import Membership, SwimMessage
from farmd.core.roster import Member, MemberChange, Roster, wins
from farmd.core.suspicion import LocalHealth, jurors_of, shortest_s, timeout_s
from farmd.core.turn import Instant, Turn
from protocol.codec import decode, encode
from protocol.messages import MemberUpdate, Ping, PingAck, PingNack, PingReq
from protocol.states import MemberState
from tests.core.cluster import Cluster, advert, node_id

if TYPE_CHECKING:
    from protocol.ids import NodeId

ALIVE, SUSPECT, DEAD, LEFT = MemberState
A, B, C, D = (node_id(i) for i in range(4))


class Bench:
    """One membership on a table: what goes in, and what comes out as readable lines."""

    def __init__(self, me: NodeId = A, epoch: int = 1, *others: NodeId) -> None:
        self.now = 100.0
        self.machine = Membership(me, epoch, "a:1", Random(1))
        self.machine.start(self.turn())
        for other in others:
            self.hear(other, Ping(1, (claim(other),)))
        self.machine.take_changes()

    def turn(self) -> Turn:
        return Turn(Instant(self.now, int(self.now * 1000)))

    def hear(self, sender: NodeId, message: SwimMessage) -> list[Send]:
        turn = self.turn()
        self.machine.on_message(turn, sender, message)
        return sends(turn)

    def wait(self, seconds: float) -> list[tuple[float, Send]]:
        """Let time pass without an answer; returns what was sent, and when."""
        end, sent = self.now + seconds, []
        while (due := self.machine.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            turn = self.turn()
            self.machine.on_timer(turn)
            sent += [(self.now - end + seconds, send) for send in sends(turn)]
        self.now = end
        return sent

    def changes(self) -> list[str]:
        return [
            f"{int(c.node, 16)}: {c.old.name if c.old else '-'} -> {c.new.name}" for c in self.machine.take_changes()
        ]


def claim(node: NodeId, state: MemberState = ALIVE, epoch: int = 1, incarnation: int = 0) -> MemberUpdate:
    return MemberUpdate(node, int(state), epoch, incarnation, f"{node[-2:]}:1")


def sends(turn: Turn) -> list[Send]:
    """Return what was sent, without the questions of a newcomer ("whom do you know?")."""
    found = [effect for effect in turn.effects if isinstance(effect, Send)]
    assert all(send.volatile and decode(encode(send.message)) == send.message for send in found)
    return [send for send in found if not (isinstance(send.message, PingReq) and send.message.seq == 0)]


def says(send: Send, about: NodeId) -> MemberUpdate | None:
    """Return what a message claims of a node."""
    message = send.message
    assert isinstance(message, Ping | PingAck | PingReq)
    return next((update for update in message.updates if update.node == about), None)


# -- the table ---------------------------------------------------------------------------------------------------


def test_claims_in_any_order_end_in_one_table() -> None:
    claims = [claim(B, s, e, i) for s in MemberState for e in (1, 2) for i in (0, 1)]
    seen = set()
    for seed in range(50):
        roster = Roster(Member(A, ALIVE, 1, 0, "a:1", 0.0))
        for said in Random(seed).sample(claims, len(claims)):
            known = roster.get(B)
            if known is None or wins(said, known):
                roster.take(said, 1.0)
        seen.add(roster.view()[B].claim())
    assert seen == {claim(B, LEFT, 2, 1)}


def test_recent_counts_the_dead_of_ten_minutes_and_not_who_left() -> None:
    roster = Roster(Member(A, ALIVE, 1, 0, "a:1", 0.0))
    for node, state in ((B, DEAD), (C, LEFT), (D, ALIVE)):
        roster.take(claim(node), 0.0)
        roster.take(claim(node, state, incarnation=1), 50.0)
    assert roster.recent(60.0, 600.0) == (A, B, D)
    assert roster.recent(700.0, 600.0) == (A, D)


# -- formulas ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("members", "seconds"), [(1, 4.0), (10, 4.0), (100, 8.0), (1000, 12.0)])
def test_shortest_suspicion_grows_with_the_logarithm(members: int, seconds: float) -> None:
    assert shortest_s(members) == pytest.approx(seconds)


def test_confirmations_shorten_a_suspicion_from_six_times_to_once() -> None:
    assert timeout_s(10, 0, 8) == pytest.approx(24.0)
    assert 4.0 < timeout_s(10, 2, 8) < timeout_s(10, 1, 8) < 24.0
    assert timeout_s(10, 3, 8) == timeout_s(10, 7, 8) == pytest.approx(4.0)
    assert timeout_s(2, 0, 0) == 4.0, "nobody could confirm on a farm of two"


def test_jurors_are_the_next_of_the_ring_on_every_node() -> None:
    alive = tuple(node_id(i) for i in range(8))
    assert jurors_of(node_id(6), alive) == tuple(node_id(i) for i in (7, 0, 1, 2))
    assert jurors_of(A, (B,)) == (B,)
    assert jurors_of(A, (A,)) == ()


def test_health_stays_between_nought_and_eight() -> None:
    health = LocalHealth()
    health.better()
    assert health.multiplier == 1
    health.note_lag(0.1)
    assert health.score == 0
    health.note_lag(2.0)
    assert health.score == 3
    health.note_lag(60.0)
    assert health.score == 8


def test_rumours_leave_freshest_first_and_end() -> None:
    rumours: Rumours[str] = Rumours()
    for node, text in ((A, "old"), (B, "new")):
        rumours.put(node, text)
    assert rumours.take(1, 2) == ("new",)
    assert rumours.take(1, 2) == ("old",)
    assert rumours.take(5, 2) == ("new", "old")
    assert rumours.take(5, 2) == ()
    assert [copies_for(n) for n in (1, 9, 99, 500)] == [4, 4, 8, 12]
    assert (room_for(3), room_for(1000)) == (UPDATES_PER_MESSAGE, MOST_PER_MESSAGE)


# -- transcripts of one machine ----------------------------------------------------------------------------------


def test_ping_of_an_unknown_node_makes_it_a_member_and_is_answered() -> None:
    bench = Bench()
    (answer,) = bench.hear(B, Ping(7, (claim(B, epoch=3),)))
    assert (answer.to, answer.message) == (B, PingAck(7, None, (MemberUpdate(A, 1, 1, 0, "a:1"), claim(B, epoch=3))))
    assert bench.machine.alive() == (A, B)
    assert bench.machine.take_changes() == [MemberChange(B, None, ALIVE, 3)]


def test_silent_member_is_asked_through_others_then_suspected_then_dead() -> None:
    bench = Bench(A, 1, B)
    kinds = [(type(send.message).__name__, send.to) for _, send in bench.wait(2.1)]
    assert kinds.count(("Ping", B)) >= 1
    assert bench.machine.state_of(B) is SUSPECT
    assert bench.changes() == ["1: ALIVE -> SUSPECT"]
    told = [says(send, B) for _, send in bench.wait(3.0) if isinstance(send.message, Ping)]
    assert claim(B, SUSPECT) in told, "it is told what it has to refute"
    bench.wait(2.0)
    assert bench.machine.state_of(B) is DEAD
    assert bench.changes() == ["1: SUSPECT -> DEAD"]
    assert bench.machine.alive() == (A,)
    assert any(send.to == B for _, send in bench.wait(2.0)), "a dead member is still talked to"


def test_helpers_are_asked_at_once_when_a_connection_breaks() -> None:
    bench = Bench(A, 1, B, C, D)
    turn = bench.turn()
    bench.machine.suspect_now(turn, B)
    asked = {type(s.message).__name__: s.to for s in sends(turn)}
    assert sorted((type(s.message).__name__, s.to) for s in sends(turn)) == [
        ("Ping", B),
        ("PingReq", C),
        ("PingReq", D),
    ], asked


def test_answer_through_a_helper_ends_the_probe() -> None:
    bench = Bench(A, 1, B, C)
    turn = bench.turn()
    bench.machine.suspect_now(turn, B)
    seq = next(s.message.seq for s in sends(turn) if isinstance(s.message, PingReq))
    bench.hear(C, PingAck(seq, B, (claim(C),)))
    bench.wait(0.9)
    assert bench.machine.state_of(B) is ALIVE


def test_helper_passes_on_the_answer_and_says_so_when_there_is_none() -> None:
    bench = Bench(A, 1, B, C)
    (ping,) = bench.hear(B, PingReq(41, C, (claim(B),)))
    assert ping.to == C
    assert isinstance(ping.message, Ping)
    nacks = [(round(at, 1), send) for at, send in bench.wait(0.45) if isinstance(send.message, PingNack)]
    assert nacks == [(0.4, Send(B, PingNack(41, C), volatile=True))]
    late = bench.hear(C, PingAck(ping.message.seq, None, (claim(C),)))
    assert late == [Send(B, PingAck(41, C, (claim(C),)), volatile=True)]


def test_missing_nacks_make_a_node_doubt_itself_and_one_nack_does_not() -> None:
    for nacks, score in ((0, 1), (1, 0)):
        bench = Bench(A, 1, B, C, D)
        turn = bench.turn()
        bench.machine.suspect_now(turn, B)
        seq = next(s.message.seq for s in sends(turn) if isinstance(s.message, PingReq))
        for helper in (C, D)[:nacks]:
            bench.hear(helper, PingNack(seq, B))
        for _ in range(21):
            for _, sent in bench.wait(0.05):
                if isinstance(sent.message, Ping) and sent.to != B:
                    bench.hear(sent.to, PingAck(10_000, None, (claim(sent.to),)))
        assert bench.machine.state_of(B) is SUSPECT
        assert bench.machine.health.score == score


def test_suspected_node_refutes_with_a_higher_incarnation() -> None:
    bench = Bench(A, 1, B)
    (answer,) = bench.hear(B, Ping(2, (claim(B), claim(A, SUSPECT))))[-1:]
    assert says(answer, A) == MemberUpdate(A, 1, 1, 1, "a:1")
    again = bench.hear(B, Ping(3, (claim(B), claim(A, SUSPECT))))
    assert says(again[-1], A) == MemberUpdate(A, 1, 1, 1, "a:1"), "an old claim is refuted once"


def test_suspicion_ends_only_by_the_word_of_the_suspect() -> None:
    bench = Bench(A, 1, B)
    bench.hear(C, PingAck(0, None, (claim(C), claim(B, SUSPECT))))
    turn = bench.turn()
    bench.machine.heard(turn, B)
    assert bench.machine.state_of(B) is SUSPECT
    (poke,) = sends(turn)
    assert (poke.to, says(poke, B)) == (B, claim(B, SUSPECT)), "but talking is a reason to ask at once"
    turn = bench.turn()
    bench.machine.heard(turn, B)
    assert sends(turn) == [], "not at every message"
    bench.hear(B, PingAck(0, None, (claim(B, incarnation=1),)))
    assert bench.machine.state_of(B) is ALIVE


def test_older_life_resurrects_nothing_and_a_newer_one_replaces_all() -> None:
    bench = Bench(A)
    bench.hear(B, Ping(1, (claim(B, epoch=5),)))
    bench.hear(C, PingAck(0, None, (claim(C), claim(B, LEFT, epoch=5, incarnation=9))))
    bench.machine.take_changes()
    (answer,) = bench.hear(B, Ping(2, (claim(B, epoch=4, incarnation=99),)))
    assert bench.machine.state_of(B) is LEFT
    assert says(answer, B) == claim(B, LEFT, epoch=5, incarnation=9), "it learns that a later life was seen"
    bench.hear(B, Ping(3, (claim(B, epoch=6),)))
    (change,) = bench.machine.take_changes()
    assert (change, change.restarted) == (MemberChange(B, LEFT, ALIVE, 6, 5, seen_at=bench.now), True)


def test_node_whose_database_went_back_leaps_above_its_remembered_life() -> None:
    bench = Bench(A, 2, B)
    bench.hear(B, PingAck(0, None, (claim(B), claim(A, ALIVE, epoch=9, incarnation=4))))
    assert bench.machine.epoch == 10
    assert bench.machine.dirty_meta == {"epoch": 10}


def test_gossip_of_a_death_makes_only_a_suspect_of_a_member_that_is_alive_here() -> None:
    bench = Bench(A, 1, B, C)
    dead = PingAck(0, None, (claim(C), claim(B, DEAD)))
    bench.hear(C, dead)
    bench.hear(C, dead)
    assert bench.machine.state_of(B) is SUSPECT
    bench.now += 2.5
    bench.hear(C, dead)
    assert bench.machine.state_of(B) is DEAD, "it had its time to refute"


def test_seed_is_pinged_and_counts_for_nothing_until_it_answers() -> None:
    bench = Bench(A)
    turn = bench.turn()
    bench.machine.learn(turn, B, "b:1")
    (ping,) = sends(turn)
    assert (ping.to, says(ping, B)) == (B, None)
    assert (bench.machine.alive(), bench.machine.recent(bench.now), bench.changes()) == ((A,), (A,), [])
    bench.hear(B, PingAck(1, None, (claim(B, epoch=2),)))
    assert (bench.machine.alive(), bench.changes()) == ((A, B), ["1: DEAD -> ALIVE"])


def test_newcomer_asks_whom_you_know_and_gets_who_is_here_or_left() -> None:
    bench = Bench(A, 1, B, C)
    bench.hear(C, PingAck(0, None, (claim(C, LEFT),)))
    (answer,) = bench.hear(D, PingReq(0, D, (claim(D),)))
    assert isinstance(answer.message, PingAck)
    assert [(u.node, u.state) for u in answer.message.updates] == [(A, ALIVE), (B, ALIVE), (C, LEFT)]


def test_revoked_node_is_forgotten_and_stays_out() -> None:
    admitted = {B: None}
    machine = Membership(A, 1, "a:1", Random(1), admitted=lambda node: node in admitted)
    turn = Turn(Instant(1.0, 1))
    machine.start(turn)
    machine.on_message(turn, B, Ping(1, (claim(B), claim(C))))
    assert machine.alive() == (A, B)
    admitted.clear()
    machine.forget(B)
    machine.on_message(turn, C, PingAck(0, None, (claim(B),)))
    assert machine.alive() == (A,)


def test_broken_claims_are_dropped() -> None:
    bench = Bench(A)
    for bad in (MemberUpdate(B, 9, 1, 0, ""), MemberUpdate(B, 0, 1, 0, ""), MemberUpdate(B, 1, 0, 0, "")):
        bench.hear(C, PingAck(0, None, (claim(C), bad)))
    assert bench.machine.member(B) is None


def test_adverts_keep_the_latest_and_travel_a_few_times() -> None:
    bench = Bench(A, 1, B)
    bench.machine.set_own_advert(advert(0, counter=2))
    bench.machine.set_own_advert(advert(0, counter=1))
    carried = [a.counter for seq in range(2, 9) for s in bench.hear(B, Ping(seq)) for a in s.message.adverts]  # type: ignore[union-attr]  # acks
    assert carried == [2, 2, 2]
    bench.hear(B, Ping(9, (claim(B),), (advert(1, counter=5), advert(1, counter=4), advert(7))))
    assert (bench.machine.advert_of(B), bench.machine.advert_of(node_id(7))) == (advert(1, counter=5), None)
    bench.hear(B, Ping(10, (claim(B, epoch=2),)))
    assert bench.machine.advert_of(B) is None, "the advert of a life that is over is worth nothing"


def test_node_that_was_deaf_does_not_blame_the_others() -> None:
    bench = Bench(A, 1, B, C)
    due = bench.machine.next_deadline()
    assert due is not None
    bench.now = due
    bench.machine.on_timer(bench.turn())
    bench.now += 30.0
    bench.machine.on_timer(bench.turn())
    assert bench.machine.alive() == (A, B, C)


def test_node_that_was_deaf_gives_its_suspects_their_time_back() -> None:
    bench = Bench(A, 1, B)
    bench.wait(2.1)
    assert bench.machine.state_of(B) is SUSPECT
    bench.now += 60.0
    bench.machine.on_timer(bench.turn())
    assert bench.machine.state_of(B) is SUSPECT
    bench.hear(B, PingAck(0, None, (claim(B, incarnation=1),)))
    assert bench.machine.state_of(B) is ALIVE


def test_probe_that_fails_after_a_refutation_accuses_nobody() -> None:
    bench = Bench(A, 1, B)
    turn = bench.turn()
    bench.machine.suspect_now(turn, B)
    bench.hear(B, PingAck(0, None, (claim(B, incarnation=1),)))
    bench.wait(1.01)
    assert bench.machine.state_of(B) is ALIVE


def test_node_that_left_says_nothing_more() -> None:
    bench = Bench(A, 1, B, C)
    turn = bench.turn()
    bench.machine.leave(turn)
    assert [(s.to, says(s, A)) for s in sends(turn)] == [(n, MemberUpdate(A, LEFT, 1, 0, "a:1")) for n in (B, C)]
    assert bench.hear(B, Ping(5, (claim(B), claim(A, DEAD)))) == []
    assert bench.machine.next_deadline() is None


# -- farms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "limit_s"), [(2, 7.0), (3, 8.0), (20, 12.0)])
@pytest.mark.parametrize("hint", [True, False])
def test_killed_node_is_dead_everywhere_in_time(size: int, limit_s: float, hint: bool) -> None:
    for seed in range(5):
        farm = Cluster(size, seed)
        farm.boot()
        farm.run(5)
        farm.kill(1, hint=hint)
        farm.run_until(lambda farm=farm: all(farm.state(m.index, 1) is DEAD for m in farm.running()), limit_s)  # type: ignore[misc]  # bound now
        assert {int(dead, 16) for _, _, dead in farm.deaths} == {1}


def test_restarted_node_is_accepted_at_once() -> None:
    for size, seed in itertools.product((2, 20), range(5)):
        farm = Cluster(size, seed)
        farm.boot()
        farm.run(5)
        farm.kill(1, hint=False)
        farm.run(seed * 3)
        farm.boot(1)
        everyone = range(size)
        assert farm.run_until(lambda f=farm, e=everyone: f.all_see(e), 2.0) < 2.0  # type: ignore[misc]  # bound now
        assert all(m.members.members()[node_id(1)].epoch == 2 for m in farm.running())


def test_node_that_knows_one_seed_soon_knows_all_and_is_known() -> None:
    farm = Cluster(24, 5)
    farm.boot(*range(23), seeds=[0])
    farm.run_until(lambda: farm.all_see(range(23)), 5.0)
    farm.boot(23, seeds=[7])
    assert farm.run_until(lambda: farm.all_see(range(24)), 5.0) < 5.0


def test_shutdown_is_known_at_once() -> None:
    farm = Cluster(24, 2)
    farm.boot()
    farm.run(5)
    farm.leave(3)
    rest = [i for i in range(24) if i != 3]
    assert farm.run_until(lambda: farm.all_see(rest), 1.0) < 0.5
    farm.run(30)
    assert farm.deaths == []


def test_one_way_cut_between_two_kills_nobody_while_others_reach_both() -> None:
    farm = Cluster(5, 3)
    farm.boot()
    farm.run(5)
    farm.cut([0], [1])
    farm.run(120)
    assert farm.deaths == []


@pytest.mark.parametrize(("size", "part"), [(2, 1), (20, 8), (24, 12)])
def test_split_farm_is_whole_again_soon_after_healing(size: int, part: int) -> None:
    for seed in range(4):
        farm = Cluster(size, seed)
        farm.boot()
        farm.run(5)
        farm.split(range(part), range(part, size))
        farm.run(60)
        assert all(len(m.members.alive()) == (part if m.index < part else size - part) for m in farm.running())
        farm.heal()
        before = len(farm.deaths)
        farm.run_until(lambda farm=farm, size=size: farm.all_see(range(size)), 5.0, stable_s=10.0)  # type: ignore[misc]  # bound now
        assert farm.deaths[before:] == [], "the dead of one half do not die in the other"


def test_lost_messages_kill_nobody() -> None:
    farm = Cluster(12, 4, loss=0.1)
    farm.boot()
    farm.run(600)
    assert farm.deaths == []


@pytest.mark.slow
def test_hour_with_one_node_that_lags_up_to_two_seconds_has_no_false_death() -> None:
    farm = Cluster(20, 1, with_elections=False)
    farm.boot()
    farm.run(5)
    worst = 0
    while farm.now < 3605:
        lag_s = farm.rng.uniform(0, 2)
        farm.pause(7, lag_s)
        farm.run(lag_s + farm.rng.uniform(0.05, 2))
        worst = max(worst, farm.machines[7].members.health.score)
    assert farm.deaths == []
    assert worst >= 3, "it was really late"


@pytest.mark.slow
def test_two_hundred_nodes_cost_two_messages_a_second_and_a_leader() -> None:
    farm = Cluster(200, 1)
    farm.boot()
    farm.run(20)
    for machine in farm.machines:
        machine.sent = 0
    farm.run(10)
    rates = sorted(machine.sent / 10 for machine in farm.machines)
    assert rates[-2] < 6.0, "probe, answer, and an answer to each heartbeat"
    assert rates[-1] < 410.0, "the leader: two heartbeats a second to each"
