r"""A scene that says `C:\` and `Y:\`, rendered by the real Blender from a checkout."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from farmd.renderers.blender import Blender
from farmd.renderers.images import inspect
from farmd.renderers.registry import Registry
from protocol.pathrules import PathRule
from protocol.states import FailureClass
from tests.adapters.runnerkit import Kit, spec_of
from tests.renderers.pictures import pixels, png

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
PINK = (255, 0, 255)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("windows")
    script = Path(__file__).with_name("make_windows_scene.py")
    argv = ["blender", "-b", "--factory-startup", "--python-exit-code", "9", "--python", str(script), "--", str(folder)]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, timeout=90)
    return folder


class Bench:
    """A checkout as the farm lays it out: the artist has `/home/anna/shot` and, for `Y:\\show`, `/home/anna/filer`."""

    def __init__(self, folder: Path, scenes: Path) -> None:
        self.folder = folder
        self.kit_dir = folder / "node"
        self.checkout = self.kit_dir / "checkout"
        shutil.copytree(scenes, self.checkout)
        for name, colour in (
            ("C/tex/red.png", RED),
            ("filer/tex/green.png", GREEN),
            ("filer/tex/blue.1001.png", BLUE),
            ("filer/tex/white.png", WHITE),
        ):
            (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
            (self.checkout / name).write_bytes(png(pixel=bytes(colour)))
        self.log = ""

    def render(self, farm: tuple[PathRule, ...] = (), **given: Any) -> tuple[int, list[tuple[int, ...]]]:
        """Render frame 1; returns the failure class and the colours from left to right."""

        async def scenario() -> tuple[int, list[tuple[int, ...]]]:
            kit = Kit(self.kit_dir, Registry([Blender()], inspect=inspect))
            kit.root = "/home/anna"
            spec = spec_of(renderer="blender", scene="shot/shot.blend", **given)
            event = await kit.run(spec, (1,), path_rules=farm)
            await kit.runner.close()
            self.log = kit.log(event.ref)
            row = pixels(kit.blobs["0001.png"])[4] if "0001.png" in kit.blobs else []
            return event.cause, [row[at][:3] for at in (4, 12, 20, 28) if row]

        return asyncio.run(scenario())


@pytest.fixture
def bench(tmp_path: Path, scenes: Path) -> Bench:
    return Bench(tmp_path, scenes)


def test_windows_paths_lead_into_the_checkout_and_their_colours_are_in_the_picture(bench: Bench) -> None:
    scene = (bench.checkout / "shot/shot.blend").read_bytes()
    rules = (("Y:/show", "/home/anna/filer"), ("//filer/show", "/home/anna/filer"))
    cause, colours = bench.render(path_rules=rules)
    assert cause == 0, bench.log
    assert colours == [RED, GREEN, BLUE, WHITE]
    assert f'[farmd] image "red.png": C:/tex/red.png -> {bench.checkout}/C/tex/red.png' in bench.log
    assert f"[farmd] library lib.blend: Y:/show/lib.blend -> {bench.checkout}/filer/lib.blend" in bench.log
    assert (bench.checkout / "shot/shot.blend").read_bytes() == scene


@pytest.mark.slow
def test_rules_of_the_farm_lead_to_files_outside_the_checkout(bench: Bench) -> None:
    mounted = bench.folder / "mnt"
    shutil.move(bench.checkout / "filer", mounted)
    farm = (
        PathRule("Y:/", "/nowhere"),
        PathRule("Y:/show", str(mounted), "linux"),
        PathRule("//filer/show", str(mounted)),
    )
    cause, colours = bench.render(farm)
    assert cause == 0, bench.log
    assert colours == [RED, GREEN, BLUE, WHITE]
    assert f"-> {mounted}/tex/green.png" in bench.log


@pytest.mark.slow
def test_without_a_rule_the_scene_is_refused_and_would_be_pink(bench: Bench) -> None:
    cause, _ = bench.render()
    assert cause == FailureClass.MISSING_ASSET
    assert "Y:/show/tex/green.png" in bench.log
    cause, colours = bench.render(params={"allow_missing": "1"})
    assert cause == 0, bench.log
    assert colours[:3] == [RED, PINK, PINK]


@pytest.mark.slow
def test_a_path_of_the_artists_own_folder_leads_into_the_checkout(bench: Bench) -> None:
    rules = (("Y:/show", "/home/anna/filer"), ("//filer/show", "/home/anna/filer"), ("C:/tex", "/home/anna/other"))
    (bench.checkout / "other").mkdir()
    (bench.checkout / "other/red.png").write_bytes(png(pixel=bytes(BLUE)))
    cause, colours = bench.render(path_rules=rules)
    assert cause == 0, bench.log
    assert colours[0] == BLUE, "a rule of the job comes before the folder of the drive"
