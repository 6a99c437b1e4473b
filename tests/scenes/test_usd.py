from __future__ import annotations

import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmd.scenes import usd_process
from farmd.scenes.content import Camera, Content, Reference, Role, Spread
from farmd.scenes.usd import read_usd
from farmd.scenes.usd_process import ask_usd
from protocol.errors import MissingFeature, UserError
from protocol.extras import how_to_install
from tests.scenes.archives import outcome

if TYPE_CHECKING:
    from pathlib import Path

SHOT = '''#usda 1.0
(
    "A comment with @at@ signs"
    defaultPrim = "World"
    startTimeCode = 1001
    endTimeCode = 1048
    framesPerSecond = 25
    upAxis = "Y"
    subLayers = [
        @./anim.usda@ (offset = 10; scale = 1),
        @light.usdc@
    ]
)

# def "not" { @a prim.usd@ }
def Xform "World" (
    customData = { string note = "{ not @a path@ }" }
    assetInfo = { asset identifier = @World/World.usd@ }
    prepend references = [@../assets/bear.usd@</Bear>, </Local>]
    payload = @../assets/forest.usdz[tree.usda]@
    clips = {
        dictionary default = {
            asset manifestAssetPath = @clips/manifest.usda@
            string templateAssetPath = "clips/bear.####.usdc"
        }
    }
)
{
    point3f[] points = [(0, 1, 2), (3, 4, 5)] (
        interpolation = "vertex"
    )
    def Camera "shotCam" { float focalLength = 35 }
    def "looks"
    {
        variantSet "fur" = {
            "wet" (
                references = @fur_wet.usda@
            ) {
                asset inputs:file = @@@tex/fur@2x.<UDIM>.exr@@@
            }
            "dry" {
                asset[] inputs:files = [@a.tx@, @@, @b.tx@, @a.tx@]
                asset inputs:seq.timeSamples = { 1: @seq.1.exr@, 2: @seq.2.exr@ }
                asset plain = "quoted.vdb"
                string text = """many
lines with "quotes" and @signs@"""
            }
        }
    }
}

def RenderSettings "Settings"
{
    int2 resolution = (1920, 1080)
    rel camera = </World/shotCam>
    def RenderProduct "beauty" { token productName = "out/bear.####.exr" }
}
'''


def read(tmp_path: Path, text: str) -> Content:
    scene = tmp_path / "shot.usda"
    scene.write_text(text)
    return read_usd(scene)


def test_all_paths_of_a_text_layer_are_references_with_their_places(tmp_path: Path) -> None:
    world, looks = "/World", "/World/looks"
    assert list(read(tmp_path, SHOT).references) == [
        Reference("/", "subLayers", "./anim.usda", Role.SCENE),
        Reference("/", "subLayers", "light.usdc", Role.SCENE),
        Reference(world, "references", "../assets/bear.usd", Role.SCENE),
        Reference(world, "payload", "../assets/forest.usdz", Role.SCENE),
        Reference(world, "manifestAssetPath", "clips/manifest.usda", Role.SCENE),
        Reference(world, "templateAssetPath", "clips/bear.####.usdc", Role.SCENE, Spread.FRAMES),
        Reference(looks, "references", "fur_wet.usda", Role.SCENE),
        Reference(looks, "inputs:file", "tex/fur@2x.<UDIM>.exr", Role.TEXTURE, Spread.UDIM),
        Reference(looks, "inputs:files", "a.tx", Role.TEXTURE),
        Reference(looks, "inputs:files", "b.tx", Role.TEXTURE),
        Reference(looks, "inputs:seq", "seq.1.exr", Role.TEXTURE),
        Reference(looks, "inputs:seq", "seq.2.exr", Role.TEXTURE),
        Reference(looks, "plain", "quoted.vdb", Role.CACHE),
    ]


def test_facts_come_from_the_layer_and_its_render_settings(tmp_path: Path) -> None:
    facts = read(tmp_path, SHOT).facts
    assert (facts.application, facts.start, facts.end, facts.animation, facts.fps) == ("usd", 1001, 1048, True, 25)
    assert (facts.width, facts.height, facts.image_prefix, facts.image_format) == (
        1920,
        1080,
        "out/bear.####.exr",
        "exr",
    )
    assert facts.cameras == (Camera("/World/shotCam", renderable=True),)
    assert facts.settings == {"up_axis": "Y", "default_prim": "World"}


def test_what_is_no_file_is_a_remark(tmp_path: Path) -> None:
    content = read(tmp_path, '#usda 1.0\ndef "a" ( references = @https://example.com/a.usd@ ) {}\n')
    assert (content.references, [one.code for one in content.remarks]) == ((), ["usd_elsewhere"])


def test_a_layer_of_many_blocks_is_read_whole(tmp_path: Path) -> None:
    points = ", ".join(["(0.5, 1.25, -2)"] * 200_000)
    text = f'#usda 1.0\ndef Mesh "m" {{\n point3f[] points = [{points}]\n asset a = @x.abc@\n string s = "{"y" * 3_000_000}"\n}}\n'
    text += 'def "n" ( payload = @last.usd@ ) {}\n'
    content = read(tmp_path, text)
    assert [(one.node, one.written) for one in content.references] == [("/m", "x.abc"), ("/n", "last.usd")]


@pytest.mark.parametrize("size", range((1 << 20) - 40, (1 << 20) + 8, 3))
def test_a_path_across_two_blocks_is_read_whole(tmp_path: Path, size: int) -> None:
    text = "#usda 1.0\n# " + "." * (size - 40) + '\ndef "n" ( payload = @@@last@2.usd@@@ ) {}\n'
    assert [(one.node, one.written) for one in read(tmp_path, text).references] == [("/n", "last@2.usd")]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('#usda 1.0\ndef "a" {', "before its last brace"),
        ('#usda 1.0\ndef "a" (', "before its last brace"),
        ("#usda 1.0\nstring a = '''no end", "has no end"),
        ("#usda 1.0\nasset a = @@@no end", "has no end"),
        ("#usda 1.0\n" + "{" * 2000, "nested"),
        ("no usd", "begins neither"),
        ("", "begins neither"),
    ],
)
def test_a_damaged_text_is_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, text)
    assert why in caught.value.why


def package(tmp_path: Path, members: dict[str, str | bytes]) -> Path:
    scene = tmp_path / "bear.usdz"
    with zipfile.ZipFile(scene, "w") as archive:
        for name, contents in members.items():
            archive.writestr(name, contents)
    return scene


def test_a_package_refers_only_to_what_it_does_not_hold(tmp_path: Path) -> None:
    text = '#usda 1.0\ndef "a" {\n asset a = @tex/a.png@\n asset b = @./tex/u.<UDIM>.png@\n asset c = @gone.png@\n asset d = @/abs.png@\n}\n'
    scene = package(tmp_path, {"set/bear.usda": text, "set/tex/a.png": b"", "set/tex/u.1001.png": b""})
    content = read_usd(scene)
    assert [one.written for one in content.references] == ["gone.png", "/abs.png"]
    assert content.facts.settings["members"] == 3


def test_a_package_of_a_crate_is_known_by_its_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farmd.scenes.usd.has_usd", lambda _program: False)
    content = read_usd(package(tmp_path, {"bear.usdc": b"PXR-USDC" + bytes(80), "a.png": b""}))
    assert [one.code for one in content.remarks] == ["usd_not_installed"]
    assert content.facts.settings["members"] == 2


@pytest.mark.parametrize("members", [{}, {"readme.txt": "first"}])
def test_a_package_without_a_layer_is_refused(tmp_path: Path, members: dict[str, str | bytes]) -> None:
    with pytest.raises(UserError):
        read_usd(package(tmp_path, members))


def test_a_package_that_is_compressed_is_refused_as_openusd_does(tmp_path: Path) -> None:
    scene = tmp_path / "bomb.usdz"
    with zipfile.ZipFile(scene, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bear.usda", "#usda 1.0\n" + "#" * 1_000_000)
    with pytest.raises(UserError) as caught:
        read_usd(scene)
    assert "compressed" in caught.value.why


def test_a_crate_without_openusd_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usd_process, "has_usd", lambda _program: False)
    scene = tmp_path / "a.usd"
    scene.write_bytes(b"PXR-USDC" + bytes(80))
    with pytest.raises(MissingFeature) as caught:
        read_usd(scene)
    assert caught.value.hint.startswith(how_to_install("usd"))


def standing_in(tmp_path: Path, body: str) -> str:
    """A program in the place of a Python that has OpenUSD."""
    program = tmp_path / "usd_python"
    program.write_text(f"#!{sys.executable}\nimport json, sys\n{body}\n")
    program.chmod(0o755)
    return str(program)


def test_what_openusd_says_of_a_crate_becomes_content(tmp_path: Path) -> None:
    lines = [
        ["layer"],
        ["setting", "/", "startTimeCode", "5"],
        ["opened", "Camera", "/c"],
        ["asset", "/m", "a", "x.exr"],
    ]
    program = standing_in(tmp_path, f"[print(json.dumps(line)) for line in {lines!r}]; print('noise')")
    scene = tmp_path / "a.usdc"
    scene.write_bytes(b"PXR-USDC" + bytes(80))
    content = read_usd(scene, program=program)
    assert content.references == (Reference("/m", "a", "x.exr", Role.TEXTURE),)
    assert (content.facts.start, content.facts.cameras) == (5, (Camera("/c"),))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("sys.exit(3)", "cannot open it"),
        ("import os; os.abort()", "ended with -6"),
        ("import time; time.sleep(60)", "within 0.5 s"),
    ],
)
def test_a_reader_that_falls_over_or_hangs_is_an_error_of_the_scene(tmp_path: Path, body: str, why: str) -> None:
    with pytest.raises(UserError) as caught:
        ask_usd(tmp_path / "a.usdc", program=standing_in(tmp_path, body), limit_s=0.5 if "sleep" in body else 15)
    assert why in caught.value.why


def test_a_python_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        ask_usd(tmp_path / "a.usdc", program=str(tmp_path / "gone"))
    assert "cannot be started" in caught.value.why


TEXT = SHOT.encode()


@given(
    st.one_of(
        st.binary(max_size=300).map(lambda rest: b"#usda" + rest),
        st.text(alphabet="@\"'#{}=() \n\\adef", max_size=300).map(lambda rest: b"#usda 1.0\n" + rest.encode()),
        st.binary(max_size=300).map(lambda rest: b"PK\x03\x04" + rest),
        st.integers(0, len(TEXT)).map(lambda end: TEXT[:end]),
        st.tuples(st.integers(5, len(TEXT)), st.binary(min_size=1, max_size=5)).map(
            lambda drawn: TEXT[: drawn[0]] + drawn[1] + TEXT[drawn[0] + len(drawn[1]) :]
        ),
    )
)
def test_whatever_bytes_there_are_a_scene_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    found = outcome(read_usd, tmp_path_factory.getbasetemp() / "any.usd", raw)
    assert found.hint if isinstance(found, UserError) else found.facts.application == "usd"
