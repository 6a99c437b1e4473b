from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from farmd.scenes.analyse import Wishes, analyse
from farmd.scenes.content import Content, Reference, Role, Spread
from farmd.scenes.report import Why
from farmd.scenes.xgen import read_xgen
from protocol.errors import NotFound, UserError
from tests.scenes.reading import found_in, touch

if TYPE_CHECKING:
    from pathlib import Path


def module(kind: str, **values: str) -> str:
    lines = [kind, *(f"\t{name}\t\t{value}" for name, value in values.items()), "\tendAttrs", ""]
    return "\n".join(lines) + "\n"


def palette(project: str = "D:/show/", data: str = "${PROJECT}xgen/collections/hair") -> str:
    return module("Palette", name="hair", xgDataPath=data, xgProjectPath=project)


BROWS = module("Description", name="brows", descriptionId="1")


def read(tmp_path: Path, *modules: str) -> Content:
    collection = tmp_path / "shot__hair.xgen"
    collection.write_text("# XGen collection\n\nFileVersion 18\n\n" + "".join(modules))
    return read_xgen(collection)


def named(content: Content) -> list[tuple[str, str, str, Spread]]:
    return [(one.node, one.attribute, one.written, one.spread) for one in content.references[1:]]


def test_a_collection_is_a_folder_of_its_project(tmp_path: Path) -> None:
    content = read(tmp_path, palette())
    written, variables = "${PROJECT}xgen/collections/hair", {"PROJECT": "D:/show/"}
    assert content.references == (Reference("hair", "xgDataPath", written, Role.GROOM, Spread.FOLDER, variables),)
    assert content.facts.project == "D:/show/"


def test_variables_mean_the_description_and_the_module(tmp_path: Path) -> None:
    clumping = module("ClumpingFXModule", name="Clumping1", active="true", mapDir="${DESC}/${FXMODULE}/Maps/")
    [_, one] = read(tmp_path, palette(project="D:/show"), BROWS, clumping).references
    assert (one.node, one.written, one.spread) == ("hair|brows|Clumping1", "${DESC}/${FXMODULE}/Maps/", Spread.FOLDER)
    assert one.variables == {
        "PROJECT": "D:/show/",
        "DESC": "D:/show/xgen/collections/hair/brows",
        "FXMODULE": "Clumping1",
    }


@pytest.mark.parametrize(
    ("expression", "path", "spread"),
    [
        ("$a=map('${DESC}/paintmaps/length');#3dpaint,5.0\\n$a", "${DESC}/paintmaps/length", Spread.FOLDER),
        ('$a = vmap( "${DESC}/paint/dir/" );', "${DESC}/paint/dir/", Spread.FOLDER),
        ("map('${DESC}/region/head.ptx')*2", "${DESC}/region/head.ptx", Spread.ONE),
        ("map('${DESC}/fence-%04d.ptx', $frame)", "${DESC}/fence-%04d.ptx", Spread.FRAMES),
    ],
)
def test_painted_maps_stand_in_expressions(tmp_path: Path, expression: str, path: str, spread: Spread) -> None:
    content = read(tmp_path, palette(), BROWS, module("SplinePrimitive", length=expression))
    assert named(content) == [("hair|brows|SplinePrimitive", "length", path, spread)]


@pytest.mark.parametrize(
    ("kind", "values", "count"),
    [
        ("SplinePrimitive", {"useCache": "true", "cacheFileName": "${DESC}/guides.abc"}, 1),
        ("SplinePrimitive", {"useCache": "false", "cacheFileName": "${DESC}/guides.abc"}, 0),
        ("SplinePrimitive", {"regionMask": "0.0", "regionMap": "${DESC}/Region/"}, 0),
        ("SplinePrimitive", {"regionMask": "1.0", "regionMap": "${DESC}/Region/"}, 1),
        ("RandomGenerator", {"usePoints": "false", "pointDir": "${DESC}/Points/"}, 0),
        ("NoiseFXModule", {"name": "Noise1", "mode": "0", "bakeDir": "${DESC}/${FXMODULE}/"}, 0),
        ("ClumpingFXModule", {"name": "C", "active": "false", "mapDir": "${DESC}/Maps/"}, 0),
        ("AnimWiresFXModule", {"name": "A", "liveMode": "false", "wiresFile": "${DESC}/wires.abc"}, 1),
        ("AnimWiresFXModule", {"name": "A", "liveMode": "true", "wiresFile": "${DESC}/wires.abc"}, 0),
        ("RendermanRenderer", {"outputDir": "${PROJECT}/out/"}, 0),
    ],
)
def test_only_what_is_in_use_is_a_dependency(tmp_path: Path, kind: str, values: dict[str, str], count: int) -> None:
    assert len(named(read(tmp_path, palette(), BROWS, module(kind, **values)))) == count


def test_archives_are_named_in_the_list_of_their_primitive(tmp_path: Path) -> None:
    files = (
        '#ArchiveGroup 0 name=\\"tree\\" thumbnail=\\"tree.png\\"\\n0 "${PROJECT}xgen/archives/tree.xarc" material=x\\n'
    )
    content = read(tmp_path, palette(), BROWS, module("ArchivePrimitive", files=files))
    assert [one[2] for one in named(content)] == ["${PROJECT}xgen/archives/tree.xarc"]


def test_faces_of_patches_are_read_over(tmp_path: Path) -> None:
    patches = "Patches\tbrows\t1\n\nPatch\tSubd\n\tname\t\thead\n\tfaceIds\t3\n\t\t1 2 3\n\tendAttrs\n\n"
    assert named(read(tmp_path, palette(), BROWS, patches)) == []


def test_a_second_description_has_its_own_folder(tmp_path: Path) -> None:
    lashes = module("Description", name="lashes") + module("SplinePrimitive", width="map('${DESC}/w')")
    [one] = read(tmp_path, palette(), BROWS, lashes).references[1:]
    assert one.variables["DESC"].endswith("/hair/lashes")


def test_several_data_folders_are_all_named_and_told(tmp_path: Path) -> None:
    content = read(tmp_path, palette(data="D:/a/hair;D:/b/hair"))
    assert [one.written for one in content.references] == ["D:/a/hair", "D:/b/hair"]
    assert [remark.code for remark in content.remarks] == ["xgen_data_paths"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no XGen collection"),
        ("Description\n\tendAttrs\n", "no XGen"),
        (palette() + "Description\n\tname\t\tb", "middle"),
    ],
)
def test_what_is_no_collection_or_cut_off_is_refused(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "a.xgen").write_text(text)
    with pytest.raises(UserError, match=what):
        read_xgen(tmp_path / "a.xgen")


def test_a_collection_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_xgen(tmp_path / "none.xgen")


def test_the_groom_of_a_scene_is_followed_to_its_maps(tmp_path: Path) -> None:
    scene = tmp_path / "shot.ma"
    scene.write_text(
        '//Maya ASCII 2022 scene\ncreateNode xgmPalette -n "hair";\n'
        '\tsetAttr ".xfn" -type "string" "shot__hair.xgen";\n// End of shot.ma\n'
    )
    primitive = module("SplinePrimitive", length="map('${DESC}/paintmaps/length')", width="map('${DESC}/none')")
    read(tmp_path, palette(project=f"{tmp_path}/"), BROWS, primitive)
    touch(tmp_path, "xgen/collections/hair/brows/paintmaps/length/head.ptx")
    report = analyse(scene, wishes=Wishes(environment={}))
    assert found_in(report, tmp_path) == ["shot__hair.xgen", "xgen/collections/hair/brows/paintmaps/length/head.ptx"]
    assert [(one.written, one.why) for one in report.missing] == [("${DESC}/none", Why.ABSENT)]
