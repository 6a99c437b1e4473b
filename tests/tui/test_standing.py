"""How fresh the screen is, in words and in time."""

from __future__ import annotations

import pytest

from protocol.following import Link
from tui.looks import text_of
from tui.standing import Standing


def words(standing: Standing, now: float) -> str:
    return text_of(standing.runs(now)).strip()


def test_connected_says_who_answers_and_how_old_it_is() -> None:
    standing = Standing().answered(100.0, "ws01")
    assert words(standing, 100.4) == "● ws01  as of now"
    assert words(standing, 108.0) == "● ws01  as of 8s ago"


def test_age_turns_amber_after_five_seconds() -> None:
    standing = Standing().answered(100.0, "ws01")
    assert standing.runs(104.9)[-1].style == "muted"
    assert standing.runs(105.0)[-1].style == "warning"
    assert not standing.is_stale(104.9)
    assert standing.is_stale(105.0)


@pytest.mark.parametrize("link", [Link.RECONNECTING, Link.CONNECTING])
def test_silence_of_fifteen_seconds_is_a_disconnection_whatever_the_feed_says(link: Link) -> None:
    standing = Standing(began_at=90.0).answered(100.0, "ws01").told(link)
    assert standing.shown(114.9) is link
    assert standing.shown(115.0) is Link.DISCONNECTED
    assert words(standing, 120.0) == "✖ DISCONNECTED 20s"
    assert standing.runs(120.0)[0].style == "alarm"


def test_answer_of_another_node_ends_the_disconnection() -> None:
    standing = Standing().answered(100.0, "ws01").told(Link.DISCONNECTED).answered(130.0, "ws02")
    assert words(standing, 130.5) == "● ws02  as of now"


def test_farm_that_never_answered_is_not_called_stale() -> None:
    standing = Standing(began_at=0.0)
    assert not standing.is_stale(60.0)
    assert standing.shown(60.0) is Link.DISCONNECTED


def test_node_that_was_lost_is_named_as_such_and_not_as_the_one_that_is_tried() -> None:
    standing = Standing().answered(100.0, "ws01").told(Link.RECONNECTING)
    assert words(standing, 102.0) == "◐ Reconnecting, ws01 does not answer  as of 2s ago"
    assert words(Standing(began_at=100.0).told(Link.RECONNECTING), 102.0) == "◐ Reconnecting"
