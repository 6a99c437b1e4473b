"""Words and numbers for people: what is read back, what is refused, and what is never claimed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import UsageError
from protocol.human import (
    cell_width,
    format_age,
    format_duration,
    format_percent,
    format_progress,
    format_size,
    nearest_word,
    parse_duration,
    parse_size,
    plain_table,
    printable,
    relative_time,
)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("8G", 8 << 30),
        ("64g", 64 << 30),
        ("512M", 512 << 20),
        ("1.5T", 3 << 39),
        ("8 GiB", 8 << 30),
        ("8GB", 8 << 30),
        ("100B", 100),
        ("0", 0),
        ("0.5k", 512),
        (" 1p ", 1 << 50),
    ],
)
def test_a_size_is_read_in_powers_of_1024(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "8", "1.5", "G", "-1G", "8X", "1e3G", "8 G B", "0x8G", "\u0661G", "9" * 20 + "G"])
def test_a_wrong_size_is_refused_in_three_lines(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_size(text)
    assert caught.value.what
    assert caught.value.why
    assert caught.value.hint


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1K"),
        (1536, "1.5K"),
        ((1 << 20) - 1, "1M"),
        (8 << 30, "8G"),
        (-(8 << 30), "-8G"),
        (1 << 63, "8192P"),
    ],
)
def test_a_size_is_written_short(size_bytes: int, text: str) -> None:
    assert format_size(size_bytes) == text


@given(st.integers(0, 1 << 55))
def test_a_written_size_reads_back_within_its_precision(size_bytes: int) -> None:
    assert parse_size(format_size(size_bytes)) == pytest.approx(size_bytes, rel=0.06)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("2h", 7200),
        ("3d", 259_200),
        ("1h30m", 5400),
        ("250ms", 0.25),
        ("1.5h", 5400),
        ("60", 60),
    ],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "h", "5x", "-5m", "5 m", "1h30", "1e3s", "nan", "inf"])
def test_a_wrong_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "0.25s"),
        (3, "3s"),
        (9.97, "10s"),
        (45, "45s"),
        (59.7, "1m"),
        (90, "1m 30s"),
        (5400, "1h 30m"),
        (7205, "2h"),
        (183_600, "2d 3h"),
        (-90, "-1m 30s"),
    ],
)
def test_a_duration_is_written_by_its_two_largest_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(0, 1e9))
def test_a_written_duration_reads_back_within_its_precision(seconds: float) -> None:
    again = parse_duration(format_duration(seconds).replace(" ", "")) if seconds >= 0.0001 else 0
    assert again == pytest.approx(seconds, rel=0.06, abs=0.001)


@pytest.mark.parametrize(("seconds", "text"), [(-3, "0s"), (59.9, "59s"), (60, "1m"), (7199, "1h"), (90_000, "1d")])
def test_an_age_has_one_unit(seconds: float, text: str) -> None:
    assert format_age(seconds) == text


@pytest.mark.parametrize(
    ("at_ms", "now_ms", "text"), [(0, 999, "now"), (0, 300_000, "5m ago"), (7_200_000, 0, "in 2h"), (1000, 0, "in 1s")]
)
def test_relative_time_says_before_or_after(at_ms: int, now_ms: int, text: str) -> None:
    assert relative_time(at_ms, now_ms) == text


@given(st.integers(0, 10**8), st.integers(1, 10**8))
def test_all_percent_means_all_done(done: int, total: int) -> None:
    assert (format_percent(done, total) == "100.0%") == (done >= total)


def test_progress_is_written_as_on_the_board() -> None:
    assert format_progress(50, 100) == "50 / 100 (50.0%)"
    assert format_progress(99_999, 100_000) == "99999 / 100000 (99.9%)"
    assert format_progress(0, 0) == "0 / 0 (-)"


def test_a_table_is_aligned_and_has_no_trailing_blanks() -> None:
    lines = plain_table(("NAME", "RAM"), [("a", "8G"), ("longer", "512M")], right={1})
    assert lines == ["NAME     RAM", "a         8G", "longer  512M"]
    assert plain_table(("A", "B"), []) == ["A  B"]
    assert plain_table(("A", "B"), [("xx", "")]) == ["A   B", "xx"]


def test_a_table_counts_terminal_cells_and_not_letters() -> None:
    assert cell_width("漢字") == 4
    assert cell_width("e\u0301") == 1
    assert plain_table(("AAAA", "B"), [("漢字", "x")]) == ["AAAA  B", "漢字  x"]


def test_a_ragged_table_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        plain_table(("A", "B"), [("only",)])


@given(st.text(max_size=20))
def test_printable_text_has_no_control_characters(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert not any(ord(letter) < 32 or letter in "\x7f\x9b\u202e" for letter in shown)


def test_a_typo_finds_the_nearest_word() -> None:
    assert nearest_word("Prioritty", ["priority", "project"]) == "priority"
    assert nearest_word("ram", ["params", "ram_bytes"]) == "ram_bytes"
    assert nearest_word("zzz", ["priority"]) is None
    assert nearest_word("", ["priority"]) is None
