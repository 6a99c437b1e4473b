from __future__ import annotations

import json
import math
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmd.board.words import ABOUT_CHARS, NAME_CHARS, about, number, task_key, text_of


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __str__(self) -> str:
        raise RuntimeError("no")

    def __float__(self) -> float:
        raise RuntimeError("no")


class HostileDict(dict[str, int]):
    def __iter__(self) -> NoReturn:
        raise RuntimeError("no")


HostileDict.__name__ = "dict"  # so that its elements are looked at


class HostileError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_metadata_whose_repr_fails_is_shown_by_its_type() -> None:
    assert about(Hostile()) == "<Hostile: its repr raised RuntimeError>"
    assert "Hostile" in about({"inside": Hostile()})
    assert about(HostileDict(a=1)) == "<dict: RuntimeError>"
    assert text_of(HostileError()) == "HostileError: ?"


def test_metadata_is_shown_in_bounds_without_walking_through_all_of_it() -> None:
    nested: list[object] = []
    nested.append(nested)
    for huge in (list(range(10**6)), "x" * 10**6, dict.fromkeys(range(1000), "y" * 1000), nested, b"z" * 10**6):
        assert len(about(huge)) <= ABOUT_CHARS


def test_ids_that_are_too_long_stay_different() -> None:
    first, second = task_key("x" * 1000 + "1"), task_key("x" * 1000 + "2")
    assert first != second
    assert len(first) <= NAME_CHARS


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "seven", Hostile(), object(), 10**400])
def test_number_that_is_none_is_zero(value: object) -> None:
    assert number(value) == 0


@given(st.one_of(st.floats(), st.integers(), st.text(), st.binary(), st.booleans(), st.none()))
def test_everything_can_be_sent(value: object) -> None:
    shown = [about(value), text_of(value), task_key(value), number(value)]
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    json.dumps(shown, ensure_ascii=False).encode()


def test_exception_is_shown_with_its_type() -> None:
    assert text_of(ValueError("bad row")) == "ValueError: bad row"
