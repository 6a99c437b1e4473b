"""An answer that takes long is waited for visibly, and what was drawn is gone before anything else is said."""

from __future__ import annotations

import io
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from farmctl.patience import START_S, Notice
from protocol.errors import Starting
from tests.farmctl.fakes import Clock, FakeNode, session_for

if TYPE_CHECKING:
    from farmctl.context import Session


class Terminal(io.StringIO):
    """Tells when something is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def isatty(self) -> bool:
        return True

    def flush(self) -> None:
        self.written.set()


def look_at(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal in place of stderr; in the test itself, since pytest puts its own there before each phase."""
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    return shown


def slow(terminal: Terminal) -> FakeNode:
    """Make a node that answers once the person has been told."""

    def answer(**_: Any) -> str:
        assert terminal.written.wait(5)
        return "done"

    return FakeNode({"farm.status": answer})


def test_a_slow_answer_is_announced_and_the_line_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = look_at(monkeypatch)
    session = session_for(slow(terminal))
    session.node = "ws\x1b[1m07"
    assert session.call("farm.status") == "done"
    assert terminal.getvalue() == "asking ws\ufffd[1m07 …\r\x1b[2K"


@pytest.mark.parametrize("settings", [{"quiet": True}, {"progress": "none"}, {"progress": "plain"}], ids=str)
def test_nothing_is_drawn_where_it_is_not_wanted(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = look_at(monkeypatch)
    seen = []
    node = FakeNode({"farm.status": lambda: seen.append(terminal.written.wait(0.3))})
    session_for(node, **settings).call("farm.status")
    assert (seen, terminal.getvalue()) == ([False], "")


def test_nothing_is_drawn_beside_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = look_at(monkeypatch)
    node = FakeNode({"farm.status": lambda: terminal.written.wait(0.3)})
    session = session_for(node)
    session.progress_line()
    session.call("farm.status")
    assert terminal.getvalue() == ""


def test_a_fast_answer_needs_no_line() -> None:
    shown = Terminal()
    with Notice(shown, "asking", after_s=60):
        pass
    assert shown.getvalue() == ""


def coming_up(after_s: float) -> Session:
    """Make a session whose daemon serves so many seconds from now."""
    clock = Clock()
    up_at = clock.now + after_s

    def connect(_target: str | None, _timeout_s: float) -> FakeNode:
        if clock.now < up_at:
            raise Starting("the daemon of /farm does not answer yet", "it is starting, or ending", "try again")
        return FakeNode({"farm.status": "done"})

    return session_for(FakeNode(), connect=connect, clock=clock)


def test_daemon_that_is_starting_is_waited_for() -> None:
    session = coming_up(3.0)
    assert session.call("farm.status") == "done"
    assert 103.0 <= session.clock() < 103.5


def test_daemon_that_never_comes_up_is_given_up() -> None:
    session = coming_up(1000.0)
    with pytest.raises(Starting):
        session.call("farm.status")
    assert START_S <= session.clock() - 100.0 < START_S + 1


def test_that_a_daemon_is_starting_is_said_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = look_at(monkeypatch)
    session = coming_up(3.0)
    wait = session.pause

    def pause(seconds: float) -> None:
        assert terminal.written.wait(5)
        wait(seconds)

    session.pause = pause
    assert session.call("farm.status") == "done"
    assert terminal.getvalue() == "the daemon of this machine is starting …\r\x1b[2K"
