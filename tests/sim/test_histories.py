"""Histories of whole farms: two each time, three hundred in the long part, and those that once showed a bug.

As many more as there is time for: `python -m tests.sim --first 310 --count 200`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.sim.history import History, Report, run_history

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.timeout(300)  # ten times what it takes when nobody else computes
QUICK, CHUNK = range(100, 102), 10
LONG = [*range(100), *range(102, 310)]
REGRESSIONS = {
    116: "a peer's request ended the fetch of the true result",
    136: "a power cut between a new result and the word about the old one",
    152: "a start that a lying disk had forgotten came back from the peers",
    198: "a peer's request ended the fetch of the true result",
    420: "failures asked for more memory than any machine has",
}


def broken(seeds: Iterable[int]) -> list[str]:
    """Run seeds and list what broke, with the command that replays it."""
    reports = [run_history(seed) for seed in seeds]
    return [
        f"{report.broken}\n  python -m tests.sim --seed {report.seed} --story" for report in reports if report.broken
    ]


def test_histories_keep_all_invariants() -> None:
    assert broken(QUICK) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, len(LONG), CHUNK))
def test_many_histories_keep_all_invariants(first: int) -> None:
    assert broken(LONG[first : first + CHUNK]) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", REGRESSIONS, ids=str)
def test_history_that_showed_a_bug_stays_clean(seed: int) -> None:
    assert run_history(seed).broken == ""


@pytest.mark.slow
def test_histories_hold_every_promise_of_the_generator() -> None:
    report = run_history(7)
    faults = [name for name in report.faults if not name.startswith(("client", "renders", "corrupt piece"))]
    assert len(faults) >= 5
    assert report.simulated_s >= 300
    assert report.frames_done >= 100


def exact(seed: int) -> Report:
    """Run a seed with every event and effect in its digest."""
    return History(seed, nodes=3, exact=True).run()


@pytest.mark.slow
def test_same_seed_is_the_same_history() -> None:
    one, other = exact(3), exact(3)
    assert (one.digest, one.events, one.story) == (other.digest, other.events, other.story)
    assert one.digest != exact(4).digest


@pytest.mark.slow
def test_history_does_not_depend_on_the_hash_seed_of_the_process() -> None:
    script = "from tests.sim.test_histories import exact; print(exact(5).digest)"
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "4711")
    }
    assert len(digests) == 1
