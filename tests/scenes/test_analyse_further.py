"""Whole analyses of the scenes whose readers have no program behind them: Houdini, USD, Maya's binary form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.scenes.analyse import analyse
from farmd.scenes.report import Why
from tests.scenes.archives import cpio, data, group, parms

if TYPE_CHECKING:
    from pathlib import Path

    from farmd.scenes.report import Report


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def found(report: Report, folder: Path) -> list[str]:
    return [str(one.path.relative_to(folder)) for one in report.found]


def test_a_houdini_scene_finds_its_files_where_it_lies_now(tmp_path: Path) -> None:
    touch(tmp_path, "tex/fur.1001.exr", "tex/fur.1002.exr", "geo/bear.0007.bgeo.sc", "job/a.abc")
    scene = tmp_path / "bear.hip"
    values = parms(a="$HIP/tex/fur.<UDIM>.exr", b='"$HIP/geo/bear.$F4.bgeo.sc"', c="$JOB/a.abc", d="$HIP/$OS.vdb")
    variables = f"set -g HIP = 'D:/old'\nset -g JOB = '{tmp_path}/job'\n"
    scene.write_bytes(cpio({".variables": variables, "obj/bear.init": "type = geo\n", "obj/bear.parm": values}))
    report = analyse(scene)
    assert found(report, tmp_path) == ["geo/bear.0007.bgeo.sc", "job/a.abc", "tex/fur.1001.exr", "tex/fur.1002.exr"]
    assert [(one.written, one.why) for one in report.missing] == [("$HIP/$OS.vdb", Why.ABSENT)]
    assert report.missing[0].looked_for == str(tmp_path / "bear.vdb")


def test_layers_of_usd_are_followed_each_from_its_own_folder(tmp_path: Path) -> None:
    touch(tmp_path, "assets/tex/a.png")
    (tmp_path / "assets/bear.usda").write_text('#usda 1.0\ndef "b" {\n asset f = @tex/a.png@\n asset g = @no.png@\n}\n')
    (tmp_path / "shot.usd").write_text("#usda 1.0\n(\n subLayers = [@./assets/bear.usda@, @./shot.usd@]\n)\n")
    report = analyse(tmp_path / "shot.usd")
    assert found(report, tmp_path) == ["assets/bear.usda", "assets/tex/a.png"]
    assert [(one.node, one.written, one.by.name) for one in report.missing] == [("/b", "no.png", "bear.usda")]


def test_a_crate_that_a_text_refers_to_is_found_and_said_to_be_unread(tmp_path: Path) -> None:
    (tmp_path / "crate.usdc").write_bytes(b"PXR-USDC" + bytes(80))
    (tmp_path / "shot.usda").write_text('#usda 1.0\ndef "b" ( references = @crate.usdc@ ) {}\n')
    report = analyse(tmp_path / "shot.usda")
    assert found(report, tmp_path) == ["crate.usdc"]
    assert [one.code for one in report.remarks] == ["unread"]


def test_a_maya_binary_scene_leads_to_the_scene_that_it_refers_to(tmp_path: Path) -> None:
    def scene(*parts: bytes) -> bytes:
        return group(b"FOR8", b"Maya", *parts)

    touch(tmp_path, "fur.exr")
    texture = group(b"FOR8", b"RTFT", data(b"CREA", b"\x80f\0"), data(b"STR ", b"ftn\0 fur.exr\0"))
    (tmp_path / "rig.mb").write_bytes(scene(texture))
    reference = group(b"FOR8", b"FREF", data(b"FREF", b"rig.mb\0rig\0\x01\x01rigRN\0\0\0mayaBinary\0"))
    (tmp_path / "shot.mb").write_bytes(scene(reference))
    assert found(analyse(tmp_path / "shot.mb"), tmp_path) == ["fur.exr", "rig.mb"]
