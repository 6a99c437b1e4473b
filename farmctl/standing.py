"""Where a job stands, in words: read from what a node of any version answers.

Used by the cards, which look once, and by following, which looks again and again; decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protocol.human import format_duration, format_progress
from protocol.states import JobState

if TYPE_CHECKING:
    from farmctl.output import View


def describe(view: View) -> str:
    """Say in one line where a job stands and what it waits for."""
    state = str(view.get("state", "unknown")).replace("_", " ")
    parts = [f"{state} {format_progress(int(view.get('done', 0)), int(view.get('total', 0)))}"]
    parts += [f"{view[name]} {name}" for name in ("running", "failed") if view.get(name)]
    if view.get("eta_s") is not None:
        parts.append(f"{format_duration(view['eta_s'])} left")
    text, hint = str(reason_of(view).get("text") or ""), str(reason_of(view).get("hint") or "")
    if text and view.get("state") != JobState.COMPLETED:
        parts.append(f"{text} ({hint})" if hint and not hint.startswith("nothing to do") else text)
    return ", ".join(parts)


def advice(view: View) -> str:
    """Say what a person has to do for the job to go on; "" if nothing."""
    job = view.get("id", "JOB")
    if view.get("state") == JobState.AWAITING_APPROVAL:
        return f"the test frames wait for you: farmctl job approve {job}   or   farmctl job reject {job}"
    if view.get("state") == JobState.PAUSED:
        why = view.get("why_stopped") or reason_of(view).get("text") or "it is paused"
        return f"{why}; go on with: farmctl job resume {job}"
    return ""


def results_done(view: View) -> int:
    """Count the done tasks, as `delivered` and `safe` do; `done` counts frames."""
    tasks = view.get("done_tasks")
    return int(tasks if tasks is not None else view.get("done") or 0)


def reason_of(view: View) -> dict[str, Any]:
    """Return why a job does not go on, with code, text and hint; empty if there is nothing to say."""
    return view.get("reason") or {}
