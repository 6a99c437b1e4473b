"""The words of `farmd`: its help can be read, and what is wrong with them is said in three lines."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from farmd.cli import main


def test_help_shows_one_example_a_line() -> None:
    shown = CliRunner().invoke(main, ["--help"]).stdout
    assert "\b" not in shown
    assert r"\b" not in shown
    examples = [line for line in shown.splitlines() if line.startswith("    farmd ")]
    assert [line.split()[1] for line in examples] == ["init", "run", "invite", "join"]


def test_every_option_has_help() -> None:
    for command in (main, *main.commands.values()):
        options = [param for param in command.params if isinstance(param, click.Option)]
        assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("rnu",), "did you mean run?"),
        (("run", "--lisen", "1"), "did you mean --listen"),
        (("run", "--slots", "many"), "farmd run --help"),
        (("run", "--log-level", "loud"), "farmd run --help"),
        (("join",), "farmd join --help"),
        (("--data-dir",), "farmd --help"),
    ],
)
def test_wrong_usage_is_2_in_three_lines(words: tuple[str, ...], hint: str) -> None:
    done = subprocess.run([sys.executable, "-m", "farmd", *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    labels = [line.partition(":")[0].strip() for line in done.stderr.splitlines()]
    assert labels == ["error", "why", "try"], done.stderr
    assert hint in done.stderr.splitlines()[-1]


def test_no_words_show_the_help_and_2() -> None:
    done = CliRunner().invoke(main, [])
    assert done.exit_code == 2
    assert "Examples:" in done.stdout
