from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sim.after_scenes import AFTER_MUTANTS, AFTER_SCENES
from tests.sim.mutants import Mutant, caught
from tests.sim.scenes import play

if TYPE_CHECKING:
    from tests.sim.scenes import SceneOf

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize(("scene", "nodes"), AFTER_SCENES)
def test_scene_with_correct_code_plays_to_its_end(scene: SceneOf, nodes: int) -> None:
    assert play(scene, nodes=nodes) == ""


@pytest.mark.parametrize("mutant", AFTER_MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_caught(mutant: Mutant) -> None:
    assert "Broken" in caught(mutant)
