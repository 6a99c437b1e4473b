"""Jobs that would write the same files are named when the second one is submitted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from farmd.core.clashes import same_files
from protocol.jobspec import GateMode, GateSpec
from tests.core.small_farm import SPEC, Farm, play

OFF = GateSpec(GateMode.OFF)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"frames": "20-40"}, True),
        ({"frames": "21-40"}, False),
        ({"output_name": "g.{frame:04d}.png"}, False),
        ({"output_name": "{shot}.{frame:04d}.png", "params": {"shot": "f"}}, True),
        ({"output_name": "{shot}.{frame:04d}.png", "params": {"shot": "g"}}, False),
        ({"output_name": "f.0007.png", "frames": "900"}, True),
        ({"output_name": None}, False),
        ({"output_name": None, "renderer": "blender", "command": None}, False),
    ],
)
def test_names_decide_whether_two_jobs_write_the_same_files(changes: dict[str, Any], same: bool) -> None:
    other = replace(SPEC, **changes)
    assert same_files(SPEC, other) is same
    assert same_files(other, SPEC) is same


def test_jobs_of_one_renderer_that_name_nothing_write_the_same_files() -> None:
    blender = replace(SPEC, renderer="blender", command=None, output_name=None)
    assert same_files(blender, blender)
    assert not same_files(blender, replace(blender, renderer="mitsuba"))
    silent = replace(SPEC, output_name=None)
    assert not same_files(silent, silent)


def test_submission_names_the_jobs_that_write_the_same_files() -> None:
    async def scene(farm: Farm) -> None:
        first = await farm.submit(gate=OFF)
        elsewhere = await farm.submit(gate=OFF, output_dir="/other")
        assert (await farm.submitted(output_dir="/out/", frames="20-30"))["same_files"] == [
            {"job": first, "name": "shot", "owner": "anna"}
        ]
        assert (await farm.submitted(output_dir="/other", frames="50"))["same_files"] == []
        assert (await farm.submitted(output_dir=None))["same_files"] == []
        await farm.data("job.control", job=elsewhere, action="cancel")
        assert (await farm.submitted(output_dir="/other", frames="1"))["same_files"] == []

    play(scene)
