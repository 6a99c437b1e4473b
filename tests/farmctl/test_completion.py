"""Completion in the shells that are on this machine, with a daemon that answers, one that is silent, and none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from protocol.api import Response
from tests.farmctl.fakes import JOB, OTHER, FakeNode, farm, job_view, run
from tests.protocol.answering import Daemon

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = "#!{python}\nfrom farmctl.cli import main\nmain()\n"
BASH = """
source <(farmctl completion bash)
compopt() {{ echo "compopt $*" >&2; }}
COMP_LINE={line!r}
COMP_POINT=${{#COMP_LINE}}
_farmctl_completion farmctl
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ZSH = """
autoload -Uz compinit
compdef() {{ : }}
_describe() {{ print -l -- "${{(@)${{(P)3}}%%:*}}" }}
compadd() {{ print -l -- "${{(P)5}}" }}
eval "$(farmctl completion zsh)"
words=({words})
CURRENT={current}
_farmctl_completion
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Put `farmctl` into the path; no settings of whoever runs the tests."""
    program = tmp_path / "bin" / "farmctl"
    program.parent.mkdir()
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FARM_", "XDG_", "COMP_"))}
    return kept | {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "HOME": str(tmp_path),
        "FARM_NODE": str(tmp_path / "data"),
        "LC_ALL": "C.UTF-8",
    }


@pytest.fixture
def daemon(environ: dict[str, str]) -> Iterator[Daemon]:
    data_dir = Path(environ["FARM_NODE"])
    data_dir.mkdir()
    answers: dict[str, Any] = farm() | {"job.list": {"jobs": [job_view(), job_view(id=OTHER, name="my shot")]}}
    daemon = Daemon(f"ipc://{data_dir}/client.sock", lambda request: [Response(request.id, answers[request.op])])
    yield daemon
    daemon.close()


def completed(shell: str, line: str, environ: dict[str, str]) -> list[str]:
    """Ask a real shell what it would offer at the end of a line."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not on this machine")
    if shell == "bash":
        words = ["bash", "--norc", "-c", BASH.format(line=line)]
    elif shell == "zsh":
        parts = line.split(" ")
        script = ZSH.format(words=" ".join(repr(part) for part in parts), current=len(parts))
        words = ["zsh", "-f", "-c", script]
    else:
        words = ["fish", "--no-config", "-c", f"farmctl completion fish | source; complete -C {line!r}"]
    done = subprocess.run(words, capture_output=True, text=True, env=environ, check=False, timeout=15)
    assert [text for text in done.stderr.splitlines() if not text.startswith("compopt")] == []
    return [text.partition("\t")[0].strip() for text in done.stdout.splitlines() if text.strip()]


SHELLS = ["bash", "zsh", "fish"]


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_and_live_ids_and_names_are_completed(shell: str, environ: dict[str, str], daemon: Daemon) -> None:
    assert completed(shell, "farmctl canc", environ) == ["cancel"]
    assert set(completed(shell, "farmctl job re", environ)) >= {"reject", "resume", "retry"}
    assert JOB in completed(shell, f"farmctl job show {JOB[:10]}", environ)
    assert completed(shell, "farmctl node show n", environ) == ["n02"]
    assert "paused" in completed(shell, "farmctl job list --state pau", environ)


@pytest.mark.parametrize("shell", SHELLS)
def test_nothing_is_offered_and_nothing_printed_where_no_daemon_answers(shell: str, environ: dict[str, str]) -> None:
    assert completed(shell, "farmctl job show 0h", environ) == []


def test_bash_completes_within_words_that_it_breaks(environ: dict[str, str], daemon: Daemon) -> None:
    assert completed("bash", "farmctl job list --filter state=fa", environ) == ["failed"]
    assert completed("bash", "farmctl job list --filter owner=me,state=awa", environ) == ["awaiting_approval"]
    assert "owner=" in completed("bash", "farmctl job list --filter ", environ)
    assert completed("bash", "farmctl job show my", environ) == ["my\\ shot"]


def test_addresses_of_machines_are_completed_even_across_a_colon(environ: dict[str, str], daemon: Daemon) -> None:
    assert completed("bash", "farmctl --node 10.0", environ) == ["10.0.0.7:7000"]
    assert completed("bash", "farmctl --node 10.0.0.7:70", environ) == ["7000"]


def test_a_silent_daemon_costs_no_more_than_the_budget(environ: dict[str, str]) -> None:
    Path(environ["FARM_NODE"]).mkdir()
    silent = Daemon(f"ipc://{environ['FARM_NODE']}/client.sock", lambda request: [])
    asked = environ | {"_FARMCTL_COMPLETE": "bash_complete"}
    times = {}
    try:
        for line in ("farmctl jo", "farmctl job show "):
            begin = time.perf_counter()
            done = subprocess.run(
                ["farmctl"], env=asked | {"COMP_LINE": line}, capture_output=True, check=True, timeout=15
            )
            times[line] = time.perf_counter() - begin
            assert done.stderr == b""
    finally:
        silent.close()
    assert times["farmctl job show "] - times["farmctl jo"] < 0.3 + 1.0, (
        "the rest is loading the client on a busy machine"
    )


def test_the_node_of_a_settings_file_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".farm.toml").write_text('[farmctl]\nnode = "file:1"\n')
    asked = []

    def connect(target: str | None, timeout_s: float) -> FakeNode:
        asked.append((target, timeout_s))
        return FakeNode(farm())

    env: dict[str, str | None] = {"_FARMCTL_COMPLETE": "bash_complete", "COMP_LINE": "farmctl why "}
    assert JOB in run(FakeNode(), env=env, connect=connect).stdout
    assert asked == [("file:1", 0.3)]


def test_a_name_that_would_break_the_shells_lines_is_not_offered() -> None:
    node = FakeNode({"job.list": {"jobs": [job_view(name="a\nplain,rm -rf ~")]}})
    env: dict[str, str | None] = {"_FARMCTL_COMPLETE": "bash_complete", "COMP_LINE": "farmctl why "}
    assert run(node, env=env).stdout == f"plain,{JOB}\n"
