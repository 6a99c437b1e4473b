"""Work goes where it fits, by what machines advertise; what fits nowhere waits, says why, and starts by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.farm import Farm, until

if TYPE_CHECKING:
    from tests.e2e.farm import Member

WORK = ("--command", "true", "--frames", "1-4", "--gate", "off")


def reason(member: Member, job: str) -> dict[str, object]:
    (found,) = member.ctl_json("why", job)["reasons"]
    return dict(found)


def test_job_that_fits_nowhere_says_why_and_starts_when_a_fitting_node_joins(farm: Farm) -> None:
    a = farm.add("a", "--advertise", "ram=32G,gpu=0")
    b = farm.add("b", "--advertise", "ram=16G,gpu=1")
    farm.start("a", "b")
    large = a.submit(*WORK, "--ram", "64G")
    graphic = b.submit(*WORK, "--gpus", "2")
    until(lambda: b.state(large) != "preparing" and a.state(graphic) != "preparing", "both jobs are known")

    for member in (a, b):
        why = until(lambda m=member: reason(m, large), f"{member.name} says why")  # type: ignore[misc]
        assert why["code"] == "no_node_fits_ram"
        assert "64" in str(why["text"])
        assert [fit["node_name"] for fit in why["nearest"]] == ["a", "b"]  # type: ignore[attr-defined]
        assert why["nearest"][0]["has"] == 32 << 30  # type: ignore[index]
        why = reason(member, graphic)
        assert why["code"] == "no_node_fits_gpu"
        assert why["nearest"][0]["node_name"] == "b"  # type: ignore[index]
    printed = a.ctl("why", large).stdout
    assert "64" in printed
    assert "a: ram" in printed
    assert (a.job(large)["running"], a.job(graphic)["running"]) == (0, 0)

    farm.add("c", "--advertise", "ram=64G,gpu=2")
    (c,) = farm.start("c")

    until(lambda: (a.state(large), b.state(graphic)) == ("completed", "completed"), "both jobs run on the new node")
    for job in (large, graphic):
        assert {task["node_name"] for task in c.tasks(job)} == {"c"}


def test_node_that_can_hold_one_task_in_memory_runs_one_at_a_time(farm: Farm) -> None:
    a = farm.add("a", "--slots", "4", "--advertise", "ram=10G")
    farm.start("a")

    job = a.submit("--command", "sleep 0.3", "--frames", "1-3", "--gate", "off", "--ram", "6G")

    most = 0

    def is_over() -> bool:
        nonlocal most
        most = max(most, a.job(job)["running"], len(a.renders()))
        return a.state(job) == "completed"

    until(is_over, "the job ends")
    assert most == 1
