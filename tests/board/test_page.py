"""The page in a real Chromium: what a person sees and does, with a real server behind it.

Pictures of it, light and dark, go to the folder that FARMD_PICTURES names, else to pytest's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from farmd.board import TaskBoard, start_server
from farmd.board.demo import TASKS, Demo
from farmd.board.model import BoardModel
from farmd.board.server import Board
from farmd.board.serving import Serving, bind
from farmd.board.tasks import Task, no_counts
from tests.board.browser import Browser, until
from tests.board.test_programs import Running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmd.board.presence import Presence

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]

ROOT = Path(__file__).parents[2]
CARDS = "document.querySelectorAll('.task').length"
CONTRAST = """
(selectors) => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const line = [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * line[0] + 0.7152 * line[1] + 0.0722 * line[2];
  };
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const found = rgb(getComputedStyle(at).backgroundColor);
      if (found[3] === 255) return found;
    }
    return [255, 255, 255, 255];
  };
  return selectors.flatMap((selector) => [...document.querySelectorAll(selector)].slice(0, 20).map((node) => {
    const [one, other] = [light(rgb(getComputedStyle(node).color)), light(ground(node))].sort((a, b) => b - a);
    return [selector, (one + 0.05) / (other + 0.05)];
  }));
}
"""
TEXTS = [
    ".badge",
    ".task-name",
    ".task-id",
    ".task-took",
    ".task-note",
    ".count-number",
    ".count-share",
    ".filter",
    "#found",
    "#light-text",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Browser]:
    """Give the browser, and look afterwards whether the page complained or asked anybody else."""
    browser.requests.clear()
    browser.complaints.clear()
    browser.look(1440, 900)
    yield browser
    browser.see("1")  # what was said meanwhile is noted
    assert browser.complaints == []
    assert browser.requests
    for url in browser.requests:
        assert url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:")), url
    browser.open("about:blank")


@pytest.fixture
def demo(board: TaskBoard) -> tuple[Presence, Demo]:
    """Serve the 441 tasks of the demonstration, half-way through."""
    demo = Demo(board, speed=2)
    for _ in range(400):
        demo.step()
    return start_server(port=0), demo


def numbers(page: Browser) -> dict[str, int]:
    """Read the five cards."""
    found: list[list[Any]] = page.see(
        "[...document.querySelectorAll('.count')].map(c => [c.dataset.state, c.querySelector('.count-number').innerText])"
    )
    return {state: int(text.replace(",", "")) for state, text in found}


def on_filters(page: Browser) -> dict[str, int]:
    """Read the counts on the filter buttons."""
    found: list[list[Any]] = page.see(
        "[...document.querySelectorAll('.filter')].map(c => [c.dataset.state, c.querySelector('.filter-count').innerText])"
    )
    return {state: int(text.replace(",", "")) for state, text in found}


def go(page: Browser, url: str) -> None:
    page.open(url)
    page.wait_for("document.querySelector('#light').dataset.state === 'connected'")
    page.wait_for("document.querySelector('#found').innerText !== ''")


def test_all_tasks_are_counted_and_only_those_in_sight_are_in_the_page(
    page: Browser, demo: tuple[Presence, Demo]
) -> None:
    go(page, demo[0].url)
    page.wait_for("document.querySelector('#found').innerText === '441 tasks'")
    counts = numbers(page)
    assert counts["all"] == TASKS == sum(counts.values()) - counts["all"]
    assert min(counts["running"], counts["completed"], counts["failed"], counts["pending"]) > 0
    assert on_filters(page) == counts
    assert 0 < page.see(CARDS) < 60
    page.see("scrollTo(0, document.body.scrollHeight)")
    page.wait_for("[...document.querySelectorAll('.task')].some(t => t.ariaPosInSet === '441')")
    assert page.see(CARDS) < 60


@pytest.mark.slow
def test_filters_work_by_card_button_and_key_and_stand_in_the_address(
    page: Browser, demo: tuple[Presence, Demo]
) -> None:
    go(page, demo[0].url)
    counts = numbers(page)
    page.click(".count[data-state='failed']")
    page.wait_for(f"document.querySelector('#found').innerText === '{counts['failed']} of 441 tasks'")
    assert page.see("location.search") == "?state=failed"
    assert page.see("[...document.querySelectorAll('.task')].every(t => t.dataset.state === 'failed')")
    assert page.see("document.querySelector('.task-note').classList.contains('error')")
    page.click(".filter[data-state='completed']")
    page.wait_for("location.search === '?state=completed'")
    page.press("3")
    page.wait_for("location.search === '?state=running'")
    page.wait_for("document.querySelector('.filter[data-state=running]').ariaPressed === 'true'")  # a frame later
    page.press("1")
    page.wait_for("location.search === ''")
    page.wait_for("document.querySelector('#found').innerText === '441 tasks'")


@pytest.mark.slow
def test_search_stands_in_the_address_and_comes_back_with_it(page: Browser, demo: tuple[Presence, Demo]) -> None:
    go(page, demo[0].url)
    page.press("/")
    page.write("tokenise 07")
    page.wait_for("document.querySelector('#found').innerText === '12 of 441 tasks'")  # 007, 070 to 079, 107
    assert page.see("location.search") == "?q=tokenise+07"
    go(page, f"{demo[0].url}?q=shard-01&state=completed")
    assert page.see("document.querySelector('#search').value") == "shard-01"
    page.wait_for("document.querySelector('#found').innerText.match(/^(3[0-9]|40) of 441/)")
    page.press("Escape")
    page.wait_for("location.search === '?state=completed'")
    go(page, f"{demo[0].url}?q=no+such+thing")
    page.wait_for("!document.querySelector('#empty').hidden")
    assert page.text("#empty-what") == "No task is like that"


def test_progress_is_shown_as_it_happens(page: Browser, board: TaskBoard) -> None:
    board.add_task("t1", "Epoch 1", 100)
    go(page, start_server(port=0).url)
    assert page.text(".task-progress") == "0 / 100 (0.0%)"
    assert page.text(".task-times") == "not started"
    board.update_task("t1", 50)
    page.wait_for("document.querySelector('.task-progress').innerText === '50 / 100 (50.0%)'", within_s=2)
    assert page.text(".badge").split() == ["◐", "Running"]
    assert page.see("document.querySelector('.bar').ariaValueNow") == "50"
    board.fail_task("t1", "the disk is full")
    page.wait_for("document.querySelector('.task-note').innerText === 'the disk is full'", within_s=2)
    assert numbers(page) == {"all": 1, "pending": 0, "running": 0, "completed": 0, "failed": 1}
    assert "→" in page.text(".task-times")


@pytest.mark.slow
def test_keyboard_moves_opens_and_closes(page: Browser, demo: tuple[Presence, Demo]) -> None:
    go(page, demo[0].url)
    for key in "jjjk":
        page.press(key)
    assert page.see("document.activeElement.ariaPosInSet") == "2"
    page.press("Enter")
    page.wait_for("document.querySelector('#detail').open")
    assert page.text("#detail-name") == page.see("document.querySelectorAll('.task-name')[1].innerText")
    page.press("Escape")
    page.wait_for("!document.querySelector('#detail').open")
    for _ in range(40):
        page.press("j")
    assert page.see("document.activeElement.ariaPosInSet") == "42"
    assert page.see("(r => r.top >= 0 && r.bottom <= innerHeight)(document.activeElement.getBoundingClientRect())")
    page.press("?")
    page.wait_for("document.querySelector('#help').open")


def test_focus_stays_with_its_task_while_others_come_and_go(page: Browser, board: TaskBoard) -> None:
    for number in range(20):
        board.add_task(f"t{number}", f"Task {number}", 10)
    go(page, start_server(port=0).url)
    for _ in range(6):
        page.press("j")
    assert page.text(":focus .task-name") == "Task 5"
    for number in range(4):
        board.remove_task(f"t{number}")
    page.wait_for("document.querySelector('#found').innerText === '16 tasks'")
    page.wait_for("document.activeElement.ariaPosInSet === '2'")
    assert page.text(":focus .task-name") == "Task 5"


def test_names_are_text_and_never_markup(page: Browser, board: TaskBoard) -> None:
    name = "<img src=http://192.0.2.1/x onerror=\"document.title='broken'\">"
    board.add_task(name, name, 1, name, group=name)
    board.fail_task(name, name)
    go(page, start_server(port=0).url)
    assert page.text(".task-name") == name
    page.press("j")
    page.press("Enter")
    page.wait_for("document.querySelector('#detail').open")
    assert page.see("document.querySelectorAll('img').length") == 0
    assert page.see("document.title") == "Task board"


@pytest.mark.slow
def test_past_five_hundred_tasks_groups_are_shown_and_opened(page: Browser, board: TaskBoard) -> None:
    demo = Demo(board, 1_200)
    for _ in range(300):
        demo.step()
    presence = start_server(port=0)
    go(page, presence.url)
    page.wait_for("document.querySelector('#found').innerText === '5 groups · 1,200 tasks'")
    assert page.see(CARDS) == 5
    page.press("j")
    page.press("Enter")
    page.wait_for("document.querySelector('#found').innerText === '250 tasks'")
    assert page.text("#crumb-title") == "Batch 1"
    assert numbers(page)["all"] == 250
    address = page.see("location.href")
    page.see("history.back()")
    page.wait_for(f"{CARDS} === 5")
    go(page, address)  # the address of a group can be given to somebody
    page.wait_for("document.querySelector('#found').innerText === '250 tasks'")
    demo.step()
    page.press("Escape")
    page.wait_for(f"{CARDS} === 5")


@pytest.mark.slow
def test_group_that_an_address_names_is_opened_when_the_board_hears_of_it(page: Browser) -> None:
    model = BoardModel("Render farm", hint="farmctl submit SCENE")
    serving = Serving(Board(model), bind("127.0.0.1", 0))
    try:
        counts = no_counts() | {"completed": 1}
        go(page, f"http://127.0.0.1:{serving.port}/?group=job%3Aj1")
        assert (page.text("#empty-what"), page.text("#empty-hint")) == ("No jobs yet", "farmctl submit SCENE")
        model.put_group("job:j0", "shot000", "farm", counts, {})
        page.wait_for("document.querySelector('#found').innerText === '1 job · 1 task'")
        page.press("4")
        page.wait_for("location.search === '?state=completed&group=job%3Aj1'")
        model.put_group("job:j1", "shot010", "farm", counts, {"tasks": "its frames are not shown"})
        page.wait_for("document.querySelector('#found').innerText === 'its frames are not shown'")
        assert page.text("#crumb-title") == "shot010"
        assert page.text("#back") == "← All jobs"
        until(lambda: model.watched == ("job:j1",), 5, "the group to be opened")
        model.put_group("job:j1", "shot010", "farm", counts, {})
        model.put_tasks("job:j1", [Task("job:j1/0", "0", "job:j1", "Frame 1", state="completed")])
        page.wait_for("document.querySelector('#found').innerText === '1 task'")
    finally:
        serving.stop()


SERVER = """
import sys, threading
from farmd.board import get_task_board, start_server
from farmd.board.demo import Demo
demo = Demo(get_task_board())
for _ in range(500):
    demo.step()
print(start_server(port=int(sys.argv[1])).port, flush=True)
threading.Event().wait()
"""


class Server:
    """The demonstration in a process of its own, which can be killed."""

    def __init__(self, port: int = 0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(port)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.process.stdout.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def test_killed_server_shows_as_disconnected_and_comes_back_with_equal_numbers(page: Browser) -> None:
    server = Server()
    try:
        go(page, f"http://127.0.0.1:{server.port}/")
        before = numbers(page)
        assert before["all"] == TASKS
        server.kill()
        page.wait_for("document.querySelector('#light-text').innerText === 'Disconnected'", within_s=3)
        assert not page.see("document.querySelector('#notice').hidden")
        assert numbers(page) == before  # dimmed, never cleared
        server = Server(server.port)
        page.click("#retry")
        page.wait_for("document.querySelector('#light-text').innerText === 'Connected'", within_s=5)
        assert numbers(page) == before
        assert page.see("document.querySelector('#notice').hidden")
        server.kill()
        page.wait_for("document.querySelector('#light-text').innerText === 'Disconnected'", within_s=3)
        server = Server(server.port)  # and by itself, too
        page.wait_for("document.querySelector('#light-text').innerText === 'Connected'", within_s=12)
        assert numbers(page) == before
    finally:
        server.kill()


@pytest.mark.slow
def test_board_that_another_program_takes_over_comes_back_by_itself(page: Browser) -> None:
    with ExitStack() as stack:
        first = Running(0, 3, "one")
        stack.callback(first.kill)
        second = Running(first.port, 5, "two")
        stack.callback(second.kill)
        go(page, f"http://127.0.0.1:{first.port}/")
        page.wait_for("document.querySelector('#found').innerText === '8 tasks'")
        first.kill()
        page.wait_for("document.querySelector('#light-text').innerText === 'Disconnected'", within_s=3)
        page.wait_for("document.querySelector('#light-text').innerText === 'Connected'", within_s=15)
        page.wait_for("document.querySelector('#found').innerText === '5 tasks'")


@pytest.mark.slow
def test_silent_server_shows_as_disconnected_after_fifteen_seconds(page: Browser) -> None:
    server = Server()
    try:
        go(page, f"http://127.0.0.1:{server.port}/")
        server.process.send_signal(signal.SIGSTOP)
        page.wait_for("document.querySelector('#light-text').innerText === 'Disconnected'", within_s=18)
        server.process.send_signal(signal.SIGCONT)
        page.wait_for("document.querySelector('#light-text').innerText === 'Connected'", within_s=12)
    finally:
        server.kill()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
def test_page_fits_and_is_readable(
    page: Browser, demo: tuple[Presence, Demo], tmp_path: Path, scheme: str, size: tuple[int, int]
) -> None:
    folder = Path(os.environ.get("FARMD_PICTURES") or tmp_path)
    page.look(*size, scheme)
    go(page, demo[0].url)
    picture = folder / f"board-{size[0]}-{scheme}.png"
    for state in ("all", "failed"):
        page.see(f"document.querySelector(\".count[data-state='{state}']\").click()")
        page.wait_for(f"document.querySelector(\".count[data-state='{state}']\").ariaPressed === 'true'")
        assert page.see("document.documentElement.scrollWidth <= innerWidth")
        for selector, contrast in page.see(f"({CONTRAST})({TEXTS})"):
            assert contrast >= 4.5, (selector, contrast)
        page.picture(picture.with_stem(f"{picture.stem}-{state}"))
    assert until(lambda: picture.with_stem(f"{picture.stem}-all").stat().st_size, 1, "a picture") > 10_000
