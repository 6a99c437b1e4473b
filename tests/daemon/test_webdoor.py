"""HTTP that is asked for and cannot be served: where that is said."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from farmd.adapters.webchild import WebChild
from farmd.cli import main
from farmd.daemon import webdoor
from farmd.daemon.life import Daemon
from farmd.daemon.settings import RunSettings
from farmd.daemon.webdoor import door_fault, web_child
from protocol.extras import how_to_install
from protocol.places import is_starting
from tests.core.small_farm import Farm, play

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def without_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webdoor, "PACKAGES", ("click", "no_such_package"))


def test_door_that_nobody_asked_for_lacks_nothing(without_packages: None) -> None:
    told: list[str] = []
    settings = RunSettings(data_dir=None, listen="")  # type: ignore[arg-type]  # is not looked at
    assert door_fault(settings) is None
    assert not isinstance(web_child(settings, told.append), WebChild)
    assert told == []


@pytest.mark.parametrize("options", [{"web": "127.0.0.1:0"}, {"board": "127.0.0.1:0"}], ids=str)
def test_door_without_its_packages_is_told_and_not_tried(
    options: dict[str, str], without_packages: None, tmp_path: Path
) -> None:
    told: list[str] = []
    settings = RunSettings(tmp_path, "", **options)  # type: ignore[arg-type]  # texts are texts
    assert not isinstance(web_child(settings, told.append), WebChild)
    assert told == [f"no_such_package is not installed: {how_to_install('web')}"]


def test_door_with_its_packages_is_a_child_without_fault(tmp_path: Path) -> None:
    told: list[str] = []
    assert isinstance(web_child(RunSettings(tmp_path, "", web="127.0.0.1:0"), told.append), WebChild)
    assert told == [""]


def test_what_the_door_lacks_is_said_where_the_daemon_is_started(
    without_packages: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(daemon: Daemon, _on_ready: object) -> None:
        daemon._zap.close()
        await asyncio.sleep(0)

    monkeypatch.setattr(Daemon, "run", run)
    words = ["--data-dir", str(tmp_path)]
    assert CliRunner().invoke(main, ["init", *words]).exit_code == 0
    started = CliRunner().invoke(main, ["run", *words, "--web"])
    assert started.exit_code == 0, started.output
    assert started.stderr.splitlines()[:3] == [
        "warning: HTTP is not served, and the node runs without it",
        "  why: no_such_package is not installed",
        f"  try: {how_to_install('web')}; then start farmd again",
    ]
    assert "warning" not in CliRunner().invoke(main, ["run", *words]).stderr
    assert is_starting(tmp_path)  # noted for clients that ask before anything is served


def test_doctor_tells_of_a_door_that_was_asked_for() -> None:
    async def scene(farm: Farm) -> None:
        async def told() -> list[Any]:
            return [check for check in (await farm.data("doctor"))["checks"] if check["name"] == "http"]

        node = farm.machines[0].node
        assert node is not None
        assert await told() == []
        node.condition.door_fault = "starlette is not installed"
        (check,) = await told()
        assert (check["ok"], check["text"]) == (False, "not served: starlette is not installed")
        node.condition.door_fault = ""
        (check,) = await told()
        assert check["ok"]

    play(scene, machines=1)
