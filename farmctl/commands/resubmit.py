"""`farmctl job resubmit`: a new job made of an old one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from farmctl.again import again_options, submit_again
from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.options import DRY_RUN, job_argument
from farmctl.revising import only_frames, split_words, with_words
from farmctl.selecting import select_job
from protocol.errors import UsageError, UserError
from protocol.frames import parse_frames
from protocol.jobspec import spec_from_bytes

if TYPE_CHECKING:
    from farmctl.output import View
    from protocol.exitcodes import ExitCode
    from protocol.jobspec import JobSpec


@click.command(
    "resubmit",
    cls=Verb,
    examples=(
        "farmctl job resubmit JOB",
        "farmctl job resubmit JOB --with frames=1-10 --with ram=16G --with param.samples=256",
        "farmctl job resubmit JOB --failed --wait",
    ),
)
@job_argument
@click.option("--with", "pairs", multiple=True, metavar="WORD=VALUE", help="What is otherwise: frames=1-10, ram=16G.")
@click.option("--failed", is_flag=True, help="Only the frames that failed.")
@again_options
@DRY_RUN
@pass_session
def resubmit(
    session: Session, /, job_word: str, pairs: tuple[str, ...], *, failed: bool, **wish: Any
) -> ExitCode | None:
    """Submit a job again, with what is otherwise; its files are in the farm and are not sent again.

    What was changed since the old job was submitted goes into the new one. Words: frames, chunk, ram, vram, cores, gpus,
    version, retries, frame-timeout, silence, priority, name, project, output, output-name, command, renderer, gate,
    test-frames, label.NAME and param.NAME. The old job stays as it is; the new one waits for no other job.
    """
    said = split_words(pairs)
    if failed and "frames" in said:
        raise UsageError("--failed and frames exclude one another", "both say which frames", "leave one out")
    job = select_job(session, job_word)
    spec = spec_from_bytes(session.call("job.spec", job=job)["spec"])
    view: View = session.call("job.show", job=job)
    spec = replace(spec, after=(), priority=int(view.get("priority", spec.priority)))
    if failed:
        spec = _failed_only(spec, view)
    return submit_again(session, with_words(spec, said), (wish["wait"], wish["timeout"], wish["stop_at_gate"]))


def _failed_only(spec: JobSpec, view: View) -> JobSpec:
    frames = str(view.get("failed_frames") or "")
    if not frames:
        raise UserError(
            f"no frame of job {view.get('id')} has failed", f"it is {view.get('state')}", "leave --failed out"
        )
    return only_frames(spec, parse_frames(frames))
