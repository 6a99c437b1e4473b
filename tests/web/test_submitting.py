"""Submissions that got no answer: sent again with their key they make one job, and without one nobody says to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from farmd.web.errors import Refusal
from farmd.web.spool import Spool
from protocol.errors import Unreachable
from protocol.ids import pack_job

if TYPE_CHECKING:
    from pathlib import Path

    from tests.web.serving import Served

JOB = {"name": "n", "renderer": "command", "command": "true", "frames": "1"}


class Farmer:
    """Takes jobs, and says nothing the first times."""

    def __init__(self, served: Served, silent: int) -> None:
        self.served = served
        self.silent = silent
        self.asked: list[dict[str, Any]] = []
        served.table.answers["job.submit"] = self._take

    def _take(self, args: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(args)
        if len(self.asked) <= self.silent:
            raise Unreachable("the connection to the daemon broke", "its daemon ended")
        return {"job": args.get("job", "0" * 16), "stored": "here"}

    def submit(
        self, key: str | None, path: str = "/api/v1/jobs", token: str = "good", **changes: Any
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} | ({} if key is None else {"Idempotency-Key": key})
        return requests.post(f"{self.served.url}{path}", json=JOB | changes, headers=headers, timeout=10)


def test_a_submission_that_is_repeated_with_its_key_asks_for_the_same_job(served: Served) -> None:
    farmer = Farmer(served, silent=1)
    lost, again, once_more = (farmer.submit("8e03978e-40d5") for _ in range(3))
    assert (lost.status_code, lost.headers["Retry-After"]) == (503, "2")
    assert (again.status_code, once_more.status_code) == (201, 201)
    ids = {asked["job"] for asked in farmer.asked}
    assert ids == {again.json()["job"]} == {once_more.json()["job"]}
    assert len(pack_job(ids.pop())) == 10
    farmer.submit("8e03978e-40d5", token="other")
    farmer.submit("another")
    assert len({asked["job"] for asked in farmer.asked}) == 3


def test_a_submission_without_a_key_is_not_said_to_be_repeated(served: Served) -> None:
    farmer = Farmer(served, silent=1)
    answer = farmer.submit(None)
    told = answer.json()
    assert (answer.status_code, told["may_be_done"], told["code"]) == (503, True, "unreachable")
    assert "Retry-After" not in answer.headers
    assert "look before you send it again: GET /api/v1/jobs?owner=anna" in told["hint"]
    assert farmer.submit(None).status_code == 201
    assert [asked.keys() & {"job"} for asked in farmer.asked] == [set(), set()]


def test_a_key_that_comes_with_another_request_is_refused(served: Served) -> None:
    farmer = Farmer(served, silent=0)
    assert farmer.submit("k").status_code == 201
    assert farmer.submit("k", frames="2").json()["why"] == "with another request"
    assert farmer.submit("k", "/api/task/create", cg_name="Blender").status_code == 422
    for wrong in ("", "a b", "x" * 256, "tab\tbed"):
        assert farmer.submit(wrong).status_code == 422, wrong
    assert len(farmer.asked) == 1


def test_keys_are_known_again_after_a_restart_of_the_door(tmp_path: Path) -> None:
    before, spool = Spool(tmp_path / "web", 100), Spool(tmp_path / "web", 100)
    before.open()
    job = before.job_of_key("anna", "a" * 64, "r")
    spool.open()
    assert spool.job_of_key("anna", "a" * 64, "r") == job
    with pytest.raises(Refusal, match="used before"):
        spool.job_of_key("anna", "a" * 64, "other")
    assert spool.job_of_key("ben", "a" * 64, "r") != job
