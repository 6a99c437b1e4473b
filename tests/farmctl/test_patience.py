"""An answer that takes long is waited for visibly, and what was drawn is gone before anything else is said."""

from __future__ import annotations

import io
import sys
import threading
from typing import Any

import pytest

from farmctl.patience import Notice
from tests.farmctl.fakes import FakeNode, session_for


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
