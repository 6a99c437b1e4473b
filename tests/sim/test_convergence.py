from __future__ import annotations

import statistics

import pytest

from tests.sim.big_farm import BigFarm


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_all_but_one_percent_of_200_nodes_know_within_a_second_and_a_half() -> None:
    assert statistics.median(BigFarm(200).measure(5)) <= 1.5
