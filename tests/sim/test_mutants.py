from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sim.mutants import MUTANTS, Mutant, caught
from tests.sim.scenes import SCENES, healed_link_by_link, play

if TYPE_CHECKING:
    from tests.sim.scenes import SceneOf


pytestmark = pytest.mark.timeout(120)


LONG_SCENES = {healed_link_by_link}
PLAYS = [
    pytest.param(scene, nodes, id=f"{scene.__name__}-{nodes}", marks=[pytest.mark.slow] if scene in LONG_SCENES else [])
    for scene, nodes in SCENES
]


@pytest.mark.parametrize(("scene", "nodes"), PLAYS)
def test_scene_with_correct_code_plays_to_its_end(scene: SceneOf, nodes: int) -> None:
    assert play(scene, nodes=nodes) == ""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_caught(mutant: Mutant) -> None:
    assert "Broken" in caught(mutant)
