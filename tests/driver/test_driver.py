"""The driver's one rule: a Save completes before any later effect is carried out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from farmd.core.beat import next_beat
from farmd.core.effects import Effect, Note, Reply, Save, Send
from farmd.core.events import ClientAsked, ClientLeft, Event, StoreFailed, StoreHealed, TimerFired
from farmd.core.turn import Instant
from farmd.driver import Driver
from protocol.errors import FarmError, InvariantBroken
from protocol.ids import NodeId
from protocol.messages import Ping

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PEER = NodeId("11" * 8)


def send(number: int, *, volatile: bool = False) -> Send:
    return Send(PEER, Ping(number), volatile)


def save(name: str) -> Save:
    return Save(meta=((name, 1),))


@dataclass
class ScriptedNode:
    """Answers the n-th event with the n-th list of effects."""

    script: list[list[Effect]]
    first: list[Effect] = field(default_factory=list)
    deadline: float | None = None
    seen: list[Event] = field(default_factory=list)

    def start(self, now: Instant) -> list[Effect]:
        return self.first

    def handle(self, event: Event, now: Instant) -> list[Effect]:
        self.seen.append(event)
        if isinstance(event, StoreFailed | StoreHealed | TimerFired):
            return []
        return self.script.pop(0)

    def next_deadline(self) -> float | None:
        return self.deadline


class HeldStore:
    """Commits when the test says so."""

    def __init__(self) -> None:
        self.commits: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
        self.gate = asyncio.Event()
        self.fault: FarmError | None = None
        self.tries = 0

    async def commit(self, saves: Sequence[Save], notes: Sequence[Note]) -> None:
        self.tries += 1
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        self.commits.append((tuple(key for one in saves for key, _ in one.meta), tuple(note.text for note in notes)))


class Recorder:
    """Notes what is carried out."""

    def __init__(self) -> None:
        self.done: list[Effect] = []

    def perform(self, effect: Effect) -> None:
        self.done.append(effect)

    def pings(self) -> list[int]:
        return [e.message.seq for e in self.done if isinstance(e, Send) and isinstance(e.message, Ping)]


class LoopClock:
    def now(self) -> Instant:
        return Instant(asyncio.get_running_loop().time(), 0)


@dataclass
class Rig:
    node: ScriptedNode
    store: HeldStore
    hands: Recorder
    driver: Driver
    bugs: list[Exception]

    async def post(self, count: int = 1) -> None:
        for _ in range(count):
            self.driver.post(ClientLeft(0))
        await ticks()


async def ticks() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def rig(*script: list[Effect], first: list[Effect] | None = None) -> Rig:
    node, store, hands, bugs = ScriptedNode(list(script), first or []), HeldStore(), Recorder(), list[Exception]()
    on_bug: Callable[[Event, Exception], None] = lambda _event, error: bugs.append(error)  # noqa: E731  # typed
    driver = Driver(node, clock=LoopClock(), store=store, hands=hands, on_bug=on_bug)  # type: ignore[arg-type]  # scripted
    return Rig(node, store, hands, driver, bugs)


def run(scene: Any) -> None:
    asyncio.run(scene())


def test_nothing_after_a_save_is_carried_out_before_its_commit_returned() -> None:
    async def scene() -> None:
        r = rig([save("a"), send(1)])
        await r.post()
        assert r.hands.pings() == []
        r.store.gate.set()
        await ticks()
        assert r.hands.pings() == [1]
        assert r.store.commits == [(("a",), ())]

    run(scene)


def test_effects_of_later_turns_wait_behind_a_running_commit_even_without_a_save_of_their_own() -> None:
    async def scene() -> None:
        r = rig([save("a"), send(1)], [send(2)])
        await r.post(2)
        assert r.hands.pings() == []
        r.store.gate.set()
        await ticks()
        assert r.hands.pings() == [1, 2]

    run(scene)


def test_volatile_sends_pass_by() -> None:
    async def scene() -> None:
        r = rig([save("a"), send(1, volatile=True), send(2)])
        await r.post()
        assert r.hands.pings() == [1]

    run(scene)


def test_without_anything_to_save_effects_are_carried_out_at_once() -> None:
    async def scene() -> None:
        r = rig([send(1)])
        await r.post()
        assert r.hands.pings() == [1]
        assert r.store.tries == 0

    run(scene)


def test_saves_that_come_while_a_commit_runs_become_one_next_commit() -> None:
    async def scene() -> None:
        r = rig([save("a"), send(1)], [save("b"), send(2)], [save("c"), send(3)])
        await r.post()
        await r.post(2)
        r.store.gate.set()
        await ticks()
        assert r.store.commits == [(("a",), ()), (("b", "c"), ())]
        assert r.hands.pings() == [1, 2, 3]

    run(scene)


def test_the_first_turn_keeps_the_rule_too() -> None:
    async def scene() -> None:
        r = rig(first=[save("epoch"), send(1)])
        r.driver.start()
        await ticks()
        assert r.hands.pings() == []
        r.store.gate.set()
        await ticks()
        assert r.hands.pings() == [1]

    run(scene)


def test_refused_commit_is_tried_again_and_clients_hear_that_nothing_is_confirmed() -> None:
    async def scene() -> None:
        r = rig([save("a"), send(1), Reply(7, {"job": "x"}, promises=True)], [Reply(8, {"jobs": []})])
        r.store.gate.set()
        r.store.fault = FarmError("database or disk is full")
        await r.post()
        await asyncio.sleep(0.05)
        await r.post()
        replies = [effect for effect in r.hands.done if isinstance(effect, Reply)]
        assert [(reply.client, reply.error is not None) for reply in replies] == [(7, True), (8, False)]
        assert r.hands.pings() == []
        r.store.fault = None
        await asyncio.sleep(1.2)
        assert r.hands.pings() == []
        assert r.store.commits == [(("a",), ())]
        assert [type(event) for event in r.node.seen[1:]] == [StoreFailed, ClientLeft, StoreHealed]
        assert len([effect for effect in r.hands.done if isinstance(effect, Reply)]) == 2

    run(scene)


def test_closing_announces_nothing_that_is_not_committed() -> None:
    async def scene() -> None:
        r = rig([save("a"), send(1)])
        await r.post()
        r.driver.close()
        r.store.gate.set()
        await ticks()
        r.driver.post(ClientLeft(0))
        await ticks()
        assert r.hands.pings() == []
        assert len(r.node.seen) == 1

    run(scene)


def test_notes_ride_along_with_the_next_commit() -> None:
    async def scene() -> None:
        r = rig([Note(0, "what", "text")], [save("a"), send(1)])
        r.store.gate.set()
        await r.post()
        assert r.store.commits == []
        await r.post()
        assert r.store.commits == [(("a",), ("text",))]

    run(scene)


def test_rows_that_nothing_waits_for_linger_until_something_does() -> None:
    async def scene() -> None:
        r = rig([save("a")], [save("b"), send(1)], [save("c")], [save("d")])
        r.store.gate.set()
        await r.post()
        assert r.store.commits == []
        await r.post()
        assert r.store.commits == [(("a", "b"), ())]
        assert r.hands.pings() == [1]
        await r.post(2)
        await asyncio.sleep(0.05)
        assert r.store.commits[1:] == [(("c", "d"), ())]

    run(scene)


def test_settling_commits_what_lingers() -> None:
    async def scene() -> None:
        r = rig([save("a")])
        r.store.gate.set()
        await r.post()
        await r.driver.settle()
        assert r.store.commits == [(("a",), ())]

    run(scene)


def test_notes_alone_are_written_after_a_while_and_when_settling() -> None:
    async def scene() -> None:
        r = rig([Note(0, "what", "one")], [Note(0, "what", "two")])
        r.store.gate.set()
        await r.post()
        await asyncio.sleep(1.1)
        assert r.store.commits == [((), ("one",))]
        await r.post()
        await r.driver.settle()
        assert r.store.commits[-1] == ((), ("two",))

    run(scene)


def test_bug_of_the_core_costs_its_turn_and_nothing_else() -> None:
    async def scene() -> None:
        r = rig([send(1)])
        await r.post(2)
        assert r.hands.pings() == [1]
        assert len(r.bugs) == 1

    run(scene)


def test_timer_fires_at_the_deadline_and_says_how_late() -> None:
    async def scene() -> None:
        r = rig()
        r.node.deadline = asyncio.get_running_loop().time() + 0.05
        r.driver.start()
        await asyncio.sleep(0.03)
        assert r.node.seen == []
        await asyncio.sleep(0.06)
        fired = [event for event in r.node.seen if isinstance(event, TimerFired)]
        assert fired
        assert fired[0].late_s >= 0
        r.driver.close()

    run(scene)


def test_client_whose_question_met_a_bug_is_answered() -> None:
    async def scene() -> None:
        r = rig()
        r.driver.post(ClientAsked(5, "job.list", {}, "anna"))
        await ticks()
        assert [(e.client, e.error is not None) for e in r.hands.done if isinstance(e, Reply)] == [(5, True)]
        assert len(r.bugs) == 1

    run(scene)


def test_save_that_can_never_succeed_is_a_bug_and_not_tried_for_ever() -> None:
    async def scene() -> None:
        r = rig([save("a"), send(1)], [save("b"), send(2)])
        r.store.gate.set()
        r.store.fault = InvariantBroken("a number does not fit")
        await r.post()
        r.store.fault = None
        await r.post()
        assert r.store.tries == 2
        assert r.hands.pings() == [2]
        assert len(r.bugs) == 1

    run(scene)


def test_timer_of_what_was_answered_in_time_does_not_ring() -> None:
    async def scenario() -> None:
        it = rig([])
        asked = 0
        deadline_of = it.node.next_deadline

        def counted() -> float | None:
            nonlocal asked
            asked += 1
            return deadline_of()

        it.node.next_deadline = counted  # type: ignore[method-assign]  # counts wake-ups
        now = asyncio.get_running_loop().time()
        it.node.deadline = now + 0.05
        it.driver.start()
        it.node.deadline = now + 0.3
        await it.post()
        asked = 0
        await asyncio.sleep(0.15)
        assert asked == 0
        await asyncio.sleep(0.25)
        assert [type(event) for event in it.node.seen[:2]] == [ClientLeft, TimerFired]
        it.driver.close()

    asyncio.run(scenario())


def test_beats_of_one_node_fall_together_and_never_come_at_once() -> None:
    assert [next_beat(now, 0.5) for now in (0.0, 0.2, 0.5, 0.501)] == [0.5, 0.5, 1.0, 1.0]
    assert next_beat(7.3, 0.5) == 7.5
    assert next_beat(7.3, 2.0) == next_beat(7.3, 1.0) == 8.0
    for number in range(1, 10_000):
        now = number * 0.1
        assert now < next_beat(now, 0.7) <= now + 0.7 + 1e-9
