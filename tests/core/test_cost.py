"""What rendering costs: shares of machines, prices that change, sums by day, and the fold from scratch."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING

import jsonschema_rs
import pytest

from farmd.core.attempts import read_attempt
from farmd.core.capacity import Claim
from farmd.core.cost import DAY_MS, FREE, HOUR_MS, MILLIONTHS, Costs, Sum, hardware_of, price_of_share
from protocol.bodies import AttemptBody, Gpu, NodeBody, pack_body, unpack_body
from protocol.jobspec import GateMode, GateSpec
from protocol.schemas import SCHEMAS
from protocol.states import AttemptState
from tests.core.foldrows import JOB, WALL_MS, attempt_row, done_row, failed_row, fold, folded, job_row, spec
from tests.core.small_farm import Farm, play

if TYPE_CHECKING:
    from protocol.records import Rec

GIB = 1 << 30
CARD = Gpu("gpu-1", "RTX 4090", 24 * GIB)
BODY = NodeBody("ws01", "a:1", 1, 16, 64 * GIB, (CARD, CARD._replace(uuid="gpu-2")), 0, (), "1", 1, 1)
PRICE = 2 * MILLIONTHS


def priced(rec: Rec, price: int, *, seconds: float = 3600.0, ended_ms: int = WALL_MS) -> Rec:
    body = unpack_body(AttemptBody, rec.body)
    ended = 0 if body.state == AttemptState.RUNNING else ended_ms
    body = body._replace(price=price, started_ms=ended_ms - int(seconds * 1000), ended_ms=ended)
    return rec._replace(body=pack_body(body))


@pytest.mark.parametrize(
    ("claim", "slots", "expected"),
    [
        (Claim(16, 0), 0, PRICE),
        (Claim(4, 0), 0, PRICE // 4),
        (Claim(4, 32 * GIB), 0, PRICE // 2),
        (Claim(1, 0, ("gpu-1",)), 0, PRICE // 2),
        (Claim(1, 0), 1, PRICE),
        (Claim(1, 0), 4, PRICE // 4),
        (Claim(64, 0), 0, PRICE),
    ],
)
def test_an_attempt_is_charged_for_the_largest_share_that_it_takes(claim: Claim, slots: int, expected: int) -> None:
    assert price_of_share(PRICE, claim, BODY._replace(slots=slots)) == expected


def test_a_price_of_nothing_is_told_apart_from_no_price() -> None:
    small = Claim(1, 0)
    assert (price_of_share(0, small, BODY), price_of_share(3, small, BODY)) == (FREE, FREE)
    assert price_of_share(None, small, BODY) == 0
    free, unpriced = priced(done_row(0, 1), FREE), priced(done_row(1, 2), 0, seconds=60)
    assert folded(job_row(spec("1-4")), free, unpriced).costs.total == Sum(0, 0, HOUR_MS + 60_000, 60_000)


def test_machines_of_one_configuration_have_one_name() -> None:
    assert hardware_of(BODY) == "16 cores, 64G RAM, 2x RTX 4090"
    assert hardware_of(BODY._replace(name="ws02", ram_bytes=64 * GIB - (100 << 20))) == hardware_of(BODY)
    assert hardware_of(BODY._replace(cores=8, gpus=())) == "8 cores, 64G RAM"


def test_failed_attempts_cost_too_and_are_told_apart() -> None:
    rows = [
        priced(done_row(0, 1), PRICE),
        priced(failed_row(1, 2), PRICE, seconds=1800),
        priced(done_row(2, 3), 0, seconds=60),
        priced(attempt_row(3, 4), PRICE),
    ]
    costs = folded(job_row(spec("1-4")), *rows).costs
    expected = Sum(3 * MILLIONTHS, MILLIONTHS, HOUR_MS * 3 // 2 + 60_000, 60_000)
    assert costs.total == expected


def test_sums_do_not_depend_on_the_order_of_rows() -> None:
    row = job_row(spec("1-4"))
    rows = [
        priced(attempt_row(0, 1), 7),
        priced(done_row(0, 1), 7, seconds=1234.567),
        priced(failed_row(1, 2), 13, seconds=77.7, ended_ms=WALL_MS - DAY_MS),
        priced(done_row(1, 3), 333_333, seconds=10.001),
    ]
    seen = [folded(row, *order).costs for order in permutations(rows)]
    assert all(costs == seen[0] for costs in seen)
    assert sum(day.cost for day in seen[0].days.values()) == seen[0].total.cost


def test_only_what_ended_since_a_day_is_summed_up() -> None:
    costs = Costs()
    for n, days_ago in enumerate((0, 1, 40)):
        rec = priced(done_row(n, n + 1), PRICE, ended_ms=WALL_MS - days_ago * DAY_MS)
        costs.replace(None, read_attempt(rec))
    assert costs.since(WALL_MS - DAY_MS).cost == 2 * PRICE
    assert costs.since(WALL_MS - 30 * DAY_MS).cost == 2 * PRICE
    assert costs.since(WALL_MS - 41 * DAY_MS) == costs.total


def test_a_version_that_takes_the_place_of_another_is_counted_once() -> None:
    costs = Costs()
    first = read_attempt(priced(failed_row(0, 1), PRICE))
    second = read_attempt(priced(done_row(0, 1), PRICE, seconds=7200))
    costs.replace(None, first)
    costs.replace(first, second)
    once = Costs()
    once.replace(None, second)
    assert costs == once
    assert costs.days == {WALL_MS // DAY_MS: Sum(2 * PRICE, 0, 2 * HOUR_MS, 0)}


def test_clocks_and_prices_beyond_reason_cost_nothing_below_zero() -> None:
    backwards = priced(done_row(0, 1), PRICE, seconds=-50)
    negative = priced(done_row(1, 2), -PRICE)
    costs = folded(job_row(spec("1-4")), backwards, negative).costs.total
    assert (costs.cost, costs.wasted, costs.unpriced_ms) == (0, 0, HOUR_MS)


def test_the_cost_of_a_deleted_job_is_gone_with_it() -> None:
    jobs = fold(job_row(spec("1-4")), priced(done_row(0, 1), PRICE))
    jobs.forget(JOB)
    assert jobs.get(JOB) is None


def test_a_job_costs_what_its_machines_cost_when_its_frames_started() -> None:
    async def scene(farm: Farm) -> None:
        both = farm.machines[0].node
        answer = await farm.data("node.price", node="n00", price_micros=36 * MILLIONTHS, alike=True)
        assert (answer["price_micros"], answer["price_for"], answer["changed"]) == (36 * MILLIONTHS, "hardware", True)
        await farm.data("node.price", node="n01", price_micros=0)
        told = {view["name"]: (view["price_micros"], view["price_for"]) for view in (await listed(farm))}
        assert told == {"n00": (36 * MILLIONTHS, "hardware"), "n01": (0, "node")}
        first = await farm.submit(gate=GateSpec(GateMode.OFF), project="dragon")
        await farm.until_state(first, "completed")
        done = both.jobs.get(first)  # type: ignore[arg-type]  # a job id
        assert done is not None
        cost = done.costs
        assert cost.total.cost > 0
        assert cost.total.unpriced_ms == 0, "a price of 0 is one"
        assert FREE in [attempt.price for attempt in map(done.result_of, done.done_tasks()) if attempt is not None]
        await farm.data("node.price", on=1, node="n00", price_micros=360 * MILLIONTHS)
        await farm.until(lambda: both.worker.price == 360 * MILLIONTHS)
        second = await farm.submit(gate=GateSpec(GateMode.OFF), frames="1-5")
        await farm.until_state(second, "completed")
        assert done.costs == cost
        rows = (await farm.data("farm.costs", by="project"))["rows"]
        sums = {row["key"]: row["cost_micros"] for row in rows}
        assert sums["dragon"] == cost.total.cost
        assert set(sums) == {"dragon", ""}
        view = await farm.data("job.show", job=first)
        assert view["costs"]["cost_micros"] == view["cost_micros"] == cost.total.cost

    async def listed(farm: Farm) -> list[dict[str, object]]:
        await farm.until(lambda: len(farm.machines[0].node.registry.bodies) == 2)
        return list((await farm.data("node.list"))["nodes"])

    play(scene, 2)


def test_taking_a_price_away_leaves_the_one_of_the_hardware() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("node.price", price_micros=5, alike=True)
        assert (await farm.data("node.price", price_micros=7))["price_micros"] == 7
        again = await farm.data("node.price", price_micros=7)
        assert not again["changed"]
        assert (await farm.data("node.price", price_micros=-1))["price_for"] == "hardware"
        assert (await farm.data("node.price", price_micros=-1, alike=True))["price_micros"] is None
        refused = await farm.ask("node.price", price_micros=-7)
        assert refused.error is not None
        assert (await farm.ask("farm.costs", by="colour")).error is not None

    play(scene)


def test_labels_are_kept_in_the_specification_and_sum_up_costs() -> None:
    async def scene(farm: Farm) -> None:
        await farm.data("node.price", price_micros=MILLIONTHS)
        job = await farm.submit(labels={"shot": "s010"}, gate=GateSpec(GateMode.OFF))
        await farm.until_state(job, "completed")
        assert (await farm.data("job.show", job=job))["labels"] == {"shot": "s010"}
        [row] = (await farm.data("farm.costs", by="labels.shot"))["rows"]
        assert (row["key"], row["jobs"]) == ("s010", 1)

    play(scene)
    assert replace(spec("1-2"), labels={"a": "b"}) != spec("1-2")


def test_configurations_are_listed_with_their_machines_and_what_is_promised_of_costs_is_kept() -> None:
    async def scene(farm: Farm) -> None:
        await farm.until(lambda: len(farm.machines[0].node.registry.bodies) == 2)
        priced = await farm.data("node.price", price_micros=5, alike=True)
        job = await farm.submit(gate=GateSpec(GateMode.OFF), frames="1-3")
        await farm.until_state(job, "completed")
        hardware = await farm.data("farm.hardware")
        [row] = hardware["hardware"]
        assert (row["name"], row["price_micros"], row["nodes"]) == (priced["hardware"], 5, ["n00", "n01"])
        edit = await farm.data("job.edit", job=job, changes={"name": "renamed"})
        shown = await farm.data("job.show", job=job)
        safe = await farm.data("node.safe", node="n01")
        costs = await farm.data("farm.costs", by="job")
        for document in (hardware, priced, edit, shown, safe, costs, await farm.data("node.show", node="n00")):
            jsonschema_rs.validate(SCHEMAS[document["schema"]], document)

    play(scene, 2)
