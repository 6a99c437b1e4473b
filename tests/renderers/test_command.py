"""Templates of command lines: words first, values after, never a shell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from farmd.renderers import Progress, RenderTask
from farmd.renderers.command import AnyCommand
from protocol.errors import UsageError

OUT = Path("/work/out")


def commands(
    template: str, frames: tuple[int, ...] = (1, 2), outputs: tuple[str, ...] = (), **given: Any
) -> list[list[str]]:
    task = RenderTask(
        scene=Path("/co/a scene.ma"),
        checkout=Path("/co"),
        frames=frames,
        outputs=tuple(OUT / name for name in outputs),
        output_dir=OUT,
        scratch=Path("/work/tmp"),
        threads=3,
        template=template,
        **given,
    )
    return [list(command.argv) for command in AnyCommand().commands(task)]


def test_frame_in_the_template_means_one_process_per_frame() -> None:
    assert commands("r {scene} -f {frame:03d}") == [
        ["r", "/co/a scene.ma", "-f", "001"],
        ["r", "/co/a scene.ma", "-f", "002"],
    ]


def test_start_and_end_mean_one_process() -> None:
    assert commands("r -s {start} -e {end} -t {threads}") == [["r", "-s", "1", "-e", "2", "-t", "3"]]


def test_output_is_the_file_that_the_frame_must_leave() -> None:
    assert commands("r {output}", outputs=("1.png", "2.png")) == [["r", "/work/out/1.png"], ["r", "/work/out/2.png"]]


def test_one_output_of_a_whole_chunk_means_one_process() -> None:
    assert commands("r {start}-{end} {output}", outputs=("a.mov", "a.mov")) == [["r", "1-2", "/work/out/a.mov"]]


def test_output_without_a_promise_is_the_folder() -> None:
    assert commands("r {output}") == [["r", "/work/out"]]


def test_values_never_become_words_or_shell() -> None:
    argv = commands("r '{a}' x{b}", (1,), params={"a": "1 2; rm -rf /", "b": "$(id)"})
    assert argv == [["r", "1 2; rm -rf /", "x$(id)"]]


def test_placeholder_in_double_braces_is_text() -> None:
    assert commands("r {{frame}}") == [["r", "{frame}"]]


@pytest.mark.parametrize("template", ["", "r 'open", "r {nothing}"])
def test_unreadable_template_is_refused(template: str) -> None:
    with pytest.raises(UsageError):
        commands(template)


@pytest.mark.parametrize(
    ("line", "fraction"),
    [
        ("@farmd progress 0.5", 0.5),
        ("TR_PROGRESS 045%", 0.45),
        ("Progress: 12.5 %", 0.125),
        ("rendering progress = 250%", 1.0),
        ("cpu 45%", None),
        ("progress unknown", None),
    ],
)
def test_progress_of_common_programs(line: str, fraction: float | None) -> None:
    assert AnyCommand().parse(line) == (None if fraction is None else Progress(fraction))
