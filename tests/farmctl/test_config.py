"""Settings: who beats whom, what is wrong with a file and where, and changing one line of it."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.farmctl.fakes import FakeNode, farm, run

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a project, below it the folder of the user's settings."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ctl(home: Path, *words: str, **env: str) -> Result:
    return run(FakeNode(farm()), *words, env={"XDG_CONFIG_HOME": str(home / "xdg"), **env})


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def origins(home: Path, *words: str, **env: str) -> dict[str, tuple[str, str]]:
    shown = json.loads(ctl(home, "config", "show", "--json", *words, **env).stdout)["settings"]
    return {one["name"]: (one["value"], one["origin"]) for one in shown}


def test_flags_beat_the_environment_beats_the_project_beats_the_user(home: Path) -> None:
    user, project = home / "xdg" / "farm" / "config.toml", home / ".farm.toml"
    assert origins(home)["progress"] == ("auto", "default")
    write(user, '[farmctl]\nprogress = "none"\ncolor = "never"\n')
    assert origins(home)["progress"] == ("none", str(user))
    write(project, '[farmctl]\nprogress = "tty"\n')
    found = origins(home)
    assert (found["progress"], found["color"]) == (("tty", str(project)), ("never", str(user)))
    assert origins(home, FARM_PROGRESS="plain")["progress"] == ("plain", "environment FARM_PROGRESS")
    assert origins(home, "--progress", "auto", FARM_PROGRESS="plain")["progress"] == ("auto", "command line")


def test_the_file_of_a_project_holds_in_folders_below(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home / ".farm.toml", '[farmctl]\noutput = "jsonl"\n')
    (home / "shots" / "ep1").mkdir(parents=True)
    monkeypatch.chdir(home / "shots" / "ep1")
    assert json.loads(ctl(home, "job", "list").stdout.splitlines()[0])["name"] == "fire_v3"


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ('\n[farmctl]\nnode = "a:1"\nnoed = "x"\n', 4, "did you mean node?"),
        ('[other]\noutput = "yaml"\n[farmctl]\noutput = "yaml"\n', 4, "table or wide or json"),
        ("[farmctl]\ncolor = 3\n", 2, "auto or always or never"),
        ('[farmctl]\nnode = "a:1\n', 2, "correct the file"),
        ('farmctl = "x"\n', 1, "write [farmctl]"),
        ('# mine\nfarmctl = { node = "a:1", noed = "x" }\n', 2, "did you mean node?"),
        ('\nfarmctl.noed = "x"\n', 2, "did you mean node?"),
        ('output = "x"\n[farmctl]\noutput = "yaml"\n', 3, "table or wide or json"),
    ],
)
def test_a_fault_is_told_with_its_line_and_what_was_meant(text: str, line: int, told: str, home: Path) -> None:
    path = home / ".farm.toml"
    write(path, text)
    result = ctl(home, "config", "validate")
    assert result.exit_code == 2
    assert result.stdout.startswith(f"{path}:{line}: ")
    assert told in result.stdout
    assert json.loads(ctl(home, "config", "validate", "--json").stdout)["faults"][0]["line"] == line
    assert f"{path}:{line}: " in ctl(home, "job", "list").stderr


def test_files_without_fault_are_said_to_be_well(home: Path) -> None:
    result = ctl(home, "config", "validate")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no configuration file" in result.stderr
    write(home / ".farm.toml", '[farmctl]\nnode = "a:1"\n')
    result = ctl(home, "config", "validate")
    assert (result.exit_code, result.stdout) == (0, f"{home / '.farm.toml'}: all is well\n")


def test_a_broken_file_does_not_stop_what_helps_to_mend_it(home: Path) -> None:
    write(home / ".farm.toml", "[farmctl]\nnoed = 'x'\n")
    assert ctl(home, "job", "list").exit_code == 2
    for words in (("help", "environment"), ("schema",), ("completion", "bash"), ("config", "path")):
        assert ctl(home, *words).exit_code == 0, words


def test_a_setting_is_written_and_nothing_else_of_the_file_is_touched(home: Path) -> None:
    path = home / "xdg" / "farm" / "config.toml"
    assert ctl(home, "config", "set", "output", "wide").exit_code == 0
    assert path.read_text() == '[farmctl]\noutput = "wide"\n'
    write(path, '# mine\n[other]\noutput = "x"  # not this\n\n[farmctl]\n# why\noutput = "wide"\n')
    path.chmod(0o640)
    assert ctl(home, "config", "set", "output", "json").exit_code == 0
    assert ctl(home, "config", "set", "node", 'ws "07":1').exit_code == 0
    assert tomllib.loads(path.read_text()) == {
        "other": {"output": "x"},
        "farmctl": {"output": "json", "node": 'ws "07":1'},
    }
    assert path.read_text().startswith('# mine\n[other]\noutput = "x"  # not this\n')
    assert "# why" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o640
    assert ctl(home, "config", "set", "node", "").exit_code == 0
    assert "node" not in path.read_text()
    assert [entry.name for entry in path.parent.iterdir()] == ["config.toml"]


def test_a_setting_of_the_project_stands_in_its_file(home: Path) -> None:
    assert ctl(home, "config", "set", "--project", "node", "ws07:7871").exit_code == 0
    assert (home / ".farm.toml").read_text() == '[farmctl]\nnode = "ws07:7871"\n'
    assert ctl(home, "config", "path", "--project").stdout == f"{home / '.farm.toml'}\n"


@pytest.mark.parametrize("text", ["not toml", "farmctl = 1\n", '[farmctl]\noutput = """\nwide"""\n'])
def test_a_file_that_cannot_be_changed_by_a_line_is_left_as_it_is(text: str, home: Path) -> None:
    path = home / ".farm.toml"
    write(path, text)
    result = ctl(home, "config", "set", "--project", "output", "json")
    assert result.exit_code == 2, result.output
    assert path.read_text() == text


def test_a_key_of_another_program_at_the_top_is_not_taken_for_a_setting(home: Path) -> None:
    write(home / ".farm.toml", 'output = "x"\n[farmctl]\noutput = "wide"\n')
    assert ctl(home, "config", "set", "--project", "output", "json").exit_code == 0
    assert (home / ".farm.toml").read_text() == 'output = "x"\n[farmctl]\noutput = "json"\n'


def test_a_wrong_setting_can_be_corrected(home: Path) -> None:
    write(home / ".farm.toml", '[farmctl]\noutput = "yaml"\n')
    assert ctl(home, "config", "set", "--project", "output", "json").exit_code == 0
    assert (home / ".farm.toml").read_text() == '[farmctl]\noutput = "json"\n'


@pytest.mark.parametrize(
    ("words", "told"),
    [(("noed", "x"), "did you mean node?"), (("output", "yaml"), "table or wide"), (("color",), "VALUE")],
)
def test_what_cannot_be_set_is_refused(words: tuple[str, ...], told: str, home: Path) -> None:
    result = ctl(home, "config", "set", *words)
    assert result.exit_code == 2
    assert told in result.stderr
    assert not (home / "xdg").exists()


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ('[farmctl]\nnode = "a"\n[tui]\nthem = "x"\n', 4, "did you mean theme?"),
        ("[tui]\nread_only = 1\n", 2, "true or false"),
        ('[tui.keys]\n"joblike.cancel" = 5\n', 2, "keys are named in a text"),
        ('\n[tui]\nkeys = { "joblike.cancel" = 5 }\n', 3, "keys are named in a text"),
        ('\ntui = { keys = { "joblike.cancel" = 5 } }\n', 2, "keys are named in a text"),
        ('\ntui = { them = "x" }\n', 2, "did you mean theme?"),
    ],
)
def test_what_the_dashboard_would_refuse_is_found_with_its_line(home: Path, text: str, line: int, told: str) -> None:
    write(home / "xdg" / "farm" / "config.toml", text)
    result = ctl(home, "config", "validate")
    assert result.exit_code == 2
    assert f"config.toml:{line}: " in result.stdout
    assert told in result.stdout
    assert ctl(home, "config", "path").exit_code == 0, "it stops no other command"
