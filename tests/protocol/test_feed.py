"""The pictures at the other end of the feed: what an answer changes, and what it must not."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.errors import PeerError
from protocol.feed import Changes, FarmPicture


def answer(
    *jobs: str, after: int, reset: bool = False, more: bool = False, removed: tuple[str, ...] = ()
) -> dict[str, Any]:
    """An answer of one machine that tells of these jobs."""
    node = {"id": "n1", "last_seen_s": 0.0}
    return {
        "schema": "farm.feed.v1", "life": "n1/1", "after": [after, 1], "reset": reset, "more": more, "as_of_ms": after,
        "farm": {"node_name": "n1"}, "jobs": [{"id": job} for job in jobs], "removed": list(removed),
        "nodes": [node] if reset else [], "nodes_removed": [],
    }  # fmt: skip


def test_a_telling_from_the_start_takes_the_place_of_the_old_picture_in_one_step() -> None:
    picture = FarmPicture()
    picture.apply(answer("a", "b", "c", after=3, reset=True))
    old = picture.jobs
    assert picture.apply(answer("a", "b", after=2, reset=True, more=True)) == Changes()
    assert (list(picture.jobs), picture.wants_more, picture.as_of_ms) == (["a", "b", "c"], True, 2)
    changes = picture.apply(answer("d", after=4, removed=("b",)))
    assert changes == Changes(("a", "d"), (), ("n1",), (), reset=True)
    assert (list(picture.jobs), picture.wants_more, list(old)) == (["a", "d"], False, ["a", "b", "c"])


def test_a_first_picture_is_whole_when_its_last_page_has_come() -> None:
    picture = FarmPicture()
    picture.apply(answer("a", after=1, reset=True, more=True))
    assert (picture.is_whole, picture.jobs) == (False, {})
    assert picture.question(0.0)["after"] == [1, 1]
    picture.apply(answer("b", after=2))
    assert (picture.is_whole, list(picture.jobs)) == (True, ["a", "b"])


def test_a_second_start_before_the_first_was_complete_begins_anew() -> None:
    picture = FarmPicture()
    picture.apply(answer("a", after=1, reset=True, more=True))
    assert picture.apply(answer("b", after=1, reset=True)).jobs == ("b",)
    assert list(picture.jobs) == ["b"]


def test_what_changed_stands_last_and_what_was_removed_is_named_once() -> None:
    picture = FarmPicture()
    picture.apply(answer("a", "b", after=2, reset=True))
    assert picture.apply(answer("a", after=3)) == Changes(("a",))
    assert list(picture.jobs) == ["b", "a"]
    assert picture.apply(answer(after=4, removed=("b", "unknown"))) == Changes((), ("b",))


@pytest.mark.parametrize("told", [None, [], {}, {"schema": "farm.feed.v2"}])
def test_what_is_no_answer_is_refused(told: object) -> None:
    with pytest.raises(PeerError):
        FarmPicture().apply(told)
