"""What is going on, on one screen: the farm in a word, its pace, what needs a person, what runs and what waits.

Made of the live feed, which any node answers and which tells only what has changed since: looking again costs next to
nothing. Decides nothing but the order in which things are shown.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from farmctl.columns import JOBS, duration, job_state
from farmctl.output import Column, fields, paint
from protocol.farmword import farm_word
from protocol.feed import FarmPicture, away_s
from protocol.human import counted, format_duration, printable, relative_time
from protocol.states import JOB_TERMINAL, JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from farmctl.output import Printer, View

SCHEMA: Final = "farm.status.v1"
SHOWN_JOBS: Final = 12
SHOWN_ALERTS: Final = 6
_JOB_FRAME_ROWS: Final = 4
"""A blank line, the heading, what is left out, and the line where the cursor is."""
_BARS: Final = "▁▂▃▄▅▆▇█"
_MARKS: Final = {"error": ("✖", "red"), "warning": ("▲", "yellow"), "info": ("●", "blue")}
_COLOURS: Final = {"failed": "red", "warning": "yellow", "running": "blue", "pending": "yellow", "completed": "green"}
_URGENCY: Final = {
    state: place
    for place, state in enumerate(
        (
            JobState.AWAITING_APPROVAL,
            JobState.RENDERING,
            JobState.TESTING,
            JobState.PREPARING,
            JobState.QUEUED,
            JobState.PAUSED,
        )
    )
}
"""What a person wants to see first."""
_TITLES: Final = ("ID", "NAME", "STATE", "DONE", "RUNNING", "FAILED", "OWNER", "REASON")
_LEFT: Final = Column("LEFT", duration("eta_s"), spare=2, right=True)
_COLUMNS: Final = [column for column in JOBS.columns if column.title in _TITLES]
_COLUMNS.insert(4, _LEFT)


class Overview:
    """The farm as it is now, asked for again and again."""

    def __init__(self) -> None:
        self._picture = FarmPicture()

    def look(self, call: Callable[..., View], patience_s: float = 0.0) -> View:
        """Ask for what is new, and return the whole; waits for news if there is none.

        Raises:
            UserError: What the node says, or that it does not answer.
        """
        picture = self._picture
        picture.apply(call("farm.feed", **picture.question(0.0 if picture.wants_more else patience_s)))
        while picture.wants_more:
            picture.apply(call("farm.feed", **picture.question(0.0)))
        return document_of(picture)


def document_of(picture: FarmPicture) -> View:
    """Make the document: that of `farm.status`, with what the feed knows besides."""
    farm = picture.farm
    seen = [node | {"last_seen_s": away_s(node, picture.as_of_ms)} for node in picture.nodes.values()]
    nodes = sorted(seen, key=lambda node: (str(node.get("name")), node["id"]))
    jobs = picture.jobs.values()
    # Without lists of frames they are no whole documents, so they do not say that they are.
    active = [{k: v for k, v in job.items() if k != "schema"} for job in jobs if job.get("state") not in JOB_TERMINAL]
    active.sort(key=lambda job: (_urgency(job), -int(job.get("priority") or 0), int(job.get("submitted_ms") or 0)))
    same = (
        "node", "node_name", "leader", "leader_name", "term", "jobs", "tasks", "disk_fault", "alerts", "alert_count",
        "pace",
    )  # fmt: skip
    return {
        "schema": SCHEMA,
        "farm": farm.get("name", ""),
        **{name: farm[name] for name in same if name in farm},
        "as_of_ms": picture.as_of_ms,
        "nodes": nodes,
        "active_jobs": active,
    }


def _urgency(job: View) -> int:
    try:
        return _URGENCY.get(JobState(str(job.get("state"))), len(_URGENCY))
    except ValueError:
        return len(_URGENCY)


def overview_lines(printer: Printer, farm: View, now_ms: int, rows: int | None = None) -> list[str]:
    """Lay the screen out; with `rows`, as many jobs as such a terminal has room for."""
    word, colour = word_of(farm)
    head = [f"{printable(str(farm.get('farm') or 'farm'))}  {paint(word, colour)}", ""]
    head += [*fields(_facts(farm, now_ms)), *_alerts(farm)]
    room = SHOWN_JOBS if rows is None else max(1, min(SHOWN_JOBS, rows - len(head) - _JOB_FRAME_ROWS))
    return [*head, *_jobs(printer, farm, room)]


def word_of(farm: View) -> tuple[str, str]:
    """Say in one word how the farm is, and in which colour."""
    word = farm_word(farm, farm.get("nodes") or [])
    return str(word), _COLOURS.get(word.tone, "")


def _facts(farm: View, now_ms: int) -> list[tuple[str, str]]:
    nodes, counts, tasks = farm.get("nodes") or [], farm.get("jobs") or {}, farm.get("tasks") or {}
    states = Counter(str(node.get("state")) for node in nodes)
    leader = f"{farm.get('leader_name') or farm.get('leader')}, term {farm.get('term')}" if farm.get("leader") else ""
    asked = f"{farm.get('node_name') or farm.get('node')}, {relative_time(int(farm.get('as_of_ms') or 0), now_ms)}"
    return [
        ("leader", printable(leader) or "none yet (electing)"),
        ("machines", _counted(len(nodes), states)),
        ("jobs", _counted(int(counts.get("total") or 0), counts)),
        ("tasks", _counted(int(tasks.get("total") or 0), tasks) if tasks else ""),
        ("pace", _pace(farm.get("pace") or {})),
        ("disk", printable(str(farm.get("disk_fault") or ""))),
        ("answered by", printable(asked)),
    ]


def _counted(total: int, parts: dict[str, int]) -> str:
    told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in parts.items() if count and name != "total")
    return f"{total}: {told}" if told else str(total)


def _pace(pace: View) -> str:
    frames, bucket_s = pace.get("frames") or [], float(pace.get("bucket_s") or 0)
    if not frames or not any(frames):
        return ""
    most = max(frames)
    steps = [1 + (len(_BARS) - 2) * count // most if count else 0 for count in frames[-30:]]
    line = "".join(_BARS[step] for step in steps).lstrip(_BARS[0])
    return f"{line}  {counted(sum(frames), 'frame')} in the last {format_duration(bucket_s * len(frames))}"


def _alerts(farm: View) -> Iterator[str]:
    alerts = farm.get("alerts") or []
    if alerts:
        yield ""
    for alert in alerts[:SHOWN_ALERTS]:
        mark, colour = _MARKS.get(str(alert.get("level")), ("●", ""))
        yield paint(f"{mark} {printable(str(alert.get('text') or ''))}", colour)
        if alert.get("hint"):
            yield f"    try: {printable(str(alert['hint']))}"
    count = max(len(alerts), int(farm.get("alert_count") or 0))
    if count > SHOWN_ALERTS:
        yield f"  … and {count - SHOWN_ALERTS} more: farmctl status -o json"


def _jobs(printer: Printer, farm: View, most: int) -> Iterator[str]:
    jobs = farm.get("active_jobs") or []
    if not jobs:
        return
    yield ""
    yield from printer.table_lines(jobs[:most], _COLUMNS)
    if len(jobs) > most:
        hidden = Counter(job_state(job, 0) for job in jobs[most:])
        yield f"… and {len(jobs) - most} more ({', '.join(f'{n} {s}' for s, n in hidden.items())}): farmctl job list"
