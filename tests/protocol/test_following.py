"""Following the farm through one node after another: who is asked, what is said meanwhile, and what stays shown."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from protocol.errors import NotAllowed, NotFound, Unreachable, UserError
from protocol.following import DIAL_S, LOST_S, Answer, Candidate, Following, JobAnswer, Link, Standing
from protocol.states import TASK_STATES
from tests.sim.virtual_loop import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from protocol.following import Event

NAMES = ("n0", "n1", "n2")


STRANGE: dict[str, Any] = {
    "none": None,
    "newer": {"schema": "farm.feed.v9"},
    "half": {"schema": "farm.feed.v1", "life": "x", "after": [0], "reset": True, "farm": {}, "as_of_ms": 0},
    "wrong": {"schema": "farm.feed.v1", "life": "x", "after": [0], "reset": True, "farm": {}, "as_of_ms": 0, "more": 0}
    | {"removed": [], "nodes_removed": [], "jobs": ["no job"], "nodes": []},
    "nameless": {
        "schema": "farm.feed.v1",
        "life": "x",
        "after": [0],
        "reset": False,
        "farm": {},
        "as_of_ms": 0,
        "more": 0,
    }
    | {"removed": [], "nodes_removed": [], "jobs": [], "nodes": []},
}
"""Answers of other versions of this program."""


class FakeNode:
    """A fake node that answers the feed: up, silent (takes questions and says nothing), down, full
    (refuses who waits for news), or in a strange way."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.how = "up"
        self.version = 1
        self.changed = asyncio.Event()
        self.broken = asyncio.Event()
        self.dialled = 0
        self.swallows = False
        """A cancellation comes together with an answer, which wins."""
        self.late = False
        """The next answer of `job.feed` comes too late."""

    def become(self, how: str) -> None:
        """Go up, silent or down; who is connected to a node that goes down is told."""
        self.how = how
        if how == "down":
            self.broken.set()
            self.broken = asyncio.Event()

    def change(self) -> None:
        """Have something new to tell."""
        self.version += 1
        self.changed.set()
        self.changed = asyncio.Event()


class FakeClient:
    """A connection to a fake node."""

    def __init__(self, node: FakeNode) -> None:
        self.node = node
        self.broken = node.broken
        self.closed = False

    async def call(self, op: str, /, **args: Any) -> Any:
        """Answer as a daemon does; where the node swallows, a cancelled job.feed ends in an error instead."""
        try:
            return await self._call(op, **args)
        except asyncio.CancelledError:
            if op == "job.feed" and self.node.swallows:
                raise Unreachable(f"the connection to {self.node.name} broke", "", "") from None
            raise

    async def _call(self, op: str, /, **args: Any) -> Any:
        if self.node.how == "full" and args["patience_s"]:
            raise UserError("too many wait already", "", "")
        changed = asyncio.ensure_future(self.node.changed.wait())
        broken = asyncio.ensure_future(self.broken.wait())
        known = args.get("after") in ([self.node.version, 1], self.node.version) and args["life"] == self.node.name
        try:
            if (known or self.node.how not in ("up", "full")) and self.node.how not in STRANGE:
                patience = args["patience_s"] if self.node.how in ("up", "full") else 3.5
                await asyncio.wait({changed, broken}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            broken.cancel()
        if self.node.how in STRANGE:
            return STRANGE[self.node.how]
        if op == "job.feed" and self.node.late:
            self.node.late = False
            raise Unreachable(f"no answer from {self.node.name}", "", "")
        if self.node.how not in ("up", "full") or self.broken.is_set():
            raise Unreachable(f"the connection to {self.node.name} broke", "", "")
        return self._farm() if op == "farm.feed" else self._job(args["job"])

    def _farm(self) -> dict[str, Any]:
        nodes = [
            {
                "id": name,
                "name": name,
                "address": f"{name}:1",
                "public_key": "aa" * 32,
                "state": "idle",
                "last_seen_s": 0,
            }
            for name in NAMES
        ]
        return {
            "schema": "farm.feed.v1", "life": self.node.name, "after": [self.node.version, 1], "reset": True,
            "more": False, "as_of_ms": 0, "farm": {"node_name": self.node.name, "version": self.node.version},
            "jobs": [], "removed": [], "nodes": nodes, "nodes_removed": [],
        }  # fmt: skip

    def _job(self, job_id: str) -> dict[str, Any]:
        import zlib

        if job_id == "gone":
            raise NotFound("job gone is no more", "it was deleted", "")
        return {
            "schema": "farm.jobfeed.v1", "life": self.node.name, "after": self.node.version, "as_of_ms": 0, "reset": True,
            "job": {"id": job_id, "node": self.node.name}, "count": 2, "states": zlib.compress(b"\x00\x04"), "running": [],
            "plan": {"tests": [5], "rest": "1", "chunk": 1},
        }  # fmt: skip

    async def close(self) -> None:
        """Note that nobody needs it any more."""
        self.closed = True


class Scene:
    """Three fake nodes, and a viewer that follows them from n0 on."""

    def __init__(self) -> None:
        self.nodes = {name: FakeNode(name) for name in NAMES}
        self.clients: list[FakeClient] = []
        self.events: list[tuple[float, Event]] = []
        self.following = Following("n0:1", dial=self.dial)

    async def dial(self, candidate: Candidate) -> FakeClient:
        """Connect to a node by its address, unless it is down."""
        node = self.nodes[str(candidate.target).partition(":")[0]]
        node.dialled += 1
        if node.how == "down":
            raise Unreachable(f"no daemon answers at {candidate.target}", "", "")
        self.clients.append(FakeClient(node))
        return self.clients[-1]

    async def watch(self) -> None:
        """Note what comes, and when."""
        async for event in self.following.run():
            self.events.append((asyncio.get_running_loop().time(), event))

    def states(self) -> list[tuple[Link, str]]:
        """List what was said about the connection."""
        return [(event.state, event.node_name) for _, event in self.events if isinstance(event, Standing)]

    def when(self, state: Link, since: float = 0.0) -> float:
        """Return when a state was said first, after some time."""
        times = [
            at for at, event in self.events if isinstance(event, Standing) and event.state is state and at >= since
        ]
        return times[0]


def play(story: Callable[[Scene], Awaitable[None]]) -> Scene:
    """Let a story happen while the viewer follows."""
    loop = VirtualLoop()
    made: list[Scene] = []

    async def run() -> None:
        scene = Scene()
        made.append(scene)
        watching = asyncio.ensure_future(scene.watch())
        await story(scene)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        open_ones = [client for client in scene.clients if not client.closed]
        assert open_ones == [], "connections are left open"

    loop.run_until_complete(run())
    return made[0]


def test_the_node_that_was_named_is_followed_and_no_other_is_asked() -> None:
    async def story(scene: Scene) -> None:
        await asyncio.sleep(10)

    scene = play(story)
    assert scene.states() == [(Link.CONNECTED, "n0")]
    assert [node.dialled for node in scene.nodes.values()] == [1, 0, 0]


def test_answers_come_even_when_nothing_changes_so_that_the_age_is_known() -> None:
    async def story(scene: Scene) -> None:
        await asyncio.sleep(10)

    answers = [at for at, event in play(story).events if isinstance(event, Answer)]
    assert 4 <= len(answers) <= 7


@pytest.mark.parametrize(("how", "within_s"), [("down", 0.1), ("silent", 3.6)])
def test_when_the_node_is_lost_it_is_said_and_the_next_one_is_taken(how: str, within_s: float) -> None:
    async def story(scene: Scene) -> None:
        await asyncio.sleep(5)
        scene.nodes["n0"].become(how)
        await asyncio.sleep(20)

    scene = play(story)
    assert scene.states() == [(Link.CONNECTED, "n0"), (Link.RECONNECTING, "n0"), (Link.CONNECTED, "n1")]
    assert scene.when(Link.RECONNECTING) - 5 <= within_s
    assert scene.when(Link.CONNECTED, since=5.0) - scene.when(Link.RECONNECTING) <= 2.0


@pytest.mark.parametrize("how", STRANGE)
def test_a_node_whose_answers_cannot_be_read_is_left_for_another(how: str) -> None:
    async def story(scene: Scene) -> None:
        await asyncio.sleep(5)
        scene.nodes["n0"].become(how)
        scene.nodes["n0"].change()
        await asyncio.sleep(5)
        assert scene.following.state is Link.CONNECTED
        assert scene.following.node_name in ("n1", "n2")
        assert scene.nodes["n0"].dialled < 10

    play(story)


@pytest.mark.parametrize("how", STRANGE)
def test_where_nobody_can_be_read_it_is_said_and_asked_again_after_pauses(how: str) -> None:
    async def story(scene: Scene) -> None:
        await asyncio.sleep(1)
        for node in scene.nodes.values():
            node.become(how)
            node.change()
        await asyncio.sleep(60)
        assert scene.following.state is Link.DISCONNECTED
        assert "cannot be read" in [event for _, event in scene.events if isinstance(event, Standing)][-1].why
        assert sum(node.dialled for node in scene.nodes.values()) < 300
        scene.nodes["n2"].become("up")
        await asyncio.sleep(10)
        assert scene.following.node_name == "n2"

    play(story)


def test_a_node_that_answers_once_and_then_refuses_is_asked_again_after_pauses() -> None:
    async def story(scene: Scene) -> None:
        for node in scene.nodes.values():
            node.become("full")
        await asyncio.sleep(60)
        assert 10 < sum(node.dialled for node in scene.nodes.values()) < 40
        for node in scene.nodes.values():
            node.become("up")
        await asyncio.sleep(5)
        assert scene.following.state is Link.CONNECTED

    play(story)


def test_with_no_node_left_it_is_said_after_fifteen_seconds_and_the_picture_stays() -> None:
    async def story(scene: Scene) -> None:
        await asyncio.sleep(5)
        for node in scene.nodes.values():
            node.become("down")
        await asyncio.sleep(40)
        assert list(scene.following.picture.nodes) == list(NAMES)
        scene.nodes["n2"].become("up")
        await asyncio.sleep(10)

    scene = play(story)
    assert [state for state, _ in scene.states()] == [
        Link.CONNECTED, Link.RECONNECTING, Link.DISCONNECTED, Link.CONNECTED,
    ]  # fmt: skip
    assert scene.states()[-1][1] == "n2"
    assert LOST_S - 0.5 <= scene.when(Link.DISCONNECTED) - 5 <= LOST_S + 3.5
    assert scene.when(Link.CONNECTED, since=40) - 45 <= 3.0 + DIAL_S


def test_a_node_that_is_there_later_is_found_though_none_ever_answered() -> None:
    async def story(scene: Scene) -> None:
        scene.nodes["n0"].become("down")
        await asyncio.sleep(30)
        scene.nodes["n0"].become("up")
        await asyncio.sleep(5)

    assert [state for state, _ in play(story).states()] == [Link.DISCONNECTED, Link.CONNECTED]


def test_a_job_is_watched_and_goes_on_at_the_next_node() -> None:
    async def story(scene: Scene) -> None:
        await asyncio.sleep(1)
        scene.following.watch_job("j1")
        await asyncio.sleep(2)
        scene.nodes["n0"].become("down")
        await asyncio.sleep(5)
        scene.following.watch_job(None)
        await asyncio.sleep(1)
        counted = len(scene.events)
        scene.nodes["n1"].change()
        await asyncio.sleep(0.1)
        assert not any(isinstance(event, JobAnswer) for _, event in scene.events[counted:])

    told = [event.picture for _, event in play(story).events if isinstance(event, JobAnswer)]
    assert {picture.id for picture in told} == {"j1"}
    assert told[-1].job["node"] == "n1"
    assert [TASK_STATES[number].value for number in told[-1].states] == ["waiting", "done"]
    assert (list(told[-1].first), told[-1].tests) == ([5, 1], 1)


def test_a_job_that_is_gone_is_told_once_and_the_farm_goes_on() -> None:
    async def story(scene: Scene) -> None:
        await asyncio.sleep(1)
        scene.following.watch_job("gone")
        await asyncio.sleep(10)

    scene = play(story)
    errors = [event.error for _, event in scene.events if isinstance(event, JobAnswer)]
    assert [error.code for error in errors if error is not None] == [5]
    assert scene.states() == [(Link.CONNECTED, "n0")]


def test_a_job_whose_answer_came_too_late_once_is_followed_on() -> None:
    async def story(scene: Scene) -> None:
        await asyncio.sleep(1)
        scene.following.watch_job("j1")
        await asyncio.sleep(1)
        scene.nodes["n0"].late = True
        await asyncio.sleep(5)
        assert not scene.nodes["n0"].late
        told = len([event for _, event in scene.events if isinstance(event, JobAnswer)])
        await asyncio.sleep(10)
        assert len([event for _, event in scene.events if isinstance(event, JobAnswer)]) > told

    assert play(story).states() == [(Link.CONNECTED, "n0")]


def test_a_job_feed_that_swallows_its_cancellation_keeps_nobody_from_the_next_node() -> None:
    async def story(scene: Scene) -> None:
        scene.nodes["n0"].swallows = True
        await asyncio.sleep(1)
        scene.following.watch_job("j1")
        await asyncio.sleep(0.5)
        scene.nodes["n0"].become("silent")
        await asyncio.sleep(20)

    scene = play(story)
    assert scene.states()[-1] == (Link.CONNECTED, "n1")
    told = [event.picture.job["node"] for _, event in scene.events if isinstance(event, JobAnswer)]
    assert told[-1] == "n1"


def test_an_order_without_a_node_is_refused_and_with_one_is_carried_there() -> None:
    async def story(scene: Scene) -> None:
        with pytest.raises(Unreachable):
            await scene.following.call("farm.feed", life="", after=None, patience_s=0)
        await asyncio.sleep(1)
        answer = await scene.following.call("farm.feed", life="", after=None, patience_s=0)
        assert answer["farm"]["node_name"] == "n0"

    play(story)


def test_a_refusal_leads_on_to_the_next_node_and_says_why() -> None:
    async def story(scene: Scene) -> None:
        await asyncio.sleep(1)
        refused = scene.dial

        async def dial(candidate: Candidate) -> FakeClient:
            if candidate.target != "n2:1":
                raise NotAllowed("you may not", "the group farm", "")
            return await refused(candidate)

        scene.following._dial = dial
        scene.nodes["n0"].become("down")
        await asyncio.sleep(5)

    assert play(story).states()[-1] == (Link.CONNECTED, "n2")
