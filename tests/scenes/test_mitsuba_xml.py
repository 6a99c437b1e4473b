"""Mitsuba's XML: file names, includes, defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from farmd.scenes.analyse import Wishes, analyse
from farmd.scenes.content import Role, Spread
from farmd.scenes.mitsuba_xml import read_mitsuba_xml
from protocol.errors import UserError
from tests.scenes.reading import found_in, touch

if TYPE_CHECKING:
    from pathlib import Path

SCENE = """<?xml version="1.0"?>
<scene version="3.0.0">
  <default name="spp" value="64"/> <default name="lib" value="assets"/> <default name="frame" value="1"/>
  <path value="shared"/>
  <integrator type="path"/>
  <sensor type="perspective" id="main">
    <film type="hdrfilm"><integer name="width" value="640"/><integer name="height" value="360"/>
      <string name="file_format" value="openexr"/></film>
    <sampler type="independent"><integer name="sample_count" value="$spp"/></sampler>
  </sensor>
  <include filename="moving/$frame.xml"/>
  <include filename="still.xml"/>
  <shape type="obj" id="teapot"><string name="filename" value="$lib/teapot.obj"/>
    <bsdf type="diffuse"><texture type="bitmap" name="reflectance">
      <string name="filename" value="wood.png"/></texture></bsdf>
    <bsdf type="roughconductor"><spectrum name="eta" filename="gold.spd"/></bsdf>
  </shape>
</scene>
"""


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "a.xml"
    path.write_text(SCENE)
    return path


def test_facts_come_from_film_sampler_and_sensor(scene: Path) -> None:
    facts = read_mitsuba_xml(scene).facts
    assert (facts.application, facts.version, facts.renderer) == ("mitsuba", "3.0.0", "path")
    assert (facts.width, facts.height, facts.image_format, facts.sampling) == (640, 360, "exr", {"camera": 64})
    assert [(camera.name, camera.renderable) for camera in facts.cameras] == [("main", True)]


def test_every_file_name_is_a_reference(scene: Path) -> None:
    named = [(one.node, one.attribute, one.written, one.role, one.spread) for one in read_mitsuba_xml(scene).references]
    assert named == [
        ("include", "filename", "moving/$frame.xml", Role.SCENE, Spread.FRAMES),
        ("include", "filename", "still.xml", Role.SCENE, Spread.ONE),
        ("teapot", "filename", "$lib/teapot.obj", Role.CACHE, Spread.ONE),
        ("bitmap", "filename", "wood.png", Role.TEXTURE, Spread.ONE),
        ("roughconductor", "eta", "gold.spd", Role.OTHER, Spread.ONE),
    ]


def test_files_are_found_from_the_folder_of_the_scene_even_by_what_it_includes(scene: Path, tmp_path: Path) -> None:
    files = ["assets/teapot.obj", "gold.spd", "moving/1.xml", "moving/2.xml", "shared/wood.png", "stone.png"]
    touch(tmp_path, *files)
    for name in ("moving/1.xml", "moving/2.xml"):
        (tmp_path / name).write_text("<scene version='3.0.0'/>")
    (tmp_path / "still.xml").write_text(
        "<scene version='3.0.0'><emitter type='envmap'>"
        "<string name='filename' value='stone.png'/><string name='other_filename' value='$lib/teapot.obj'/></emitter></scene>"
    )
    report = analyse(scene)
    assert (report.missing, report.remarks) == ((), ())
    assert found_in(report, tmp_path) == sorted([*files, "still.xml"])


def test_parameter_of_the_job_goes_before_the_default(scene: Path, tmp_path: Path) -> None:
    touch(tmp_path, "other/teapot.obj")
    report = analyse(scene, wishes=Wishes(variables={"lib": "other"}))
    assert found_in(report, tmp_path) == ["other/teapot.obj"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<scene version='3'>", "no element found"),
        ("<project/>", "begins with <project>"),
        ('<!DOCTYPE x [<!ENTITY a "aaaa">]><scene>&a;</scene>', "declares the entity 'a'"),
        ("not xml", "syntax error"),
    ],
)
def test_text_that_is_no_scene_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(UserError) as refused:
        read_mitsuba_xml(path)
    assert says in refused.value.why
