from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from farmd.scenes.content import Camera, Content, Layer, Reference, Role, Spread
from farmd.scenes.maya_ascii import read_maya_ascii
from protocol.errors import NotFound, UserError
from tests.scenes.reading import touch

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """//Maya ASCII 2022 scene
//Name: shot.ma
//Codeset: UTF-8
requires maya "2022";
requires -nodeType "aiOptions" -nodeType "aiAOVDriver"
\t\t -nodeType "aiAOVFilter" "mtoa" "4.2.1";
requires "stereoCamera" "10.0";
currentUnit -l centimeter -a degree -t film;
fileInfo "application" "maya";
fileInfo "version" "2022";
"""


def read(tmp_path: Path, body: str, *, head: str = HEAD, end: str = "// End of shot.ma\n") -> Content:
    scene = tmp_path / "shot.ma"
    scene.write_text(head + body + end, encoding="utf-8")
    return read_maya_ascii(scene)


def written(tmp_path: Path, body: str) -> list[tuple[str, str, Role, Spread]]:
    return [(one.attribute, one.written, one.role, one.spread) for one in read(tmp_path, body).references]


def test_a_texture_is_named_by_its_node_and_the_long_name_of_its_attribute(tmp_path: Path) -> None:
    body = (
        'createNode file -n "ns:wood";\n\trename -uid "X";\n\tsetAttr ".ftn" -type "string" "D:/show//tex/wood.png";\n'
    )
    expected = Reference("ns:wood", "fileTextureName", "D:/show//tex/wood.png", Role.TEXTURE)
    assert read(tmp_path, body).references == (expected,)


@pytest.mark.parametrize(
    ("name", "extra", "spread"),
    [
        ("wood.1001.png", '\tsetAttr ".uvt" 3;\n', Spread.UDIM),
        ("wood.1001.png", "", Spread.ONE),
        ("wood.png", '\tsetAttr ".uvt" 3;\n', Spread.ONE),
        ("wood_u1_v1.png", '\tsetAttr ".uvt" 2;\n', Spread.UDIM),
        ("wood.<UDIM>.png", "", Spread.UDIM),
        ("fire.0001.png", '\tsetAttr ".ufe" yes;\n', Spread.FRAMES),
        ("fire.0001.png", '\tsetAttr -k on ".useFrameExtension" yes;\n', Spread.FRAMES),
        ("fire.0001.png", '\tsetAttr ".ufe" no;\n', Spread.ONE),
        ("fire.<f>.png", "", Spread.FRAMES),
        ("fire.####.png", "", Spread.FRAMES),
    ],
)
def test_the_switches_of_a_texture_say_how_its_path_stands_for_several(
    tmp_path: Path, name: str, extra: str, spread: Spread
) -> None:
    body = f'createNode file -n "f";\n\tsetAttr ".ftn" -type "string" "tex/{name}";\n{extra}'
    assert written(tmp_path, body) == [("fileTextureName", f"tex/{name}", Role.TEXTURE, spread)]


def test_tiles_that_are_listed_are_all_named(tmp_path: Path) -> None:
    body = (
        'createNode file -n "f";\n\tsetAttr ".ftn" -type "string" "a.png";\n\tsetAttr ".uvt" 4;\n'
        '\tsetAttr ".euvt[0].eutn" -type "string" "b.png";\n\tsetAttr ".euvt[1].eutn" -type "string" "c.png";\n'
    )
    assert [one[1] for one in written(tmp_path, body)] == ["a.png", "b.png", "c.png"]


NODES = [
    ("aiImage", '".filename" -type "string" "a.<udim>.exr"', "filename", "a.<udim>.exr", Role.TEXTURE, Spread.UDIM),
    ("aiStandIn", '".dso" -type "string" "a.####.ass"', "dso", "a.####.ass", Role.CACHE, Spread.FRAMES),
    ("aiVolume", '".filename" -type "string" "a.vdb"', "filename", "a.vdb", Role.CACHE, Spread.ONE),
    ("AlembicNode", '".fn" -type "string" "a.abc"', "abc_File", "a.abc", Role.CACHE, Spread.ONE),
    ("AlembicNode", '".abc_File" -type "string" "a.abc"', "abc_File", "a.abc", Role.CACHE, Spread.ONE),
    ("AlembicNode", '".fns" -type "stringArray" 1 "a.abc"  ', "abc_layerFiles", "a.abc", Role.CACHE, Spread.ONE),
    ("gpuCache", '".cfn" -type "string" "a.abc"', "cacheFileName", "a.abc", Role.CACHE, Spread.ONE),
    ("cacheFile", '".cp" -type "string" "cache/nCache"', "cachePath", "cache/nCache", Role.CACHE, Spread.FOLDER),
    ("imagePlane", '".imn" -type "string" "a.jpg"', "imageName", "a.jpg", Role.CLIP, Spread.ONE),
    ("audio", '".f" -type "string" "a.wav"', "filename", "a.wav", Role.SOUND, Spread.ONE),
    ("mayaUsdProxyShape", '".fp" -type "string" "a.usda"', "filePath", "a.usda", Role.SCENE, Spread.ONE),
    ("xgmPalette", '".xfn" -type "string" "shot__hair.xgen"', "xgFileName", "shot__hair.xgen", Role.GROOM, Spread.ONE),
    ("RedshiftNormalMap", '".tex0" -type "string" "n.png"', "tex0", "n.png", Role.TEXTURE, Spread.ONE),
    ("VRayLightIESShape", '".iesFile" -type "string" "l.ies"', "iesFile", "l.ies", Role.OTHER, Spread.ONE),
    ("PxrMultiTexture", '".filename7" -type "string" "a.tex"', "filename7", "a.tex", Role.TEXTURE, Spread.ONE),
]


@pytest.mark.parametrize(("kind", "given", "attribute", "path", "role", "spread"), NODES)
def test_every_kind_of_node_names_its_file(
    tmp_path: Path, kind: str, given: str, attribute: str, path: str, role: Role, spread: Spread
) -> None:
    body = f'createNode {kind} -n "a";\n\tsetAttr {given};\n'
    assert written(tmp_path, body) == [(attribute, path, role, spread)]


def test_a_movie_is_one_file_even_if_it_plays(tmp_path: Path) -> None:
    body = 'createNode imagePlane -n "i";\n\tsetAttr ".imn" -type "string" "ref/take 2.mov";\n\tsetAttr ".ufe" yes;\n'
    assert written(tmp_path, body) == [("imageName", "ref/take 2.mov", Role.CLIP, Spread.ONE)]


def test_the_image_names_of_a_camera_are_no_files(tmp_path: Path) -> None:
    body = 'createNode camera -n "c" -p "cam";\n\tsetAttr ".imn" -type "string" "persp";\n'
    assert written(tmp_path, body) == []


def test_references_are_told_once_by_their_node(tmp_path: Path) -> None:
    body = (
        'file -rdi 1 -ns "tree" -rfn "treeRN" -op "v=0;" -typ "mayaBinary"\n\t\t "D:/show//scenes/tree.mb{2}";\n'
        'file -r -ns "tree" -dr 1 -rfn "treeRN" -op "v=0;" -typ "mayaBinary" "D:/show//scenes/tree.mb{2}";\n'
        'file -reference -namespace "bush" -referenceNode "bushRN" -type "Alembic" "bush.abc";\n'
    )
    content = read(tmp_path, "", head=HEAD.replace("requires maya", body + "requires maya"))
    assert [(one.node, one.written, one.role) for one in content.references] == [
        ("treeRN", "D:/show//scenes/tree.mb", Role.SCENE),
        ("bushRN", "bush.abc", Role.CACHE),
    ]
    assert content.facts.project == "D:/show"


def test_paths_that_a_scene_changes_in_a_referenced_one_are_found(tmp_path: Path) -> None:
    body = (
        'createNode reference -n "treeRN";\n\tsetAttr ".ed" -type "dataReferenceEdits" \n\t\t"treeRN"\n'
        '\t\t"treeRN" 2\n\t\t2 "|tree:a|tree:b" "visibility" " 0"\n'
        '\t\t2 "tree:file1" "fileTextureName" " -type \\"string\\" \\"C:\\\\\\\\tex\\\\\\\\bark.<UDIM>.png\\""\n'
        '\t\t2 "|cam|camShape" "imageName" " -type \\"string\\" \\"persp\\"";\n\tsetAttr ".fn[0]" -type "string" "old.ma";\n'
    )
    expected = Reference("tree:file1", "fileTextureName", "C:\\tex\\bark.<UDIM>.png", Role.TEXTURE, Spread.UDIM)
    assert read(tmp_path, body).references == (expected,)


def test_statements_inside_of_scripts_are_not_taken(tmp_path: Path) -> None:
    body = (
        'createNode script -n "s";\n\tsetAttr ".b" -type "string" (\n'
        '\t\t"createNode file -n \\"x\\";\\nsetAttr \\".ftn\\" -type \\"string\\" \\"evil.png\\";\\n"\n'
        '\t\t+ "select -ne :defaultRenderGlobals; setAttr \\".ren\\" -type \\"string\\" \\"evil\\";");\n\tsetAttr ".st" 3;\n'
    )
    content = read(tmp_path, body)
    assert content.references == ()
    assert content.facts.renderer == "mayaSoftware"


def test_attributes_that_name_their_node_are_taken_wherever_they_stand(tmp_path: Path) -> None:
    body = (
        'createNode file -n "a";\ncreateNode mesh -n "m";\n\tsetAttr ".ftn" -type "string" "no.png";\n'
        'setAttr "a.ftn" -type "string" "yes.png";\nsetAttr ":defaultRenderGlobals.ren" -type "string" "arnold";\n'
    )
    content = read(tmp_path, body)
    assert [one.written for one in content.references] == ["yes.png"]
    assert content.facts.renderer == "arnold"


def test_nodes_of_one_name_below_different_parents_are_kept_apart(tmp_path: Path) -> None:
    body = "".join(
        f'createNode gpuCache -n "shape" -p "{parent}";\n\tsetAttr ".cfn" -type "string" "{parent}.abc";\n'
        for parent in "ab"
    )
    assert [(one.node, one.written) for one in read(tmp_path, body).references] == [
        ("shape", "a.abc"),
        ("b|shape", "b.abc"),
    ]


def test_a_path_that_a_script_computes_is_told(tmp_path: Path) -> None:
    body = 'createNode gpuCache -n "g";\n\tsetAttr ".cfn" -type "string" $cacheFile;\n'
    content = read(tmp_path, body)
    assert content.references == ()
    assert [remark.code for remark in content.remarks] == ["computed_path"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ('\tsetAttr ".cfe" yes;\n\tsetAttr ".cfp" -type "string" "X:/aces/config.ocio";\n', ["X:/aces/config.ocio"]),
        ('\tsetAttr ".cfp" -type "string" "X:/aces/config.ocio";\n', []),
        ('\tsetAttr ".cme" no;\n\tsetAttr ".cfe" yes;\n\tsetAttr ".cfp" -type "string" "X:/aces/config.ocio";\n', []),
        ('\tsetAttr ".cfe" yes;\n\tsetAttr ".cfp" -type "string" "<MAYA_RESOURCES>/a/config.ocio";\n', []),
    ],
)
def test_a_colour_configuration_is_needed_if_it_is_on_and_not_mayas_own(
    tmp_path: Path, given: str, expected: list[str]
) -> None:
    content = read(tmp_path, f"select -ne :defaultColorMgtGlobals;\n{given}")
    assert [one.written for one in content.references] == expected
    assert str(content.facts.settings["ocio_config"]).endswith("config.ocio")


def test_a_scene_that_says_nothing_has_the_defaults_of_maya(tmp_path: Path) -> None:
    facts = read(tmp_path, 'createNode aiOptions -s -n "defaultArnoldRenderOptions";\n').facts
    assert (facts.renderer, facts.width, facts.height, facts.animation, facts.step) == (
        "mayaSoftware",
        960,
        540,
        False,
        1,
    )
    assert (facts.settings["range_start"], facts.settings["range_end"]) == (1, 10)
    assert list(facts.sampling.items()) == [
        ("camera", 3),
        ("diffuse", 2),
        ("specular", 2),
        ("sss", 2),
        ("transmission", 2),
        ("volume", 2),
    ]


def test_the_head_of_a_scene_says_version_plugins_and_speed(tmp_path: Path) -> None:
    facts = read(tmp_path, "").facts
    assert (facts.application, facts.version, facts.fps) == ("maya", "2022", 24)
    assert facts.plugins == {"mtoa": "4.2.1", "stereoCamera": "10.0"}


@pytest.mark.parametrize(
    ("unit", "fps"), [("pal", 25), ("ntscf", 60), ("23.976fps", 23.976), ("29.97df", 29.97), ("2fps", 2)]
)
def test_units_of_time_are_frames_a_second(tmp_path: Path, unit: str, fps: float) -> None:
    assert read(tmp_path, "", head=HEAD.replace("-t film", f"-time {unit}")).facts.fps == fps


def test_without_animation_only_the_current_frame_renders(tmp_path: Path) -> None:
    facts = read(tmp_path, 'select -ne :time1;\n\tsetAttr ".o" 537;\n\tsetAttr ".unw" 537;\n').facts
    assert (facts.animation, facts.start, facts.end) == (False, 537, 537)


def test_what_is_set_is_told(tmp_path: Path) -> None:
    body = (
        'createNode aiOptions -s -n "defaultArnoldRenderOptions";\n\tsetAttr ".AA_samples" 6;\n\tsetAttr ".GI_sss_samples" 5;\n'
        '\tsetAttr ".mb_en" yes;\n\tsetAttr ".thr_auto" no;\n\tsetAttr ".thrds" 12;\n\tsetAttr ".autotx" no;\n'
        'createNode aiAOVDriver -s -n "defaultArnoldDriver";\n\tsetAttr ".exr_tiled" no;\n'
        '\tsetAttr ".ai_translator" -type "string" "jpeg";\n'
        'select -ne :defaultRenderGlobals;\n\tsetAttr -cb on ".ren" -type "string" "arnold";\n\tsetAttr -k on ".an" yes;\n'
        '\tsetAttr -av -k on ".fs" 93;\n\tsetAttr -l on ".ef" 180.5;\n\tsetAttr ".bfs" 2;\n\tsetAttr -k on ".ep";\n'
        '\tsetAttr ".ifp" -type "string" "<Layer>/<Scene>";\nselect -ne :defaultResolution;\n\tsetAttr ".w" 1920;\n'
        '\tsetAttr -av ".h" 804;\n'
    )
    facts = read(tmp_path, body).facts
    assert (facts.renderer, facts.animation, facts.start, facts.end, facts.step) == ("arnold", True, 93, 180.5, 2)
    assert (facts.width, facts.height, facts.image_format, facts.image_prefix) == (1920, 804, "jpg", "<Layer>/<Scene>")
    assert (facts.sampling["camera"], facts.sampling["sss"]) == (6, 5)
    told = {name: facts.settings[name] for name in ("motion_blur", "auto_tx", "threads_autodetect", "threads", "tiled")}
    assert told == {"motion_blur": True, "auto_tx": False, "threads_autodetect": False, "threads": 12, "tiled": False}


@pytest.mark.parametrize(("number", "key", "suffix"), [("32", "", "png"), ("51", "exr", "exr"), ("50", "hdr", "hdr")])
def test_the_image_format_is_a_number_or_the_key_of_a_plugin(
    tmp_path: Path, number: str, key: str, suffix: str
) -> None:
    body = (
        f'select -ne :defaultRenderGlobals;\n\tsetAttr ".outf" {number};\n\tsetAttr ".imfkey" -type "string" "{key}";\n'
    )
    assert read(tmp_path, body).facts.image_format == suffix


def test_cameras_are_named_by_their_transform_and_say_whether_they_render(tmp_path: Path) -> None:
    body = (
        'createNode camera -s -n "perspShape" -p "persp";\ncreateNode camera -s -n "topShape" -p "top";\n'
        '\tsetAttr ".rnd" no;\ncreateNode camera -n "camShape" -p "|a|cam";\ncreateNode camera -n "camShape" -p "|b|cam";\n'
    )
    assert read(tmp_path, body).facts.cameras == (
        Camera("persp", renderable=True),
        Camera("top", renderable=False),
        Camera("|a|cam", renderable=True),
        Camera("|b|cam", renderable=True),
    )


def test_layers_have_the_names_of_the_render_setup_and_their_changes_are_told(tmp_path: Path) -> None:
    body = (
        'createNode renderLayer -n "defaultRenderLayer";\ncreateNode renderLayer -n "tree_defaultRenderLayer";\n\tsetAttr ".g" yes;\n'
        'createNode renderSetupLayer -n "fog";\ncreateNode renderLayer -n "rs_fog";\n\tsetAttr ".rndr" no;\n'
        'createNode absUniqueOverride -n "o";\n\tsetAttr ".atr" -type "string" "startFrame";\n'
    )
    content = read(tmp_path, body)
    assert content.facts.layers == (Layer("defaultRenderLayer"), Layer("fog", renderable=False))
    assert [remark.code for remark in content.remarks] == ["layer_overrides"]
    assert "startFrame" in content.remarks[0].text


def test_a_scene_without_its_last_line_is_read_and_said_to_be_suspicious(tmp_path: Path) -> None:
    content = read(tmp_path, 'createNode file -n "f";\n\tsetAttr ".ftn" -type "string" "a.png";\n', end="")
    assert len(content.references) == 1
    assert [remark.code for remark in content.remarks] == ["no_end_mark"]


def test_a_scene_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_maya_ascii(tmp_path / "none.ma")


def test_a_folder_is_no_scene(tmp_path: Path) -> None:
    touch(tmp_path, "folder.ma/inside")
    with pytest.raises(UserError):
        read_maya_ascii(tmp_path / "folder.ma")


def test_images_that_come_with_maya_are_marked_so(tmp_path: Path) -> None:
    path = "D:/Autodesk/Maya2018/presets/ShaderFX/Images/PBS/ibl_brdf_lut.dds"
    [one] = read(tmp_path, f'createNode file -n "f";\n\tsetAttr ".ftn" -type "string" "{path}";\n').references
    assert one.shipped


def test_the_release_counts_where_the_version_is_none(tmp_path: Path) -> None:
    head = HEAD.replace('"version" "2022"', '"version" "Preview Release 123"')
    assert read(tmp_path, "", head=head).facts.version == "2022"
