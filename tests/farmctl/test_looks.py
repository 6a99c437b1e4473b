"""Colour, spreadsheets, and progress: who decides how something looks, and that looks never change what is said."""

from __future__ import annotations

import csv
import io

import click
import pytest
from click.testing import CliRunner

from farmctl.cli import cli
from tests.farmctl.fakes import FakeNode, farm, job_view, run, session_for


def listed(*words: str, **env: str | None) -> str:
    return run(FakeNode(farm()), "job", "list", *words, env=env).stdout


def on_a_terminal(*words: str, **env: str | None) -> str:
    """Run on something that keeps colours, and that our own code takes for a terminal."""
    outside: dict[str, str | None] = {
        "NO_COLOR": None,
        "FARM_COLOR": None,
        "COLUMNS": "200",
        "XDG_CONFIG_HOME": "/nowhere",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("farmctl.output.is_terminal", lambda stream: True)
        runner = CliRunner(env=outside | env)
        return runner.invoke(cli, ["job", "list", *words], obj=session_for(FakeNode(farm())), color=True).stdout


def test_no_colour_away_from_a_terminal_unless_it_is_asked_for() -> None:
    assert "\x1b" not in listed()
    assert "\x1b[34m" in listed("--color", "always")
    assert "\x1b[34m" in run(FakeNode(farm()), "--color", "always", "job", "list").stdout
    assert "\x1b[34m" in listed(FARM_COLOR="always")


def test_colour_on_a_terminal_unless_it_is_refused() -> None:
    assert "\x1b[34m" in on_a_terminal()
    assert "\x1b" not in on_a_terminal(NO_COLOR="1")
    assert "\x1b" not in on_a_terminal("--color", "never")
    assert "\x1b" not in on_a_terminal(FARM_COLOR="never")


def test_what_is_said_with_the_command_beats_no_color_and_the_environment() -> None:
    assert "\x1b[34m" in listed("--color", "always", NO_COLOR="1", FARM_COLOR="never")
    assert "\x1b" not in run(FakeNode(farm()), "--color", "always", "job", "list", "--color", "never").stdout


def test_colour_stands_beside_a_glyph_and_a_word() -> None:
    coloured = listed("--color", "always")
    assert click.unstyle(coloured) == listed()
    assert "◐ rendering" in click.unstyle(coloured)


def test_json_is_never_coloured() -> None:
    assert "\x1b" not in listed("--color", "always", "-o", "json")


@pytest.mark.parametrize(
    ("name", "cell"), [("=cmd|'/c x'!A0", "'=cmd|'/c x'!A0"), ("+1", "'+1"), ("@x", "'@x"), ('a,"b"\n', 'a,"b"\ufffd')]
)
def test_a_name_is_no_formula_in_a_spreadsheet(name: str, cell: str) -> None:
    node = FakeNode({"job.list": {"jobs": [job_view(name=name, progress=-1.5)], "total": 1}})
    (row,) = csv.DictReader(io.StringIO(run(node, "job", "list", "-o", "csv").stdout))
    assert (row["name"], row["progress"]) == (cell, "-1.5")


def test_an_empty_list_is_an_empty_file_for_a_spreadsheet() -> None:
    assert run(FakeNode({"job.list": {"jobs": []}}), "job", "list", "-o", "csv").stdout == ""
