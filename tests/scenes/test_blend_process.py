"""Programs in Blender's place that hang, crash, lie or are not there; and the tracer that steps in."""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from farmd.scenes.blend import read_blend
from farmd.scenes.blend_process import Fault, NoAnswer, ask_blender, find_blenders
from farmd.scenes.content import Role, Spread
from farmd.scenes.tracer import find_tracer
from protocol.errors import NotFound, UserError

if TYPE_CHECKING:
    from collections.abc import Callable

NEW_ENOUGH = 'echo "Blender 3.4.1"; '


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "a.blend"
    path.write_bytes(b"BLENDER-v405REND")
    return path


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Write a shell script; PATH holds nothing but its folder and what a shell needs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}")
    monkeypatch.delenv("FARM_BLENDER", raising=False)
    monkeypatch.delenv("FARM_TRACER", raising=False)

    def write(name: str, text: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{text}\n")
        path.chmod(0o755)
        return path

    return write


def is_gone(pid: int) -> bool:
    """Wait for the end of a process that is no child of ours."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ended, _, _ = select.select([handle], [], [], 10)
    os.close(handle)
    return bool(ended)


@pytest.mark.parametrize(
    ("text", "fault", "said"),
    [
        ("kill -SEGV $$", Fault.CRASHED, "killed by signal 11"),
        ("exit 0", Fault.OTHER, "exit code 0 and said nothing"),
        ("echo Error: script failed; exit 9", Fault.OTHER, "script failed"),
        (
            "echo \"Error: Failed to read blend file 'a', not a blend file\"; exit 1",
            Fault.UNKNOWN_FORMAT,
            "not a blend",
        ),
        ("echo \"Error: Failed to read blend file 'a': Missing DNA block\"; exit 1", Fault.DAMAGED, "Missing DNA"),
        ("echo Error: File format is not supported; exit 1", Fault.UNKNOWN_FORMAT, "not supported"),
    ],
)
def test_program_that_fails_says_why(
    program: Callable[[str, str], Path], scene: Path, text: str, fault: Fault, said: str
) -> None:
    with pytest.raises(NoAnswer, match=said) as caught:
        ask_blender(program("blender", NEW_ENOUGH + text), scene, limit_s=10)
    assert (caught.value.fault, caught.value.version) == (fault, (3, 4))


def test_program_that_hangs_is_killed_with_its_children(
    program: Callable[[str, str], Path], scene: Path, tmp_path: Path
) -> None:
    blender = program("blender", f"sleep 600 & echo $! > {tmp_path}/child; wait")
    with pytest.raises(NoAnswer, match="within 1 s") as caught:
        ask_blender(blender, scene, limit_s=1)
    assert caught.value.fault is Fault.TIME
    assert is_gone(int((tmp_path / "child").read_text()))


def test_answer_about_another_file_is_none(program: Callable[[str, str], Path], scene: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.blend"
    other.write_bytes(b"BLENDER-v405REND")
    answer = f'for last; do :; done; echo \'{{"file": "{other}"}}\' > $last/facts.json; echo "{{}}" > $last/files.json'
    with pytest.raises(NoAnswer) as caught:
        ask_blender(program("blender", answer), scene, limit_s=10)
    assert caught.value.fault is Fault.OTHER


def test_program_that_cannot_start_is_named(scene: Path, tmp_path: Path) -> None:
    broken = tmp_path / "blender"
    broken.write_bytes(b"\x7fELF but not really")
    broken.chmod(0o755)
    with pytest.raises(NoAnswer, match=str(broken)) as caught:
        ask_blender(broken, scene, limit_s=10)
    assert caught.value.fault is Fault.NOT_STARTED


def test_blender_of_the_path_comes_before_the_one_of_the_variable(
    program: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = program("blender", "exit 1"), program("blender-5.0", "exit 1")
    monkeypatch.setenv("FARM_BLENDER", str(second))
    assert find_blenders() == (first, second)
    monkeypatch.setenv("FARM_BLENDER", str(first))
    assert find_blenders() == (first,)


def test_blender_that_is_asked_for_by_name_must_be_there(scene: Path) -> None:
    with pytest.raises(NotFound, match="no Blender no-such-blender"):
        read_blend(scene, blender="no-such-blender")


@pytest.mark.usefixtures("program")
def test_without_any_program_the_hint_says_what_to_install(scene: Path) -> None:
    with pytest.raises(UserError, match="no Blender is installed") as caught:
        read_blend(scene)
    assert "FARM_BLENDER" in caught.value.hint


@pytest.mark.parametrize("text", ["kill -SEGV $$", "echo Error: File format is not supported; exit 1"])
def test_file_newer_than_blender_names_the_version_it_needs(
    program: Callable[[str, str], Path], scene: Path, text: str
) -> None:
    program("blender", NEW_ENOUGH + text)
    with pytest.raises(UserError, match=r"saved by Blender 4\.5.*Blender 3\.4") as caught:
        read_blend(scene)
    assert "FARM_BLENDER" in caught.value.hint


def test_tracer_steps_in_where_blender_is_too_old(
    program: Callable[[str, str], Path], scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("blender", NEW_ENOUGH + "echo Error: File format is not supported; exit 1")
    monkeypatch.setenv("FARM_TRACER", str(program("tracer", f"exec {sys.executable} {FAKE_TRACER} $3 $4")))
    content = read_blend(scene)
    assert (content.facts.version, content.facts.end) == ("4.5", 24)
    (reference,) = content.references
    assert (reference.written, reference.role, reference.spread) == ("//run_0001.png", Role.TEXTURE, Spread.FRAMES)
    (said,) = content.remarks
    assert said.code == "tracer"
    assert "Blender 3.4 did not open it" in said.text


@pytest.mark.parametrize("text", ["echo NoDNA1Block: not a valid .blend file; exit 1", "kill -SEGV $$"])
def test_tracer_that_fails_too_is_an_error(
    program: Callable[[str, str], Path], scene: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("FARM_TRACER", str(program("tracer", text)))
    with pytest.raises(UserError, match="no Blender is installed") as caught:
        read_blend(scene)
    assert "blender-asset-tracer" in caught.value.why


def test_tracer_is_told_from_its_namesake_by_its_text(program: Callable[[str, str], Path]) -> None:
    namesake = program("bat", "exec batcat")
    assert find_tracer() is None
    namesake.write_text("#!/opt/tracer/bin/python3\nfrom blender_asset_tracer.cli import cli_main\n")
    assert find_tracer() == Path("/opt/tracer/bin/python3")


FAKE_TRACER = Path(__file__).with_name("fake_tracer.py")
