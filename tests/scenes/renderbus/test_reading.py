"""What a task of Renderbus asks for, in the farm's words."""

from __future__ import annotations

from typing import Any

import pytest

from farmd.scenes.renderbus.fields import read_wish
from farmd.scenes.renderbus.passes import passes_in, section_of
from farmd.scenes.renderbus.paths import server_path
from farmd.scenes.renderbus.plain import parse_document
from farmd.scenes.renderbus.ranges import print_frames, print_test_frames, read_frames, read_test_frames
from farmd.scenes.renderbus.remarks import refuse_impossible, remarks_of
from farmd.scenes.renderbus.software import renderer_named
from protocol.errors import UsageError
from protocol.frames import parse_frames
from protocol.jobspec import GateMode
from tests.scenes.renderbus.tasks import blender_task, layer, maya_task


def test_a_task_of_maya_is_read_whole() -> None:
    task = maya_task(frames_per_task=4, priority="8", graphics_cards_num="2", job_stop_time="86400", time_out="600")
    wish = read_wish(task)
    assert (wish.renderer, wish.version, wish.scene, wish.project) == ("maya", "2022", "D:/show/sc01/fire.ma", "dragon")
    assert (str(wish.frames), wish.chunk, wish.priority, wish.gpus) == ("1-10", 4, 80, 2)
    assert wish.ram_bytes == 64_000_000_000
    assert (wish.frame_timeout_s, wish.job_timeout_s) == (600, 86_400)
    assert wish.gate == (GateMode.OFF, ())


@pytest.mark.parametrize(
    ("pre_frames", "test_frames", "tests"),
    [
        ("000", None, ()),
        ("100", None, (1,)),
        ("111", None, (1, 5, 10)),
        ("011", "", (5, 10)),
        ("000:1,3-4[1]", None, (1, 3, 4)),
        ("000: 1,3-4 [1]", None, (1, 3, 4)),
        ("001:7,2", None, (10, 7, 2)),
        (None, "100", (100,)),
        ("000", "100", (100,)),
        ("100", "100", (1, 100)),
        ("111", "1,5-6[1]", (1, 5, 10, 6)),
        ("000", "000", ()),
        (None, None, ()),
    ],
)
def test_test_frames_come_from_the_mask_and_its_list_and_the_further_list(
    pre_frames: str | None, test_frames: str | None, tests: tuple[int, ...]
) -> None:
    assert read_wish(maya_task(pre_frames=pre_frames, test_frames=test_frames)).gate[1] == tests


@pytest.mark.parametrize(
    ("stop_after_test", "mode"), [("1", GateMode.HOLD), (1, GateMode.HOLD), ("2", GateMode.AUTO), (None, GateMode.AUTO)]
)
def test_one_waits_for_a_person_and_two_goes_on(stop_after_test: Any, mode: GateMode) -> None:
    assert read_wish(maya_task(pre_frames="100", stop_after_test=stop_after_test)).gate == (mode, (1,))


@pytest.mark.parametrize(
    ("info", "gpus"),
    [
        ({}, 0),
        ({"graphics_cards_num": "2"}, 2),
        ({"graphics_cards_num": "2", "gpu_render": "0"}, 0),
        ({"gpu_render": "1"}, 1),
        ({"gpu_render": True, "graphics_cards_num": 2}, 2),
    ],
)
def test_cards_count_unless_the_task_renders_on_none(info: dict[str, Any], gpus: int) -> None:
    assert read_wish(maya_task(**info)).gpus == gpus


@pytest.mark.parametrize(
    ("task_stop_time", "job_stop_time", "seconds"),
    [("0", "0", 0), ("0", "3600", 3600), ("7200", "3600", 3600), ("7200", "0", 7200), (None, None, 86_400)],
)
def test_the_sooner_limit_of_the_whole_counts(task_stop_time: Any, job_stop_time: Any, seconds: int) -> None:
    task = maya_task(task_stop_time=task_stop_time, job_stop_time=job_stop_time)
    assert read_wish(task).job_timeout_s == seconds


@pytest.mark.parametrize(
    ("cg_name", "cg_id", "scene", "renderer"),
    [
        ("Maya", "2000", "x.ma", "maya"),
        ("3ds Max", None, "x.max", "max"),
        ("3dsmax", "2001", "", "max"),
        ("Arnold Standalone", "2003", "", "arnold"),
        ("V-Ray Standalone", "2008", "", "vray"),
        ("CINEMA 4D", "2005", "", "cinema4d"),
        ("Blender", "2013", "", "blender"),
        ("Blender", "2007", "", "blender"),
        (None, "2004", "", "houdini"),
        (None, "2005", "", "cinema4d"),
        (None, "2007", "D:/a/x.blend", "blender"),
        (None, "2007", "D:\\a\\x.C4D", "cinema4d"),
        (None, "2013", "/a/x.blend", "blender"),
        (None, "2013", "/a/x.project", "clarisse"),
    ],
)
def test_the_name_of_a_program_counts_before_its_number(
    cg_name: str | None, cg_id: str | None, scene: str, renderer: str
) -> None:
    assert renderer_named(cg_name, cg_id, scene) == renderer


@pytest.mark.parametrize(
    ("cg_name", "cg_id", "why"),
    [
        ("Photoshop", "2000", "nothing is known of the program 'Photoshop'"),
        (None, "1999", "no program has the number '1999'"),
        (None, None, "it names no program"),
        (None, "2007", "cg_id 2007 is blender in one numbering and cinema4d in the other"),
    ],
)
def test_an_unknown_program_is_refused_with_the_reason(cg_name: str | None, cg_id: str | None, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        renderer_named(cg_name, cg_id, "scene")
    assert (caught.value.what, caught.value.why) == ("the task cannot be imported", why)
    assert "--renderer NAME" in caught.value.hint


@pytest.mark.parametrize(
    ("info", "why"),
    [
        ({"tiles": "4"}, "each frame is split into 4 tiles"),
        ({"is_distribute_render": "1"}, "is_distribute_render: several machines would work on one frame"),
        ({"multi_node": 1}, "multi_node: several machines"),
    ],
)
def test_what_no_machine_renders_so_is_refused_with_the_reason(info: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError) as caught:
        refuse_impossible(maya_task(**info))
    assert caught.value.why.startswith(why)
    assert caught.value.hint


@pytest.mark.parametrize(
    "info",
    [
        {"ram": "much"},
        {"ram": ["64"]},
        {"ram": "-1"},
        {"ram": "1e999"},
        {"priority": "11"},
        {"priority": "0"},
        {"frames_per_task": "1.5"},
        {"stop_after_test": "3"},
        {"pre_frames": "FML"},
        {"pre_frames": "11:5"},
        {"gpu_render": "perhaps"},
        {"input_cg_file": "fire.ma"},
        {"input_cg_file": "D:/show/../../etc/passwd"},
    ],
)
def test_a_field_that_cannot_be_read_is_refused_with_its_name(info: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        read_wish(maya_task(**info))
    assert caught.value.why
    assert caught.value.hint


def test_layers_that_are_off_do_not_count_and_different_ranges_are_refused() -> None:
    task = maya_task()
    task["scene_info_render"]["shadow"] = layer(frames="5-6[1]") | {"renderable": "0"}
    assert str(read_wish(task).frames) == "1-10"
    task["scene_info_render"]["shadow"]["renderable"] = "1"
    with pytest.raises(UsageError, match="cannot be imported") as caught:
        read_wish(task)
    assert "shadow has 5-6" in caught.value.why
    assert str(read_wish(task, frames=parse_frames("1-3")).frames) == "1-3"


def test_frames_are_found_in_the_shapes_of_other_programs() -> None:
    assert str(read_wish(blender_task(frames="1-9[2]")).frames) == "1-9x2"
    task = blender_task()
    task["scene_info_render"] = {"rop_node": [{"node": "/out/a", "frames": "1-4[1]", "option": "-1", "render": "1"}]}
    assert str(read_wish(task).frames) == "1-4"
    task["scene_info_render"] = {"rendernodes": {"R": {"frames": "7-8[1]", "renderable": "1"}}}
    assert str(read_wish(task).frames) == "7-8"
    task["scene_info_render"] = {}
    task["scene_info"] = {"common": {"start": "3", "end": "9.0", "by_frame": 3}}
    assert str(read_wish(task).frames) == "3-9x3"


def test_layers_of_an_image_render_although_the_image_is_off() -> None:
    task = maya_task()
    layers = [{"frames": "2-5[1]", "renderable": "1", "name": "cam.l1"}, {"frames": "9", "renderable": "0"}]
    image = {"frames": "0-50[1]", "renderable": "0", "name": "cam", "layers": layers}
    task["scene_info_render"] = {"image_node": [image]}
    assert str(read_wish(task).frames) == "2-5"
    assert [item.on for item in passes_in(section_of(task))] == [False, True, False]


def test_a_simulation_is_refused_unless_it_is_off() -> None:
    task = blender_task()
    simulation = {"node": "/out/sim", "frames": "1-240[1]", "option": "0", "render": "1"}
    task["scene_info_render"] = {"geo_node": [simulation]}
    with pytest.raises(UsageError, match="cannot be imported"):
        read_wish(task)
    simulation["render"] = "0"
    assert [item.on for item in passes_in(section_of(task))] == [False]


@pytest.mark.parametrize(
    ("local", "server"),
    [
        ("C:/Project/x", "/C/Project/x"),
        ("c:\\Project\\x y", "/c/Project/x y"),
        ("/home/ada/x", "/home/ada/x"),
        ("//filer/show/x", "//filer/show/x"),
        ("\\\\filer\\show\\x", "//filer/show/x"),
        ("D:/a:b", "/D/a:b"),
    ],
)
def test_the_tree_of_every_path_is_kept(local: str, server: str) -> None:
    assert server_path(local) == server


@pytest.mark.parametrize("text", ["1", "1-10[1]", "1-9[2]", "-5--1[1],3", "1,5,6,100-200[10]"])
def test_frames_survive_the_way_there_and_back(text: str) -> None:
    assert read_frames(print_frames(read_frames(text))) == read_frames(text)
    assert print_frames(read_frames("1-1[1]")) == "1-1[1]"


@pytest.mark.parametrize(
    ("tests", "text"),
    [((1, 50, 100), "111"), ((1,), "100"), ((100, 1), "001:1"), ((7, 300), "000:7,300"), ((), "000")],
)
def test_test_frames_are_written_as_short_as_their_order_allows(tests: tuple[int, ...], text: str) -> None:
    frames = parse_frames("1-100")
    assert print_test_frames(tests, frames) == text
    assert read_test_frames(text, None, frames) == tests


def remarks(tips: dict[str, Any] | None = None, **info: Any) -> dict[str, str]:
    task = maya_task(**info)
    return {remark.code: remark.text for remark in remarks_of(task, tips or {}, read_wish(task))}


def test_what_cannot_be_had_is_told() -> None:
    assert remarks() == {}
    told = remarks(
        {"10012": ["a.png", "b.png"], "50001": ["sim"], "10001": []},
        os_name="1",
        cg_id="2004",
        pre_frames="100",
        test_frames="100",
        time_out="12",
        job_stop_time="28800",
        concurrent_tasks="2",
        graphics_cards_num="2",
        input_project_path="D:/show",
    )
    assert set(told) == {
        "cg_id", "gpus", "os_name", "concurrent_tasks", "test_frames", "extra_frames", "stop_after_test", "time_out",
        "job_stop_time", "missing", "project", "tips",
    }  # fmt: skip
    assert told["missing"] == "2 files missing when the scene was analysed: a.png, b.png"
    assert told["extra_frames"] == "1 test frame is outside the range and renders too: 100"


def test_a_tip_may_be_one_text_instead_of_a_list() -> None:
    assert remarks({"35001": "d:\\abc\\jdf.jpg", "35002": ""}) == {"tips": "the analysis told 35001: d:\\abc\\jdf.jpg"}


def test_settings_and_layers_that_the_scene_decides_are_told() -> None:
    task = maya_task()
    task["scene_info"] = {"defaultRenderLayer": layer(width="480", frames="1-2[1]")}
    task["scene_info_render"]["shadow"] = layer() | {"renderable": "0"}
    task["software_config"]["plugins"] = {"mtoa": "5.3.1", "yeti": ""}
    told = {remark.code: remark.text for remark in remarks_of(task, {}, read_wish(task))}
    assert told["settings"] == "defaultRenderLayer: the scene decides, not the task, on width"
    assert told["layers"].endswith("the task leaves out shadow")
    assert told["plugins"].endswith("mtoa 5.3.1, yeti")


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"a": NaN}', b"\xff\xfe{", b"[" * 100_000, b'{"a": 1', b'"task_info"', b"{} {}"]
)
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError, match="x cannot be read"):
        parse_document(data, "x")


def test_a_byte_order_mark_is_fine() -> None:
    assert parse_document(b"\xef\xbb\xbf{}", "x") == {}
