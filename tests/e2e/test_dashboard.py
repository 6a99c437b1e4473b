"""The dashboard in a real terminal, on a real farm: submit, open, read a log, look at a picture, hold a machine."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Self

import pytest

from tests.e2e.farm import ROOT, Farm, until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")

PRINTS = "sh -c 'for line in one two three; do echo frame {frame} prints $line; done; cp {scene} {output}'"


class Screen:
    """A tmux session with a dashboard in it."""

    def __init__(self, farm: Farm, width: int, height: int, *words: str, command: str = "") -> None:
        self._tmux = ["tmux", "-S", str(farm.folder / "tmux"), "-f", "/dev/null"]
        self._farm = farm
        member = next(iter(farm))
        settings = {"FARM_NODE": str(member.data_dir), "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        kept = {name: value for name, value in farm.environ.items() if name != "NO_COLOR"}
        self._environ = kept | settings
        tui = [sys.executable, "-c", "from farmctl.cli import main; main()", "tui", *words]
        size = ["-x", str(width), "-y", str(height)]
        self._run("new-session", "-d", "-s", "farm", *size, "-c", str(ROOT), command or shlex.join(tui))

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            [*self._tmux, *words], env=self._environ, capture_output=True, text=True, check=False, timeout=20
        )
        return done.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        print(self.text())  # noqa: T201  # for who reads the failure
        self._run("kill-server")

    def text(self) -> str:
        """Return what is on the screen."""
        return self._run("capture-pane", "-p", "-t", "farm")

    def press(self, *keys: str) -> None:
        """Press keys."""
        for key in keys:
            self._run("send-keys", "-t", "farm", key)

    def leave(self, text: str) -> None:
        """Press escape and wait until a text is gone: what follows an escape at once would be read as alt with it."""
        self.press("Escape")
        until(lambda: text not in self.text(), f"{text!r} is gone")

    def type(self, text: str) -> None:
        """Type a text."""
        self._run("send-keys", "-t", "farm", "-l", text)

    def shows(self, *texts: str, within_s: float = 30) -> None:
        """Wait until all texts are on the screen."""
        for text in texts:
            until(lambda text=text: text in self.text(), f"{text!r} on the screen", within_s)  # type: ignore[misc]

    @property
    def is_over(self) -> bool:
        """Tell whether the dashboard has ended."""
        return not self._run("list-sessions")


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    file = tmp_path / "scene.txt"
    file.write_text("what is copied\n")
    return file


@pytest.fixture(params=[(80, 24), (120, 40), (200, 50)], ids=["80x24", "120x40", "200x50"])
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    width, height = request.param
    return width, height


def submitted(farm: Farm, scene: Path, name: str, frames: str, *words: str) -> str:
    outputs = ["--output", str(scene.parent / name), "--output-name", "f.{frame:04d}.txt"]
    return farm["a"].submit("--command", PRINTS, "--frames", frames, "--name", name, *outputs, *words, str(scene))


def read_log(screen: Screen) -> None:
    """Open the log of the frame at the cursor, find a word in it, and leave."""
    screen.press("l")
    screen.shows("prints three", "ended")
    screen.press("/")
    screen.type("prints two")  # the head of the log quotes the command, which has the word alone
    screen.press("Enter")
    screen.shows("/prints two", "▌frame")
    screen.leave("▌frame")


def hold_and_release(screen: Screen, farm: Farm) -> None:
    """Hold a machine with a reason, and let it work again."""
    screen.press("3")
    screen.shows("○ idle")
    screen.press("h")
    screen.shows("Hold machine a?")
    screen.type("I work here")
    screen.press("Enter")
    screen.shows("‖ held", "held by")
    held = farm["b"].ask("node.show", node="a")
    assert "I work here" in held["reason"]
    screen.press("h")
    screen.shows("● machine a released")


def edit_waiting_job(screen: Screen, farm: Farm, job: str) -> None:
    """Change what the job at the cursor needs."""
    screen.press("i")
    screen.shows(":edit")
    screen.type("ram=800G label.shot=s010")
    screen.press("Enter")
    screen.shows("no machine has 800G")
    known = farm["b"].ask("job.show", job=job)
    assert known["labels"] == {"shot": "s010"}


def archive_job_at_cursor(screen: Screen, name: str) -> None:
    """Put an ended job away."""
    screen.press("z")
    screen.shows("archived")
    until(lambda: name not in screen.text(), f"{name!r} has left the list")


def cancel_first_job_of_the_list(screen: Screen) -> None:
    """Cancel a job, which is asked for once more."""
    screen.press("1")
    screen.shows("Not over yet")
    screen.press("2")
    screen.shows("first_job")
    screen.press("g")
    screen.shows("1 of 2")
    screen.press("X")
    screen.shows("Cancel job too_large for ever?")
    screen.press("y")
    screen.shows("⌀ cancelled")


def test_story_of_a_job_is_told_at_any_size(farm: Farm, scene: Path, size: tuple[int, int]) -> None:
    farm.start("a", "b")
    done = submitted(farm, scene, "first_job", "1-12", "--gate", "off")
    waits = submitted(farm, scene, "too_large", "1-5", "--gate", "off", "--ram", "900G")
    with Screen(farm, *size) as screen:
        screen.shows("2 machines", "leader", "too_large")
        screen.press("2")
        screen.shows("first_job", "● completed", "no machine has 900G")
        screen.press("w")
        screen.shows("Why: too_large", "needs 900G")
        screen.leave("Why:")
        edit_waiting_job(screen, farm, waits)
        screen.press("G")
        screen.shows("2 of 2")
        screen.press("Enter")
        screen.shows("12 of 12 done", "● 12 done")
        read_log(screen)
        hold_and_release(screen, farm)
        cancel_first_job_of_the_list(screen)
        assert farm["b"].state(waits) == "cancelled"
        archive_job_at_cursor(screen, "too_large")
        assert farm["b"].state(done) == "completed"
        screen.press("q")
        until(lambda: screen.is_over, "q quits")


def test_node_that_is_killed_is_replaced_by_another_with_the_cursor_where_it_was(farm: Farm, scene: Path) -> None:
    farm.start("a", "b", "c")
    for name in ("one", "two", "three"):
        submitted(farm, scene, name, "1-3", "--gate", "off")
    until(lambda: len(farm["b"].ask("job.list")["jobs"]) == 3, "all nodes know the jobs")
    with Screen(farm, 120, 40) as screen:
        screen.shows("● a")
        screen.press("2", "j")
        screen.shows("2 of 3")
        farm["a"].kill()
        until(lambda: "● b" in screen.text() or "● c" in screen.text(), "another node answers", 6)
        cursor = next(line for line in screen.text().splitlines() if line.startswith("▌"))
        assert "two" in cursor
        farm["b"].kill()
        farm["c"].kill()
        screen.shows("Reconnecting", within_s=10)
        screen.shows("✖ DISCONNECTED", within_s=30)
        assert "three" in screen.text(), "what was shown stays"
        farm["a"].start()
        screen.shows("● a", within_s=20)


def test_read_only_dashboard_changes_nothing(farm: Farm, scene: Path) -> None:
    farm.start("a")
    job = submitted(farm, scene, "kept", "1-3", "--gate", "off", "--ram", "900G")
    with Screen(farm, 80, 24, "--read-only") as screen:
        screen.shows("read-only", "kept")
        screen.press("2", "X", "y", "p", "3", "h", "Enter")
        screen.shows("○ idle")
        assert farm["a"].state(job) in ("queued", "preparing", "rendering")
        assert "held" not in screen.text()


def test_dashboard_without_a_terminal_says_so(farm: Farm) -> None:
    farm.start("a")
    done = farm["a"].ctl("tui")
    assert done.returncode == 1
    assert "there is no terminal here" in done.stderr
    assert "farmctl status" in done.stderr
