"""Logs read from afar while machines leave, come back and die, on simulated time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from farmd.core.events import ClientLeft, MessageReceived
from protocol.ids import JobId
from protocol.jobspec import GateMode, GateSpec
from protocol.logquery import LogExcerpt, LogLine
from protocol.messages import LogSeek, LogSought
from tests.core.small_farm import Farm, play

if TYPE_CHECKING:
    from protocol.ids import AttemptRef


async def running(farm: Farm, job: str, machine: int) -> AttemptRef:
    """Wait until an attempt of a job runs on a machine."""
    found: list[AttemptRef] = []

    def runs() -> bool:
        found[:] = [ref for ref in farm.machines[machine].node.worker.live if ref.job == job]
        return bool(found)

    await farm.until(runs)
    return found[0]


async def on_one_machine(farm: Farm, machine: int) -> tuple[str, AttemptRef]:
    """Let one machine render a job of one long frame, and return its attempt."""
    for index, other in enumerate(farm.machines):
        if index != machine:
            await farm.data("node.hold", node=other.name)
    farm.world.mean_frame_s = 20.0
    job = await farm.submit(frames="1", gate=GateSpec(GateMode.OFF, ()))
    return job, await running(farm, job, machine)


def texts(answer: Any) -> list[str]:
    return [line["text"] for line in answer["lines"]]


def test_log_of_another_machine_is_followed_to_its_end_line_by_line() -> None:
    async def scene(farm: Farm) -> None:
        job, ref = await on_one_machine(farm, 1)
        seen, offset, size, answers = [], 0, 0, 0
        while True:
            answer = await farm.data("log.follow", 0, 30, job=job, offset=offset, size=size, patience_s=10)
            assert answer["node_name"] == "n01"
            seen += texts(answer)
            offset, size, answers = answer["next"], answer["size"], answers + 1
            if answer["ended"] and not answer["lines"]:
                break
        assert seen == farm.machines[1].logs.texts[ref].decode().splitlines()
        assert seen[-1].startswith("ended")
        assert answers <= len(seen) + 3, "each answer brought something"

    play(scene, 2)


def test_follow_of_a_machine_that_dies_says_so_within_seconds() -> None:
    async def scene(farm: Farm) -> None:
        job, _ = await on_one_machine(farm, 1)
        client = farm.world.ask(farm.machines[0], "log.follow", job=job, offset=1 << 20, patience_s=30)
        await asyncio.sleep(0.5)
        farm.machines[1].crash()
        began = farm.world.loop.time()
        await farm.until(lambda: client in farm.world.answers, 30)
        answer = farm.world.answers[client]
        assert answer.error is None
        assert answer.data["away"]["node_name"] == "n01"
        assert answer.data["away"]["why"] == "it does not answer"
        assert not answer.data["found"]
        assert farm.world.loop.time() - began < 12, "it is the loss that is told, long before patience ends"

    play(scene, 2)


def test_log_of_a_machine_that_is_off_is_told_where_it_is_and_since_when() -> None:
    async def scene(farm: Farm) -> None:
        job, ref = await on_one_machine(farm, 1)
        await farm.until(lambda: ref not in farm.machines[1].node.worker.live)
        await asyncio.sleep(2)
        left_ms = farm.machines[0].clock.now().wall_ms
        farm.machines[1].leave()
        await asyncio.sleep(3)
        answer = await farm.data("log.tail", job=job)
        assert not answer["found"]
        assert answer["away"]["why"] == "it was shut down"
        assert abs(answer["away"]["since_ms"] - left_ms) < 3000
        rows = (await farm.data("log.list", job=job))["attempts"]
        assert [(row["here"], row["size"]) for row in rows] == [(False, None)]
        farm.machines[1].start()
        await asyncio.sleep(10)
        rows = (await farm.data("log.list", job=job))["attempts"]
        assert [(row["here"], row["size"]) for row in rows] == [(True, len(farm.machines[1].logs.texts[ref]))]
        assert texts(await farm.data("log.tail", job=job, lines=1))[0].startswith("ended")

    play(scene, 2)


def test_viewer_that_leaves_is_forgotten_at_both_ends() -> None:
    async def scene(farm: Farm) -> None:
        job, _ = await on_one_machine(farm, 1)
        here, there = farm.machines
        client = farm.world.ask(here, "log.follow", job=job, offset=1 << 20, patience_s=30)
        await farm.until(lambda: there.node.logs.next_deadline() is not None)
        here._post(ClientLeft(client))
        await asyncio.sleep(1)
        assert here.node.logs.next_deadline() is None
        assert there.node.logs.next_deadline() is None
        assert there.logs.left, "the disk was told, too"

    play(scene, 2)


def test_question_that_gets_lost_is_an_error_after_some_seconds() -> None:
    async def scene(farm: Farm) -> None:
        job, _ = await on_one_machine(farm, 1)
        farm.machines[1].node.logs.on_seek = lambda *_args: None  # type: ignore[method-assign]  # as an older version
        answer = await farm.ask("log.tail", 0, 20, job=job)
        assert answer.error is not None
        assert answer.error[:2] == (7, "the log did not arrive")

    play(scene, 2)


def test_viewer_of_a_log_that_never_stops_gets_four_answers_a_second_at_most() -> None:
    async def scene(farm: Farm) -> None:
        job, ref = await on_one_machine(farm, 1)
        until, answers, offset, size = farm.world.loop.time() + 5, 0, 0, 0
        while farm.world.loop.time() < until:
            farm.machines[1].logs.print(ref, "and on and on")
            answer = await farm.data("log.follow", 0, 30, job=job, offset=offset, size=size, patience_s=10)
            offset, size, answers = answer["next"], answer["size"], answers + 1
            assert answer["lines"]
        assert 10 <= answers <= 21

    play(scene, 2)


def test_hundred_viewers_of_one_log_cost_one_look_and_all_are_told() -> None:
    async def scene(farm: Farm) -> None:
        job, ref = await on_one_machine(farm, 1)
        here, there = farm.machines
        there.logs.print(ref, "begun")
        size = len(there.logs.texts[ref])
        asks = [(here, n) for n in range(60)] + [(there, n) for n in range(40)]
        args = {"job": job, "offset": size, "size": size + 10_000, "patience_s": 20}
        clients = [farm.world.ask(machine, "log.follow", **args) for machine, _ in asks]
        await asyncio.sleep(1)
        before = there.logs.seeks
        await asyncio.sleep(4)
        assert there.logs.seeks - before <= 20, "one look for all, four times a second"
        there._post(ClientLeft(clients[60]))
        await asyncio.sleep(0.5)
        there.logs.texts[ref].extend(b"x" * 10_000 + b"\n")
        told = [client for number, client in enumerate(clients) if number != 60]
        await farm.until(lambda: all(client in farm.world.answers for client in told), 3)
        assert all(farm.world.answers[client].data["lines"] for client in told)
        assert clients[60] not in farm.world.answers

    play(scene, 2)


def test_answer_to_a_question_of_a_former_life_is_not_taken_for_another_log() -> None:
    async def scene(farm: Farm) -> None:
        job, _ = await on_one_machine(farm, 1)
        here, there = farm.machines
        asked: list[LogSeek] = []
        there.node.logs.on_seek = lambda *args: asked.append(args[2])  # type: ignore[method-assign]  # says nothing yet
        farm.world.ask(here, "log.tail", job=job)
        await farm.until(lambda: len(asked) == 1)
        here.crash()
        here.start()
        await farm.until(
            lambda: here.node.membership.is_alive(there.id) and here.node.jobs.get(JobId(job)) is not None, 30
        )
        client = farm.world.ask(here, "log.tail", job=job)
        await farm.until(lambda: len(asked) == 2)
        late, own = (
            LogSought(ask.ask, LogExcerpt(True, 9, 9, complete=True, lines=(LogLine(0, 9, text),)))
            for ask, text in zip(asked, ("of a former life", "of this one"), strict=True)
        )
        here._post(MessageReceived(there.id, late))
        await asyncio.sleep(0.5)
        assert client not in farm.world.answers, "it goes on waiting for the answer to its own question"
        here._post(MessageReceived(there.id, own))
        await farm.until(lambda: client in farm.world.answers)
        assert texts(farm.world.answers[client].data) == ["of this one"]

    play(scene, 2)
