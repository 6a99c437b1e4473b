"""The window of a log: contiguous whatever comes, the cursor on its line, partial lines replaced."""

from __future__ import annotations

from typing import Any

from tui.logtext import KEPT_LINES, LogWindow


def lines(first: int, last: int, **more: Any) -> dict[str, Any]:
    """Return an answer with lines of ten bytes each."""
    told = [
        {"offset": 10 * n, "next": 10 * n + 10, "number": None, "at_ms": None, "text": f"line {n}", "level": ""}
        for n in range(first, last)
    ]
    return {"found": True, "complete": True, "ended": False, "next": 10 * last, "size": 10 * last, "lines": told} | more


def test_end_of_a_log_puts_the_cursor_on_its_last_line() -> None:
    window = LogWindow()
    window.begin_at_end(lines(900, 1000, complete=False))
    assert window.cursor == 9990
    assert not window.at_begin
    assert window.end == 10_000


def test_older_lines_come_in_front_and_the_cursor_stays() -> None:
    window = LogWindow()
    window.begin_at_end(lines(900, 1000, complete=False))
    window.move(-5)
    before = window.cursor
    assert window.put_before(lines(800, 900, complete=False)) == 100
    assert window.cursor == before
    assert [line.offset for line in window.lines] == [10 * n for n in range(800, 1000)]


def test_partial_line_is_replaced_when_it_has_grown() -> None:
    window = LogWindow()
    window.begin_at_end(lines(0, 3))
    partial = lines(3, 4, next=30)
    partial["lines"][0]["text"] = "rende"
    window.put_after(partial)
    window.put_after(lines(3, 5))
    assert [line.text for line in window.lines] == [f"line {n}" for n in range(5)]


def test_following_keeps_the_cursor_on_the_newest_line_until_one_moves_up() -> None:
    window = LogWindow()
    window.begin_at_end(lines(0, 3))
    window.put_after(lines(3, 6))
    assert window.cursor == 50
    window.move(-1)
    window.put_after(lines(6, 9))
    assert window.cursor == 40


def test_window_is_bounded_at_the_far_end() -> None:
    window = LogWindow()
    window.begin_at_end(lines(0, 10))
    window.put_after(lines(10, KEPT_LINES + 100))
    assert len(window.lines) == KEPT_LINES
    assert not window.at_begin
    assert window.lines[-1].offset == 10 * (KEPT_LINES + 99)


def test_match_is_remembered_where_it_is() -> None:
    window = LogWindow()
    window.begin_at_end(lines(0, 10))
    answer = lines(4, 5)
    answer["lines"][0] |= {"match": True, "spans": [[0, 4]]}
    assert window.found(answer) == 40
    assert window.matches == {40: [(0, 4)]}
    assert window.found(lines(0, 0)) is None


def test_lines_that_were_spread_without_their_place_are_shown_in_order() -> None:
    window = LogWindow()
    answer = lines(0, 3, away={"node_name": "ws02"}, next=None)
    for told in answer["lines"]:
        told |= {"offset": None, "next": None}
    window.begin_at_end(answer)
    assert [line.text for line in window.lines] == ["line 0", "line 1", "line 2"]
    assert [line.offset for line in window.lines] == [0, 1, 2]


def test_page_that_is_not_the_last_leaves_the_end_open_though_the_attempt_has_ended() -> None:
    window = LogWindow()
    window.begin_at_end(lines(0, 10))
    over = []
    for answer in (lines(10, 1010, complete=False, ended=True), lines(1010, 1200, ended=True)):
        window.put_after(answer)
        over.append((window.at_end, window.is_over))
    assert over == [(False, False), (True, True)]
    assert len(window.lines) == 1200


def test_machine_that_goes_away_leaves_the_lines_that_are_known() -> None:
    window = LogWindow()
    window.begin_at_end(lines(0, 10))
    away = lines(0, 2, found=False, ended=True, away={"node_name": "ws02"}, next=0, size=0)
    for told in away["lines"]:
        told |= {"offset": None, "next": None}
    assert window.put_after(away) == 0
    window.begin_at_end(away)
    assert [line.text for line in window.lines] == [f"line {n}" for n in range(10)]
    assert window.end == 100
    assert window.about["size"] == 100
    over = [window.is_over]  # nobody knows what else was written there
    window.put_after(lines(10, 12, ended=True))
    assert [*over, window.is_over] == [False, True]


def test_last_words_of_a_machine_that_is_away_are_put_in_front_of_nothing() -> None:
    window = LogWindow()
    window.begin_at_end(lines(900, 1000, complete=False))
    away = lines(0, 2, found=False, away={"node_name": "ws02"}, next=0, size=0)
    for told in away["lines"]:
        told |= {"offset": None, "next": None}
    assert window.put_before(away) == 0
    assert (window.lines[0].offset, window.at_begin, bool(window.about["away"])) == (9000, False, True)
    assert window.put_before(lines(800, 900, complete=False)) == 100
    assert (window.lines[0].offset, window.about["away"]) == (8000, None)


def test_older_lines_are_put_in_front_of_no_last_words() -> None:
    window = LogWindow()
    away = lines(0, 2, found=False, away={"node_name": "ws02"}, complete=False)
    window.begin_at_end(away)
    assert window.put_before(lines(0, 1)) == 0
    assert (len(window.lines), window.at_begin) == (2, False)
