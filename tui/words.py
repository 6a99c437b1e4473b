"""Sentences of the pages: details of a job, a machine, a task, an event; why something waits; the farm; help.

Names to the left, values to the right, as `farmctl job show` has them. Must not import textual.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from protocol.human import counted, format_duration, format_progress, format_size, printable, relative_time
from protocol.reasons import REASON_WORDS, ReasonCode
from protocol.states import FailureClass, word_of
from tui.looks import Run, Runs, job_look, node_look, plain, state_runs, styled, task_look
from tui.tables import gpu_text, is_away, reason_text, renderer_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tui.columns import Moment, Row

_NAME_CELLS: Final = 10
_CAUSES: Final = {int(cause): word_of(cause).replace("_", " ") for cause in FailureClass}


def field_lines(pairs: Iterable[tuple[str, Runs]]) -> list[Runs]:
    """Write names and values; what is empty is left out."""
    return [(Run(name.ljust(_NAME_CELLS), "muted"), Run(" "), *runs) for name, runs in pairs if runs]


def details_of(row: Row, moment: Moment) -> list[Runs]:
    """Describe a row, whatever it is."""
    if "at_ms" in row and "what" in row:
        return _event(row, moment)
    if "cores" in row:
        return node_lines(row, moment)
    if "task" in row:
        return task_lines(row)
    return job_lines(row, moment)


def job_lines(job: Row, moment: Moment) -> list[Runs]:
    """Describe a job."""
    times = [
        (word, plain(relative_time(int(job[f"{word}_ms"]), moment.now_ms)))
        for word in ("submitted", "started", "ended")
        if job.get(f"{word}_ms")
    ]
    hint = str((job.get("reason") or {}).get("hint") or "") if isinstance(job.get("reason"), dict) else ""
    counts = [f"{job[name]} {name}" for name in ("running", "waiting", "failed") if job.get(name)]
    return field_lines(
        [
            ("job", plain(job.get("id"))),
            ("name", styled(job.get("name"), "strong")),
            ("state", state_runs(job_look(str(job.get("state"))), str(job.get("state")))),
            ("reason", plain(reason_text(job))),
            ("try", styled(hint, "muted")),
            ("progress", plain(format_progress(int(job.get("done") or 0), int(job.get("total") or 0)))),
            ("tasks", plain(", ".join(counts))),
            ("left", plain(format_duration(float(job["eta_s"])) if job.get("eta_s") is not None else "")),
            ("owner", plain(job.get("owner"))),
            ("priority", plain(job.get("priority"))),
            ("renderer", plain(job.get("renderer"))),
            ("frames", plain(job.get("frames"))),
            ("scene", plain(job.get("scene"))),
            ("output", plain(job.get("output_dir"))),
            ("failed", styled(job.get("failed_frames"), "failed")),
            ("memory", plain(format_size(int(job["peak_ram_bytes"])) if job.get("peak_ram_bytes") else "")),
            *times,
        ]
    )


def node_lines(node: Row, moment: Moment) -> list[Runs]:
    """Describe a machine."""
    free, whole = node.get("free_ram_bytes"), node.get("ram_bytes")
    memory = f"{format_size(int(free))} free of " if free is not None else ""
    tasks = ", ".join(node.get("doing") or [])
    return field_lines(
        [
            ("node", plain(node.get("id"))),
            ("name", styled(node.get("name"), "strong")),
            ("state", state_runs(node_look(str(node.get("state"))), str(node.get("state")))),
            ("reason", styled(reason_text(node), "warning")),
            ("address", plain(node.get("address"))),
            ("does", plain(tasks)),
            ("tasks", plain(f"{node.get('running', 0)}" + (f" of {node['slots']}" if node.get("slots") else ""))),
            ("cores", plain(node.get("cores"))),
            ("load", plain(f"{float(node['load']):.1f}" if node.get("load") is not None else "")),
            ("memory", plain(memory + (format_size(int(whole)) if whole else ""))),
            ("disk", plain(f"{format_size(int(node['free_disk_bytes']))} free" if node.get("free_disk_bytes") else "")),
            ("store", plain(_store(node))),
            ("gpus", plain(gpu_text(node))),
            ("renderers", plain(renderer_text(node))),
            ("version", plain(node.get("software"))),
            ("seen", plain(_seen(node, moment))),
        ]
    )


def _seen(node: Row, moment: Moment) -> str:
    at_ms = node.get("last_seen_at_ms")
    if not at_ms or not is_away(node):
        return "now" if at_ms else ""
    return relative_time(int(at_ms), moment.now_ms)


def _store(node: Row) -> str:
    if node.get("store_bytes") is None:
        return ""
    quota = int(node.get("store_quota_bytes") or 0)
    return format_size(int(node["store_bytes"])) + (f" of {format_size(quota)}" if quota else ", no quota")


def task_lines(task: Row) -> list[Runs]:
    """Describe a task, with the last lines of its renderer."""
    cause = task.get("cause")
    lines = field_lines(
        [
            ("frame", styled(task.get("frames"), "strong")),
            ("task", plain(task.get("task"))),
            ("state", state_runs(task_look(str(task.get("state"))), str(task.get("state")))),
            ("cause", styled(_CAUSES.get(cause, cause) if cause else "", "failed")),
            ("what", plain(task.get("text"))),
            ("node", plain(task.get("node_name"))),
            ("attempt", plain(task.get("attempt"))),
            ("tries", plain(task.get("attempts"))),
            ("time", plain(format_duration(float(task["seconds"])) if task.get("seconds") is not None else "")),
            ("memory", plain(format_size(int(task["peak_ram_bytes"])) if task.get("peak_ram_bytes") else "")),
            ("outputs", plain(", ".join(str(output.get("name")) for output in task.get("outputs") or []))),
            ("copies", plain(task.get("copies"))),
            ("result", plain(task.get("result"))),
        ]
    )
    last = str(task.get("last_lines") or "").splitlines()
    if last:
        lines += [(), (Run("last lines", "muted"),), *[(Run(printable(line)),) for line in last[-12:]]]
    return lines


def _event(row: Row, moment: Moment) -> list[Runs]:
    at = datetime.fromtimestamp(int(row["at_ms"]) / 1000, UTC).astimezone()
    return field_lines(
        [
            ("when", plain(f"{at:%Y-%m-%d %H:%M:%S}, {relative_time(int(row['at_ms']), moment.now_ms)}")),
            ("what", styled(str(row.get("what") or "").replace("_", " "), "strong")),
            ("by", styled(row.get("actor"), "accent")),
            ("why", plain(row.get("why"))),
            ("job", plain(row.get("job"))),
            ("node", plain(row.get("node_name") or row.get("node"))),
            ("text", plain(row.get("text"))),
        ]
    )


def why_lines(document: Row, job: Row) -> list[Runs]:
    """Say why a job, or a frame of it, does not run: reasons, what to try, the machines that come nearest."""
    reasons = document.get("reasons") or []
    state = str(document.get("state") or job.get("state") or "")
    if not reasons:
        return [(Run("nothing waits", "strong"), Run(f": it is {printable(state)}", "plain"))]
    lines: list[Runs] = []
    for reason in reasons:
        count, frames = int(reason.get("count") or 0), str(reason.get("frames") or "")
        noun = "frame" if count == 1 else "frames"
        which = f"{noun} {frames}" if frames else counted(count, "frame") if count else "the job"
        glyph = reason_glyph(reason)
        style = "failed" if glyph == "✖" else "warning"
        lines.append((Run(f"{glyph} ", style), Run(f"{printable(which)}: ", "strong"), *plain(reason.get("text"))))
        if reason.get("hint"):
            lines.append((Run("  try: ", "muted"), *styled(reason["hint"], "accent")))
        lines += [
            (Run("    "), *styled(fit.get("text") or fit.get("node_name"), "muted"))
            for fit in reason.get("nearest") or []
        ]
        lines.append(())
    return lines[:-1]


def reason_glyph(reason: Row) -> str:
    """Return the mark beside a reason."""
    try:
        return REASON_WORDS[ReasonCode(str(reason.get("code")))].glyph
    except ValueError:
        return "○"


def farm_lines(farm: Row, nodes: Iterable[Row], checks: Iterable[Any], me: Row) -> list[Runs]:
    """Describe the farm: who leads, which versions there are, how full the disks are, what the node checked."""
    known = list(nodes)
    versions = [str(node.get("software") or "?") for node in known]
    states = [str(node.get("state")) for node in known]
    cores, ram = (sum(int(node.get(name) or 0) for node in known) for name in ("cores", "ram_bytes"))
    counts = farm.get("tasks") or {}
    lines: list[Runs] = [(Run("The farm", "strong"),)]
    lines += field_lines(
        [
            ("name", plain(farm.get("farm") or farm.get("name"))),
            (
                "leader",
                plain(f"{farm.get('leader_name') or farm.get('leader') or 'none yet'}, term {farm.get('term')}"),
            ),
            ("answers", plain(farm.get("node_name") or farm.get("node"))),
            ("you", plain(_me(me))),
            ("machines", plain(_counted_words(states))),
            (
                "versions",
                plain(", ".join(f"{one} on {versions.count(one)}" for one in dict.fromkeys(sorted(versions)))),
            ),
            ("together", plain(f"{cores} cores, {format_size(ram)} of memory")),
            ("tasks", plain(", ".join(f"{counts[name]} {name}" for name in counts if name != "total"))),
            ("disk", styled(farm.get("disk_fault"), "failed")),
        ]
    )
    told = [check for check in checks if isinstance(check, dict)]
    if told:
        lines += [(), (Run(f"What {farm.get('node_name') or 'the node'} checked", "strong"),)]
        for check in told:
            good = bool(check.get("ok"))
            mark = Run("● " if good else "✖ ", "completed" if good else "failed")
            lines.append(
                (mark, Run(f"{check.get('name', '')}".ljust(_NAME_CELLS + 1), "muted"), *plain(check.get("text")))
            )
            if not good and check.get("hint"):
                lines.append((Run(" " * (_NAME_CELLS + 3)), *styled(check["hint"], "accent")))
    return lines


def _me(me: Row) -> str:
    return f"{me.get('user')}, {me.get('role')}" if me.get("user") else ""


def _counted_words(words: list[str]) -> str:
    return ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(sorted(words)))


def help_lines(
    groups: list[tuple[str, list[tuple[str, str]]]], letters: list[tuple[str, str]], width: int
) -> list[Runs]:
    """Print the keys of a screen, in as many columns as fit.

    Args:
        groups: Headings with (keys, text), from the keymap.
        letters: (key, column) for sorting.
        width: Cells.
    """
    blocks: list[list[Runs]] = []
    if letters:
        groups = [
            *groups[:2],
            ("Sort; again turns round", [(key, title.casefold()) for key, title in letters]),
            *groups[2:],
        ]
    for heading, keys in groups:
        block: list[Runs] = [(Run(heading, "strong"),)]
        block += [(Run(f"  {key:<12} ", "accent"), Run(text, "plain")) for key, text in keys]
        blocks.append([*block, ()])
    if width < 76:
        return [line for block in blocks for line in block]
    return _side_by_side(blocks, width // 2)


def _side_by_side(blocks: list[list[Runs]], width: int) -> list[Runs]:
    from tui.looks import fitted

    half = sum(map(len, blocks)) / 2
    left: list[Runs] = []
    right: list[Runs] = []
    for block in blocks:
        (left if len(left) + len(block) / 2 <= half else right).extend(block)
    lines = max(len(left), len(right))
    left += [()] * (lines - len(left))
    right += [()] * (lines - len(right))
    return [(*fitted(one, width), *other) for one, other in zip(left, right, strict=True)]
