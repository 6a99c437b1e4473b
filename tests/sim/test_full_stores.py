"""Stores that are too full drop no copy that a job needs, and the rules that see to it are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sim.full_stores import MUTANTS, SCENES
from tests.sim.mutants import Mutant, caught
from tests.sim.scenes import play

if TYPE_CHECKING:
    from tests.sim.scenes import SceneOf

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_scene_of_full_stores_plays_to_its_end(scene: SceneOf) -> None:
    assert play(scene, nodes=3) == ""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_of_eviction_is_caught(mutant: Mutant) -> None:
    assert "Broken" in caught(mutant)
