"""`farmctl job edit|archive|unarchive`: what is done with jobs after they were submitted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import click

from farmctl.changing import Order, carry_out, change
from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.options import change_options, jobs_argument
from farmctl.revising import changes_line
from farmctl.selecting import select_jobs
from protocol.errors import UsageError
from protocol.human import parse_duration, parse_size
from protocol.jobedits import FIELDS, LABEL, check_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmctl.output import View

_FIELD_OF: Final = {
    "ram": "ram_bytes",
    "vram": "vram_bytes",
    "version": "renderer_version",
    "frame_timeout": "frame_timeout_s",
    "silence": "silence_s",
    "output": "output_dir",
}
"""Fields that their options are not called by."""
_OPTIONS: Final = (
    click.option("--priority", type=click.IntRange(0, 100), metavar="N", help="Larger goes first."),
    click.option("--ram", type=parse_size, metavar="SIZE", help="Memory that a task needs: 8G."),
    click.option("--cores", type=click.IntRange(0), metavar="N", help="Processor cores that a task needs."),
    click.option("--gpus", type=click.IntRange(0), metavar="N", help="GPUs that a task needs."),
    click.option("--vram", type=parse_size, metavar="SIZE", help="Memory that each GPU needs: 12G."),
    click.option("--version", metavar="TEXT", help="Version that the renderer must have: 4.2."),
    click.option("--retries", type=click.IntRange(0, 100), metavar="N", help="How often a failed task is tried again."),
    click.option(
        "--frame-timeout", "--timeout", "frame_timeout", type=parse_duration, metavar="TIME", help="Of one frame: 2h."
    ),
    click.option("--silence", type=parse_duration, metavar="TIME", help="How long a frame may say nothing: 30m."),
    click.option("--name", metavar="TEXT", help="Name of the job."),
    click.option("--project", metavar="TEXT", help="What its cost counts for."),
    click.option("--label", multiple=True, metavar="NAME=VALUE", help="A label; without a value it is taken away."),
    click.option("--output", metavar="DIR", help="Folder for results that are still to come; '' keeps them here."),
    click.option("--reset", multiple=True, metavar="FIELD", help="As it was submitted: ram, name, label.shot."),
)


def _with_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.command(
    "edit",
    cls=Verb,
    examples=(
        "farmctl job edit JOB --ram 16G --retries 5",
        "farmctl job edit --filter 'project=ad,state=queued' --priority 80 --why 'client is waiting'",
        "farmctl job edit JOB --project dragon --label shot=s010",
        "farmctl job edit JOB --reset ram",
    ),
)
@jobs_argument
@_with_options
@change_options
@pass_session
def edit(session: Session, /, words: tuple[str, ...], why: str, **given: Any) -> int:
    """Change what jobs need, may, and are called, after they were submitted.

    A change counts from the next try of a frame on: what runs goes on as it was started, what is delivered stays where
    it is. Anybody who may steer the job can change it on any machine; farmctl job show says who did, and what was
    submitted. Frames, scene and command stay as they are: farmctl job resubmit makes a new job with others.
    """
    changes = changes_of(given)
    if not changes:
        raise UsageError("there is nothing to change", "no field is named", "farmctl job edit JOB --ram 16G")

    def ask(job: str) -> View:
        answer: View = session.call("job.edit", job=job, changes=changes, why=why, dry_run=session.dry_run)
        answer.pop("schema", None)
        done = answer.pop("changed", [])
        return {"job": job, "action": "edit"} | answer | {"changed": bool(done), "changes": done}

    return carry_out(session, select_jobs(session, words), Order("edit"), ask, changes_line)


def changes_of(given: dict[str, Any]) -> dict[str, Any]:
    """Make the changes of a request of options by their names.

    Raises:
        UsageError: A label or a field cannot be read.
    """
    plain = {
        _FIELD_OF.get(name, name): value
        for name, value in given.items()
        if value is not None and name not in ("label", "reset")
    }
    changes = {name: _plain(name, value) for name, value in plain.items()}
    for pair in given["label"]:
        label, equals, value = pair.partition("=")
        if not equals or not label:
            raise UsageError(
                f"cannot read the label {pair[:80]!r}", "it is no name and value", "write --label shot=s010"
            )
        changes[LABEL + label] = value
    for word in given["reset"]:
        field = LABEL + word.removeprefix("label.") if word.startswith("label.") else _field_of(word)
        check_name(field)
        changes[field] = None
    return changes


def _field_of(word: str) -> str:
    name = word.replace("-", "_")
    return name if name in FIELDS else _FIELD_OF.get(name, name)


def _plain(name: str, value: Any) -> Any:
    if name == "output_dir" and value:
        from farmctl.submission import absolute_folder

        return absolute_folder(value)
    return math.ceil(value) if isinstance(value, float) else value


@click.command(
    "archive",
    cls=Verb,
    examples=("farmctl job archive JOB", "farmctl job archive --filter 'state=completed,ended>30d'"),
)
@jobs_argument
@change_options
@pass_session
def archive(session: Session, words: tuple[str, ...], why: str) -> int:
    """Put ended jobs away: they leave the lists, and stay with all results, logs and costs.

    farmctl job list --archived shows them. A retry brings a job back by itself, farmctl job unarchive without one.
    """
    return change(session, select_jobs(session, words), "archive", why=why)


@click.command("unarchive", cls=Verb, examples=("farmctl job unarchive JOB",))
@jobs_argument
@change_options
@pass_session
def unarchive(session: Session, words: tuple[str, ...], why: str) -> int:
    """Bring jobs back into the lists."""
    return change(session, select_jobs(session, words, archived="only"), "unarchive", why=why)
