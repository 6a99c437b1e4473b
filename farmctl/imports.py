"""A task of another service, given to `farmctl submit` in the place of a scene: its words become those of the command.

What the command line says wins over the file. What the file asks for and the command line has no words for goes into the
specification when everything else is decided; what cannot be had is told.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from farmctl.mapping import path_rules_of
from protocol.frames import Dialect, parse_frames
from protocol.human import counted, format_duration, format_size, printable
from protocol.jobspec import MAX_PATH_RULES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from farmctl.context import Session
    from farmd.scenes.content import Remark
    from farmd.scenes.renderbus.order import Ordered
    from protocol.jobspec import JobSpec

_BEYOND: Final = "imported"
"""Name under which further fields of the specification travel beside the options."""
_OPTION_OF: Final = {
    "output_dir": "output",
    "requirements.cores": "cores",
    "requirements.vram_bytes": "vram",
    "limits.retries": "retries",
}
"""Fields of a specification whose option is called otherwise."""


def with_task(session: Session, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Turn the options of `farmctl submit` into those that a task of Renderbus means; others stay as they are.

    Raises:
        UserError: The task cannot be imported.
    """
    if not given["scene"]:
        return given
    from farmd.scenes.renderbus.recognise import recognise

    path = Path(given["scene"])
    task = recognise(path)
    if task is None:
        return given
    from farmd.scenes.renderbus.order import read_order

    chosen = _chosen(given)
    renderer = "command" if given["command"] is not None else (given["renderer"] or "").partition("@")[0]
    frames = None if given["frames"] is None else parse_frames(given["frames"], Dialect(given["dialect"]))
    rules = path_rules_of(given.get("map", ()))
    order = read_order(task, path.parent, renderer=renderer or None, frames=frames, rules=rules)
    session.note(_summary(path, order))
    remarks = [(remark.code, remark.text) for remark in (*order.remarks, *_changed_scene(order))]
    for _, text in remarks:
        session.note(f"  {printable(text)}")
    return _meant(given, order, chosen) | {"remarks": remarks}


def with_imported(spec: JobSpec, given: Mapping[str, Any]) -> JobSpec:
    """Put what a task says beyond the options into the specification.

    Raises:
        UsageError: It is not allowed.
    """
    values = given.get(_BEYOND)
    if not values:
        return spec
    from farmd.scenes.renderbus.spec import spec_with

    rules = [list(rule) for rule in spec.path_rules]
    known = {written for written, _ in spec.path_rules}
    rules += [list(rule) for rule in values.get("path_rules", ()) if rule[0] not in known]
    return spec_with(spec, values | {"path_rules": rules[:MAX_PATH_RULES]})


def imported_rules(given: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the path rules that a task brought."""
    return tuple((str(written), str(becomes)) for written, becomes in (given.get(_BEYOND) or {}).get("path_rules", ()))


def _chosen(given: Mapping[str, Any]) -> frozenset[str]:
    """Name the options that a person gave."""
    context = click.get_current_context()
    return frozenset(name for name in given if context.get_parameter_source(name) is ParameterSource.COMMANDLINE)


def _meant(given: Mapping[str, Any], order: Ordered, chosen: Collection[str]) -> dict[str, Any]:
    from farmd.scenes.renderbus.spec import name_of, values_of

    wish = order.wish
    # Another renderer than the task's own knows nothing of the version that the task asks for.
    other = bool({"renderer", "command"} & set(chosen))
    version = (given["renderer"] or "").partition("@")[2] or ("" if other else wish.version)
    said = {
        "frames": str(wish.frames),
        "chunk": wish.chunk,
        "ram": wish.ram_bytes,
        "gpus": wish.gpus,
        "priority": wish.priority,
        "frame_timeout": float(wish.frame_timeout_s),
        "name": name_of(wish.scene),
    }
    more = _unless_chosen(order.more, chosen)
    said |= {name: more.pop(name) for name in ("name", "command", "output_name") if name in more}
    said |= {option: more.pop(field) for field, option in _OPTION_OF.items() if field in more}
    meant = {**given, **{name: value for name, value in said.items() if name not in chosen}}
    command = meant["command"] is not None
    meant |= {
        "scene": str(order.scene),
        "renderer": f"{'command' if command else wish.renderer}@{version}".removesuffix("@"),
        "input": (*given["input"], *map(str, order.inputs)),
        "param": (*(f"{name}={value}" for name, value in dict(more.pop("params", {})).items()), *given["param"]),
    }
    meant["dialect"] = given["dialect"] if "frames" in chosen else Dialect.FARM.value
    values = values_of(wish)
    taken = ("project", "limits.job_timeout_s", *_gate_fields(meant, order, chosen))
    rules = [*order.rules, *map(tuple, more.pop("path_rules", ()))]
    beyond = {name: values[name] for name in taken} | {"foreign": order.foreign, "path_rules": rules}
    return meant | {_BEYOND: more | beyond}


def _unless_chosen(more: Mapping[str, Any], chosen: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in more.items() if _OPTION_OF.get(name, name) not in chosen}


def _gate_fields(meant: dict[str, Any], order: Ordered, chosen: Collection[str]) -> tuple[str, ...]:
    """Name the fields of the gate that the task decides; where a person says a part of it, the options carry the rest."""
    mode, tests = order.wish.gate
    if not {"gate", "test_frames"} & set(chosen):
        return "gate.mode", "gate.test_frames"
    if "gate" not in chosen and tests:
        meant["gate"] = mode.value
    if "test_frames" not in chosen and tests:
        meant["test_frames"] = ",".join(map(str, tests))
    return ()


def _summary(path: Path, order: Ordered) -> str:
    wish = order.wish
    parts = [
        f"{wish.renderer} {wish.version}".strip(),
        counted(len(wish.frames), "frame"),
        counted(1 + len(order.inputs), "file"),
        f"{format_size(wish.ram_bytes)} of memory" if wish.ram_bytes else "",
        counted(wish.gpus, "GPU") if wish.gpus else "",
        f"priority {wish.priority}",
        f"{format_duration(wish.frame_timeout_s)} a frame" if wish.frame_timeout_s else "",
        f"{format_duration(wish.job_timeout_s)} in all" if wish.job_timeout_s else "",
        f"project {wish.project}" if wish.project else "",
    ]
    return f"{path} is a task of Renderbus: {printable(', '.join(filter(None, parts)))}"


def _changed_scene(order: Ordered) -> tuple[Remark, ...]:
    """Compare the scene with the one that was analysed; what is read for that is not read again for sending."""
    if not order.scene_md5 or not order.scene.is_file():
        return ()
    from farmd.ingest.hash_cache import HashCache, default_cache_path
    from farmd.scenes.content import Remark

    with HashCache(default_cache_path()) as cache:
        digest = cache.digests([order.scene])[order.scene]
    if digest.md5.hex() == order.scene_md5:
        return ()
    return (Remark("scene_changed", f"the scene was changed after the task was made: {order.scene}"),)
