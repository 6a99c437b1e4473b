"""One job, one machine, the farm, as a person reads them: names and values, then what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmctl.columns import (
    job_colour,
    job_state,
    load,
    node_colour,
    node_state,
    plain_reason,
    renderers,
    task_state,
)
from farmctl.editlines import edit_lines
from farmctl.money import cost_text, price_text
from farmctl.output import fields, paint
from farmctl.standing import advice, results_done
from protocol.human import (
    counted,
    format_age,
    format_duration,
    format_progress,
    format_size,
    plain_table,
    printable,
    relative_time,
)
from protocol.whereabouts import away_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmctl.output import View

_SHOWN_RULES = 3


def wide_job_card(job: View, now_ms: int) -> Iterator[str]:
    """Describe one job, with the number by which programs made for another service know it."""
    return job_card(job, now_ms, task_id=_text(job, "task_id"))


def job_card(job: View, now_ms: int, *, task_id: str = "") -> Iterator[str]:
    """Describe one job."""
    yield from fields(
        [
            ("job", f"{job.get('id')}  {_text(job, 'name')}"),
            ("task id", f"{task_id} (of Renderbus: farmctl takes it as the job's id)" if task_id else ""),
            ("state", paint(job_state(job, now_ms), job_colour(job)) + _why_stopped(job)),
            ("progress", _progress(job)),
            ("reason", _reason(job)),
            ("scene", _text(job, "scene")),
            ("reads", _path_rules(job)),
            ("renderer", _text(job, "renderer")),
            ("frames", _text(job, "frames")),
            ("owner", _text(job, "owner")),
            ("priority", _text(job, "priority")),
            ("project", _text(job, "project")),
            ("labels", printable(", ".join(f"{name}={value}" for name, value in (job.get("labels") or {}).items()))),
            ("cost", cost_text(job.get("costs") or {})),
            ("output", _output(job)),
            ("times", _times(job, now_ms)),
            ("done on", ", ".join(f"{_text(node, 'name')} ({node.get('frames')})" for node in job.get("nodes") or [])),
            ("failed", _text(job, "failed_frames")),
            ("away", _away(job)),
        ]
    )
    yield from _gate(job)
    yield from edit_lines(job.get("edits") or [], now_ms)
    told = advice(job)
    if told:
        yield from ("", printable(told))


def _text(row: View, name: str) -> str:
    return "" if row.get(name) is None else printable(str(row[name]))


def _why_stopped(job: View) -> str:
    why = "" if job.get("reason") else _text(job, "why_stopped")
    return f": {why}" if why else ""


def _progress(job: View) -> str:
    parts = [format_progress(int(job.get("done") or 0), int(job.get("total") or 0))]
    parts += [f"{job[name]} {name}" for name in ("running", "waiting", "failed") if job.get(name)]
    if job.get("eta_s") is not None:
        parts.append(f"{format_duration(job['eta_s'])} left")
    return ", ".join(parts)


def _reason(job: View) -> str:
    reason = job.get("reason") or {}
    text, hint = (printable(str(reason.get(name) or "")) for name in ("text", "hint"))
    return f"{text} ({hint})" if hint else text


def _path_rules(job: View) -> str:
    """Say which prefixes of the scene are read from elsewhere; all of them are in the JSON."""
    rules = job.get("path_rules") or []
    shown = [printable(f"{written} -> {becomes}") for written, becomes in rules[:_SHOWN_RULES]]
    more = len(rules) - len(shown)
    return ", ".join(shown) + (f", and {more} more" if more else "")


def _output(job: View) -> str:
    if job.get("leaves_outputs") is False:
        return "none: the job was submitted without --output-name, so it promises no files"
    delivered, safe = (int(job.get(name) or 0) for name in ("delivered", "safe"))
    done = results_done(job)
    both = "all on two machines" if done and not job.get("unavailable_frames") else ""
    kept = f"{done - safe} of them on one machine only" if done > safe else both
    folder = _text(job, "output_dir")
    if not folder:
        return f"stays in the farm until: farmctl job download {job.get('id')}" + (f"; {kept}" if kept else "")
    if job.get("deliver") == "client":
        return f"{folder}: farmctl brings the results: farmctl job download {job.get('id')}" + (
            f"; {kept}" if kept else ""
        )
    fault = _text(job, "delivery_error") or _text(job, "delivery_remark")
    where = f"{folder} on {_text(job, 'submit_node_name')}" if job.get("submit_node_name") else folder
    verb = "is" if done == 1 else "are"
    return f"{delivered} of {counted(done, 'result')} {verb} in {where}" + "".join(f"; {t}" for t in (kept, fault) if t)


def _away(job: View) -> str:
    """Name the frames that are done and cannot be had, with the machines that have them."""
    groups = job.get("away") or []
    if groups:
        parts = [f"{group.get('frames')}: {away_text([str(n) for n in group.get('nodes') or []])}" for group in groups]
        return printable("; ".join(parts))
    frames = _text(job, "unavailable_frames")
    return f"{frames}: done, but the machines that have them do not answer" if frames else ""


def _times(job: View, now_ms: int) -> str:
    names = (("submitted", "submitted_ms"), ("started", "started_ms"), ("ended", "ended_ms"))
    return ", ".join(f"{word} {relative_time(int(job[name]), now_ms)}" for word, name in names if job.get(name))


def _gate(job: View) -> Iterator[str]:
    gate = job.get("gate") or {}
    frames = gate.get("test_frames") or []
    if not frames:
        return
    yield from ("", f"test frames (gate {_text(gate, 'mode')}, {_text(gate, 'state')})")
    yield from plain_table(
        ("FRAME", "STATE", "NODE", "TIME", "MEMORY"),
        [
            (
                _text(frame, "frame"),
                task_state(frame, 0),
                _text(frame, "node_name") or _text(frame, "node"),
                format_duration(frame["seconds"]) if frame.get("seconds") else "",
                format_size(frame["peak_ram_bytes"]) if frame.get("peak_ram_bytes") else "",
            )
            for frame in frames
        ],
        right=(0, 3, 4),
    )


def node_card(node: View, now_ms: int) -> Iterator[str]:
    """Describe one machine."""
    gpus = [f"{_text(gpu, 'model')} {format_size(int(gpu.get('vram_bytes') or 0))}" for gpu in node.get("gpus") or []]
    yield from fields(
        [
            ("node", f"{node.get('id')}  {_text(node, 'name')}"),
            ("state", paint(node_state(node, now_ms), node_colour(node))),
            ("reason", plain_reason(node.get("reason"))),
            ("until", relative_time(int(node["held_until_ms"]), now_ms) if node.get("held_until_ms") else ""),
            ("address", _text(node, "address")),
            (
                "tasks",
                f"{node.get('running', 0)} running" + (f", {node['slots']} at most" if node.get("slots") else ""),
            ),
            ("cores", _text(node, "cores")),
            ("memory", _of(node, "free_ram_bytes", "ram_bytes")),
            ("disk", _of(node, "free_disk_bytes", "")),
            ("store", _store(node)),
            ("load", load(node)),
            ("gpus", ", ".join(gpus)),
            ("renderers", printable(renderers(node))),
            ("software", _text(node, "software")),
            ("price", printable(price_text(node))),
            ("seen", f"{format_age(float(node['last_seen_s']))} ago" if node.get("last_seen_s") is not None else ""),
        ]
    )


def _store(node: View) -> str:
    """Say how full the content store is, what could leave it, and what is wrong with that."""
    if node.get("store_bytes") is None:
        return ""
    quota = int(node.get("store_quota_bytes") or 0)
    parts = [format_size(int(node["store_bytes"])) + (f" of {format_size(quota)}" if quota else ", no quota")]
    if node.get("store_evictable_bytes") is not None:
        parts.append(f"{format_size(int(node['store_evictable_bytes']))} may be dropped")
    return "; ".join([*parts, *filter(None, [_text(node, "store_fault")])])


def _of(row: View, free: str, whole: str) -> str:
    parts = [f"{format_size(int(row[free]))} free"] if row.get(free) is not None else []
    parts += [f"{format_size(int(row[whole]))} in all"] if row.get(whole) else []
    return ", ".join(parts)


def farm_card(farm: View, now_ms: int) -> Iterator[str]:
    """Describe the farm as a whole."""
    nodes, jobs = farm.get("nodes") or [], farm.get("jobs") or {}
    states = [str(node.get("state")) for node in nodes]
    by_state = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    named = f"{_text(farm, 'leader_name') or farm.get('leader')}, term {farm.get('term')}"
    leader = named if farm.get("leader") else "none yet (electing)"
    order = ("pending", "running", "completed", "failed", "cancelled")
    yield from fields(
        [
            ("farm", _text(farm, "farm")),
            ("leader", leader),
            ("machines", f"{len(nodes)}: {by_state}" if nodes else "none"),
            ("jobs", f"{jobs.get('total', 0)}: " + ", ".join(f"{jobs.get(name, 0)} {name}" for name in order)),
            ("disk", _text(farm, "disk_fault")),
            ("answered by", _text(farm, "node_name") or _text(farm, "node")),
            ("as of", relative_time(int(farm["as_of_ms"]), now_ms) if farm.get("as_of_ms") else ""),
        ]
    )
