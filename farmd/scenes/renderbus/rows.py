"""The table of the fields of task.json that a farm understands: how each is read, and how it is written.

In the order of reading, since later rows may ask what earlier ones have read (test frames ask for the frames). Called by
`fields` only, which decides when a row is written.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from farmd.scenes.renderbus.passes import frames_of, put_frames
from farmd.scenes.renderbus.paths import slashed
from farmd.scenes.renderbus.plain import Document, flag_at, object_at, text_at, whole_at
from farmd.scenes.renderbus.ranges import print_test_frames, read_test_frames
from farmd.scenes.renderbus.software import renderer_named, software_of
from protocol.errors import UsageError
from protocol.jobspec import GateMode, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.scenes.renderbus.wish import Wish
    from protocol.frames import FrameSet

GIGABYTE: Final = 10**9
"""The service counts memory as it is sold; a machine of 64 GB must fit a task that asks for 64."""
_YEAR_S: Final = 31_536_000
_PAUSE: Final = "1"
_GO_ON: Final = "2"


class Row(NamedTuple):
    """How one attribute of a `Wish` stands in task.json.

    Attributes:
        name: The attribute.
        places: Section and name of the fields that say it.
        read: Reads them, given what the rows before have read.
        write: Writes them.
        from_exact: Makes the value of what JSON gave back; None: it is always said exactly.
    """

    name: str
    places: tuple[tuple[str, str], ...]
    read: Callable[[Document, dict[str, Any]], Any]
    write: Callable[[Document, Wish], None]
    from_exact: Callable[[Any], Any] | None

    def beside(self, task: Document) -> list[Any]:
        """Return what is written, as it is."""
        return [object_at(task, section).get(name) for section, name in self.places]


def _info(task: Document) -> Document:
    return object_at(task, "task_info")


def _put(task: Document, section: str, **values: str) -> None:
    task[section] = object_at(task, section) | values


def _read_renderer(task: Document, _said: dict[str, Any]) -> str:
    cg_name = text_at(object_at(task, "software_config"), "cg_name")
    return renderer_named(cg_name, text_at(_info(task), "cg_id"), text_at(_info(task), "input_cg_file") or "")


def _write_renderer(task: Document, wish: Wish) -> None:
    """Name the program; for one that the service lacks, a name that stands there already stays."""
    software = software_of(wish.renderer)
    if software is not None:
        _put(task, "software_config", cg_name=software.cg_name)
        _put(task, "task_info", cg_id=software.cg_id)
    elif text_at(object_at(task, "software_config"), "cg_name") is None:
        raise UsageError(
            "the job cannot be exported",
            f"Renderbus renders nothing with {wish.renderer!r}",
            "only jobs for programs of that service can be written as its files",
        )


def _read_version(task: Document, _said: dict[str, Any]) -> str:
    return text_at(object_at(task, "software_config"), "cg_version") or ""


def _write_version(task: Document, wish: Wish) -> None:
    if software_of(wish.renderer) is not None:  # else it is the version of the program that is named there
        _put(task, "software_config", cg_version=wish.version)


def _read_scene(task: Document, _said: dict[str, Any]) -> str:
    written = text_at(_info(task), "input_cg_file")
    return slashed(written) if written else ""


def _read_project(task: Document, _said: dict[str, Any]) -> str:
    return (text_at(_info(task), "project_name") or "")[:200]


def _read_frames(task: Document, _said: dict[str, Any]) -> FrameSet:
    found = frames_of(task)
    if found is None:
        raise UsageError("which frames?", "task.json switches no layer on, or says no frames", "say it: --frames 1-100")
    return found


def _read_gate(task: Document, said: dict[str, Any]) -> tuple[GateMode, tuple[int, ...]]:
    info = _info(task)
    tests = read_test_frames(text_at(info, "pre_frames"), text_at(info, "test_frames"), said["frames"])
    after = text_at(info, "stop_after_test") or _GO_ON
    if after not in (_PAUSE, _GO_ON):
        raise UsageError(
            f"cannot read stop_after_test {after[:40]!r}", "it is 1 (wait for a person) or 2 (go on)", "write 1 or 2"
        )
    if not tests:
        return GateMode.OFF, ()
    return GateMode.HOLD if after == _PAUSE else GateMode.AUTO, tests


def _write_gate(task: Document, wish: Wish) -> None:
    mode, tests = wish.gate
    info = {name: value for name, value in _info(task).items() if name != "test_frames"}
    info["pre_frames"] = "000" if mode is GateMode.OFF else print_test_frames(tests, wish.frames)
    info["stop_after_test"] = _PAUSE if mode is GateMode.HOLD else _GO_ON
    task["task_info"] = info


def _exact_gate(plain: Any) -> tuple[GateMode, tuple[int, ...]]:
    mode, tests = plain
    return GateMode(mode), tuple(map(int, tests))


def _read_chunk(task: Document, _said: dict[str, Any]) -> int:
    return whole_at(_info(task), "frames_per_task", least=1, most=1_000_000) or 1


def _read_priority(task: Document, _said: dict[str, Any]) -> int:
    return 10 * (whole_at(_info(task), "priority", least=1, most=10) or 5)


def _read_ram(task: Document, _said: dict[str, Any]) -> int:
    return (whole_at(_info(task), "ram", most=1_000_000) or 0) * GIGABYTE


def _read_gpus(task: Document, _said: dict[str, Any]) -> int:
    info = _info(task)
    cards, used = whole_at(info, "graphics_cards_num", most=64) or 0, flag_at(info, "gpu_render")
    if used is None:
        return cards
    return max(1, cards) if used else 0


def _write_gpus(task: Document, wish: Wish) -> None:
    _put(task, "task_info", gpu_render="1" if wish.gpus else "0")
    if wish.gpus:
        _put(task, "task_info", graphics_cards_num=str(wish.gpus))


def _read_frame_limit(task: Document, _said: dict[str, Any]) -> int:
    found = whole_at(_info(task), "time_out", most=_YEAR_S)
    return Limits().frame_timeout_s if found is None else found


def _read_job_limit(task: Document, _said: dict[str, Any]) -> int:
    limits = [whole_at(_info(task), name, most=_YEAR_S) for name in ("task_stop_time", "job_stop_time")]
    if limits == [None, None]:
        return Limits().job_timeout_s
    return min((limit for limit in limits if limit), default=0)


def _text(section: str, name: str, say: Callable[[Wish], str]) -> Callable[[Document, Wish], None]:
    def write(task: Document, wish: Wish) -> None:
        _put(task, section, **{name: say(wish)})

    return write


def _at(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple(("task_info", name) for name in names)


ROWS: Final = (
    Row("renderer", (("software_config", "cg_name"), *_at("cg_id")), _read_renderer, _write_renderer, str),
    Row(
        "version",
        (("software_config", "cg_version"),),
        _read_version,
        _write_version,
        str,
    ),
    Row("scene", _at("input_cg_file"), _read_scene, _text("task_info", "input_cg_file", lambda wish: wish.scene), str),
    Row("project", _at("project_name"), _read_project, _text("task_info", "project_name", lambda w: w.project), str),
    Row("frames", (), _read_frames, lambda task, wish: put_frames(task, wish.frames, wish.renderer), None),
    Row("gate", _at("pre_frames", "test_frames", "stop_after_test"), _read_gate, _write_gate, _exact_gate),
    Row(
        "chunk", _at("frames_per_task"), _read_chunk, _text("task_info", "frames_per_task", lambda w: str(w.chunk)), int
    ),
    Row(
        "priority",
        _at("priority"),
        _read_priority,
        _text("task_info", "priority", lambda wish: str(max(1, round(wish.priority / 10)))),
        int,
    ),
    Row(
        "ram_bytes", _at("ram"), _read_ram, _text("task_info", "ram", lambda w: str(ceil(w.ram_bytes / GIGABYTE))), int
    ),
    Row("gpus", _at("gpu_render", "graphics_cards_num"), _read_gpus, _write_gpus, int),
    Row(
        "frame_timeout_s",
        _at("time_out"),
        _read_frame_limit,
        _text("task_info", "time_out", lambda wish: str(wish.frame_timeout_s)),
        int,
    ),
    Row(
        "job_timeout_s",
        _at("task_stop_time", "job_stop_time"),
        _read_job_limit,
        lambda task, wish: _put(task, "task_info", task_stop_time="0", job_stop_time=str(wish.job_timeout_s)),
        int,
    ),
)
