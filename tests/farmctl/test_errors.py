"""How commands go wrong: three lines on stderr, nothing on stdout, the code of the table, a traceback on demand only."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from protocol.errors import NotAllowed, NotFound, PeerError, Unreachable, UsageError, UserError
from tests.farmctl.fakes import JOB, FakeNode, farm, run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("what", "why", "try this"), 1),
        (UsageError("what", "why", "try this"), 2),
        (NotFound("what", "why", "try this"), 5),
        (NotAllowed("what", "why", "try this"), 6),
        (Unreachable("what", "why", "try this"), 7),
        (UserError("what", "why", "try this", code=4), 4),
    ],
)
def test_an_error_of_the_node_is_three_lines_and_its_code(error: UserError, code: int) -> None:
    result = run(FakeNode({"job.list": error}), "job", "list", "--json")
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr == "error: what\n  why: why\n  try: try this\n"


@pytest.mark.parametrize(
    "error", [PeerError("not msgpack"), OSError(28, "No space left on device"), PermissionError(13, "no", "/x")]
)
def test_other_errors_are_three_lines_too(error: Exception) -> None:
    result = run(FakeNode({"job.list": error}), "job", "list")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 3


@pytest.mark.parametrize("words", [("demo",), ("status",), ("job", "list"), ("help", "frames"), ("config", "show")])
def test_every_command_says_that_the_current_folder_is_gone(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    result = run(FakeNode(farm()), *words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: the current folder is gone\n")


def test_a_traceback_is_shown_with_debug_only() -> None:
    for place in (("--debug", "job", "list"), ("job", "list", "--debug")):
        result = run(FakeNode({"job.list": NotFound("what")}), *place)
        assert "Traceback" in result.stderr
        assert result.exit_code == 5
    assert "Traceback" in run(FakeNode({"job.list": NotFound("x")}), "job", "list", env={"FARM_DEBUG": "1"}).stderr


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("jbo",), "did you mean job?"),
        (("job", "lst"), "did you mean list?"),
        (("submit", "--fraems", "1"), "did you mean --frames"),
        (("job", "show"), "farmctl job show --help"),
        (("job", "list", "-o", "jsn"), "did you mean json?"),
        (("job", "list", "--filter", "staet=failed"), "did you mean state?"),
        (("task", "list", JOB, "--state", "dnoe"), "did you mean done?"),
        (("job", "list", "--limit", "many"), "farmctl job list --help"),
    ],
)
def test_a_typo_is_2_with_what_to_try(words: tuple[str, ...], hint: str) -> None:
    result = run(FakeNode(farm()), *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert hint in result.stderr.splitlines()[-1]
    assert len(result.stderr.splitlines()) == 3


@pytest.mark.parametrize("words", [(), ("job",), ("farm",)])
def test_no_arguments_is_short_help_and_2(words: tuple[str, ...]) -> None:
    result = run(FakeNode(), *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Examples:" in result.stderr


def test_a_name_in_an_error_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in run(FakeNode(farm()), "job", "show", "\x1b[31mred").stderr


BUG = "import sys; sys.argv = {argv!r}; import farmctl.errors as e; e.install_hook(); raise ZeroDivisionError('oops')"


@pytest.mark.parametrize("debug", [False, True])
def test_a_bug_of_ours_is_three_lines_too(debug: bool) -> None:
    argv = ["farmctl", "--debug"] if debug else ["farmctl"]
    done = subprocess.run([sys.executable, "-c", BUG.format(argv=argv)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert ("Traceback" in done.stderr) is debug
    assert debug or done.stderr.startswith("error: farmctl has a bug\n  why: ZeroDivisionError: oops\n  try: ")


def test_a_reader_that_has_enough_is_no_reason_to_complain() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from farmctl.cli import main; main()", "--help"], stdout=subprocess.PIPE, check=False
    )
    assert done.returncode == 0
    script = f"{sys.executable} -c 'from farmctl.cli import main; main()' completion bash | head -c 1 >/dev/null"
    done = subprocess.run(["sh", "-c", script], stderr=subprocess.PIPE, check=False)
    assert done.stderr == b""


def test_the_version_needs_no_node() -> None:
    result = run(FakeNode(), "--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("farmctl ")
