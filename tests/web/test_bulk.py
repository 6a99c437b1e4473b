"""One order for many jobs: each has its own result, and one refusal stops nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from protocol.errors import NotAllowed, NotFound, Unreachable

if TYPE_CHECKING:
    from tests.web.serving import Served

JOBS = [
    {"id": "j1", "name": "shot 1", "owner": "anna", "state": "failed", "failed": 3},
    {"id": "j2", "name": "shot 2", "owner": "anna", "state": "running", "failed": 1},
    {"id": "j3", "name": "shot 3", "owner": "ben", "state": "failed", "failed": 9},
    {"id": "j4", "name": "tree", "owner": "anna", "state": "completed", "failed": 0},
]


@pytest.fixture
def controlled(served: Served) -> list[dict[str, Any]]:
    heard: list[dict[str, Any]] = []

    def control(args: dict[str, Any]) -> dict[str, Any]:
        heard.append(args)
        if args["job"] == "j3":
            raise NotAllowed("anna may not retry job j3", "it belongs to ben", "ask ben")
        if args["job"] == "gone":
            raise NotFound("no job gone")
        if args["job"] == "far":
            raise Unreachable("the connection to the daemon broke")
        return {"job": args["job"], "changed": True, "state": "queued"}

    served.table.answers["job.control"] = control
    served.table.answers["job.list"] = lambda _args: {"schema": "s", "jobs": JOBS, "total": len(JOBS)}
    served.table.answers["job.show"] = lambda args: next(job for job in JOBS if job["id"] == args["job"])
    return heard


def order(served: Served, **body: Any) -> requests.Response:
    return requests.post(f"{served.url}/api/v1/orders", json=body, headers={"Authorization": "Bearer good"}, timeout=10)


def test_failed_frames_of_all_jobs_that_a_filter_finds_are_tried_again(
    served: Served, controlled: list[dict[str, Any]]
) -> None:
    answer = order(served, action="retry", filter={"has_failed": True, "name": "SHOT"}, why="licences are back")
    assert answer.status_code == 200, answer.text
    first, second, third = answer.json()["results"]
    assert (first["job"], first["action"], first["state"]) == ("j1", "retry", "queued")
    assert second["changed"] is True
    assert (third["job"], third["error"]["code"], third["error"]["hint"]) == ("j3", "not_allowed", "ask ben")
    assert controlled[0] == {"job": "j1", "action": "retry", "why": "licences are back"}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"state": "failed"}, ["j1", "j3"]),
        ({"owner": "anna", "has_failed": False}, ["j4"]),
        ({"name": "shot", "owner": "ben"}, ["j3"]),
        ({}, ["j1", "j2", "j3", "j4"]),
    ],
)
def test_a_dry_run_says_which_jobs_a_filter_finds_and_changes_nothing(
    served: Served, controlled: list[dict[str, Any]], wanted: dict[str, Any], found: list[str]
) -> None:
    results = order(served, action="cancel", filter=wanted, dry_run=True).json()["results"]
    assert [result["job"] for result in results] == found
    assert all(result["dry_run"] for result in results)
    assert controlled == []


@pytest.mark.parametrize(("action", "found"), [("retry", ["j1"]), ("unarchive", ["j2"])])
def test_a_filter_means_archived_jobs_only_where_they_are_to_come_back(
    served: Served, controlled: list[dict[str, Any]], action: str, found: list[str]
) -> None:
    kept = {"without": [JOBS[0]], "only": [JOBS[1]], "with": JOBS[:2]}  # the second one is archived
    served.table.answers["job.list"] = lambda args: {
        "schema": "s", "jobs": (jobs := kept[args.get("archived", "with")]), "total": len(jobs),
    }  # fmt: skip
    results = order(served, action=action, filter={"has_failed": True}).json()["results"]
    assert [result["job"] for result in results] == found == [asked["job"] for asked in controlled]


def test_jobs_are_named_once_each_and_a_wrong_name_stops_nothing(
    served: Served, controlled: list[dict[str, Any]]
) -> None:
    results = order(served, action="retry", jobs=["gone", "j1", "j1"], frames="3-1").json()
    assert results["code"] == "unusable", "frames that are none are refused for all"
    results = order(served, action="retry", jobs=["gone", "j1", "j1"], frames="1,2,3").json()["results"]
    assert [(result["job"], "error" in result) for result in results] == [("gone", True), ("j1", False)]
    assert {asked["frames"] for asked in controlled} == {"1-3"}


def test_the_rest_is_not_asked_where_the_daemon_answers_no_longer(
    served: Served, controlled: list[dict[str, Any]]
) -> None:
    names = ["far", *(f"k{number}" for number in range(100))]
    results = order(served, action="retry", jobs=names).json()["results"]
    assert len(results) == len(names)
    assert results[0]["error"]["code"] == "unreachable"
    assert results[-1]["error"]["message"] == "it was not asked"
    assert len(controlled) < 50


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "retry"},
        {"action": "delete", "jobs": ["j1"]},
        {"action": "retry", "jobs": ["j1"], "filter": {}},
        {"action": "retry", "jobs": ["j1"] * 1001},
        {"action": "retry", "filter": {"stat": "failed"}},
    ],
)
def test_an_order_that_does_not_say_what_is_meant_is_refused(
    served: Served, controlled: list[dict[str, Any]], body: dict[str, Any]
) -> None:
    assert order(served, **body).status_code == 422
    assert controlled == []
