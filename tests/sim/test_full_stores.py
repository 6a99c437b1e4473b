"""Stores that are too full drop no copy that a job needs, and the rules that see to it are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sim.full_stores import MUTANTS, SCENES
from tests.sim.mutants import Mutant, caught
from tests.sim.scenes import play
from tests.sim.tiny_stores import run_tiny

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.sim.scenes import SceneOf

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_scene_of_full_stores_plays_to_its_end(scene: SceneOf) -> None:
    assert play(scene, nodes=3) == ""


def broken(seeds: Iterable[int]) -> list[str]:
    """Run histories of tiny stores and list what broke; say so if nothing was ever dropped by an anchor's word."""
    reports = [run_tiny(seed) for seed in seeds]
    kept = sum(report.faults.get("blob dropped that its anchor keeps", 0) for report in reports)
    return [f"seed {report.seed}: {report.broken}" for report in reports if report.broken] + ["idle"] * (kept == 0)


@pytest.mark.slow
def test_histories_of_tiny_stores_lose_nothing() -> None:
    assert broken((3, 4, 5)) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(20, 60, 10))
def test_many_histories_of_tiny_stores_lose_nothing(first: int) -> None:
    assert broken(range(first, first + 10)) == []


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_of_eviction_is_caught(mutant: Mutant) -> None:
    assert "Broken" in caught(mutant)
