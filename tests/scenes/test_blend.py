"""The .blend reader with the real Blender, on scenes that it makes itself."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from farmd.scenes.analyse import analyse
from farmd.scenes.blend import read_blend
from farmd.scenes.content import Camera, Layer, Role, Spread
from protocol.errors import UserError

if TYPE_CHECKING:
    from farmd.scenes.content import Content

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blends")
    script = Path(__file__).with_name("make_blends.py")
    argv = ["blender", "-b", "--factory-startup", "--python-exit-code", "9", "--python", str(script), "--", str(folder)]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=90)
    return folder


@pytest.fixture(scope="module")
def facts_scene(scenes: Path) -> Content:
    return read_blend(scenes / "facts.blend")


@pytest.fixture(scope="module")
def files_scene(scenes: Path) -> Content:
    return read_blend(scenes / "files.blend")


def remark(content: Content, code: str) -> str:
    return next((one.text for one in content.remarks if one.code == code), "")


def test_scene_tells_frames_size_and_output(facts_scene: Content) -> None:
    facts = facts_scene.facts
    assert (facts.application, facts.renderer) == ("blender", "CYCLES")
    assert (facts.start, facts.end, facts.step, facts.animation) == (5, 45, 2, True)
    assert facts.fps == pytest.approx(29.97, abs=0.001)
    assert (facts.width, facts.height) == (633, 356)
    assert (facts.image_format, facts.image_prefix) == ("exr", "//renders/beauty_####")


def test_scene_tells_cameras_layers_and_settings(facts_scene: Content) -> None:
    facts = facts_scene.facts
    assert facts.cameras == (Camera("CamB"), Camera("Camera", renderable=True))
    assert facts.layers == (Layer("ViewLayer"), Layer("fg", renderable=False))
    assert facts.sampling == {"camera": 77}
    expected = {"motion_blur": True, "threads": 3, "view_transform": "Raw", "camera_markers": "20 CamB"}
    assert expected.items() <= facts.settings.items()
    assert facts.settings["scenes"] == "Other, Scene"


@pytest.mark.slow
def test_scripts_and_drivers_of_the_scene_do_not_run(scenes: Path, facts_scene: Content) -> None:
    assert "evil.py" in remark(facts_scene, "scripts")
    assert not (scenes / "owned").exists()
    assert not (scenes / "driven").exists()


@pytest.mark.slow
def test_packed_scene_tells_the_same(scenes: Path, facts_scene: Content) -> None:
    assert read_blend(scenes / "packed_zstd.blend").facts == facts_scene.facts


@pytest.mark.slow
def test_every_kind_of_file_is_named_with_its_place(files_scene: Content) -> None:
    found = {(one.node, one.attribute, one.written, one.role, one.spread) for one in files_scene.references}
    strip = 'sequence_editor.sequences_all["plates"].directory'
    one, frames = Spread.ONE, Spread.FRAMES
    assert {(node, name.replace("strips_all", "sequences_all"), *rest) for node, name, *rest in found} == {
        ('images["wood"]', "filepath", "//tex/wood.png", Role.TEXTURE, one),
        ('images["win"]', "filepath", "C:/tex/wood.png", Role.TEXTURE, one),
        ('images["tiles"]', "filepath", "//tex/skin.<UDIM>.png", Role.TEXTURE, Spread.UDIM),
        ('images["run"]', "filepath", "//seq/run_0001.png", Role.TEXTURE, frames),
        ('volumes["smoke"]', "filepath", "//vdb/smoke_0017.vdb", Role.CACHE, frames),
        ('materials["Material"]', 'node_tree.nodes["IES Texture"].filepath', "//ies/lamp.ies", Role.TEXTURE, one),
        ('objects["Cube"]', 'modifiers["Mesh Cache"].filepath', "//cache/run.mdd", Role.CACHE, one),
        ('objects["Cube"]', 'modifiers["Softbody"].point_cache.filepath', "//soft_cache", Role.CACHE, Spread.FOLDER),
        ('scenes["Scene"]', strip, "//plates/p_0101.png", Role.CLIP, frames),
    }


@pytest.mark.slow
def test_sequences_tell_which_numbers_they_ask_for(files_scene: Content) -> None:
    frames = {one.written: one.frames for one in files_scene.references if one.spread is Spread.FRAMES}
    assert frames == {
        "//seq/run_0001.png": (11, 30),
        "//vdb/smoke_0017.vdb": (17, 21),
        "//plates/p_0101.png": (101, 103),
    }


@pytest.mark.slow
def test_what_a_render_does_not_need_is_told_and_no_reference(files_scene: Content) -> None:
    assert files_scene.facts.settings["packed_files"] == 1
    assert 'modifiers["Cloth"].point_cache' in remark(files_scene, "unbaked")
    for path in ("//tex/idle.png", "//cache/hidden.mdd", "//notes.txt"):
        assert path in remark(files_scene, "unused")
    assert not remark(files_scene, "unattributed")
    assert not remark(files_scene, "unread")


@pytest.mark.slow
def test_single_pictures_for_each_eye_are_both_named(scenes: Path) -> None:
    written = [one.written for one in read_blend(scenes / "eyes.blend").references]
    assert written == ["//tex/sky_L.png", "//tex/sky_R.png"]


@pytest.mark.slow
def test_library_in_a_library_is_named_by_the_file_that_links_it(scenes: Path) -> None:
    forest, tree = scenes / "sets" / "forest.blend", scenes / "sets" / "trees" / "tree.blend"
    found = [(one.written, one.role, one.by, one.base) for one in read_blend(scenes / "linked.blend").references]
    assert found == [
        ("//sets/forest.blend", Role.SCENE, "", ""),
        ("//trees/tree.blend", Role.SCENE, str(forest), str(forest.parent)),
        ("//bark.png", Role.TEXTURE, str(tree), str(tree.parent)),
    ]


@pytest.mark.slow
def test_analysis_finds_libraries_in_folders_of_their_own(scenes: Path) -> None:
    report = analyse(scenes / "linked.blend")
    assert [one.path.name for one in report.found] == ["forest.blend", "tree.blend"]
    assert [(one.written, one.by.name) for one in report.missing] == [("//bark.png", "tree.blend")]


@pytest.mark.slow
def test_ocio_of_the_environment_is_a_reference(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCIO", "/studio/aces/config.ocio")
    (ocio,) = read_blend(scenes / "facts.blend").references
    assert (ocio.attribute, ocio.written, ocio.role) == ("OCIO", "/studio/aces/config.ocio", Role.COLOUR)


@pytest.mark.parametrize("kept", [1000, 100_000, -5000])
def test_scene_that_is_cut_is_damaged(scenes: Path, tmp_path: Path, kept: int) -> None:
    cut = tmp_path / "cut.blend"
    cut.write_bytes((scenes / "facts.blend").read_bytes()[:kept])
    with pytest.raises(UserError, match="is damaged") as caught:
        read_blend(cut)
    assert "DNA" in caught.value.why


def test_file_of_blender_5_names_the_version_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_TRACER", "no such program")
    scene = tmp_path / "new.blend"
    scene.write_bytes(b"BLENDER17-01v9900REND")
    with pytest.raises(UserError) as caught:
        read_blend(scene)
    assert "saved by Blender 99.0" in caught.value.what or "is damaged" in caught.value.what


@pytest.mark.slow
def test_simulation_does_not_run_and_leaves_no_cache(scenes: Path) -> None:
    content = read_blend(scenes / "fluid.blend")
    assert 'modifiers["Fluid"].domain_settings.cache_directory' in remark(content, "unbaked")
    assert not (scenes / "fluid").exists()


@pytest.mark.slow
def test_scene_stays_as_it_is(scenes: Path) -> None:
    scene = scenes / "files.blend"
    before = (scene.read_bytes(), scene.stat().st_mtime_ns, sorted(item.name for item in scenes.iterdir()))
    read_blend(scene)
    assert (scene.read_bytes(), scene.stat().st_mtime_ns, sorted(item.name for item in scenes.iterdir())) == before
