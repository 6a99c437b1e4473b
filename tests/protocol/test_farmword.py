"""One word for the farm, the same at every door."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.farmword import farm_word

LED = {"leader": "n1", "alerts": [], "jobs": {"running": 1, "pending": 2}}
NO_LEADER = {"code": "no_leader", "level": "error"}


@pytest.mark.parametrize(
    ("changes", "states", "said"),
    [
        ({}, ["idle"], ("◐ rendering", "running")),
        ({"jobs": {"pending": 2}}, ["held"], ("○ waiting", "pending")),
        ({"jobs": {}}, ["left"], ("● idle", "completed")),
        ({}, ["idle", "lost"], ("◷ impaired", "warning")),
        ({"alerts": [{"code": "store", "level": "warning"}]}, [], ("◷ impaired", "warning")),
        ({"leader": None, "alerts": [NO_LEADER]}, ["lost"], ("◷ electing", "warning")),
        ({"leader": None, "alerts": [NO_LEADER, {"code": "poison", "level": "error"}]}, [], ("✖ needs attention", "failed")),
        ({"disk_fault": "full"}, [], ("✖ needs attention", "failed")),
        ({"alerts": [{"code": "gate_approval", "level": "info"}]}, [], ("◐ rendering", "running")),
    ],
)  # fmt: skip
def test_farm_is_said_in_one_word_the_gravest_first(
    changes: dict[str, Any], states: list[str], said: tuple[str, str]
) -> None:
    word = farm_word(LED | changes, [{"state": state} for state in states])
    assert (str(word), word.tone) == said


def test_farm_that_was_not_told_yet_is_asked() -> None:
    assert str(farm_word({}, [])) == "… asking"
