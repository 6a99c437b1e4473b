"""Hooks may name every alert that the core raises and no other: the table of both sides is held to the code."""

from __future__ import annotations

import ast
from pathlib import Path

import farmd.core
from farmd.core import alertwatch
from protocol.hooks import ALERT_CODES, EVENTS

CORE = Path(farmd.core.__file__).parent
TOLD_BY_NOBODY = "no_leader"


def raised() -> set[str]:
    """Name the codes of all alerts that are made anywhere in the core."""
    calls = [
        node
        for path in sorted(CORE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Alert"
    ]
    codes = [call.args[0] for call in calls]
    assert all(isinstance(code, ast.Constant) for code in codes), "a code is written out where it is raised"
    return {str(code.value) for code in codes if isinstance(code, ast.Constant)}


def test_hooks_offer_each_alert_that_is_raised_and_no_other() -> None:
    assert set(ALERT_CODES) == raised() - {TOLD_BY_NOBODY}
    assert len(set(ALERT_CODES)) == len(ALERT_CODES)
    assert {event for event in EVENTS if event.startswith("alert.")} == {f"alert.{code}" for code in ALERT_CODES}


def test_what_a_machine_tells_of_itself_is_an_alert() -> None:
    assert set(alertwatch.OWN) <= set(ALERT_CODES)


def test_the_howto_names_each_alert() -> None:
    howto = CORE.parents[1] / "docs" / "howto" / "get-notified.md"
    text = howto.read_text()
    assert [code for code in ALERT_CODES if f"`alert.{code}`" not in text] == []
