"""What a person says of a job that is to be changed."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import UsageError
from protocol.jobedits import check_name
from protocol.jobwords import EDIT_WORDS, read_edits


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("ram=16G priority=80", {"ram_bytes": 16 << 30, "priority": 80}),
        ("frame-timeout=1h silence=90s", {"frame_timeout_s": 3600, "silence_s": 90}),
        ("name=fly over the city project=ad", {"name": "fly over the city", "project": "ad"}),
        ("label.shot=s010 label.take=", {"labels.shot": "s010", "labels.take": ""}),
        ("ram= name=", {"ram_bytes": None, "name": None}),
        ("output=/out output=", {"output_dir": ""}),
        ("project=a=b", {"project": "a=b"}),
    ],
)
def test_words_become_changes(text: str, changes: dict[str, object]) -> None:
    assert read_edits(text.split()) == changes


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("rum=16G", "did you mean ram?"),
        ("frames=1-3", "farmctl job resubmit JOB --with frames=VALUE"),
        ("16G", "write edit ram=16G"),
        ("cores=four", "write 4"),
        ("output=out", "begin it with /"),
        ("label.=x", "label.NAME"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_write(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_edits(text.split())
    assert hint in caught.value.hint


def test_every_word_means_a_field_that_can_be_changed() -> None:
    for word in EDIT_WORDS.values():
        check_name(word.field)


@given(st.lists(st.text(max_size=20), max_size=4))
def test_any_words_are_read_or_refused_in_words(words: list[str]) -> None:
    with suppress(UsageError):
        assert isinstance(read_edits(words), dict)
