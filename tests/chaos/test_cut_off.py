"""A node that is cut off from the rest takes orders all the same; healing spreads them within seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.chaos.netns import Network
from tests.e2e.farm import Farm, Member, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.timeout(180)]
PORT = 7700
AT_ONCE_S = 3.0
KNOWN_S = 5.0
EFFECT_S = 10.0
SHORT = ("--command", "sleep 0.5", "--gate", "off")
NAMES = ("a", "b", "c", "d")


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.fixture
def farm(network: Network, tmp_path: Path) -> Iterator[Farm]:
    with Farm(tmp_path / "farm") as farm:
        for name in NAMES:
            farm.add(name, address=f"{network.plug_in(name)}:{PORT}", prefix=network.prefix(name))
        farm.start(*NAMES)
        yield farm


def accepted_here(member: Member, job: str, action: str, **args: object) -> None:
    asked = time.monotonic()
    assert member.control(job, action, **args)["stored"] == "here"
    assert time.monotonic() - asked < AT_ONCE_S


def cut_off(farm: Farm, network: Network, name: str) -> tuple[Member, list[Member]]:
    network.cut(name)
    rest = [member for member in farm if member.name != name]
    until(lambda: all(name not in member.alive() for member in rest), "the rest has noticed", 40)
    until(lambda: farm[name].alive() == {name}, "the node itself has noticed", 40)
    until(lambda: all(member.leader() in {one.name for one in rest} for member in rest), "the rest has a leader", 40)
    until(lambda: farm[name].leader() == name, "the node leads itself", 40)
    return farm[name], rest


def test_orders_given_on_a_node_that_is_cut_off_reach_all_after_healing(farm: Farm, network: Network) -> None:
    a = farm["a"]
    pausing = a.submit(*SHORT, "--frames", "1-2000", "--priority", "60")
    resuming = a.submit(*SHORT, "--frames", "1-2000")
    cancelling = a.submit(*SHORT, "--frames", "1-2000", "--priority", "60")
    approving = a.submit("--command", "true", "--frames", "1-20", "--gate", "hold", "--priority", "90")
    a.control(resuming, "pause")
    until(lambda: all(member.state(approving) == "awaiting_approval" for member in farm), "the gate waits")
    until(lambda: all(member.state(resuming) == "paused" for member in farm), "one job is paused")

    alone, rest = cut_off(farm, network, "d")
    accepted_here(alone, pausing, "pause")
    accepted_here(alone, resuming, "resume")
    accepted_here(alone, cancelling, "cancel")
    accepted_here(alone, approving, "approve")
    submitted = alone.ctl_json("submit", *SHORT, "--frames", "1-4", "--priority", "95")
    assert submitted["stored"] == "here"
    new = submitted["job"]
    unmoved = [rest[0].state(job) for job in (pausing, resuming, cancelling, approving)]
    assert (unmoved[0], unmoved[1], unmoved[3]) == ("rendering", "paused", "awaiting_approval")
    assert unmoved[2] in ("queued", "rendering")

    network.heal()

    def is_known(member: Member) -> bool:
        states = [member.state(job) for job in (pausing, resuming, cancelling, approving)]
        known = (states[0], states[2]) == ("paused", "cancelled") and states[1] != "paused"
        return known and states[3] != "awaiting_approval" and bool(member.state(new))

    healed = time.monotonic()
    until(lambda: all(map(is_known, rest)), "all nodes know the orders", KNOWN_S + 2)
    assert time.monotonic() - healed < KNOWN_S + 1
    left_s = EFFECT_S - (time.monotonic() - healed)
    until(lambda: grants(rest[0], pausing, cancelling) == 0, "nothing of what was stopped runs", left_s)
    until(lambda: rest[0].job(resuming)["running"] > 0, "what was resumed runs", EFFECT_S)
    until(
        lambda: {m.state(job) for m in farm for job in (new, approving)} == {"completed"}, "what was asked is done", 60
    )
    farm.settle()


def grants(member: Member, *jobs: str) -> int:
    return sum(int(member.job(job)["running"]) for job in jobs)


def test_halves_of_a_divided_farm_finish_one_job_together(farm: Farm, network: Network, tmp_path: Path) -> None:
    out = tmp_path / "out"
    copies = "sh -c 'sleep 0.4; echo {frame} > {output}'"
    words = ("--output-name", "f.{frame}.txt", "--output", str(out), "--gate", "off")
    job = farm["a"].submit("--command", copies, "--frames", "1-150", *words)
    until(lambda: farm["a"].job(job)["done"] > 5, "it is under way")

    network.cut(farm.leader().name)
    until(lambda: len({leader for member in farm if (leader := member.leader())}) == 2, "each side leads itself", 60)
    network.heal()

    farm.settle()
    until(lambda: all(member.state(job) == "completed" for member in farm), "it is completed", 90)
    until(lambda: farm["a"].job(job)["delivered"] == 150, "all results are delivered")
    assert {path.name: path.read_text().strip() for path in out.iterdir()} == {
        f"f.{frame}.txt": str(frame) for frame in range(1, 151)
    }
    assert farm["b"].job(job)["failed"] == 0


@pytest.mark.slow
def test_node_that_was_away_for_long_is_back_within_seconds(farm: Farm, network: Network) -> None:
    alone, rest = cut_off(farm, network, "c")
    job = rest[0].submit("--command", "true", "--frames", "1-50")
    until(lambda: rest[0].state(job) == "completed", "the rest works on")
    own = alone.submit("--command", "true", "--frames", "1-5")
    away = "the cut has lasted long enough for every connection to be given up"
    until(lambda: last_seen_s(rest[0], "c") > 30, away, 90)

    network.heal()

    until(lambda: alone.state(job) == "completed", "it knows what happened", KNOWN_S + 2)
    until(lambda: all(member.state(own) == "completed" for member in rest), "they know what it did", KNOWN_S + 2)
    farm.settle()


def last_seen_s(member: Member, name: str) -> float:
    return next(float(node["last_seen_s"]) for node in member.status()["nodes"] if node["name"] == name)
