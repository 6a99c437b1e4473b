"""What clients can ask of logs, and what they are shown.

    log.tail    the last lines, or those before an offset: `lines`, `before`, `since_ms`, `numbers`
    log.read    lines from an offset on: `offset`, `lines`, `since_ms`, `numbers`
    log.find    lines that match: `pattern` (`regex`, `ignore_case`) or `errors`; `from`, `backwards`, `limit`, `context`,
                `since_ms`; fewer matches than there are, and not `complete`, where they weigh more than a message may
    log.follow  as log.read, but answered when the log is larger than `size`, or its attempt has ended, or after
                `patience_s`; at most four answers a second
    log.list    the attempts of a job or of a task, with what their logs weigh (`farmd.core.loglists`)
    logs        bytes as they are: `offset` (negative = from the end), `limit`

Each names a `job` and one of `task`, `frame`, `attempt`; without one the attempt is meant that has most to tell. The
answer (farm.log.v1) holds lines that are harmless to print, with the offset, number, time and level of each, and
`next`, the offset to go on with. `ended` is true only if nothing more can follow. Of a node that does not answer the
answer says so in `away`, with the last lines that were spread when the attempt failed.

Called by `farmd.core.logs`.
"""

from __future__ import annotations

from itertools import chain
from math import inf
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from farmd.core.arguments import job_of, number_of, seconds_of, task_of, text_of
from protocol.errors import NotFound, UsageError
from protocol.frames import FrameSet
from protocol.ids import TaskIndex
from protocol.logquery import MAX_CONTEXT, MAX_LINES, MAX_PATTERN, How, LogQuery
from protocol.logtext import harmless_lines
from protocol.states import AttemptState, word_of

if TYPE_CHECKING:
    from farmd.core.attempts import Attempt
    from farmd.core.events import ClientAsked
    from farmd.core.job import Job
    from farmd.core.node import Node
    from farmd.core.turn import Instant
    from protocol.logquery import LogExcerpt, LogLine

LIMIT_BYTES = 256 << 10
DEFAULT_LINES = 1000
DEFAULT_MATCHES = 100
FOLLOW_S = 20.0
SHOWN_LETTERS = 80
"""So much of a list of frames is told to a person."""
_URGENT = (AttemptState.FAILED, AttemptState.RUNNING)
_NEWEST = attrgetter("started_ms", "id")
_DIGITS = 20


def find_attempt(node: Node, event: ClientAsked) -> tuple[Job, Attempt]:
    """Find the attempt whose log a client means: as named, else the newest; of a job, running and failed ones first.

    Raises:
        NotFound: There is no such job, task or attempt, or nothing of it has run.
    """
    job = job_of(node, event)
    task = named_task(job, event)
    wanted = text_of(event, "attempt", "")
    if wanted:
        return job, _attempt_named(job, task, wanted)
    attempts = list(job.tasks.attempts() if task is None else job.tasks.attempts_of(task))
    urgent = [attempt for attempt in attempts if attempt.state in _URGENT]
    found = max(urgent or attempts, key=_NEWEST, default=None)
    if found is None:
        raise _nothing_yet(job, task)
    return job, found


def _attempt_named(job: Job, task: TaskIndex | None, wanted: str) -> Attempt:
    """Find an attempt by its id; whoever follows one asks four times a second and need not name its task."""
    running = (attempt for attempt in job.running.values() if task in (None, attempt.task))
    others = job.tasks.attempts() if task is None else job.tasks.attempts_of(task)
    number = wanted.rpartition(".")[2]
    n = int(number) if number.isdecimal() and len(number) < _DIGITS else -1  # to compare numbers is ten times faster
    found = next((each for each in chain(running, others) if each.id.n == n and str(each.id) == wanted), None)
    if found is None:
        raise NotFound(f"job {job.id} has no attempt {wanted}", "", f"farmctl logs {job.id} --list")
    return found


def named_task(job: Job, event: ClientAsked) -> TaskIndex | None:
    """Find the task that a client names by number or by frame, if it does.

    Raises:
        NotFound: The job has no such frame.
    """
    task, frame = event.args.get("task"), event.args.get("frame")
    if type(task) is int:
        return TaskIndex(task)
    return task_of(job, frame) if type(frame) is int else None


def query_of(event: ClientAsked, renderer: str) -> LogQuery:
    """Read what is asked, checked and cut to what is allowed.

    Raises:
        UsageError: An argument makes no sense.
    """
    query = LogQuery(
        how=int(How.NUMBERS) if event.args.get("numbers") else 0,
        lines=max(0, min(number_of(event, "lines", DEFAULT_LINES), MAX_LINES)),
        since_ms=max(0, number_of(event, "since_ms", 0)),
        renderer=renderer,
    )
    match event.op:
        case "log.tail":
            return query._replace(how=query.how | How.BACKWARDS, offset=number_of(event, "before", -1))
        case "log.find":
            return _search_of(event, query)
        case "log.follow":
            offset = max(0, number_of(event, "offset", 0))
            wait_ms = int(1000 * seconds_of(event, "patience_s", FOLLOW_S))
            return query._replace(offset=offset, size=max(0, number_of(event, "size", offset)), wait_ms=wait_ms)
        case _:
            return query._replace(offset=max(0, number_of(event, "offset", 0)))


def _search_of(event: ClientAsked, query: LogQuery) -> LogQuery:
    how, errors = How(query.how) | How.FIND, bool(event.args.get("errors"))
    pattern = "" if errors else text_of(event, "pattern")
    if len(pattern) > MAX_PATTERN:
        raise UsageError("the pattern is too long", f"it has {len(pattern)} letters, {MAX_PATTERN} are allowed", "")
    ignore = event.args.get("ignore_case")
    if ignore if isinstance(ignore, bool) else pattern == pattern.lower():
        how |= How.IGNORE_CASE
    for name, flag in (("errors", How.ERRORS), ("regex", How.REGEX), ("backwards", How.BACKWARDS)):
        how |= flag if event.args.get(name) else How(0)
    return query._replace(
        how=int(how),
        offset=number_of(event, "from", -1 if How.BACKWARDS in how else 0),
        lines=max(1, min(number_of(event, "limit", DEFAULT_MATCHES), MAX_LINES)),
        pattern=pattern,
        context=max(0, min(number_of(event, "context", 0), MAX_CONTEXT)),
    )


# -- what is shown ------------------------------------------------------------------------------------------------


def attempt_view(node: Node, job: Job, attempt: Attempt) -> dict[str, Any]:
    """Name an attempt and say where it ran."""
    return {
        "job": job.id,
        "task": attempt.task,
        "frames": str(FrameSet.of(job.plan.frames_of(attempt.task))),
        "attempt": str(attempt.id),
        "node": attempt.node,
        "node_name": node.registry.name_of(attempt.node),
        "state": word_of(attempt.state),
    }


def excerpt_view(node: Node, job: Job, attempt: Attempt, excerpt: LogExcerpt) -> dict[str, Any]:
    """Show lines of a log."""
    known = next((one for one in job.tasks.attempts_of(attempt.task) if one.id == attempt.id), attempt)
    gossiped = [] if excerpt.found else _last_lines(known)
    return {
        "schema": "farm.log.v1",
        **attempt_view(node, job, known),
        "ended": not excerpt.running,
        "found": excerpt.found,
        "away": None,
        "size": excerpt.size,
        "lines": [_line_view(line) for line in excerpt.lines] or gossiped,
        "next": excerpt.next,
        "complete": excerpt.complete,
        "partial": excerpt.partial,
    }


def _line_view(line: LogLine) -> dict[str, Any]:
    return {
        "offset": line.offset,
        "next": line.next,
        "number": line.number or None,
        "at_ms": line.at_ms or None,
        "text": line.text,
        "level": line.level,
        "cut": line.cut,
        "match": line.match,
        "spans": [list(span) for span in line.spans],
    }


def away_view(node: Node, job: Job, attempt: Attempt, now: Instant) -> dict[str, Any]:
    """Say that the node which has a log does not answer, since when, and what is known without it."""
    member = node.membership.members().get(attempt.node)
    known = member is not None and member.seen_at > -inf
    since_ms = now.wall_ms - int(1000 * (now.mono - member.since)) if member is not None and known else None
    return {
        "schema": "farm.log.v1",
        **attempt_view(node, job, attempt),
        "ended": attempt.state != AttemptState.RUNNING,
        "found": False,
        "away": {
            "node": attempt.node,
            "node_name": node.registry.name_of(attempt.node),
            "since_ms": since_ms,
            "why": _why_away(word_of(member.state) if member is not None and known else ""),
        },
        "size": 0,
        "lines": _last_lines(attempt),
        "next": 0,
        "complete": True,
        "partial": False,
    }


def _why_away(state: str) -> str:
    if not state:
        return "it was not seen since this node started"
    return "it was shut down" if state == "left" else "it does not answer"


def _last_lines(attempt: Attempt) -> list[dict[str, Any]]:
    return [
        {"offset": None, "next": None, "number": None, "at_ms": None, "text": text}
        | {"level": "", "cut": 0, "match": False, "spans": []}
        for text in harmless_lines(attempt.body.last_lines)
        if attempt.body.last_lines
    ]


def _nothing_yet(job: Job, task: int | None) -> NotFound:
    """Say that a task has not run yet, and which have."""
    ran = [index for index in job.tasks.touched() if job.tasks.attempts_of(index)]
    if task is None or task in ran or not ran:
        return NotFound(f"job {job.id} has no log yet", "nothing of it has run", f"farmctl why {job.id}")
    if not job.has_task(TaskIndex(task)):
        return NotFound(f"job {job.id} has no task {task}", "", f"farmctl task list {job.id}")
    frames = FrameSet.of(job.plan.frames_of(TaskIndex(task)))
    name = f"frame {frames} has" if len(frames) == 1 else f"frames {frames} have"
    shown = str(FrameSet.of(frame for index in ran for frame in job.plan.frames_of(index)))
    if len(shown) > SHOWN_LETTERS:
        shown = shown[:SHOWN_LETTERS].rpartition(",")[0] + " and more"
    why = f"these have: {shown}"
    return NotFound(f"{name} not run yet", why, f"farmctl why {job.id} --frame {frames.first}")
