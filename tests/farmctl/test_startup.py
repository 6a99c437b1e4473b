"""The command line answers at once: what its help loads, and what it costs."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from farmctl.cli import TREE
from farmctl.lazy import Branch
from protocol.api import Response
from tests.farmctl.fakes import feed_answer
from tests.protocol.answering import Daemon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROBE = """
import json, sys
from farmctl.cli import cli
try:
    cli.main(json.loads(sys.argv[1]))
finally:
    print("LOADED", json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
NODE = {"id": "97f2c3fca16a6477", "name": "n0", "state": "idle", "last_seen_s": 0.0}
JOB = {"id": "3f9a-1", "name": "shot", "state": "rendering", "done": 1, "total": 2}
# Python's own that take milliseconds, and that a question needs as little as help does.
COSTLY = ("hashlib", "shutil", "traceback", "protocol.messages", "protocol.codec", "protocol.reasons")
HEAVY = ("zmq", "textual", "pydantic", "msgpack", "asyncio", "sqlite3", "xxhash", "farmd", "protocol.client")
ALL = [(name,) for name, item in TREE.items()] + [
    (name, verb) for name, item in TREE.items() if isinstance(item, Branch) for verb in item.leaves
]


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """Where a daemon answers that has one job."""
    answers = {"farm.feed": feed_answer(nodes=[NODE], jobs=[JOB]), "job.list": {"jobs": [JOB]}}
    daemon = Daemon(f"ipc://{tmp_path}/client.sock", lambda request: [Response(request.id, answers[request.op])])
    yield tmp_path
    daemon.close()


def probe(*args: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(args)], capture_output=True, text=True, check=False, timeout=15
    )
    loaded: list[str] = json.loads(done.stderr.rsplit("LOADED ", 1)[1])
    return done, loaded


def test_help_loads_nothing_heavy_and_no_command() -> None:
    done, loaded = probe("--help")
    assert done.returncode == 0
    assert "Examples:" in done.stdout
    assert [name for name in loaded if name.startswith(HEAVY)] == []
    assert [name for name in loaded if name.startswith("farmctl.commands.")] == []


def test_help_of_a_command_loads_that_command_alone() -> None:
    _, loaded = probe("why", "--help")
    assert [name for name in loaded if name.startswith("farmctl.commands.")] == ["farmctl.commands.why"]
    assert [name for name in loaded if name.startswith(HEAVY)] == []


EVERY_HELP = """
import contextlib, io, json, sys
from farmctl.cli import cli
for words in json.loads(sys.argv[1]):
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        cli.main([*words, "--help"])
print(json.dumps(sorted(sys.modules)))
"""


def test_help_of_no_command_loads_a_transport_a_screen_or_a_server() -> None:
    done = subprocess.run(
        [sys.executable, "-c", EVERY_HELP, json.dumps(ALL)], capture_output=True, text=True, check=True, timeout=20
    )
    loaded: list[str] = json.loads(done.stdout)
    assert "farmctl.commands.submit" in loaded
    heavy = ("zmq", "textual", "pydantic", "asyncio", "sqlite3", "starlette", "uvicorn", "websockets", "tui.", "PIL")
    assert [name for name in loaded if name.startswith(heavy)] == []


def test_status_asks_its_question_without_the_messages_of_the_nodes(data_dir: Path) -> None:
    done, loaded = probe("--node", str(data_dir), "status")
    assert done.returncode == 0, done.stderr
    assert "n02, term 42" in done.stdout
    light = {"msgpack", "msgpack._cmsgpack", "msgpack.exceptions", "msgpack.ext", "protocol.client"}
    loaded = [name for name in loaded if not name.startswith("zmq")]
    assert [name for name in loaded if name.startswith(HEAVY) and name not in light] == []
    assert [name for name in loaded if name in COSTLY] == []
    assert [name for name in loaded if name.startswith("farmctl.commands.")] == ["farmctl.commands.farm"]


def test_completion_of_a_job_loads_what_a_question_needs(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_NODE", str(data_dir))
    monkeypatch.setenv("_FARMCTL_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "farmctl job show ")
    monkeypatch.setenv("COMP_CWORD", "3")
    done, loaded = probe()
    assert "plain,3f9a-1" in done.stdout
    assert [name for name in loaded if name.startswith(("pydantic", "asyncio", "farmd"))] == []
    assert [name for name in loaded if name.startswith("farmctl.commands.")] == ["farmctl.commands.job"]


def test_completion_of_a_name_loads_no_command_and_no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_FARMCTL_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "farmctl jo")
    monkeypatch.setenv("COMP_CWORD", "1")
    done, loaded = probe()
    assert done.stdout.split() == ["plain,job"]
    assert [name for name in loaded if name.startswith((*HEAVY, "farmctl.commands."))] == []


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_help_opens_with_examples(words: tuple[str, ...]) -> None:
    from tests.farmctl.fakes import FakeNode, run

    for flag in ("-h", "--help"):
        result = run(FakeNode(), *words, flag)
        assert result.exit_code == 0, result.output
        assert 0 < result.stdout.index("Examples:") < result.stdout.index("ptions:")


def cpu_s(*args: str) -> float:
    best = 1e9
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *args], stdout=subprocess.DEVNULL, check=True, env=dict(os.environ))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


def test_help_costs_little_more_than_click_itself() -> None:
    """Budget 90 ms where click alone takes 50: compared with click, since a busy machine slows both."""
    bare = cpu_s("-c", "import click")
    assert cpu_s("-c", "from farmctl.cli import cli; cli.main(['--help'])") < 1.8 * bare + 0.01
