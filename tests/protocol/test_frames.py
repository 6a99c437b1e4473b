"""Frame ranges: what each dialect reads and refuses, and that a frame set behaves as a Python set does."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import frames
from protocol.errors import UsageError
from protocol.frames import MAX_FRAME, MAX_FRAMES, Dialect, FrameSet, parse_frames

SMALL = st.integers(-60, 60)
RUNS = st.builds(
    lambda start, count, step: range(start, start + count * step, step), SMALL, st.integers(0, 12), st.integers(1, 7)
)
RUN_LISTS = st.lists(RUNS, max_size=6)


def members(runs: list[range]) -> set[int]:
    return {frame for run in runs for frame in run}


def memory_of(these: FrameSet) -> int:
    parts = (these, these.runs, these._ends, *these.runs, *these._ends)
    return sum(map(sys.getsizeof, parts)) + sum(3 * sys.getsizeof(run.start) for run in these.runs)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", [7]),
        ("1-4", [1, 2, 3, 4]),
        ("0001-0003", [1, 2, 3]),
        ("1-10x3", [1, 4, 7, 10]),
        ("1..4", [1, 2, 3, 4]),
        ("1..7x2", [1, 3, 5, 7]),
        ("1,5-7", [1, 5, 6, 7]),
        ("-5--2", [-5, -4, -3, -2]),
        ("-2..1", [-2, -1, 0, 1]),
        ("-1-1", [-1, 0, 1]),
        ("3-3", [3]),
        ("5,1,5,1-2", [1, 2, 5]),
        (" 1 , 3\t,5 ", [1, 3, 5]),
        ("1-5,^3", [1, 2, 4, 5]),
        ("^3,1-5", [1, 2, 4, 5]),
        ("1-6,^1-6x2", [2, 4, 6]),
        ("-0", [0]),
    ],
)
def test_farm_text_is_read(text: str, expected: list[int]) -> None:
    assert list(parse_frames(text)) == expected


@pytest.mark.parametrize(
    ("dialect", "text", "expected"),
    [
        (Dialect.DEADLINE, "1-10x4", [1, 5, 9]),
        (Dialect.NUKE, "1-10x4,20", [1, 5, 9, 20]),
        (Dialect.RENDERBUS, "1-3[1]", [1, 2, 3]),
        (Dialect.RENDERBUS, "1,3-9[3]", [1, 3, 6, 9]),
        (Dialect.BLENDER, "1..3,8", [1, 2, 3, 8]),
        (Dialect.FLAMENCO, "1,5-7", [1, 5, 6, 7]),
        (Dialect.OPENJD, "1-10:4", [1, 5, 9]),
        (Dialect.OPENJD, "-3--1:2", [-3, -1]),
        (Dialect.FILESEQ, "1-10x4", [1, 5, 9]),
        (Dialect.FILESEQ, "1-10:4", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (Dialect.FILESEQ, "1-10y4", [2, 3, 4, 6, 7, 8, 10]),
    ],
)
def test_a_named_dialect_is_read_its_own_way(dialect: Dialect, text: str, expected: list[int]) -> None:
    assert list(parse_frames(text, dialect)) == expected


@pytest.mark.parametrize(
    ("dialect", "text", "column"),
    [
        (Dialect.FARM, "1 5", 3),
        (Dialect.FARM, "1- 5", 3),
        (Dialect.FARM, "1-10@2", 5),
        (Dialect.FARM, "1-10:2", 5),
        (Dialect.FARM, "1-3[1]", 4),
        (Dialect.FARM, "1-3y2", 4),
        (Dialect.FARM, "1-3,!2", 5),
        (Dialect.FARM, "1,,2", 3),
        (Dialect.FARM, "1,", 3),
        (Dialect.FARM, ",1", 1),
        (Dialect.FARM, "1-", 3),
        (Dialect.FARM, "--5", 1),
        (Dialect.FARM, "+5", 1),
        (Dialect.FARM, "5x2", 2),
        (Dialect.FARM, "1-5x", 4),
        (Dialect.FARM, "1-5x0", 4),
        (Dialect.FARM, "1-5x-1", 4),
        (Dialect.FARM, "3,10-1", 3),
        (Dialect.FARM, "1–5", 2),
        (Dialect.FARM, "1,²", 3),
        (Dialect.FARM, "1\n2", 2),
        (Dialect.FARM, f"1,{MAX_FRAME + 1}", 3),
        (Dialect.FARM, "9" * 6000, 1),
        (Dialect.FARM, f"5,1-{MAX_FRAMES + 1}", 3),
        (Dialect.DEADLINE, "1-10:2", 5),
        (Dialect.DEADLINE, "1..10", 2),
        (Dialect.NUKE, "1-5,^3", 5),
        (Dialect.RENDERBUS, "1-10x2", 5),
        (Dialect.RENDERBUS, "1-10[2", 5),
        (Dialect.BLENDER, "1-10", 2),
        (Dialect.BLENDER, "-3", 1),
        (Dialect.BLENDER, "1..9x2", 5),
        (Dialect.FLAMENCO, "-5", 1),
        (Dialect.FLAMENCO, "1-5x2", 4),
        (Dialect.OPENJD, "1-10x2", 5),
        (Dialect.FILESEQ, "1-10@2", 5),
        (Dialect.FILESEQ, f"1-{MAX_FRAME}y1000", 1),
    ],
)
def test_a_foreign_writing_is_refused_with_its_column(dialect: Dialect, text: str, column: int) -> None:
    with pytest.raises(UsageError) as caught:
        parse_frames(text, dialect)
    assert caught.value.why.startswith(f"column {column}: ")
    assert caught.value.hint
    assert len(caught.value.what) < 120


def test_a_colon_is_refused_with_both_meanings_and_both_dialects() -> None:
    with pytest.raises(UsageError) as caught:
        parse_frames("1-10:2")
    assert "every Nth frame" in caught.value.why
    assert "coarse ones first" in caught.value.why
    assert {"openjd", "fileseq", "1-10x2"} <= set(caught.value.hint.replace(",", "").split())


@pytest.mark.parametrize("text", ["", "  ", "^5", "1,^1", "1-3,^0-9", "1," * 200_000])
def test_a_range_of_no_frames_or_too_long_a_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_frames(text)


@pytest.mark.parametrize(
    "text",
    [
        f"1-{MAX_FRAMES},-5",
        "1-10000000x2,1-10000000x3",
        ",".join(f"{n}-{n + 2_000_000_000}x{400 + n}" for n in range(50)),
    ],
)
def test_too_many_or_too_scattered_frames_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="too many"):
        parse_frames(text)


def test_the_largest_range_is_accepted() -> None:
    assert len(parse_frames(f"1-{MAX_FRAMES}")) == MAX_FRAMES
    assert parse_frames(f"-{MAX_FRAME},{MAX_FRAME}").last == MAX_FRAME


@given(st.text(alphabet="0123456789-.,xy:[]^! @", max_size=24), st.sampled_from(Dialect))
def test_nasty_text_is_read_or_refused_and_nothing_else(text: str, dialect: Dialect) -> None:
    try:
        found = parse_frames(text, dialect)
    except UsageError:
        return
    assert 0 < len(found) <= MAX_FRAMES


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    try:
        parse_frames(text)
        frames.test_frame_choice(text, parse_frames("1-10"))
    except UsageError:
        return


@given(RUN_LISTS)
def test_printed_frames_read_back_equal(runs: list[range]) -> None:
    found = FrameSet(tuple(runs))
    if found:
        again = parse_frames(str(found))
        assert again == found
        assert hash(again) == hash(found)
        assert str(again) == str(found)


@given(RUN_LISTS)
def test_runs_depend_only_on_the_frames(runs: list[range]) -> None:
    assert FrameSet(tuple(runs)).runs == FrameSet.of(sorted(members(runs), reverse=True)).runs
    assert FrameSet(tuple(run[::-1] for run in runs)) == FrameSet(tuple(runs))


@given(RUN_LISTS)
def test_length_order_position_and_membership_agree(runs: list[range]) -> None:
    found, expected = FrameSet(tuple(runs)), sorted(members(runs))
    assert list(found) == expected
    assert len(found) == len(expected)
    assert bool(found) == bool(expected)
    for position, frame in enumerate(expected):
        assert found[position] == found[position - len(expected)] == frame
        assert found.index(frame) == position
    for frame in set(range(-70, 170)) - set(expected):
        assert frame not in found
        with pytest.raises(ValueError, match="not in"):
            found.index(frame)
    for outside in (len(expected), -len(expected) - 1):
        with pytest.raises(IndexError):
            found[outside]


@given(RUN_LISTS, RUN_LISTS)
def test_set_algebra_equals_that_of_python_sets(one: list[range], other: list[range]) -> None:
    left, right = FrameSet(tuple(one)), FrameSet(tuple(other))
    assert set(left.union(right)) == members(one) | members(other)
    assert set(left.difference(right)) == members(one) - members(other)
    assert (left == right) == (members(one) == members(other))


@given(RUN_LISTS, st.integers(-20, 90), st.integers(-20, 90), st.integers(1, 9))
def test_slices_and_every_nth_equal_those_of_a_list(runs: list[range], low: int, high: int, n: int) -> None:
    found = FrameSet(tuple(runs))
    assert list(found[low:high]) == list(found)[low:high]
    assert list(found.every(n)) == list(found)[::n]


@given(RUN_LISTS)
def test_bisecting_order_names_each_frame_once(runs: list[range]) -> None:
    found = FrameSet(tuple(runs))
    order = list(found.bisecting())
    assert sorted(order) == list(found)
    assert order[:2] == list(dict.fromkeys((found.first, found.last))) if found else not order


def test_bisecting_order_halves_the_widest_gap() -> None:
    assert list(parse_frames("1-9").bisecting()) == [1, 9, 5, 3, 7, 2, 4, 6, 8]


@pytest.mark.parametrize(
    ("frames_in", "text"),
    [
        ([1, 3], "1,3"),
        ([1, 2], "1-2"),
        ([1, 3, 5], "1-5x2"),
        ([1, 3, 4, 5], "1,3-5"),
        ([1, 3, 5, 6, 7], "1-5x2,6-7"),
        ([-3, -2, -1], "-3--1"),
    ],
)
def test_canonical_text_reads_naturally(frames_in: list[int], text: str) -> None:
    assert str(FrameSet.of(frames_in)) == text


@pytest.mark.parametrize("text", ["1-100000", "1-100000x2", "1-50000,50001-100000", "1-100000x2,2-100000x2"])
def test_a_long_range_is_one_small_run(text: str) -> None:
    found = parse_frames(text)
    assert len(found.runs) == 1
    assert memory_of(found) < 500


def test_a_frame_set_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        parse_frames("1-3").runs = ()  # type: ignore[misc]  # what the test is about


def test_a_slice_with_a_step_is_refused() -> None:
    with pytest.raises(ValueError, match="every"):
        parse_frames("1-9")[::2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (1, 5, 10)),
        ("first,middle,last", (1, 5, 10)),
        ("last , first", (10, 1)),
        ("100", (100,)),
        ("2,first,7-8,2", (2, 1, 7, 8)),
        ("every:4", (1, 5, 9)),
        ("bisect:3", (1, 10, 5)),
        ("bisect:99", (1, 10, 5, 3, 7, 2, 4, 6, 8, 9)),
    ],
)
def test_a_choice_of_test_frames_is_read_in_order(text: str, expected: tuple[int, ...]) -> None:
    assert frames.test_frame_choice(text, parse_frames("1-10")) == expected


def test_the_default_choice_of_a_single_frame_is_that_frame() -> None:
    assert frames.test_frame_choice("", parse_frames("42")) == (42,)


@pytest.mark.parametrize(
    "text", ["every:", "every:0", "bisect:x", "every:-1", "evry:2", "first middle", "first,", "1:2"]
)
def test_a_wrong_choice_of_test_frames_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        frames.test_frame_choice(text, parse_frames("1-10"))


@pytest.mark.parametrize("text", ["every:2", "bisect:5000", "1-1001", "1-600,5001-5600"])
def test_too_many_test_frames_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="too many test frames"):
        frames.test_frame_choice(text, parse_frames("1-100000"))


def test_test_frames_of_an_empty_set_are_refused() -> None:
    with pytest.raises(UsageError):
        frames.test_frame_choice("", FrameSet())
