"""From the words of the command line to a valid specification, with everything checked that can be checked here.

Order: words, scene, folder for the results, frames; nothing has been sent when any of them is refused. Every default
that a person would want to know about is decided here and told by `Order`.
"""

from __future__ import annotations

import getpass
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from farmctl.dependencies import frames_in
from farmctl.imports import imported_rules, with_imported
from farmctl.mapping import path_rules_of
from farmctl.scenefile import check_input, check_scene, renderer_of
from protocol.errors import UsageError, UserError
from protocol.existing import ExistingFile
from protocol.frames import Dialect, FrameSet, parse_frames, test_frame_choice
from protocol.ids import JobId, NodeId
from protocol.jobspec import GateMode, GateSpec, JobSpec, Limits, Requirements

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from farmctl.analysing import Look
    from farmd.scenes.rules import Rule

    Analyse = Callable[[Path, Sequence[Rule], Mapping[str, str]], Look | None]

NODE_FILLS_IN: Final = NodeId("0" * 16)
FEW_FRAMES: Final = 3
"""With so many frames or fewer the default test frames would be all of them: no gate unless one is asked for."""
_VARIES: Final = re.compile(r"(?<!\{)\{(frame|start|end)(:[^{}]*)?\}")


@dataclass(frozen=True, slots=True)
class Order:
    """What shall be sent.

    Attributes:
        spec: Still without manifest, and with the scene's name only.
        scene: The scene here.
        inputs: Further files and folders.
        look: What the analysis of the scene found, if there was one.
        remarks: What of an imported task cannot be had: codes and sentences.
    """

    spec: JobSpec
    scene: Path | None
    inputs: tuple[Path, ...]
    look: Look | None = None
    remarks: tuple[tuple[str, str], ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything that goes with the scene: what was named, and what the scene needs."""
        found = self.look.report.found if self.look is not None else ()
        return (*self.inputs, *(one.path for one in found))


def order_of(given: Mapping[str, Any], after: tuple[str, ...], analyse: Analyse) -> Order:
    """Check what was asked for.

    Args:
        given: The options of `farmctl submit` by their names.
        after: Ids of the jobs that come first.
        analyse: Looks at the scene, with the path rules of the job and the variables that its parameters are.

    Raises:
        UserError: Something is wrong with it.
    """
    scene = Path(given["scene"]) if given["scene"] else None
    renderer, version = _renderer(scene, given["renderer"], given["command"])
    if scene is not None:
        check_scene(scene, renderer)
    inputs = tuple(map(Path, given["input"]))
    for path in inputs:
        check_input(path)
    asked = None if given["frames"] is None else parse_frames(given["frames"], Dialect(given["dialect"]))
    params, rules = _params(given["param"]), path_rules_of(given["map"])
    look = None
    if scene is not None:
        look = analyse(scene, (*rules, *imported_rules(given)), params if renderer == "mitsuba" else {})
    frames = asked or _frames_of(scene, renderer, look)
    _check_output_name(given["output_name"], frames)
    output_dir = prepare_folder(given["output"], make=not given["dry_run"]) if given["output"] else None
    spec = JobSpec(
        name=given["name"] or _name(scene, given["command"]),
        owner=user_name(),
        submitted_at_ms=0,
        submit_node=NODE_FILLS_IN,
        renderer=renderer,
        scene_path=str(scene.absolute()) if scene else "",
        frames=str(frames),
        chunk=given["chunk"],
        command=given["command"],
        output_name=given["output_name"],
        output_dir=str(output_dir) if output_dir else None,
        existing=ExistingFile(given["existing"]),
        params=params,
        project=given["project"],
        labels=_labels(given["label"]),
        requirements=_requirements(given, version),
        gate=_gate(given["gate"], given["test_frames"], frames),
        priority=given["priority"],
        limits=_limits(given),
        after=tuple(map(JobId, after)),
        path_rules=(*rules, *(look.rules if look is not None else ())),
    )
    return Order(with_imported(spec, given), scene, inputs, look, tuple(given.get("remarks", ())))


def user_name() -> str:
    """Name the person who asks."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no entry in the user database (KeyError until Python 3.12)
        return f"uid-{os.getuid()}"


def _renderer(scene: Path | None, named: str | None, command: str | None) -> tuple[str, str]:
    """Return the renderer's name and the version that is asked for, "" for any."""
    name, _, version = (named or "").partition("@")
    if command is not None:
        if name not in ("", "command"):
            raise UsageError("--renderer and --command exclude one another", "both say what renders", "leave one out")
        return "command", version
    if scene is None:
        raise UsageError(
            "there is nothing to render", "no scene and no command were given", "farmctl submit SCENE --frames 1-100"
        )
    return name or renderer_of(scene), version


def _frames_of(scene: Path | None, renderer: str, look: Look | None) -> FrameSet:
    """Choose the frames where none are asked for: those of the scene, else the single frame 1."""
    if scene is not None and look is not None:
        return frames_in(look.report.facts, scene)
    if renderer == "blender":
        raise UsageError(
            "which frames?", "the range inside this .blend is not known", "say it: --frames 1-100, or --frames 1"
        )
    return parse_frames("1")


def _name(scene: Path | None, command: str | None) -> str:
    if scene is not None:
        return scene.stem[:200] or scene.name[:200]
    return Path((command or "").split(maxsplit=1)[0] if (command or "").strip() else "command").name[:200] or "command"


def _check_output_name(name: str | None, frames: FrameSet) -> None:
    if name is not None and len(frames) > 1 and not _VARIES.search(name):
        raise UsageError(
            f"all {len(frames)} frames would be written to {name!r}",
            "the name is the same for every frame",
            "put the frame into it: --output-name 'f.{frame:04d}.png'",
        )


def _params(pairs: tuple[str, ...]) -> dict[str, str]:
    params = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise UsageError(
                f"cannot read the parameter {pair!r}", "it is no name and value", "write --param samples=64"
            )
        params[name.strip()] = value
    return params


def _labels(pairs: tuple[str, ...]) -> dict[str, str]:
    labels = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not value:
            raise UsageError(f"cannot read the label {pair!r}", "it is no name and value", "write --label shot=s010")
        labels[name.strip()] = value
    return labels


def _requirements(given: Mapping[str, Any], version: str) -> Requirements:
    return Requirements(
        ram_bytes=given["ram"] or 0,
        cores=given["cores"],
        gpus=given["gpus"],
        vram_bytes=given["vram"] or 0,
        renderer_version=version,
    )


def _limits(given: Mapping[str, Any]) -> Limits:
    usual = Limits()
    timeout = given["frame_timeout"]
    return Limits(
        retries=usual.retries if given["retries"] is None else given["retries"],
        frame_timeout_s=usual.frame_timeout_s if timeout is None else int(-(-timeout // 1)),
    )


def _gate(mode: str | None, test_frames: str | None, frames: FrameSet) -> GateSpec:
    if mode is None:
        mode = GateMode.OFF if test_frames is None and len(frames) <= FEW_FRAMES else GateMode.AUTO
    if mode == GateMode.OFF and test_frames is None:
        return GateSpec(GateMode.OFF)
    return GateSpec(GateMode(mode), test_frame_choice(test_frames or "", frames))


def absolute_folder(named: str) -> str:
    """Return the whole path of a folder as it was written; links are not followed."""
    return os.path.abspath(Path(named).expanduser())  # noqa: PTH100  # resolve() would follow links


def prepare_folder(named: str, *, make: bool) -> Path:
    """Return the absolute folder for results, made and tried out: a job must not end without a place for them.

    Args:
        named: As it was written.
        make: False looks only.

    Raises:
        UserError: Nothing can be written there.
    """
    folder = Path(absolute_folder(named))
    try:
        if make:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not there.is_dir():
            raise _unwritable(folder, f"{there} is not a folder")
        if not os.access(there, os.W_OK | os.X_OK):
            raise _unwritable(folder, f"you may not write into {there}")
    except OSError as error:
        raise _unwritable(folder, str(error.strerror)) from error
    return folder


def _unwritable(folder: Path, why: str) -> UserError:
    return UserError(f"results cannot be written to {folder}", why, "name another folder: --output DIR")
