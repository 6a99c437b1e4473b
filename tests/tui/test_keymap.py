"""Keys as data: no two on one, remapping by id, help from the table."""

from __future__ import annotations

import pytest

from protocol.errors import UsageError
from tui.keymap import INHERITED, KEYS, Keymap, Place, shown_key


def test_no_screen_has_two_actions_on_one_key() -> None:
    keymap = Keymap()  # raises if it has
    for place in INHERITED:
        assert keymap.help(place)


def test_ids_are_unique() -> None:
    assert len({key.id for key in KEYS}) == len(KEYS)


def test_remapped_key_is_shown_in_help_and_bar() -> None:
    keymap = Keymap({"joblike.why": "ctrl+y"})
    assert ("ctrl-y", "why") in keymap.bar(Place.JOBS)
    assert any(("ctrl-y", "why does it not run?") in keys for _, keys in keymap.help(Place.JOBS))


def test_remapping_onto_a_taken_key_is_refused_with_both_names() -> None:
    with pytest.raises(UsageError) as caught:
        Keymap({"joblike.cancel": "w"})
    assert "joblike.why" in caught.value.why
    assert "joblike.cancel" in caught.value.why


def test_unknown_id_gets_a_proposal() -> None:
    with pytest.raises(UsageError) as caught:
        Keymap({"joblike.cancle": "z"})
    assert caught.value.hint == "did you mean joblike.cancel?"


def test_read_only_has_no_key_that_changes_anything() -> None:
    keymap = Keymap(read_only=True)
    for place in INHERITED:
        assert not [key for key in keymap.of(place) if key.changes]


@pytest.mark.parametrize("place", list(INHERITED))
def test_bar_fits_eighty_cells(place: Place) -> None:
    assert sum(len(key) + len(word) + 3 for key, word in Keymap().bar(place)) <= 80


def test_keys_are_written_as_people_do() -> None:
    assert [shown_key(key) for key in ("slash", "ctrl+p", "f1", "X", "pagedown")] == ["/", "ctrl-p", "F1", "X", "PgDn"]


def test_quit_is_never_on_escape() -> None:
    assert all("escape" not in key.keys for key in KEYS if key.action == "leave")
