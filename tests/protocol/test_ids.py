"""The nine digits of a job."""

from __future__ import annotations

from random import Random

import pytest

from protocol.errors import PeerError
from protocol.ids import JobId, new_job_id, task_id_of


def test_the_nine_digits_of_a_job_are_the_same_on_every_machine() -> None:
    assert task_id_of(JobId("0h3kq8v2m5x7a9bc")) == task_id_of(JobId("0h3kq8v2m5x7a9bc")) == "716437284"


def test_the_nine_digits_are_nine_and_spread() -> None:
    rng = Random(5)
    made = [task_id_of(new_job_id(1_700_000_000_000, rng)) for _ in range(2_000)]
    assert all(len(digits) == 9 and digits.isdecimal() and digits[0] != "0" for digits in made)
    assert len(set(made)) >= 1_998
    assert {digits[0] for digits in made} == set("123456789")


def test_what_is_no_job_has_no_nine_digits() -> None:
    with pytest.raises(PeerError):
        task_id_of(JobId("fire_v3"))
