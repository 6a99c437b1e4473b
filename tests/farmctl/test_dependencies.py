"""What a submission learns from its scene before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from farmctl.dependencies import frames_in
from farmd.ingest.manifest import decode_manifest
from farmd.scenes import readers
from farmd.scenes.content import Content, Facts, Reference, Remark, Role
from protocol.errors import MissingFeature, Unreachable, UsageError, UserError
from tests.farmctl.fakes import JOB, FakeNode, farm, run
from tests.farmctl.test_submit import Store, sent
from tests.scenes.reading import FakeReader, texture, touch


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def node(store: Store) -> FakeNode:
    answer = {"job": JOB, "stored": "farm", "nodes": ["ws07", "n02"], "deliver": "node"}
    rules: dict[str, object] = {"path.list": {"rules": []}}
    return FakeNode(farm() | rules | store.answers | {"job.submit": answer})


@pytest.fixture(autouse=True)
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeReader:
    """Read scenes without their applications."""
    reader = FakeReader("blender")
    own = readers.reader_of
    monkeypatch.setattr(readers, "reader_of", lambda path: reader if path.suffix in (".blend", ".ma") else own(path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    Path("a.blend").write_bytes(b"BLENDER-v405")
    return reader


def files_of(store: Store, node: FakeNode) -> list[str]:
    manifest = sent(node).manifest
    assert manifest is not None
    return [entry.path for entry in decode_manifest(bytes(store.blobs[str(manifest)])).entries]


def test_files_that_the_scene_needs_go_with_it(
    node: FakeNode, store: Store, reader: FakeReader, tmp_path: Path
) -> None:
    touch(tmp_path, "tex/wood.png", "lib/rig.blend", "lib/skin.png", "more.txt")
    reader.put("a.blend", texture("//tex/wood.png"), Reference("rig", "filepath", "//lib/rig.blend", Role.SCENE))
    reader.put("rig.blend", texture("//skin.png"))
    result = run(node, "submit", "a.blend", "--input", "more.txt", "--json")
    assert result.exit_code == 0, result.stderr
    assert files_of(store, node) == ["a.blend", "lib/rig.blend", "lib/skin.png", "more.txt", "tex/wood.png"]
    document = json.loads(result.stdout)
    assert document["analysis"] == {"dependencies": 3, "missing": [], "path_rules": []}
    assert document["files"] == 5
    assert sent(node).path_rules == ()


@pytest.mark.parametrize(
    ("facts", "words", "frames"),
    [
        ({"start": 1001, "end": 1010, "animation": True}, "", "1001-1010"),
        ({"start": 1, "end": 9, "step": 2, "animation": True}, "", "1-9x2"),
        ({"start": 5, "end": 9}, "", "5"),
        ({"start": 7, "end": 7, "animation": True}, "", "7"),
        ({"start": 1, "end": 9, "animation": True}, "--frames 3", "3"),
    ],
)
def test_frames_are_those_of_the_scene_unless_others_are_asked_for(
    node: FakeNode, reader: FakeReader, facts: dict[str, object], words: str, frames: str
) -> None:
    reader.put("a.blend", **facts)
    assert run(node, "submit", "a.blend", *words.split()).exit_code == 0
    assert sent(node).frames == frames


@pytest.mark.parametrize(("start", "end", "step"), [(1.5, 9, 1), (1, 9, 0.5), (9, 1, 1), (1, 9, 0)])
def test_range_that_is_no_frames_must_be_said(start: float, end: float, step: float) -> None:
    with pytest.raises(UsageError, match="which frames"):
        frames_in(Facts("maya", start=start, end=end, step=step, animation=True), Path("a.ma"))


def test_missing_file_stops_the_submission_with_place_reason_and_repair(
    node: FakeNode, reader: FakeReader, tmp_path: Path
) -> None:
    touch(tmp_path, "tex/wood.png")
    reader.put("a.blend", texture("Y:/show/tex/wood.png", "wood"), texture("//tex/none.png", "none"))
    result = run(node, "submit", "a.blend", "--output", "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "wood.fileTextureName  Y:/show/tex/wood.png",
        "    there is no drive Y: on this machine",
        f"    repair: read Y:/show/ as {tmp_path}/ (prefix)",
        "none.fileTextureName  //tex/none.png",
        f"    it is not in {tmp_path}/tex",
        "error: a.blend needs 2 files that are missing",
        "  why: wood.fileTextureName: Y:/show/tex/wood.png: there is no drive Y: on this machine",
        "  try: --repair finds 1 of them; put the others there, or: --map 'Y:/show=/mnt/show'; or --allow-missing",
    ]
    assert {op for op, _ in node.calls} == {"path.list"}
    assert not (tmp_path / "out").exists()


def test_missing_file_may_be_allowed(node: FakeNode, store: Store, reader: FakeReader) -> None:
    reader.put("a.blend", texture("//none.png", "none"))
    result = run(node, "submit", "a.blend", "--allow-missing", "--json")
    assert result.exit_code == 0
    assert "none.fileTextureName  //none.png" in result.stderr
    assert json.loads(result.stdout)["analysis"]["missing"] == ["none.fileTextureName"]
    assert files_of(store, node) == ["a.blend"]


def test_missing_sound_is_told_and_stops_nothing(node: FakeNode, reader: FakeReader) -> None:
    reader.put("a.blend", Reference("hum", "filepath", "//hum.wav", Role.SOUND))
    result = run(node, "submit", "a.blend")
    assert result.exit_code == 0
    assert "it is not in" in result.stderr
    assert "renders without it" in result.stderr


def test_accepted_repairs_send_what_was_found_and_go_into_the_job(
    node: FakeNode, store: Store, reader: FakeReader, tmp_path: Path
) -> None:
    touch(tmp_path, "tex/wood.png", "tex/Stone.png")
    reader.put("a.blend", texture("Y:\\show\\tex\\wood.png", "wood"), texture("//tex/stone.png", "stone"))
    result = run(node, "submit", "a.blend", "--repair")
    assert result.exit_code == 0, result.stderr
    assert files_of(store, node) == ["a.blend", "tex/Stone.png", "tex/wood.png"]
    assert dict(sent(node).path_rules) == {
        "Y:\\show\\": f"{tmp_path}/",
        "//tex/stone.png": f"{tmp_path}/tex/Stone.png",
    }


def test_repair_of_a_part_does_not_let_the_rest_pass(node: FakeNode, reader: FakeReader, tmp_path: Path) -> None:
    touch(tmp_path, "tex/wood.png")
    reader.put("a.blend", texture("Y:/tex/wood.png", "wood"), texture("//none.png", "none"))
    result = run(node, "submit", "a.blend", "--repair")
    assert result.exit_code == 1
    assert "a.blend needs 1 file that is missing" in result.stderr
    assert "  try: put it there, or say where it is: --map 'Y:/show=/mnt/show'; or render without" in result.stderr


def test_rules_of_the_command_are_in_force(node: FakeNode, store: Store, reader: FakeReader, tmp_path: Path) -> None:
    touch(tmp_path, "mnt/tex/wood.png")
    reader.put("a.blend", texture("Y:/show/tex/wood.png"))
    result = run(node, "submit", "a.blend", "--map", "Y:/show=mnt")
    assert result.exit_code == 0, result.stderr
    assert files_of(store, node) == ["a.blend", "mnt/tex/wood.png"]
    assert sent(node).path_rules == (("Y:/show", f"{tmp_path}/mnt"),)


def test_rules_of_the_farm_are_in_force_and_stay_the_farm_s(
    node: FakeNode, store: Store, reader: FakeReader, tmp_path: Path
) -> None:
    touch(tmp_path, "mnt/tex/wood.png")
    rows = [
        {"written": "Y:/show", "becomes": f"{tmp_path}/mnt", "platform": "linux"},
        {"written": "Z:/", "becomes": "C:/", "platform": "windows"},
    ]
    node.answers["path.list"] = {"rules": rows}
    reader.put("a.blend", texture("Y:/show/tex/wood.png"))
    assert run(node, "submit", "a.blend").exit_code == 0
    assert (files_of(store, node), sent(node).path_rules) == (["a.blend", "mnt/tex/wood.png"], ())


def test_scene_that_nothing_here_opens_is_sent_as_it_is_with_a_warning(
    node: FakeNode, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: Path) -> Content:
        raise MissingFeature(f"{path.name} cannot be read here: no Blender is installed")

    monkeypatch.setattr(readers, "reader_of", lambda path: fails)
    result = run(node, "submit", "a.blend", "--frames", "1", "-q")
    assert (result.exit_code, result.stdout) == (0, f"{JOB}\n")
    assert "no Blender is installed: its files are not known" in result.stderr
    assert run(node, "submit", "a.blend").exit_code == 2


def test_scene_that_is_damaged_is_refused(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: Path) -> Content:
        raise UserError(f"{path.name} is damaged", "it ends in the middle")

    monkeypatch.setattr(readers, "reader_of", lambda path: fails)
    assert run(node, "submit", "a.blend", "--frames", "1").exit_code == 1
    assert node.calls == []


def test_no_analysis_reads_no_scene(node: FakeNode, store: Store, reader: FakeReader) -> None:
    reader.put("a.blend", texture("//none.png"))
    assert run(node, "submit", "a.blend", "--frames", "1", "--no-analyse").exit_code == 0
    assert (reader.read, files_of(store, node)) == ([], ["a.blend"])


def test_parameters_of_a_mitsuba_job_are_its_variables(node: FakeNode, store: Store, tmp_path: Path) -> None:
    touch(tmp_path, "tex/2.png")
    Path("a.xml").write_text(
        "<scene version='3.0.0'><texture type='bitmap'><string name='filename' value='tex/$which.png'/></texture></scene>"
    )
    assert run(node, "submit", "a.xml").exit_code == 1
    result = run(node, "submit", "a.xml", "--param", "which=2")
    assert result.exit_code == 0, result.stderr
    assert files_of(store, node) == ["a.xml", "tex/2.png"]


def test_other_xml_for_a_command_is_not_analysed(node: FakeNode, store: Store) -> None:
    Path("a.xml").write_text("<project file='none.png'/>")
    assert run(node, "submit", "--command", "cat {scene}", "a.xml", "--frames", "1").exit_code == 0
    assert files_of(store, node) == ["a.xml"]


def test_scene_of_a_command_is_analysed_too(node: FakeNode, store: Store, reader: FakeReader, tmp_path: Path) -> None:
    touch(tmp_path, "wood.png", "a.ma")
    reader.put("a.ma", texture("wood.png"), start=1, end=3, animation=True)
    assert run(node, "submit", "--command", "Render {scene}", "a.ma").exit_code == 0
    assert (files_of(store, node), sent(node).frames) == (["a.ma", "wood.png"], "1-3")


def test_remarks_are_counted(node: FakeNode, reader: FakeReader) -> None:
    reader.contents["a.blend"] = Content(Facts("blender"), remarks=(Remark("scripts", "x"), Remark("scripts", "y")))
    assert "2 remarks on the scene: farmctl scene analyse a.blend" in run(node, "submit", "a.blend").stderr


def test_node_that_does_not_answer_leaves_an_analysis_without_its_rules(node: FakeNode, reader: FakeReader) -> None:
    node.answers["path.list"] = Unreachable("no answer")
    reader.put("a.blend", texture("//none.png"))
    result = run(node, "submit", "a.blend", "-n")
    assert (result.exit_code, "needs 1 file that is missing" in result.stderr) == (1, True)
