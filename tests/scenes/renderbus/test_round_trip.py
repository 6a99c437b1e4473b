"""A job survives the way into the files of Renderbus and back, and so do the files."""

from __future__ import annotations

import copy
import hashlib
import json
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farmd.scenes.renderbus.back import documents_of
from farmd.scenes.renderbus.kept import pack_kept, unpack_kept
from farmd.scenes.renderbus.lists import File
from farmd.scenes.renderbus.order import read_order
from farmd.scenes.renderbus.plain import print_document
from farmd.scenes.renderbus.recognise import recognise
from farmd.scenes.renderbus.spec import spec_with, values_of
from protocol.errors import NotFound, PeerError, UsageError
from protocol.frames import FrameSet
from protocol.ids import NodeId
from protocol.jobspec import MAX_FOREIGN_BYTES, GateMode, GateSpec, JobSpec, Limits, Requirements
from tests.scenes.renderbus.tasks import Document, blender_task, layer, maya_task, upload_of

if TYPE_CHECKING:
    from pathlib import Path

TASK_ID = "439800123"
EMPTY = JobSpec(name="n", owner="ada", submitted_at_ms=0, submit_node=NodeId("0" * 16), renderer="blender")


def file_of(path: Path, local: str = "") -> File:
    data = path.read_bytes()
    md5 = hashlib.md5(data).hexdigest()
    return File(local or str(path), len(data), 1_700_000_000_000, md5, xxhash.xxh64_intdigest(data))


def put(folder: Path, documents: dict[str, Document]) -> None:
    for name, document in documents.items():
        (folder / f"{name}.json").write_bytes(print_document(document))


def imported(folder: Path, **options: Any) -> tuple[JobSpec, tuple[Path, ...]]:
    """Do what a submission does with a task: the specification, and the files that are sent."""
    task = recognise(folder / "task.json")
    assert task is not None
    order = read_order(task, folder, **options)
    rules = [*map(list, order.rules), *order.more.get("path_rules", [])]
    values = {"name": order.scene.stem} | values_of(order.wish) | order.more
    if options.get("renderer") == "command":
        values |= {"command": "render {scene} {output}", "requirements.renderer_version": ""}
    values |= {"scene_path": str(order.scene), "foreign": order.foreign, "path_rules": rules}
    return spec_with(EMPTY, values), (order.scene, *order.inputs)


def exported(spec: JobSpec, files: tuple[Path, ...]) -> dict[str, Document]:
    documents = documents_of(spec, TASK_ID, [file_of(path) for path in sorted(files)])
    plain: dict[str, Document] = json.loads(json.dumps(documents))
    return plain


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
names = words.filter(lambda text: bool(text.strip()))
frame_sets = st.lists(
    st.tuples(st.integers(-50, 500), st.integers(0, 60), st.integers(1, 7)), min_size=1, max_size=4
).map(lambda runs: FrameSet(tuple(range(start, start + length + 1, step) for start, length, step in runs)))
gates = st.builds(
    GateSpec, st.sampled_from(GateMode), st.lists(st.integers(-60, 600), max_size=6, unique=True).map(tuple)
)
specs = st.builds(
    JobSpec,
    name=names,
    owner=st.just("ada"),
    submitted_at_ms=st.just(0),
    submit_node=st.just(NodeId("0" * 16)),
    renderer=st.sampled_from(["blender", "maya", "max", "cinema4d", "houdini", "unreal"]),
    frames=frame_sets.map(str),
    chunk=st.integers(1, 50),
    output_name=st.none() | st.just("f.{frame:04d}.png"),
    output_dir=st.none() | st.just("/srv/out"),
    params=st.dictionaries(st.sampled_from(["samples", "view"]), words, max_size=2),
    requirements=st.builds(
        Requirements,
        ram_bytes=st.integers(0, 1 << 40) | st.sampled_from([0, 64_000_000_000]),
        cores=st.integers(0, 64),
        gpus=st.integers(0, 8),
        vram_bytes=st.integers(0, 1 << 36),
        renderer_version=st.sampled_from(["", "3.4", "R22"]),
    ),
    gate=gates,
    priority=st.integers(0, 100),
    limits=st.builds(
        Limits,
        retries=st.integers(0, 9),
        frame_timeout_s=st.integers(0, 100_000),
        job_timeout_s=st.integers(0, 100_000),
        silence_s=st.integers(0, 5_000),
    ),
    label=st.sampled_from(["", "hero"]),
    project=names.map(lambda text: text.strip()),
    path_rules=st.sampled_from([(), (("Y:/show", "/mnt/show"),)]),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spec=specs)
def test_a_job_that_goes_there_and_back_is_the_same(spec: JobSpec, tmp_path: Path) -> None:
    scene, texture = tmp_path / "fire.blend", tmp_path / "wood.png"
    scene.write_bytes(b"BLENDER")
    texture.write_bytes(b"wood")
    spec = replace(spec, scene_path=str(scene))
    put(tmp_path, exported(spec, (scene, texture)))
    again, files = imported(tmp_path)
    assert again == spec
    assert set(files) == {scene, texture}


values = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | words
foreign_fields = st.dictionaries(words.map(lambda name: f"x_{name}"), values | st.lists(values, max_size=2), max_size=4)
understood = st.fixed_dictionaries(
    {},
    optional={
        "pre_frames": st.sampled_from(["000", "111", "010", "000:1,3-4[1]", "100: 7 , 2 ", None]),
        "test_frames": st.sampled_from(["100", "000", "", "2,5"]),
        "stop_after_test": st.sampled_from(["1", "2", 1, 2, ""]),
        "frames_per_task": st.sampled_from(["1", 5, "5.0", None]),
        "priority": st.integers(1, 10) | st.integers(1, 10).map(str),
        "ram": st.sampled_from(["64", 128, "0", ""]),
        "graphics_cards_num": st.sampled_from(["2", 1, "0"]),
        "gpu_render": st.sampled_from(["0", "1", True, "False"]),
        "time_out": st.sampled_from(["43200", 60, "0", None]),
        "task_stop_time": st.sampled_from(["0", "3600", 7200]),
        "job_stop_time": st.sampled_from(["0", "86400"]),
        "cg_id": st.sampled_from(["2000", "2004", 2000]),
        "project_name": words,
        "is_picture": st.sampled_from(["0", "1"]),
    },
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(info=understood, foreign=foreign_fields, tips=st.dictionaries(words, st.lists(words, max_size=2), max_size=2))
def test_files_that_go_there_and_back_are_the_same(
    info: Document, foreign: Document, tips: Document, tmp_path: Path
) -> None:
    files = [tmp_path / "D/show/sc01/fire.ma", tmp_path / "D/tex/wood.png"]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(path.name.encode())
    md5 = hashlib.md5(b"fire.ma").hexdigest()
    task = maya_task(**info, **foreign) | foreign
    task["scene_info"] = {"defaultRenderLayer": layer(width="480") | foreign}
    asset = {"asset": ["D:\\tex\\wood.png  (mtime 2019-01-31 10:00:00) size 8"], "asset_num": "1", "missing": foreign}
    upload = upload_of("D:/show/sc01/fire.ma", "D:\\tex\\wood.png", md5=md5) | foreign
    documents = {"task": task, "upload": upload, "asset": asset | foreign, "tips": tips}
    put(tmp_path, documents)
    spec, sent = imported(tmp_path)
    assert set(sent) == set(files)
    assert spec.path_rules == (("D:/", f"{tmp_path}/D/"),)
    assert exported(spec, sent) == documents


def blender_folder(folder: Path, **info: Any) -> tuple[Path, dict[str, Document]]:
    scene = folder / "fire.blend"
    scene.write_bytes(b"BLENDER")
    documents = {"task": blender_task(str(scene), **info), "upload": upload_of(str(scene))}
    put(folder, documents)
    return scene, documents


def test_what_was_changed_since_is_written_and_nothing_else(tmp_path: Path) -> None:
    _, documents = blender_folder(tmp_path, pre_frames="111", ram="64")
    spec, sent = imported(tmp_path)
    changed = replace(spec, priority=83, frames="1-50", gate=GateSpec(GateMode.HOLD, (1, 25, 50)), chunk=5)
    task = exported(changed, sent)["task"]
    expected = copy.deepcopy(documents["task"])
    expected["task_info"] |= {"priority": "8", "frames_per_task": "5", "stop_after_test": "1"}
    expected["scene_info_render"]["common"]["frames"] = "1-50[1]"
    expected["additional_info"]["farmd"] = {"exact": {"priority": [["8"], 83]}}
    assert task == expected


def test_who_edits_what_stands_beside_an_exact_value_is_obeyed(tmp_path: Path) -> None:
    scene, _ = blender_folder(tmp_path)
    spec = replace(EMPTY, scene_path=str(scene), priority=83, requirements=Requirements(ram_bytes=(8 << 30) + 1))
    documents = exported(spec, (scene,))
    assert documents["task"]["task_info"]["ram"] == "9"
    documents["task"]["task_info"] |= {"priority": "2"}
    put(tmp_path, documents)
    again, _ = imported(tmp_path)
    assert (again.priority, again.requirements.ram_bytes) == (20, (8 << 30) + 1)


def test_a_job_that_was_never_a_task_keeps_nothing_of_its_files(tmp_path: Path) -> None:
    scene, _ = blender_folder(tmp_path)
    (tmp_path / "out").mkdir()
    documents = exported(replace(EMPTY, scene_path=str(scene), frames="1-9"), (scene,))
    put(tmp_path / "out", documents)
    assert imported(tmp_path / "out")[0].foreign == b""
    documents["task"]["task_info"]["balance"] = "7"
    put(tmp_path / "out", documents)
    assert unpack_kept(imported(tmp_path / "out")[0].foreign)["task"]["task_info"]["balance"] == "7"


def test_another_renderer_than_the_service_has_comes_back_with_the_program_of_the_task(tmp_path: Path) -> None:
    scene, documents = blender_folder(tmp_path)
    spec, sent = imported(tmp_path, renderer="command")
    back = exported(spec, sent)
    assert back["task"]["software_config"] == documents["task"]["software_config"]
    put(tmp_path, back)
    again, _ = imported(tmp_path)
    assert (again.renderer, again.command, again.requirements.renderer_version) == ("command", spec.command, "")
    assert again.scene_path == str(scene)


def test_a_renderer_that_the_service_lacks_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be exported") as caught:
        documents_of(replace(EMPTY, renderer="povray", scene_path="/a/x.pov"), TASK_ID, [])
    assert "povray" in caught.value.why


def test_a_job_without_a_scene_is_not_exported() -> None:
    with pytest.raises(UsageError, match="cannot be exported"):
        documents_of(EMPTY, TASK_ID, [])


def test_files_that_came_later_are_added_to_the_lists(tmp_path: Path) -> None:
    _, documents = blender_folder(tmp_path)
    spec, sent = imported(tmp_path)
    late = tmp_path / "late.png"
    late.write_bytes(b"late")
    back = exported(spec, (*sent, late))
    assert back["upload"]["asset"][:-1] == documents["upload"]["asset"]
    row = back["upload"]["asset"][-1]
    assert (row["local"], row["server"]) == (str(late), str(late))
    assert (row["hash"], row["xxhash"]) == (hashlib.md5(b"late").hexdigest(), str(xxhash.xxh64_intdigest(b"late")))
    (line,) = back["asset"]["asset"]
    assert line.startswith(f"{late}  (mtime 2023-11-1")
    assert line.endswith(") size 4")
    assert (back["asset"]["asset_num"], back["asset"]["asset_size"]) == (1, 4)


def test_a_scene_that_was_saved_again_gets_its_new_hash(tmp_path: Path) -> None:
    scene, _ = blender_folder(tmp_path)
    put(tmp_path, {"upload": upload_of(str(scene), md5="0" * 32)})
    spec, sent = imported(tmp_path)
    (row,) = exported(spec, sent)["upload"]["scene"]
    assert row["hash"] == hashlib.md5(b"BLENDER").hexdigest()


def test_a_scene_that_is_one_row_without_a_list_stays_so(tmp_path: Path) -> None:
    scene, _ = blender_folder(tmp_path)
    md5 = hashlib.md5(b"BLENDER").hexdigest()
    upload = {"scene": {"local": str(scene), "server": str(scene), "hash": md5}, "asset": []}
    put(tmp_path, {"upload": upload})
    spec, sent = imported(tmp_path)
    assert sent == (scene,)
    assert exported(spec, sent)["upload"] == upload


def test_missing_files_are_refused_with_where_they_are_looked_for(tmp_path: Path) -> None:
    scene, _ = blender_folder(tmp_path)
    put(tmp_path, {"upload": upload_of(str(scene), "D:/tex/a.png", "Y:/tex/b.png")})
    with pytest.raises(NotFound) as caught:
        imported(tmp_path)
    assert caught.value.what == "2 of 2 files are not on this machine"
    assert caught.value.why == "there is no D:/tex/a.png, Y:/tex/b.png"
    assert caught.value.hint.endswith(f"{tmp_path}/D/tex/a.png")


def test_files_are_found_by_a_rule_and_a_scene_beside_its_task(tmp_path: Path) -> None:
    show = tmp_path / "mnt"
    (show / "tex").mkdir(parents=True)
    (show / "tex/wood.png").touch()
    (tmp_path / "fire.ma").write_bytes(b"//Maya")
    documents = {"task": maya_task(), "upload": upload_of("D:/show/sc01/fire.ma", "//filer/show/tex/wood.png")}
    put(tmp_path, documents)
    spec, sent = imported(tmp_path, rules=[("//filer/show", str(show))])
    assert sent == (tmp_path / "fire.ma", show / "tex/wood.png")
    assert exported(spec, sent)["upload"] == documents["upload"]
    assert exported(spec, sent)["task"] == documents["task"]


def test_what_is_too_large_is_left_out_from_the_lists_on() -> None:
    from random import Random

    noise = Random(3).randbytes(MAX_FOREIGN_BYTES).hex()
    packed, left_out = pack_kept({"task": {"a": 1}, "asset": {"b": noise}, "upload": {"c": 1}})
    assert left_out == ("asset",)
    assert unpack_kept(packed) == {"task": {"a": 1}, "upload": {"c": 1}}
    packed, left_out = pack_kept({"task": {"a": noise}, "tips": {}})
    assert left_out == ("tips", "task")
    assert unpack_kept(packed) == {}


DAMAGED = (
    b"x",
    b"x\x9c",
    pack_kept({"task": {}})[0][:-9],
    pack_kept({"task": []})[0],
    pack_kept({"places": [["D:/"]]})[0],
    pack_kept({"places": {"D:/": "/mnt"}})[0],
)


@pytest.mark.parametrize("foreign", DAMAGED)
def test_what_is_damaged_is_the_fault_of_who_sent_it(foreign: bytes) -> None:
    with pytest.raises(PeerError):
        unpack_kept(foreign)


def test_what_another_importer_kept_is_left_alone() -> None:
    assert unpack_kept(zlib.compress(b'{"format": "other.v1", "task": 7}')) == {}


def test_files_of_another_kind_are_no_task(tmp_path: Path) -> None:
    for content in (b"BLENDER", b"{}", b'{"task_info": []}', b"{", b""):
        (tmp_path / "scene.json").write_bytes(content)
        assert recognise(tmp_path / "scene.json") is None
    assert recognise(tmp_path) is None
    assert recognise(tmp_path / "nothing.json") is None
    (tmp_path / "task.json").write_bytes(b"{")
    with pytest.raises(UsageError, match="cannot be read"):
        recognise(tmp_path / "task.json")
