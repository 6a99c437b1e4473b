"""The story that every door must be able to tell, told with keys in a real terminal, from the shell's prompt on.

FARM_WRITE_STORY=FOLDER .venv/bin/python -m pytest tests/e2e/test_dashboard_story.py    keeps what was on the screens
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest

from tests.e2e.farm import Farm, until
from tests.e2e.story import FRAMES, HELD, RENDERED, write_shot
from tests.e2e.test_dashboard import Screen
from tests.e2e.test_dashboard import pytestmark as needs_tmux

pytestmark = [pytest.mark.povray, needs_tmux]

FARMCTL = shlex.join([sys.executable, "-c", "from farmctl.cli import main; main()"])


class Told(Screen):
    """A terminal whose pictures are kept, if somebody wants them."""

    def __init__(self, farm: Farm, size: tuple[int, int]) -> None:
        super().__init__(farm, *size, command="sh")
        wanted = os.environ.get("FARM_WRITE_STORY")
        self._folder = Path(wanted, f"{size[0]}x{size[1]}") if wanted else None
        self._count = 0
        self.type(f"PS1='$ '; farmctl() {{ {FARMCTL} \"$@\"; }}; clear")
        self.press("Enter")
        until(lambda: self.text().split() == ["$"], "the prompt")

    def kept(self, title: str) -> None:
        """Keep what is on the screen now."""
        self._count += 1
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / f"{self._count:02d} {title}.txt").write_text(self.text(), encoding="utf-8")

    def run(self, *words: str) -> None:
        """Type a command of `farmctl` at the prompt."""
        self.type(f"farmctl {shlex.join(words)}")
        self.press("Enter")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)], ids=["80x24", "120x40", "200x50"])
def test_story_of_a_shot_is_told_with_keys_at_any_size(farm: Farm, tmp_path: Path, size: tuple[int, int]) -> None:
    a, b = farm.start("a", "b")
    scene, texture = write_shot(tmp_path)
    with Told(farm, size) as screen:
        screen.run("submit", *RENDERED, *HELD, "--output", str(tmp_path / "out"), str(scene))
        screen.shows("follow it")
        screen.kept("submit")
        waits = a.submit(*RENDERED, "--name", "too_large", "--ram", "900G", str(scene))
        screen.run("tui")
        watch_and_approve(screen)
        read_the_log_of_a_bad_frame(screen)
        ask_why_the_other_waits(screen)
        texture.touch()
        retry_all_that_failed(screen)
        hold_a_machine(screen, farm)
        screen.press("q")
        screen.shows("$")
    shot = next(job for job in b.ask("job.list")["jobs"] if job["id"] != waits)
    until(lambda: b.job(shot["id"])["completed_frames"] == f"1-{FRAMES}", "all frames are rendered")


def watch_and_approve(screen: Told) -> None:
    """See the job wait for a person, open it, look at the test frames side by side, and approve them."""
    screen.shows("2 machines", "leader", "waits for its test frames")
    screen.kept("overview")
    screen.press("2")
    screen.shows("shot", "too_large")
    screen.press("/")
    screen.type("shot")
    screen.press("Enter")
    screen.shows("/shot  1 of 2")
    screen.kept("jobs, filtered")
    screen.press("Enter")
    screen.shows("3 of 8 done", "▀")
    screen.kept("test frames side by side")
    screen.press("a")
    screen.shows("2 failed", within_s=60)
    screen.kept("two frames failed")


def read_the_log_of_a_bad_frame(screen: Told) -> None:
    """Go to the first failed task, read its log, and find the error in it."""
    screen.press("e", "l")
    screen.shows("ended")
    screen.press("e")
    screen.shows("wood texture is not there")
    screen.kept("log of a failing frame")
    screen.leave("T times")


def ask_why_the_other_waits(screen: Told) -> None:
    """Ask what keeps the other job."""
    screen.press("2", "Escape")
    screen.shows("too_large")
    screen.press("g")
    screen.press("w")
    screen.shows("needs 900G")
    screen.kept("why a job waits")
    screen.leave("needs 900G")


def retry_all_that_failed(screen: Told) -> None:
    """Mark all that failed and render it again."""
    screen.press("/")
    screen.type("state=failed")
    screen.press("Enter")
    screen.shows("/state=failed  1 of 2")
    screen.press("*", "r")
    screen.kept("failed frames in bulk")
    screen.shows("0 of 2")
    screen.leave("/state=failed")
    screen.shows("● completed", within_s=60)
    screen.kept("completed")


def hold_a_machine(screen: Told, farm: Farm) -> None:
    """Hold a machine with a reason."""
    screen.press("3")
    screen.shows("○ idle")
    screen.press("h")
    screen.shows("Hold machine a?")
    screen.type("I work here")
    screen.press("Enter")
    screen.shows("‖ held", "held by")
    screen.kept("a machine is held")
    assert "I work here" in farm["b"].ask("node.show", node="a")["reason"]
