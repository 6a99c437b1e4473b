"""Jobs come in pages, so that a farm of any size can be listed, and each is told once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.farmctl.fakes import FakeNode, farm, job_view, run


def paged(count: int, *, largest: int = 10_000) -> FakeNode:
    jobs = [job_view(id=f"{number:016d}", name=f"shot_{number}") for number in range(count)]

    def answer(offset: int, limit: int, **_: Any) -> dict[str, Any]:
        return {"schema": "farm.jobs.v1", "jobs": jobs[offset : offset + min(limit, largest)], "total": count}

    return FakeNode(farm() | {"job.list": answer})


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 2_300])
def test_all_jobs_are_listed_whatever_their_number(count: int) -> None:
    node = paged(count)
    listed = json.loads(run(node, "job", "list", "--json").stdout)["jobs"]
    assert [job["id"] for job in listed] == [f"{number:016d}" for number in range(count)]
    assert len(node.asked("job.list")) == max(1, -(-count // 500))


def test_a_node_that_gives_smaller_pages_is_asked_on() -> None:
    assert len(run(paged(90, largest=40), "job", "list", "-q").stdout.splitlines()) == 90


def test_a_node_that_stops_early_is_not_asked_for_ever() -> None:
    node = FakeNode(farm() | {"job.list": lambda offset, **_: {"jobs": [job_view()] * (offset == 0), "total": 9}})
    assert run(node, "job", "list", "-q").exit_code == 0
    assert len(node.asked("job.list")) == 2


def test_a_job_of_a_later_page_is_found_by_its_name() -> None:
    node = paged(1_200)
    node.answers["job.show"] = lambda job: job_view(id=job)
    assert run(node, "job", "show", "shot_1100").exit_code == 0
    assert node.asked("job.show") == [{"job": f"{1100:016d}"}]
