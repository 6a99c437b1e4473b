"""Can a machine be switched off? What only it has, asked there and from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farmd.core import loneresults
from farmd.core.effects import Send
from farmd.core.events import ClientAsked
from farmd.core.offduty import PATIENCE_S, OffDuty, findings_of
from farmd.core.turn import Instant, Turn
from protocol.frames import FrameSet
from protocol.jobspec import GateMode, GateSpec
from protocol.messages import SafeAsk, SafeIs
from tests.core.small_farm import Farm, play
from tests.sim.world import RenderPlan

if TYPE_CHECKING:
    import pytest


def blocking(answer: Any) -> list[str]:
    return [finding["what"] for finding in answer["findings"] if finding["blocks"]]


def test_a_farm_of_one_has_nobody_who_could_go_on() -> None:
    async def scene(farm: Farm) -> None:
        answer = await farm.data("node.safe")
        assert not answer["safe"]
        assert blocking(answer) == ["records"]
        assert "no other machine answers" in answer["findings"][0]["text"]

    play(scene)


def test_a_machine_whose_work_is_known_and_copied_elsewhere_is_safe() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit()
        await farm.until_state(job, "completed")
        await farm.until(lambda: not list(farm.machines[0].node.jobs.get(job).lonely_tasks()))  # type: ignore[union-attr,arg-type]
        for on in (0, 1):
            for name in ("n00", "n01"):
                answer = await farm.data("node.safe", on=on, node=name)
                assert (answer["node_name"], answer["safe"], blocking(answer)) == (name, True, [])
        remarks = [finding["what"] for finding in (await farm.data("node.safe", on=1, node="n00"))["findings"]]
        assert "open" in remarks

    play(scene, 2)


def test_what_runs_there_keeps_a_machine_on_until_it_is_drained() -> None:
    async def scene(farm: Farm) -> None:
        job = await farm.submit(gate=GateSpec(GateMode.OFF))
        farm.world.failing[job] = lambda rng, node, effect: RenderPlan(10.0, 0, "")  # type: ignore[index]  # a job id
        await farm.until(lambda: bool(farm.machines[1].node.worker.live))
        answer = await farm.data("node.safe", node="n01")
        assert "running" in blocking(answer)
        assert "drain n01 --wait" in next(f["hint"] for f in answer["findings"] if f["what"] == "running")
        await farm.data("node.drain", node="n01")
        await farm.until(lambda: not farm.machines[1].node.worker.live)

        async def safe() -> bool:
            return bool((await farm.data("node.safe", node="n01"))["safe"])

        for _ in range(60):
            if await safe():
                break
            before = farm.world.loop.time()
            await farm.until(lambda since=before: farm.world.loop.time() > since + 0.5)  # type: ignore[misc]
        assert await safe()

    play(scene, 2)


def test_results_whose_only_other_copy_is_on_a_machine_that_is_off_are_named() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("node.hold", node="n02")
        job = await farm.submit(gate=GateSpec(GateMode.OFF), frames="1-6", output_dir=None)
        await farm.until_state(job, "completed")
        for machine in (farm.machines[0], farm.machines[1]):
            await farm.until(lambda node=machine.node: not list(node.jobs.get(job).lonely_tasks()))  # type: ignore[misc]
        farm.machines[1].crash()
        await farm.until(lambda: not farm.machines[0].node.membership.is_alive(farm.machines[1].id), 60)
        answer = await farm.data("node.safe", on=2, node="n00")
        assert "results" in blocking(answer)
        [finding] = [finding for finding in answer["findings"] if finding["what"] == "results"]
        jobs, pair = farm.machines[2].node.jobs, {farm.machines[0].id, farm.machines[1].id}
        tasks = [task for task in range(6) if set(jobs.get(job).copies_of(task)) == pair]  # type: ignore[union-attr,arg-type]
        assert tasks
        assert (finding["job"], finding["frames"]) == (job, str(FrameSet.of(task + 1 for task in tasks)))
        assert finding["number"] == len(tasks)
        gone = await farm.data("node.safe", node="n01")
        assert blocking(gone) == ["unknown"]

    play(scene, 3)


def test_results_are_looked_through_a_few_in_each_turn_and_all_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loneresults, "STEP", 2)
    turns: list[int] = []
    begin = OffDuty._begin

    def counted(self: OffDuty, turn: Turn, search: Any) -> None:
        turns.append(turn.cause)
        begin(self, turn, search)

    monkeypatch.setattr(OffDuty, "_begin", counted)

    async def scene(farm: Farm) -> None:
        first, second, _ = farm.machines
        job = await farm.submit(gate=GateSpec(GateMode.OFF), output_dir=None)
        await farm.until_state(job, "completed")
        await farm.until(lambda: not list(first.node.jobs.get(job).lonely_tasks()))  # type: ignore[union-attr,arg-type]
        second.crash()
        await farm.until(lambda: not first.node.membership.is_alive(second.id), 60)
        assert turns == []
        answer = await farm.data("node.safe", node="n00")
        assert len(set(turns)) == len(turns) == 11, "twenty results, two a turn, and one to end"
        known = findings_of(first.node, first.id)
        assert answer["findings"] == [finding._asdict() for finding in known]
        assert "results" in blocking(answer)
        assert "results" in blocking(await farm.data("node.safe", on=2, node="n00")), "asked from elsewhere"

    play(scene, 3)


def test_nobody_looks_on_for_a_client_that_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loneresults, "STEP", 2)

    async def scene(farm: Farm) -> None:
        first, second = farm.machines
        job = await farm.submit(gate=GateSpec(GateMode.OFF), output_dir=None)
        await farm.until_state(job, "completed")
        second.crash()
        await farm.until(lambda: not first.node.membership.is_alive(second.id), 60)
        turn, duty = Turn(Instant(0.0, 0)), first.node.door.off_duty
        duty.operations["node.safe"](turn, ClientAsked(77, "node.safe", {}, "anna@n00"))
        assert duty.next_deadline() == 0.0
        duty.left(77)
        assert duty.next_deadline() is None
        assert turn.effects == []

    play(scene, 2)


def test_files_of_a_job_that_no_other_machine_has_are_named_until_the_job_is_over() -> None:
    async def scene(farm: Farm) -> None:
        from tests.sim.workload import Studio

        studio = Studio(farm.world, farm.world.rng)
        await farm.data("node.hold", node="n01")
        job = await farm.submit(manifest=studio._scene(farm.machines[0], 1), gate=GateSpec(GateMode.HOLD, (1,)))
        answer = await farm.data("node.safe", node="n00")
        assert "assets" in blocking(answer)
        await farm.data("job.control", job=job, action="cancel")
        await farm.until(lambda: not farm.machines[0].node.worker.live)
        assert "assets" not in blocking(await farm.data("node.safe", node="n00"))

    play(scene, 2)


def test_a_machine_cut_off_with_news_of_its_own_is_not_safe_until_the_farm_knows_them() -> None:
    async def scene(farm: Farm) -> None:
        first = farm.machines[0]
        farm.world.network.split([[first.id], [machine.id for machine in farm.machines[1:]]])
        await farm.until(lambda: len(first.node.membership.alive()) == 1, 60)
        await farm.submit(gate=GateSpec(GateMode.HOLD, (1,)))
        assert "records" in blocking(await farm.data("node.safe"))
        farm.world.network.heal()
        await farm.until(lambda: len(first.node.membership.alive()) == 3, 30)
        answer: Any = None
        for _ in range(20):
            answer = await farm.data("node.safe")
            if "records" not in blocking(answer):
                break
            before = farm.world.loop.time()
            await farm.until(lambda since=before: farm.world.loop.time() > since + 0.5)  # type: ignore[misc]
        assert "records" not in blocking(answer)

    play(scene, 3)


def test_a_machine_that_does_not_answer_in_time_is_told_of_from_what_is_known() -> None:
    async def scene(farm: Farm) -> None:
        farm.machines[1].freeze()
        answer = await farm.ask("node.safe", wait_s=20.0, node="n01")
        assert answer.error is None
        assert "unknown" in blocking(answer.data)
        assert answer.data["findings"][0]["text"].startswith("n01 does not answer: what only it knows")

    play(scene, 2)


def test_a_machine_that_is_there_and_still_looks_is_not_said_to_be_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(farm: Farm) -> None:
        monkeypatch.setattr(farm.machines[1].node.door.off_duty, "on_ask", lambda *_: None)
        answer = await farm.data("node.safe", wait_s=20.0, node="n01")
        assert answer["findings"][0]["text"].startswith("n01 has not answered yet: what only it knows")

    play(scene, 2)


def findings_sent(turn: Turn) -> list[int]:
    """Numbers of the questions that were answered in a turn."""
    sent = [effect.message for effect in turn.effects if isinstance(effect, Send)]
    return [message.ask for message in sent if isinstance(message, SafeIs)]


def test_a_machine_that_asks_again_meanwhile_is_answered_by_the_one_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loneresults, "STEP", 2)

    async def scene(farm: Farm) -> None:
        first, second, third = farm.machines
        job = await farm.submit(gate=GateSpec(GateMode.OFF), output_dir=None)
        await farm.until_state(job, "completed")
        third.crash()
        await farm.until(lambda: not first.node.membership.is_alive(third.id), 60)
        duty, at = first.node.door.off_duty, 1000.0

        def ask(number: int, at: float) -> list[int]:
            turn = Turn(Instant(at, 0))
            duty.on_ask(turn, second.id, SafeAsk(number))
            return findings_sent(turn)

        def go_on(at: float) -> list[int]:
            sent: list[int] = []
            while duty.next_deadline() is not None:
                turn = Turn(Instant(at, 0))
                duty.on_timer(turn)
                sent += findings_sent(turn)
            return sent

        assert (ask(1, at), ask(2, at + 1), ask(3, at + PATIENCE_S + 1)) == ([], [], [])
        assert len(duty._searches) == 1
        assert go_on(at + PATIENCE_S + 2) == [3], "it no longer waits for the others"
        assert (ask(4, at + 20), go_on(at + 21 + PATIENCE_S)) == ([], []), "found too late"
        assert (ask(5, at + 22 + PATIENCE_S), duty.next_deadline()) == ([5], None), "and kept for the next"
        assert (ask(6, at + 40), go_on(at + 40 + 2 * PATIENCE_S)) == ([], []), "given up"
        assert (ask(7, at + 41 + 2 * PATIENCE_S), go_on(at + 42 + 2 * PATIENCE_S)) == ([], [7]), "and begun anew"

    play(scene, 3)
