"""What every request meets: the token, the checks, the errors, and what the door says of itself."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import requests

from farmd.web import app, metrics
from farmd.web.documents import document
from farmd.web.errors import CODES, Refusal, error_document, status_of
from farmd.web.joblist import PAGE
from farmd.web.table import ENDPOINTS
from protocol.errors import NotAllowed, NotFound, Unreachable, UsageError, UserError
from tests.web.serving import Served

if TYPE_CHECKING:
    from pathlib import Path


def get(served: Served, path: str, token: str = "good", **headers: str) -> requests.Response:
    return requests.get(f"{served.url}{path}", headers={"Authorization": f"Bearer {token}", **headers}, timeout=10)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UserError("x"), 409), (UsageError("x"), 422), (NotFound("x"), 404), (NotAllowed("x"), 403),
        (Unreachable("x"), 503), (UserError("x", code=10), 409), (Refusal(416, "x"), 416),
    ],
)  # fmt: skip
def test_an_error_of_the_daemon_has_the_status_of_its_exit_code(error: UserError, status: int) -> None:
    assert status_of(error) == status
    assert error_document(error)["code"] == CODES[status]


def test_what_cannot_be_written_as_json_is_told_all_the_same() -> None:
    assert json.dumps(error_document(UserError("\udcff is bad")), ensure_ascii=False).encode()


def test_the_daemon_s_words_reach_the_client(served: Served) -> None:
    def refuse(_args: dict[str, Any]) -> None:
        raise NotAllowed("anna may not pause job x", "it belongs to ben", "ask ben")

    served.table.answers["job.control"] = refuse
    answer = requests.post(
        f"{served.url}/api/v1/jobs/x/pause", headers={"Authorization": "Bearer good"}, json={}, timeout=10
    )
    assert answer.status_code == 403
    assert answer.json() == {
        "code": "not_allowed", "message": "anna may not pause job x", "why": "it belongs to ben", "hint": "ask ben",
        "exit_code": 6,
    }  # fmt: skip


def test_a_token_is_never_taken_from_an_address(served: Served) -> None:
    answer = requests.get(f"{served.url}/api/v1/farm?token=good&access_token=good", timeout=10)
    assert answer.status_code == 401
    assert served.table.checks == 0


@pytest.mark.parametrize("header", ["good", "Bearer", "Bearer ", "bearer good x", "Basic good", "Bearer " + "x" * 500])
def test_a_header_that_holds_no_token_is_refused_without_asking_the_daemon(served: Served, header: str) -> None:
    answer = requests.get(f"{served.url}/api/v1/farm", headers={"Authorization": header}, timeout=10)
    assert answer.status_code == 401
    assert served.table.checks == 0


def test_wrong_tokens_are_looked_at_only_so_often_and_lock_nobody_out(served: Served) -> None:
    assert get(served, "/api/v1/farm").status_code == 200
    statuses = [get(served, "/api/v1/farm", f"wrong{n}").status_code for n in range(30)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert served.table.checks < 20
    assert get(served, "/api/v1/farm").status_code == 200
    late = get(served, "/api/v1/farm", "other")
    assert (late.status_code, int(late.headers["Retry-After"]) > 0) == (429, True)


def test_nothing_of_a_body_is_read_before_the_token_is_good(served: Served) -> None:
    with served.connect() as client:
        head = (
            b"PUT /api/files/0123456789abcdef0123456789abcdef HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
        )
        client.sendall(head)
        assert client.recv(100).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[1]", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b'{"scene_file": NaN}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"{}", "text/xml", 415),
        (b"{}", "application/json", 422),
        (b'{"scene_file": "/x", "scene_fle": 1}', "application/json", 422),
        (b'{"scene_file": "\\ud800"}', "application/json", 400),
        (b'{"scene_file": 7}', "application/json; charset=utf-8", 422),
    ],
)
def test_a_body_that_cannot_be_meant_is_refused_with_its_reason(
    served: Served, body: bytes, kind: str, status: int
) -> None:
    answer = requests.post(
        f"{served.url}/api/scene/analyse", data=body, timeout=10,
        headers={"Authorization": "Bearer good", "Content-Type": kind},
    )  # fmt: skip
    assert (answer.status_code, set(answer.json())) == (status, {"code", "message", "why", "hint", "exit_code"})
    assert "pydantic" not in answer.text


def test_a_misspelt_parameter_is_no_wider_filter(served: Served) -> None:
    answer = get(served, "/api/v1/jobs?stat=failed")
    assert (answer.status_code, answer.json()["hint"]) == (422, "did you mean 'state'?")
    assert get(served, "/api/v1/jobs?state=failed&state=queued").status_code == 422


def test_a_scene_of_this_machine_is_read_only_below_the_named_folders(tmp_path: Path) -> None:
    shows, secret = tmp_path / "shows", tmp_path / "secret.pov"
    shows.mkdir()
    secret.write_text('#include "x.inc"')
    (shows / "link.pov").symlink_to(secret)
    (shows / "s.pov").write_text(f'sphere {{ 0, 1 pigment {{ image_map {{ png "{tmp_path}/secret.png" }} }} }}')
    (tmp_path / "secret.png").write_bytes(b"png")
    (tmp_path / "data").mkdir()
    with Served(tmp_path / "data", scenes=(shows,)) as served:
        for path in (secret, shows / "link.pov", shows / ".." / "secret.pov", tmp_path / "absent.pov", "/etc/passwd"):
            answer = analyse(served, str(path))
            assert (answer.status_code, answer.json()["why"][:6]) == (403, "it is "), path
        answer = analyse(served, str(shows / "s.pov"))
    assert answer.status_code == 200, answer.text
    assert answer.json()["asset"] == []
    assert [one["text"] for one in answer.json()["analysis"]["missing"]] == [
        "it is outside of the folders that are looked at here"
    ]


def analyse(served: Served, path: str) -> requests.Response:
    return requests.post(
        f"{served.url}/api/scene/analyse", json={"scene_file": path}, timeout=15,
        headers={"Authorization": "Bearer good"},
    )  # fmt: skip


def test_the_daemon_that_is_away_is_a_503_that_says_when_to_come_again(served: Served) -> None:
    def away(_args: dict[str, Any]) -> None:
        raise Unreachable("the node does not answer", "it is off", "")

    served.table.answers["farm.status"] = away
    answer = get(served, "/api/v1/farm")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    measured = get(served, "/metrics")
    assert (measured.status_code, measured.text.splitlines()[-1]) == (200, "farm_up 0")


@pytest.mark.parametrize("is_open", [True, False])
def test_metrics_say_that_the_daemon_is_down_while_nobody_can_tell_whose_a_token_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_open: bool
) -> None:
    for module in (app, metrics):
        monkeypatch.setattr(module, "ANSWER_S", 0.2)
    with Served(tmp_path, open_metrics=is_open) as served:
        served.daemon.close()
        answer = get(served, "/metrics")
    assert (answer.status_code, answer.text.splitlines()[-1]) == (200, "farm_up 0")


def test_metrics_are_in_the_text_format_of_prometheus(served: Served) -> None:
    node = {"name": 'a"b', "state": "idle", "cores": 2, "ram_bytes": 5, "running": 0, "load": None, "last_seen_s": 0.0}
    job = {"state": "rendering", "waiting": 1, "running": 2, "done_tasks": 3, "failed": 0, "done": 3}
    served.table.answers["farm.status"] = lambda _args: {
        "farm": "f", "node_name": "a", "leader_name": None, "term": 4, "nodes": [node],
    }  # fmt: skip
    served.table.answers["job.list"] = lambda _args: {"jobs": [job]}
    answer = get(served, "/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    line = re.compile(r'(# (HELP|TYPE) farm_\w+ .+|farm_\w+(\{(\w+="(\\.|[^"\\])*",?)+\})? -?[0-9.]+)')
    assert all(line.fullmatch(text) for text in answer.text.splitlines()), answer.text
    assert 'farm_jobs{state="rendering"} 1' in answer.text
    assert 'farm_node_cores{node="a\\"b"} 2' in answer.text
    assert answer.text.endswith("\n")
    assert requests.get(f"{served.url}/metrics", timeout=10).status_code == 401


def test_thousands_of_jobs_are_asked_for_in_pages_and_each_is_told_once(served: Served) -> None:
    jobs = [
        {"id": f"{number:016d}", "name": "s", "owner": "ada", "state": "rendering", "waiting": 1, "running": 2}
        | {"done_tasks": 3, "failed": 0, "done": 3}
        for number in range(2 * PAGE + 3)
    ]
    asked: list[tuple[int, int]] = []

    def page(args: dict[str, Any]) -> dict[str, Any]:
        asked.append((args["offset"], args["limit"]))
        shown = jobs[args["offset"] :][: args["limit"]]
        return {"schema": "farm.jobs.v1", "jobs": shown, "total": len(jobs)}

    served.table.answers["job.list"] = page
    answer = get(served, "/api/v1/jobs?limit=5000").json()
    assert (answer["total"], len(answer["jobs"])) == (len(jobs), len(jobs))
    assert answer["jobs"][0]["id"] == jobs[-1]["id"]
    assert len(asked) == 3
    served.table.answers["farm.status"] = lambda _args: {
        "farm": "f", "node_name": "a", "leader_name": "a", "term": 1, "nodes": [],
    }  # fmt: skip
    assert f'farm_jobs{{state="rendering"}} {len(jobs)}' in get(served, "/metrics").text


def test_a_job_that_is_deleted_while_pages_are_read_hides_no_other(served: Served) -> None:
    jobs = [{"id": f"{number:016d}", "name": "s", "owner": "ada", "state": "queued"} for number in range(2 * PAGE + 3)]
    there = list(jobs)

    def page(args: dict[str, Any]) -> dict[str, Any]:
        shown = {"schema": "s", "jobs": there[args["offset"] :][: args["limit"]], "total": len(there)}
        gone = 50 if len(there) == len(jobs) else 1
        del there[3 : 3 + gone]  # after each page some of the first ones, many after the first page
        return shown

    served.table.answers["job.list"] = page
    found = {job["id"] for job in get(served, "/api/v1/jobs?limit=5000").json()["jobs"]}
    assert {job["id"] for job in there} <= found <= {job["id"] for job in jobs}


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "k"}])
@pytest.mark.parametrize(
    "value", ["[" * 101 + "]" * 101, "[" * 5000 + "]" * 5000, "1e999", '"\\ud800"', '{"\\udc00": 1}']
)
def test_a_body_that_could_not_be_written_again_is_refused(served: Served, value: str, key: dict[str, str]) -> None:
    answer = requests.post(
        f"{served.url}/api/task/create",
        data=f'{{"zz": {value}}}',
        headers={"Authorization": "Bearer good", "Content-Type": "application/json"} | key,
        timeout=10,
    )
    assert (answer.status_code, answer.json()["message"]) == (400, "the body cannot be read")


def test_metrics_need_no_token_when_that_is_said(tmp_path: Path) -> None:
    with Served(tmp_path, open_metrics=True) as served:
        served.table.answers["farm.status"] = lambda _args: {
            "farm": "f", "node_name": "a", "leader_name": "a", "term": 1, "nodes": [],
        }  # fmt: skip
        served.table.answers["job.list"] = lambda _args: {"jobs": []}
        assert requests.get(f"{served.url}/metrics", timeout=10).status_code == 200
        assert requests.get(f"{served.url}/api/v1/farm", timeout=10).status_code == 401


def test_the_page_for_people_asks_nothing_of_anybody_else(served: Served) -> None:
    answer = requests.get(f"{served.url}/docs", timeout=10)
    assert answer.status_code == 200
    assert not re.search(r"<script|src=|url\(|https?://|@import", answer.text)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    for endpoint in ENDPOINTS:
        assert endpoint.path in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_document_describes_every_endpoint_and_no_other() -> None:
    told = document()
    described = {(method.upper(), path) for path, methods in told["paths"].items() for method in methods}
    assert described == {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}
    names = [entry["operationId"] for methods in told["paths"].values() for entry in methods.values()]
    assert len(set(names)) == len(names)
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(told)))
    assert references <= told["components"]["schemas"].keys()


def test_only_what_says_nothing_of_the_farm_is_told_without_a_token() -> None:
    assert [e.path for e in ENDPOINTS if not e.needs_token] == ["/health", "/openapi.json", "/docs"]


def test_an_unknown_address_and_an_unknown_method_are_json_too(served: Served) -> None:
    nothing, wrong = get(served, "/api/v2"), requests.delete(f"{served.url}/api/v1/farm", timeout=10)
    assert (nothing.status_code, nothing.json()["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert "GET" in wrong.headers["Allow"]
