from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmd.scenes.content import Camera, Content, Layer, Reference, Role, Spread
from farmd.scenes.maya_ascii import read_maya_ascii
from farmd.scenes.maya_binary import read_maya_binary
from protocol.errors import NotFound, UserError
from tests.scenes.archives import data, group, outcome

if TYPE_CHECKING:
    from pathlib import Path

TICKS = 141_120_000
MTOA = (
    b'mtoa\x005.1.0\0 -nodeType "aiOptions" -nodeType "aiImage"\0aiOptions\0\x00\x11\x5c\x00aiImage\0\x00\x11\x5d\x17'
)
UUID = bytes(range(16))


class Made:
    """A scene in the making, in one of the two widths."""

    def __init__(self, width: int = 8) -> None:
        self.width = width
        self._parts: list[bytes] = []

    def chunk(self, tag: bytes, payload: bytes) -> bytes:
        return data(tag, payload, self.width)

    def group(self, kind: bytes, *chunks: bytes) -> Made:
        self._parts.append(group(b"FOR%d" % self.width, kind, *chunks, width=self.width))
        return self

    def head(self, *more: bytes, unit: bytes = b"film", plugin: bytes = MTOA) -> Made:
        info = self.chunk(b"FINF", b"version\x002023\0")
        ticks = self.chunk(b"TDUR", b"%d" % TICKS)
        units = self.chunk(b"LUNI", b"cm"), self.chunk(b"TUNI", unit), self.chunk(b"AUNI", b"deg")
        return self.group(
            b"HEAD", self.chunk(b"VERS", b"2023"), *units, ticks, info, self.chunk(b"PLUG", plugin), *more
        )

    def node(self, kind: bytes, name: bytes, *chunks: bytes, parent: bytes = b"") -> Made:
        created = b"\x05" + name + b"\0" + parent + b"\0" if parent else b"\x80" + name + b"\0"
        return self.group(kind, self.chunk(b"CREA", created + UUID), *chunks)

    def selected(self, name: bytes, *chunks: bytes) -> Made:
        return self.group(b"SLCT", self.chunk(b"SLCT", name), *chunks)

    def number(self, name: bytes, value: float) -> bytes:
        return self.chunk(b"DBLE", name + b"\0 " + struct.pack(">d", value))

    def time(self, name: bytes, ticks: int) -> bytes:
        return self.chunk(b"DBLE", name + b"\0$" + struct.pack(">q", ticks))

    def text(self, name: bytes, value: bytes) -> bytes:
        return self.chunk(b"STR ", name + b"\0 " + value + b"\0")

    def texts(self, name: bytes, *values: bytes) -> bytes:
        count = len(values).to_bytes(4, "big")
        return self.chunk(b"STR#", name + b"\0 " + count + b"".join(value + b"\0" for value in values))

    def bytes(self) -> bytes:
        return group(b"FOR%d" % self.width, b"Maya", *self._parts, width=self.width)


def read(tmp_path: Path, made: Made) -> Content:
    scene = tmp_path / "bear.mb"
    scene.write_bytes(made.bytes())
    return read_maya_binary(scene)


def whole(width: int = 8) -> Made:
    """A scene with everything."""
    made = Made(width)
    number, text, time = made.number, made.text, made.time
    made.head().group(b"FREF", made.chunk(b"FREF", b"D:/show/rig.mb\0rig\0\x01\x01rigRN\0\0\0VERS|2023|\0mayaBinary\0"))
    made.node(b"XFRM", b"persp")
    made.node(b"DCAM", b"perspShape", number(b"rnd", 0), text(b"imn", b"persp"), parent=b"persp")
    made.node(b"DCAM", b"shotShape", text(b"imn", b"persp"), parent=b"shot")
    made.node(b"DMSH", b"bear", made.chunk(b"FLT3", b"vt[0:9]\0 " + bytes(120)))
    made.node(b"RTFT", b"file1", text(b"ftn", b"D:/show//tex/fur.1001.exr"), number(b"uvt", 3))
    made.node(b"\x00\x11\x5d\x17", b"aiImage1", text(b"filename", b"D:/show//tex/eye.tx"))
    made.node(b"\x00\x11\x5c\x00", b"defaultArnoldRenderOptions", number(b"AA_samples", 6))
    made.node(b"RNDL", b"hair", number(b"rndr", 0))
    made.selected(b":time1", time(b"o", TICKS * 537 // 24))
    globals_ = text(b"ren", b"arnold"), number(b"an", 1), time(b"fs", TICKS // 24 * 5), time(b"ef", -TICKS // 24 * -90)
    made.selected(b":defaultRenderGlobals", *globals_, text(b"ifp", b"<Scene>/<RenderLayer>"))
    return made.selected(b":defaultResolution", number(b"w", 1920), number(b"h", 1080))


SAME_AS_TEXT = """//Maya ASCII 2023 scene
file -r -ns "rig" -dr 1 -rfn "rigRN" -typ "mayaBinary" "D:/show/rig.mb";
requires maya "2023";
requires -nodeType "aiOptions" -nodeType "aiImage" "mtoa" "5.1.0";
currentUnit -l centimeter -a degree -t film;
fileInfo "version" "2023";
createNode camera -s -n "perspShape" -p "persp";
	setAttr ".rnd" no;
createNode camera -n "shotShape" -p "shot";
createNode file -n "file1";
	setAttr ".ftn" -type "string" "D:/show//tex/fur.1001.exr";
	setAttr ".uvt" 3;
createNode aiImage -n "aiImage1";
	setAttr ".filename" -type "string" "D:/show//tex/eye.tx";
createNode aiOptions -s -n "defaultArnoldRenderOptions";
	setAttr ".AA_samples" 6;
createNode renderLayer -n "hair";
	setAttr ".rndr" no;
select -ne :time1;
	setAttr ".o" 537;
select -ne :defaultRenderGlobals;
	setAttr ".ren" -type "string" "arnold";
	setAttr ".an" yes;
	setAttr ".fs" 5;
	setAttr ".ef" 90;
	setAttr ".ifp" -type "string" "<Scene>/<RenderLayer>";
select -ne :defaultResolution;
	setAttr ".w" 1920;
	setAttr ".h" 1080;
// End of scene.ma
"""


@pytest.mark.parametrize("width", [4, 8])
def test_a_binary_scene_says_what_the_same_scene_as_text_says(tmp_path: Path, width: int) -> None:
    text = tmp_path / "bear.ma"
    text.write_text(SAME_AS_TEXT)
    binary, ascii_ = read(tmp_path, whole(width)), read_maya_ascii(text)
    assert binary.facts == ascii_.facts
    assert binary.references == ascii_.references
    assert binary.remarks == ascii_.remarks


def test_facts_come_from_chunks_of_every_kind(tmp_path: Path) -> None:
    facts = read(tmp_path, whole()).facts
    assert (facts.version, facts.plugins, facts.fps, facts.renderer) == ("2023", {"mtoa": "5.1.0"}, 24, "arnold")
    assert (facts.animation, facts.start, facts.end) == (True, 5, 90)
    assert (facts.width, facts.height, facts.sampling["camera"]) == (1920, 1080, 6)
    assert facts.cameras == (Camera("persp"), Camera("shot", renderable=True))
    assert facts.layers == (Layer("hair", renderable=False),)
    assert facts.project == "D:/show"


def test_references_are_found_by_the_types_that_the_head_tells(tmp_path: Path) -> None:
    assert read(tmp_path, whole()).references == (
        Reference("rigRN", "reference", "D:/show/rig.mb", Role.SCENE),
        Reference("file1", "fileTextureName", "D:/show//tex/fur.1001.exr", Role.TEXTURE, Spread.UDIM),
        Reference("aiImage1", "filename", "D:/show//tex/eye.tx", Role.TEXTURE),
    )


def test_times_of_scenes_without_a_length_of_ticks_have_six_thousand_a_second(tmp_path: Path) -> None:
    made = Made(4)
    made.group(b"HEAD", made.chunk(b"VERS", b"2012"), made.chunk(b"TUNI", b"pal"))
    facts = read(tmp_path, made.selected(b":time1", made.time(b"o", 6000 * 4))).facts
    assert (facts.version, facts.fps, facts.start) == ("2012", 25, 100)


def test_a_node_whose_type_the_file_does_not_tell_is_known_by_its_attributes(tmp_path: Path) -> None:
    made = Made().head(plugin=b"mtoa\x003.1.2\0\0")
    made.node(b"\x00\x11\x5d\x17", b"aiImage1", made.text(b"filename", b"tex/eye.tx"), made.text(b"notes", b"a/b.tx"))
    made.node(b"XFRM", b"group1", made.text(b"filename", b"no/file.exr"))
    assert [(one.node, one.written) for one in read(tmp_path, made).references] == [("aiImage1", "tex/eye.tx")]


def test_references_to_references_and_lists_of_files_are_read(tmp_path: Path) -> None:
    plugin = b'AbcImport\x001.0\0 -nodeType "AlembicNode"\0AlembicNode\0\x00\x08\x2a\x9b'
    made = Made().head(plugin=plugin)
    made.group(
        b"FRDI", made.chunk(b"FRDI", b"\x01\x04\0\x02scenes/eye.mb\0eye\0\x01\0rig:eyeRN\0VERS|2020|\0mayaBinary\0")
    )
    made.node(b"\x00\x08\x2a\x9b", b"abc", made.texts(b"fns", b"cache/a.abc", b"cache/b.abc"))
    assert [(one.node, one.attribute, one.written, one.role) for one in read(tmp_path, made).references] == [
        ("rig:eyeRN", "reference", "scenes/eye.mb", Role.SCENE),
        ("abc", "abc_layerFiles", "cache/a.abc", Role.CACHE),
        ("abc", "abc_layerFiles", "cache/b.abc", Role.CACHE),
    ]


def test_paths_that_a_scene_changes_in_what_it_refers_to_are_found(tmp_path: Path) -> None:
    edit = (
        b'ed\0*\x00\x00\x00\x02|rig:geo|rig:file1\0fileTextureName\0 -type "string" "D:/new/fur.exr"\0visibility\0 0\0'
    )
    made = Made().head()
    made.node(b"REFN", b"rigRN", made.chunk(b"REFE", edit))
    assert [(one.node, one.written) for one in read(tmp_path, made).references] == [("rig:file1", "D:/new/fur.exr")]


def test_long_texts_are_passed_over(tmp_path: Path) -> None:
    made = Made().head()
    made.node(b"RTFT", b"file1", made.text(b"ftn", b"x" * (1 << 19)), made.text(b"eutn", b""))
    assert read(tmp_path, made).references == ()


def test_another_kind_of_tree_is_refused(tmp_path: Path) -> None:
    image = tmp_path / "image.iff"
    image.write_bytes(group(b"FOR4", b"CIMG", data(b"TBHD", bytes(32), 4), width=4))
    with pytest.raises(UserError) as caught:
        read_maya_binary(image)
    assert "CIMG" in caught.value.why


def test_a_scene_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_maya_binary(tmp_path / "gone.mb")


WHOLE = [whole(4).bytes(), whole(8).bytes()]


@pytest.mark.parametrize("contents", WHOLE)
def test_a_scene_that_is_cut_off_anywhere_is_refused(tmp_path: Path, contents: bytes) -> None:
    for end in range(0, len(contents), 5):
        found = outcome(read_maya_binary, tmp_path / "cut.mb", contents[:end])
        assert isinstance(found, UserError), end
        assert found.hint


@given(
    st.one_of(
        st.binary(max_size=300).map(lambda rest: b"FOR8" + rest),
        st.tuples(st.sampled_from(WHOLE), st.integers(0, 1500), st.binary(min_size=1, max_size=9)).map(
            lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] + len(drawn[2]) :]
        ),
    )
)
def test_whatever_bytes_there_are_a_scene_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    found = outcome(read_maya_binary, tmp_path_factory.getbasetemp() / "any.mb", raw)
    assert found.hint if isinstance(found, UserError) else found.facts.application == "maya"
