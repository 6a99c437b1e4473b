"""`farmctl why`: the answer to "why is it not running?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from farmctl.columns import result_text
from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.options import job_argument
from farmctl.selecting import select_job
from protocol.human import counted, printable
from protocol.reasons import REASON_WORDS, ReasonCode
from protocol.states import TaskState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmctl.output import View


@click.command("why", cls=Verb, examples=("farmctl why JOB", "farmctl why JOB --frame 12"))
@job_argument
@click.option("--frame", type=int, help="Only this frame.")
@pass_session
def why(session: Session, job_word: str, frame: int | None) -> None:
    """Say why a job, or one frame of it, does not run, and what can be done.

    Names the machines that come nearest, with the requirement that each fails.
    """
    asked = {} if frame is None else {"frame": frame}
    document: View = session.call("why", job=select_job(session, job_word), **asked)
    reasons = document.get("reasons") or []
    failed = session.printer.is_for_people and any(item.get("code") == ReasonCode.GATE_FAILED for item in reasons)
    faults = _faults(session.call("job.show", job=document.get("job"))) if failed else []
    session.printer.one(document, str(document.get("job", "")), lambda told, _now_ms: _lines(told, faults))


def _faults(job: View) -> list[str]:
    """Say why test frames failed, a line each."""
    tests = (job.get("gate") or {}).get("test_frames") or []
    failed = [test for test in tests if test.get("state") == TaskState.FAILED and test.get("text")]
    return [f"    frame {test.get('frame')}: {printable(str(test['text']))}" for test in failed]


def _lines(document: View, faults: list[str]) -> Iterator[str]:
    reasons = document.get("reasons") or []
    task = document.get("task") or {}
    if task and not reasons:
        where = result_text(task)
        names = ", ".join(str(node.get("name")) for node in task.get("holders") or [])
        there = f", and its result is {where}" if where else ""
        yield printable(f"it is {task.get('state')}{there}" + (f" (on {names})" if names else ""))
    elif not reasons:
        yield f"nothing waits: the job is {printable(str(document.get('state', '')))}"
    for reason in reasons:
        count = int(reason.get("count") or 0)
        frames = printable(str(reason.get("frames") or ""))
        which = (
            f"{'frame' if count == 1 else 'frames'} {frames}" if frames else counted(count, "frame") if count else "job"
        )
        yield f"{_glyph(reason)} {which}: {printable(str(reason.get('text', '')))}"
        if reason.get("code") == ReasonCode.GATE_FAILED:
            yield from faults
        if reason.get("hint"):
            yield f"    try: {printable(str(reason['hint']))}"
        for fit in reason.get("nearest") or []:
            yield f"    {printable(str(fit.get('text') or fit.get('node_name') or ''))}"


def _glyph(reason: View) -> str:
    try:
        return REASON_WORDS[ReasonCode(str(reason.get("code")))].glyph
    except ValueError:
        return "○"
