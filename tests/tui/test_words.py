"""Words of the pages: the overview's one word, its curve, why something waits, settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import UsageError
from tests.tui.recorded import JOBS, NODES, NOW_MS, RecordedSource, farm, picture_file
from tui.app import Dashboard
from tui.columns import Moment
from tui.halfblocks import draw
from tui.looks import text_of
from tui.overview import cards, pace_words, sparkline, status_word
from tui.settings import Settings, read_settings
from tui.words import details_of, farm_lines, why_lines

if TYPE_CHECKING:
    from pathlib import Path

MOMENT = Moment(NOW_MS, "anna", {})
GOOD = [NODES[0], NODES[3]]


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"disk_fault": "full"}, "✖ needs attention"),
        ({"alerts": [{"level": "error"}]}, "✖ needs attention"),
        ({"leader": None, "alerts": []}, "◷ electing"),
        ({"alerts": [{"level": "warning"}]}, "◷ impaired"),
        ({"alerts": []}, "◐ rendering"),
        ({"alerts": [], "jobs": {"running": 0, "pending": 2}}, "○ waiting"),
        ({"alerts": [], "jobs": {}}, "● idle"),
    ],
)
def test_farm_is_said_in_one_word(more: dict[str, Any], word: str) -> None:
    assert text_of(status_word(farm(**more), GOOD)) == word


def test_lost_machine_impairs_the_farm() -> None:
    assert text_of(status_word(farm(alerts=[]), NODES)) == "◷ impaired"


def test_cards_count_what_the_farm_tells() -> None:
    assert [(card.title, card.count) for card in cards(farm())] == [
        ("total", 8), ("pending", 3), ("running", 2), ("completed", 1), ("failed", 1),
    ]  # fmt: skip


@given(st.lists(st.integers(0, 10**6), max_size=80), st.integers(1, 120), st.integers(1, 4))
def test_curve_is_as_large_as_asked_and_shows_its_peak(frames: list[int], width: int, height: int) -> None:
    told = {"pace": {"bucket_s": 10, "frames": frames}}
    lines = sparkline(told, width, height)
    assert [len(line) for line in lines] == [width] * height
    if frames and max(frames[-width:]) > 0:
        assert "█" in lines[0]


def test_pace_is_said_a_minute() -> None:
    told = {"pace": {"bucket_s": 10, "frames": [0] * 54 + [3] * 6}}
    assert text_of(pace_words(told)) == "18 frames/min now, 18 in 10 min"


def test_page_of_a_job_says_what_to_try() -> None:
    text = "\n".join(map(text_of, details_of(JOBS[2], MOMENT)))
    assert "no machine has 96G of memory" in text
    assert "farmctl node list -o wide" in text


def test_nothing_that_waits_is_said_plainly() -> None:
    assert text_of(why_lines({"reasons": [], "state": "completed"}, {})[0]) == "nothing waits: it is completed"


def test_failed_check_of_the_farm_comes_with_its_hint() -> None:
    checks = [{"name": "disk", "ok": False, "text": "full", "hint": "free some"}]
    text = "\n".join(map(text_of, farm_lines(farm(), NODES, checks, {"user": "anna", "role": "artist"})))
    assert "✖ disk       full" in text
    assert "free some" in text
    assert "anna, artist" in text


@pytest.mark.parametrize(("width", "height"), [(20, 9), (60, 9), (10, 30)])
def test_picture_keeps_its_proportions_within_its_cells(width: int, height: int) -> None:
    picture = draw(picture_file(200), width, height)
    assert picture.width <= width
    assert len(picture.lines) <= height
    assert picture.width / (2 * len(picture.lines)) == pytest.approx(48 / 27, rel=0.25)


def test_settings_of_the_user_win_and_keys_are_put_together(tmp_path: Path) -> None:
    user, system = tmp_path / "user.toml", tmp_path / "system.toml"
    user.write_text('[tui]\ntheme = "farm-light"\n[tui.keys]\n"joblike.why" = "ctrl+y"\n[farmctl]\nnode = "x"\n')
    system.write_text('[tui]\ntheme = "farm-dark"\nread_only = true\n[tui.keys]\n"joblike.log" = "ctrl+l"\n')
    settings = read_settings([user, system, tmp_path / "none.toml"])
    assert settings == Settings("farm-light", True, {"joblike.why": "ctrl+y", "joblike.log": "ctrl+l"})


@pytest.mark.parametrize(
    "text",
    [
        "[tui]\nthem = 'x'\n",
        "[tui]\nread_only = 'yes'\n",
        "[tui\n",
        "tui = 3\n",
        "[tui.keys]\n'joblike.cancel' = 5\n",
    ],
)
def test_setting_that_does_not_exist_names_the_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"config\.toml"):
        read_settings([file])


def test_theme_that_does_not_exist_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(UsageError, match="no theme is called 'farm-lite'") as caught:
        Dashboard(RecordedSource(), theme="farm-lite")
    assert caught.value.hint == "did you mean farm-light?"


def test_details_of_a_machine_that_is_there_say_that_it_was_seen_now() -> None:
    hour_ago = {"last_seen_at_ms": NOW_MS - 3_600_000}
    told = [
        "\n".join(map(text_of, details_of(NODES[0] | hour_ago | {"state": state}, MOMENT)))
        for state in ("idle", "lost")
    ]
    assert [line.split()[1:] for text in told for line in text.splitlines() if line.startswith("seen")] == [
        ["now"],
        ["1h", "ago"],
    ]
