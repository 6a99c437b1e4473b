"""The command line answers at once: what its help loads, and what it costs."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys

import pytest

from farmctl.cli import TREE
from farmctl.lazy import Branch

PROBE = """
import json, sys
from farmctl.cli import cli
try:
    cli.main(json.loads(sys.argv[1]))
finally:
    print("LOADED", json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
HEAVY = ("zmq", "textual", "pydantic", "msgpack", "asyncio", "sqlite3", "xxhash", "farmd", "protocol.client")
ALL = [(name,) for name, item in TREE.items()] + [
    (name, verb) for name, item in TREE.items() if isinstance(item, Branch) for verb in item.leaves
]


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
