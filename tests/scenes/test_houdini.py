from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmd.scenes.content import Camera, Content, Layer, Reference, Role, Spread
from farmd.scenes.houdini import read_houdini
from farmd.scenes.houdini_parms import expressions_in
from protocol.errors import NotFound, UserError
from tests.scenes.archives import cpio, marked, outcome, parms

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

START = "fplayback -i on\ntcur 0\nfps 25\ntset 0 10\nfrange 1001 1100\n"
VARIABLES = "set -g HIP = 'D:/elsewhere'\nset -g JOB = '/jobs/bear'\nset -g _HIP_SAVEVERSION = '20.5.332'\n"
FLAGS = "flags =  lock off model off bypass {} display on\n"


def node(path: str, kind: str, *, bypass: str = "off", channels: str = "", **values: str) -> dict[str, str]:
    texts = {f"{path}.init": f"type = {kind}\nmatchesdef = 0\n", f"{path}.def": FLAGS.format(bypass)}
    return {**texts, **({f"{path}.chn": channels} if channels else {}), f"{path}.parm": parms(**values)}


def read(tmp_path: Path, *nodes: Mapping[str, str], pack: str = "hip") -> Content:
    members = {".start": START, ".variables": VARIABLES}
    for one in nodes:
        members |= one
    scene = tmp_path / f"bear.{pack}"
    scene.write_bytes(cpio(members) if pack == "hip" else marked(members))
    return read_houdini(scene)


def bare(content: Content) -> list[Reference]:
    return [replace(one, variables={}) for one in content.references]


MANTRA = node(
    "out/mantra1",
    "ifd",
    channels="channel f1 {\n segment { length = 0 value = 1 1 expr = $FSTART }\n}\n"
    'channel vm_picture {\n segment { expr = \\"$HIP/render/$F4.exr\\" }\n}\n',
    trange='"normal"',
    f="[ f1\t7 ] \t[ f2\t1020 ] \t2",
    camera="/obj/cam1",
    override_camerares='"off"',
    vm_picture="[ vm_picture\t/old/render/0001.exr ] ",
    vm_dcmfilename="$HIP/dcm.rat",
)
CAMERA = node("obj/cam1", "cam", res="1920\t1080")


@pytest.mark.parametrize("pack", ["hip", "hiplc"])
def test_a_scene_with_a_render_node_says_what_that_node_renders(tmp_path: Path, pack: str) -> None:
    facts = read(tmp_path, CAMERA, MANTRA, pack=pack).facts
    assert (facts.application, facts.version, facts.renderer) == ("houdini", "20.5.332", "mantra")
    assert (facts.start, facts.end, facts.step, facts.animation, facts.fps) == (1001, 1020, 2, True, 25)
    assert (facts.width, facts.height) == (1920, 1080)
    assert (facts.image_prefix, facts.image_format) == ("$HIP/render/$F4.exr", "exr")
    assert facts.cameras == (Camera("/obj/cam1", renderable=True),)
    assert facts.layers == (Layer("/out/mantra1"),)
    assert facts.project == "/jobs/bear"


def test_a_scene_without_render_nodes_says_its_own_range(tmp_path: Path) -> None:
    facts = read(tmp_path, CAMERA).facts
    assert (facts.start, facts.end, facts.animation, facts.renderer, facts.width) == (1001, 1100, False, "", 0)


def test_a_render_node_that_is_bypassed_counts_for_nothing(tmp_path: Path) -> None:
    facts = read(tmp_path, node("out/old", "arnold", bypass="on"), MANTRA).facts
    assert facts.renderer == "mantra"
    assert facts.layers == (Layer("/out/old", renderable=False), Layer("/out/mantra1"))


@pytest.mark.parametrize("pack", ["hip", "hipnc"])
def test_texts_that_end_as_files_are_references(tmp_path: Path, pack: str) -> None:
    content = read(
        tmp_path,
        node("obj/geo1/file1", "file", file='"$HIP/geo/my wood.$F4.bgeo.sc"', index="1"),
        node("obj/geo1/alembic1", "alembic", fileName="$JOB/cache/bear.abc"),
        node("mat/wood", "principledshader::2.0", basecolor_texture="$HIP/tex/wood.<UDIM>.exr", name="wood"),
        node("stage/ref", "reference::2.0", filepath1="../usd/set.usda"),
        pack=pack,
    )
    assert bare(content) == [
        Reference("/obj/geo1/file1", "file", "$HIP/geo/my wood.$F4.bgeo.sc", Role.CACHE, Spread.FRAMES),
        Reference("/obj/geo1/alembic1", "fileName", "$JOB/cache/bear.abc", Role.CACHE),
        Reference("/mat/wood", "basecolor_texture", "$HIP/tex/wood.<UDIM>.exr", Role.TEXTURE, Spread.UDIM),
        Reference("/stage/ref", "filepath1", "../usd/set.usda", Role.SCENE),
    ]
    means = content.references[0].variables
    assert (means["HIP"], means["JOB"], means["OS"]) == (str(tmp_path), "/jobs/bear", "file1")


def test_what_a_render_writes_or_does_not_use_is_no_reference(tmp_path: Path) -> None:
    content = read(
        tmp_path,
        MANTRA,
        node("obj/geo1/off", "file", bypass="on", file="gone.bgeo"),
        node("obj/geo1", "geo", RS_objprop_proxy_enable='"off"', RS_objprop_proxy_file="$HIP/filename.$F4.rs"),
        node("obj/geo1/out", "rop_geometry", sopoutput="$HIP/geo/out.bgeo.sc"),
        node(
            "obj/geo1/inner",
            "file",
            channels='channel file {\n segment { expr = chs(\\"../x\\") }\n}\n',
            file="[ file\ta.abc ] ",
        ),
        node("obj/geo1/lib", "file", file="opdef:/Sop/x?a.bgeo"),
    )
    assert content.references == ()


def test_files_that_houdini_ships_are_marked_so(tmp_path: Path) -> None:
    content = read(tmp_path, node("obj/scatter1", "scatter", densitytexture='"default.pic"'))
    assert [one.shipped for one in content.references] == [True]


def test_a_path_that_is_an_expression_is_a_remark(tmp_path: Path) -> None:
    content = read(tmp_path, node("obj/file1", "file", file='"`chs(\\"../dir\\")`/a.bgeo"'))
    assert content.references == ()
    assert [(one.code, '`chs("../dir")`/a.bgeo' in one.text) for one in content.remarks] == [
        ("houdini_expression", True)
    ]


def test_a_file_cache_that_is_read_from_a_composed_name_is_a_remark(tmp_path: Path) -> None:
    composed = node("obj/cache", "filecache::2.0", loadfromdisk='"on"', filemethod='"constructed"', file="$HIP/a.bgeo")
    made = node("obj/live", "filecache", loadfromdisk='"off"', filemethod='"explicit"', file="$HIP/b.bgeo")
    explicit = node("obj/read", "filecache", loadfromdisk='"on"', filemethod='"explicit"', file="$HIP/c.bgeo")
    content = read(tmp_path, composed, made, explicit)
    assert [one.written for one in content.references] == ["$HIP/c.bgeo"]
    assert [one.code for one in content.remarks] == ["houdini_expression", "houdini_cache_not_read"]


def test_libraries_of_digital_assets_are_references(tmp_path: Path) -> None:
    content = read(tmp_path, {".OPlibraries": "Embedded\noplib:/x\n$HFS/otls/a.hda\nD:/hda/bear.hdalc\n"})
    assert bare(content) == [Reference(".OPlibraries", "library", "D:/hda/bear.hdalc", Role.OTHER)]


def test_values_over_several_lines_end_where_their_quotes_end(tmp_path: Path) -> None:
    script = '"// a.exr\t)\nb = \\"c.exr\\";\n"'
    content = read(tmp_path, node("obj/wrangle", "attribwrangle", snippet=script, map="real.exr"))
    assert [(one.attribute, one.written) for one in content.references] == [("map", "real.exr")]


def test_a_marked_scene_with_locked_geometry_keeps_little_of_it(tmp_path: Path) -> None:
    geometry = {"obj/geo1/stash.inp": "\x01geometry" * 900_000}
    content = read(tmp_path, geometry, node("obj/geo1/file1", "file", file="after.abc"), pack="hiplc")
    assert [one.written for one in content.references] == ["after.abc"]


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"\x1f\x8b\x08\0", "compressed"),
        (b"MIME-Version: 1.0", "text form"),
        (b"", "does not begin"),
        (b"FOR8", "does not"),
    ],
)
def test_what_is_no_archive_is_refused_with_a_hint(tmp_path: Path, head: bytes, why: str) -> None:
    scene = tmp_path / "odd.hip"
    scene.write_bytes(head)
    with pytest.raises(UserError) as caught:
        read_houdini(scene)
    assert why in caught.value.why
    assert caught.value.hint


def test_a_member_longer_than_the_file_is_damage(tmp_path: Path) -> None:
    scene = tmp_path / "cut.hip"
    whole = cpio({".start": START, **MANTRA})
    scene.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="damaged"):
        read_houdini(scene)


def test_an_empty_channel_file_has_no_expressions() -> None:
    assert expressions_in("") == {}


def test_a_scene_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no file"):
        read_houdini(tmp_path / "gone.hip")


WHOLE = cpio({".start": START, ".variables": VARIABLES, **MANTRA, **CAMERA})
MARKED = marked({".start": START, ".variables": VARIABLES, **MANTRA, **CAMERA})


@given(
    st.one_of(
        st.binary(max_size=400).map(lambda rest: b"070707" + rest),
        st.binary(max_size=400).map(lambda rest: b"HouNC\x1a" + rest),
        st.tuples(st.sampled_from([WHOLE, MARKED]), st.integers(0, len(WHOLE)), st.binary(max_size=9)).map(
            lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] + len(drawn[2]) :]
        ),
        st.tuples(st.sampled_from([WHOLE, MARKED]), st.integers(0, len(WHOLE))).map(lambda drawn: drawn[0][: drawn[1]]),
    )
)
def test_whatever_bytes_there_are_a_scene_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    found = outcome(read_houdini, tmp_path_factory.getbasetemp() / "any.hip", raw)
    assert found.hint if isinstance(found, UserError) else found.facts.application == "houdini"
