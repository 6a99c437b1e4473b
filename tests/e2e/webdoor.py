"""A farm whose first node serves HTTP, and a client of that with nothing but `requests`."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
import xxhash

from tests.e2e.farm import Farm, free_port, until

if TYPE_CHECKING:
    from tests.e2e.farm import Member

PIECE = 1 << 20


class Door:
    """The HTTP door of one node.

    Args:
        member: The node; it is started when the farm is.
        port: Where it listens.
    """

    def __init__(self, member: Member, port: int) -> None:
        self.member = member
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def wait(self) -> Door:
        """Wait until it serves."""
        until(self._answers, f"HTTP at {self.url}")
        return self

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/health", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def user(self, name: str, role: str = "artist") -> Caller:
        """List a person, and return a caller with a token of theirs."""
        self.member.ask("user.add", name=name, role=role, full_name=name.title())
        return Caller(self, self.member.ask("user.token", name=name, label="test")["token"])


class Caller:
    """Somebody with a token."""

    def __init__(self, door: Door, token: str) -> None:
        self.door = door
        self.token = token
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token}"

    def ask(self, method: str, path: str, **args: Any) -> requests.Response:
        """Send one request."""
        return self.session.request(method, f"{self.door.url}{path}", timeout=60, **args)

    def get(self, path: str, **args: Any) -> Any:
        """Ask for something that must be there, and return its JSON."""
        return good(self.ask("GET", path, params=args or None))

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Order something that must succeed, and return its JSON."""
        return good(self.ask("POST", path, json=body or {}))

    def put(self, path: Path) -> requests.Response:
        """Send a file whole."""
        with path.open("rb") as file:
            return self.ask("PUT", f"/api/files/{md5_of(path.read_bytes())}", data=file)


def good(answer: requests.Response) -> Any:
    """Return the JSON of an answer that must be good."""
    assert answer.status_code < 300, f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text}"
    return answer.json()


def refused(answer: requests.Response, status: int) -> dict[str, Any]:
    """Return the JSON of an answer that must be a refusal of this status."""
    assert answer.status_code == status, f"{answer.url}: {answer.status_code} {answer.text}"
    told: dict[str, Any] = answer.json()
    assert {"code", "message", "why", "hint"} <= told.keys()
    return told


def md5_of(data: bytes) -> str:
    """Hash as the lists of the service have it."""
    return hashlib.md5(data).hexdigest()


def row_of(local: str, data: bytes) -> dict[str, str]:
    """Describe a file as the lists of the service do."""
    return {"local": local, "hash": md5_of(data), "xxhash": str(xxhash.xxh64_intdigest(data))}


def command_task(command: str, frames: str, **more: Any) -> dict[str, Any]:
    """Return a task whose frames a command renders."""
    own = {"command": command, "output_name": "f.{frame:04d}.txt", **more}
    return {"cg_name": "Blender", "frames": frames, "additional_info": {"farmd": {"more": own}}}


def add_door(farm: Farm, name: str, *options: str) -> Door:
    """Add a node that serves HTTP."""
    port = free_port()
    return Door(farm.add(name, "--web", f"127.0.0.1:{port}", *options), port)


def run_script(script: str, folder: Path, caller: Caller, *, limit_s: float = 60.0) -> str:
    """Run a script of a shell as somebody with a token, and return what it prints."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=folder, capture_output=True, text=True, timeout=limit_s,
            check=False, env={**os.environ, "PATH": path, "TOKEN": caller.token},
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        told = b"\n".join(part for part in (late.stdout, late.stderr) if part).decode(errors="replace")
        raise AssertionError(f"not done after {limit_s:g} s\n{script}\n{told}") from late
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout
