"""A real farm tells a real address and a real program of its jobs."""

from __future__ import annotations

import hmac
import json
import shlex
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from protocol.schemas import SCHEMAS
from tests.e2e.farm import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.farm import Farm

pytestmark = pytest.mark.e2e
SECRET = "quite secret"


class Receiver(ThreadingHTTPServer):
    """Takes notices; `down` of them are refused first."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.down = 0
        self.got: list[tuple[str, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/farm"

    def notices(self, job: str = "") -> list[dict[str, Any]]:
        found = [json.loads(body) for _, body in self.got]
        return [notice for notice in found if not job or (notice["job"] or {}).get("id") == job]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.headers["X-Farm-Signature"], body))
        self.server.down -= 1
        self.send_response(503 if self.server.down >= 0 else 204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base's
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.timeout(120)
def test_an_address_hears_once_of_a_job_that_completes_also_when_the_leader_is_killed(
    farm: Farm, receiver: Receiver, tmp_path: Path
) -> None:
    members = farm.start("a", "b", "c")
    (tmp_path / "secret").write_text(SECRET + "\n")
    words = ("--on", "job.completed", "--on", "job.failed", "--secret-file", str(tmp_path / "secret"))
    added = members[1].ctl_json("hook", "add", receiver.url, *words)
    tried = members[2].ctl("hook", "test", added["hook"]["id"][:8])
    assert (tried.returncode, tried.stdout) == (0, f"told {receiver.url} from c\n")
    receiver.got.clear()

    receiver.down = 1
    done = members[0].submit("--command", "true", "--frames", "1-3", "--name", "shot")
    failed = members[0].submit("--command", "false", "--frames", "1", "--name", "broken")
    until(lambda: len(receiver.notices(done)) >= 1 and len(receiver.notices(failed)) >= 1, "both jobs are told", 60)
    until(lambda: _told(members[0], done) and _told(members[0], failed), "that is written down", 30)
    for signature, body in receiver.got:
        assert signature == "sha256=" + hmac.new(SECRET.encode(), body, "sha256").hexdigest()
        jsonschema_rs.validate(SCHEMAS["farm.notice.v1"], json.loads(body))
    assert {notice["id"] for notice in receiver.notices()} == {f"job.completed/{done}/0", f"job.failed/{failed}/0"}
    assert len(receiver.got) == 3  # one was refused, and sent again
    assert "shot" in receiver.notices(done)[0]["text"]

    leader = farm.leader()
    leader.kill()
    farm.settle()
    left = next(member for member in farm.running())
    again = left.submit("--command", "true", "--frames", "1-2", "--name", "after")
    until(lambda: receiver.notices(again), "the next leader tells", 60)
    assert len(receiver.notices(done)) + len(receiver.notices(failed)) == 3
    assert SECRET not in json.dumps(left.ctl_json("hook", "list"))


def _told(member: Any, job: str) -> bool:
    return any(event["what"] == "notice" and event["job"] == job for other in member.farm for event in _events(other))


def _events(member: Any) -> list[dict[str, Any]]:
    return member.events() if member.is_running else []


@pytest.mark.timeout(60)
def test_a_program_is_started_with_the_notice(farm: Farm, tmp_path: Path) -> None:
    (member,) = farm.start("a")
    told = tmp_path / "told"
    script = tmp_path / "hook.sh"
    script.write_text(
        f'#!/bin/sh\necho "$FARM_NOTICE_EVENT $FARM_NOTICE_JOB $1" >> {shlex.quote(str(told))}\ncat > /dev/null\n'
    )
    script.chmod(0o755)
    assert member.ctl("hook", "add", "--on", "job.*", "--", str(script), "two words").returncode == 0
    job = member.submit("--command", f"{sys.executable} -c pass", "--frames", "1-2")
    until(lambda: told.exists() and f"job.completed {job} two words" in told.read_text().splitlines(), "it was run", 40)
    assert told.read_text().splitlines()[0] == f"job.submitted {job} two words"
    broken = member.ctl("hook", "add", "--", "/nowhere/hook")
    name = broken.stdout.split()[0]
    tried = member.ctl("hook", "test", name)
    assert (tried.returncode, "No such file" in tried.stdout) == (1, True)
