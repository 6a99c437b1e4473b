from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sim.mutants import MUTANTS, Mutant, caught
from tests.sim.scenes import SCENES, play

if TYPE_CHECKING:
    from tests.sim.scenes import SceneOf


pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize(("scene", "nodes"), SCENES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_scene_with_correct_code_plays_to_its_end(scene: SceneOf, nodes: int) -> None:
    assert play(scene, nodes=nodes) == ""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_caught(mutant: Mutant) -> None:
    assert "Broken" in caught(mutant)
