"""Runs of small integers equal sets of them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from farmd.core.runs import add_to_runs, in_runs, remove_from_runs, size_of_runs

VALUES = st.integers(0, 40)


@given(st.lists(st.tuples(st.booleans(), VALUES), max_size=80))
def test_adding_and_removing_equals_a_set(steps: list[tuple[bool, int]]) -> None:
    runs: tuple[tuple[int, int], ...] = ()
    model: set[int] = set()
    for add, value in steps:
        runs = add_to_runs(runs, value) if add else remove_from_runs(runs, value)
        (model.add if add else model.discard)(value)
        assert [in_runs(runs, n) for n in range(-1, 42)] == [n in model for n in range(-1, 42)]
        assert size_of_runs(runs) == len(model)
        gaps = [later[0] - earlier[1] for earlier, later in pairwise(runs)]
        assert all(gap > 1 for gap in gaps)
