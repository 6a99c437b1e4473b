"""Finding renderers, remembering probes, planning and judging one attempt's work."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from farmd.adapters.runner.room import Room
from farmd.renderers import Command, Problem, Progress, RenderTask, Said, Saved, classify_tail, parse_said
from farmd.renderers.images import inspect
from farmd.renderers.registry import Registry, find_renderers, is_named_by_a_package
from protocol.bodies import RendererFact
from protocol.errors import NotFound, UsageError
from protocol.pathrules import PathMap, PathRule
from protocol.states import FailureClass
from tests.adapters.runnerkit import JOB, spec_of
from tests.renderers.pictures import png

if TYPE_CHECKING:
    from pathlib import Path


class Painter:
    """A fake renderer, to see what the registry does with one."""

    name = "painter"
    default_output = "{frame:04d}.png"

    def __init__(self, program: Path) -> None:
        self.program = program
        self.probes = 0

    def executable(self) -> Path | None:
        return self.program if self.program.exists() else None

    def probe(self) -> RendererFact | None:
        self.probes += 1
        return RendererFact("painter", "1.2", ("oil",)) if self.program.exists() else None

    def commands(self, task: RenderTask) -> tuple[Command, ...]:
        self.task = task
        return tuple(Command(("paint", str(frame)), (frame,)) for frame in task.frames)

    def parse(self, line: str) -> Said | None:
        return parse_said(line)

    def classify(self, exit_code: int, tail: str) -> FailureClass:
        return classify_tail(exit_code, tail)


@pytest.fixture
def painter(tmp_path: Path) -> Painter:
    (tmp_path / "paint").write_text("v1")
    return Painter(tmp_path / "paint")


@pytest.fixture
def room(tmp_path: Path) -> Room:
    place = Room(tmp_path / "checkout", tmp_path / "work", 4, ("GPU-1",))
    place.make()
    return place


def registry_of(painter: Painter, cache: Path | None = None) -> Registry:
    return Registry([painter], inspect=inspect, cache=cache)


def test_built_in_renderers_are_found_and_none_is_broken() -> None:
    registry = find_renderers(inspect=inspect, cache=None)
    assert registry.broken == {}
    assert registry.names == ("blender", "command", "mitsuba", "povray")


def test_renderer_of_another_package_is_found_and_a_broken_one_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        def __init__(self, name: str, value: str) -> None:
            self.name, self.value = name, value

    points = [Point("again", "farmd.renderers.command:AnyCommand"), Point("gone", "no_such_package:Renderer")]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)
    monkeypatch.setattr("farmd.renderers.registry.is_named_by_a_package", lambda folders: True)
    registry = find_renderers(inspect=inspect, cache=None)
    assert list(registry.broken) == ["gone"]
    assert "no_such_package" in registry.broken["gone"]


def test_package_with_renderers_is_seen_by_its_entry_points(tmp_path: Path) -> None:
    info = tmp_path / "studio-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[console_scripts]\nstudio = studio:main\n")
    assert not is_named_by_a_package([str(tmp_path), str(tmp_path / "missing")])
    (info / "entry_points.txt").write_text("[farmd.renderers]\nshrine = studio:Shrine\n")
    assert is_named_by_a_package([str(tmp_path)])


def test_probe_is_remembered_until_the_program_changes(painter: Painter, tmp_path: Path) -> None:
    cache = tmp_path / "renderers.json"
    fact = RendererFact("painter", "1.2", ("oil",))
    assert registry_of(painter, cache).probe() == (fact,)
    assert registry_of(painter, cache).probe() == (fact,)
    assert painter.probes == 1
    painter.program.write_text("v2, longer")
    assert registry_of(painter, cache).probe() == (fact,)
    assert painter.probes == 2
    cache.write_text("{broken")
    assert registry_of(painter, cache).probe() == (fact,)


def test_program_that_was_removed_is_no_longer_a_fact(painter: Painter, tmp_path: Path) -> None:
    registry = registry_of(painter, tmp_path / "renderers.json")
    registry.probe()
    painter.program.unlink()
    assert registry.probe() == ()


def test_task_gets_absolute_paths_default_names_and_what_is_installed(painter: Painter, room: Room) -> None:
    registry = registry_of(painter)
    registry.probe()
    registry.open(JOB, spec_of(renderer="painter", scene="a/b.scn"), (1, 2), room)
    task = painter.task
    assert task.scene == room.checkout / "a/b.scn"
    assert task.outputs == (room.output_dir / "0001.png", room.output_dir / "0002.png")
    assert (task.threads, task.gpus, task.installed) == (4, ("GPU-1",), RendererFact("painter", "1.2", ("oil",)))


def test_output_in_a_folder_gets_its_folder(painter: Painter, room: Room) -> None:
    spec = spec_of(renderer="painter", output_name="{shot}/beauty.{frame:03d}.png", params={"shot": "s010"})
    registry_of(painter).open(JOB, spec, (5,), room)
    assert painter.task.outputs == (room.output_dir / "s010/beauty.005.png",)
    assert (room.output_dir / "s010").is_dir()


def test_frames_that_would_overwrite_one_another_are_refused(painter: Painter, room: Room) -> None:
    with pytest.raises(UsageError, match="overwrite one another"):
        registry_of(painter).open(JOB, spec_of(renderer="painter", output_name="still.png"), (1, 2), room)
    registry_of(painter).open(JOB, spec_of(renderer="painter", output_name="still.png"), (1,), room)


def test_unknown_renderer_is_named_with_those_that_are_there(painter: Painter, room: Room) -> None:
    with pytest.raises(NotFound) as caught:
        registry_of(painter).open(JOB, spec_of(renderer="vray"), (1,), room)
    assert caught.value.why == "it has: painter"


def work_of(painter: Painter, room: Room, frames: tuple[int, ...] = (1, 2)) -> Any:
    return registry_of(painter).open(JOB, spec_of(renderer="painter"), frames, room)


def test_progress_counts_frames_and_their_parts(painter: Painter, room: Room) -> None:
    work = work_of(painter, room)
    seen = []
    for line in (
        "@farmd progress 0.5",
        '@farmd saved {"frame": 1, "path": "/x/0001.png"}',
        "noise",
        "@farmd progress 0.5",
        "@farmd progress 7",
    ):
        work.read(line)
        seen.append(work.progress)
    assert seen == [0.25, 0.5, 0.5, 0.75, 1.0]
    work.command_done(1)
    assert work.progress == 1.0


def test_named_problem_beats_exit_code_and_tail(painter: Painter, room: Room) -> None:
    work = work_of(painter, room)
    work.read("@farmd problem missing_asset 2 files are missing: a, b")
    assert work.verdict(3, "out of memory") == (FailureClass.MISSING_ASSET, "2 files are missing: a, b")


def test_outputs_are_checked_with_the_size_that_the_renderer_named(painter: Painter, room: Room) -> None:
    work = work_of(painter, room, (1,))
    path = room.output_dir / "0001.png"
    path.write_bytes(png(8, 4))
    assert work.check().outputs == (("0001.png", path),)
    work.read(f'@farmd saved {{"frame": 1, "path": "{path}", "width": 16, "height": 4}}')
    checked = work.check()
    assert checked.cause == FailureClass.BAD_OUTPUT
    assert "instead of 16x4" in checked.text


def test_black_frame_is_judged_by_earlier_frames_of_its_job(painter: Painter, room: Room) -> None:
    pytest.importorskip("PIL")
    registry = registry_of(painter)
    spec = spec_of(renderer="painter")

    def render(frame: int, pixel: bytes) -> Any:
        work = registry.open(JOB, spec, (frame,), room)
        (room.output_dir / f"{frame:04d}.png").write_bytes(png(pixel=pixel))
        return work.check()

    black, bright = b"\0\0\0", b"\xc0\xc0\xc0"
    first = render(1, black)
    assert (first.cause, first.text) == (0, "suspect: 0001.png uniformly black")
    assert render(2, bright).cause == 0
    assert render(3, black).cause == FailureClass.BAD_OUTPUT


def test_files_beside_the_promised_ones_are_kept_and_links_are_not(painter: Painter, room: Room) -> None:
    work = work_of(painter, room, (1,))
    (room.output_dir / "0001.png").write_bytes(png())
    (room.output_dir / "passes").mkdir()
    (room.output_dir / "passes/z.exr").write_bytes(b"z")
    (room.output_dir / "sneaky").symlink_to("/etc/passwd")
    assert [name for name, _ in work.check().outputs] == ["0001.png", "passes/z.exr"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("@farmd progress 0.25", Progress(0.25)),
        ("@farmd progress nan?", None),
        ('@farmd saved {"frame": 3, "path": "/a", "width": 1, "height": 2}', Saved("/a", 3, 1, 2)),
        ("@farmd saved {}", None),
        ("@farmd saved [1]", None),
        ("@farmd problem oom the GPU is full", Problem(FailureClass.OOM, "the GPU is full")),
        ("@farmd problem no_such_class x", None),
        ("@farmd dance 1", None),
        ("saved", None),
    ],
)
def test_lines_of_the_farms_own_form(line: str, said: Said | None) -> None:
    assert parse_said(line) == said


def test_params_that_are_paths_of_the_artist_name_the_files_of_the_checkout(painter: Painter, room: Room) -> None:
    (room.checkout / "tex").mkdir(parents=True)
    (room.checkout / "tex/a.png").write_bytes(b"a")
    paths = PathMap((PathRule("Y:/", "/home/anna"),), (), "/home/anna", str(room.checkout))
    params = {"map": r"Y:\tex\a.png", "lost": r"Y:\tex\b.png", "word": "tex/a.png", "size": "4"}
    registry_of(painter).open(JOB, spec_of(renderer="painter", params=params), (1,), replace(room, paths=paths))
    assert painter.task.params == params | {"map": f"{room.checkout}/tex/a.png"}
    assert painter.task.paths == paths
