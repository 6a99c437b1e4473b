"""`farmctl task list|show|retry|logs|thumbnail`: the pieces of a job."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.options import SORT, change_options, filter_option, job_argument, wait_options
from farmctl.selecting import keep_chosen, select_job
from protocol.errors import UsageError, UserError
from protocol.states import TaskState

if TYPE_CHECKING:
    from farmctl.output import View
    from protocol.exitcodes import ExitCode

_PAGE: Final = 1_000


@click.command(
    "list",
    cls=Verb,
    examples=(
        "farmctl task list JOB",
        "farmctl task list JOB --state failed -o wide",
        "farmctl task list JOB --limit 0",
    ),
)
@job_argument
@click.option("--state", type=click.Choice([state.value for state in TaskState]), default=None, help="Only this state.")
@filter_option("attempts>1,node=ws07,memory>8G: all must hold; without --limit, as --sort is.")
@SORT
@click.option("--limit", type=click.IntRange(0), default=200, show_default=True, help="So many at most; 0: all.")
@click.option("--offset", type=click.IntRange(0), default=0, help="Leave so many out first.")
@pass_session
def list_tasks(session: Session, /, job_word: str, state: str | None, sort: str | None, **page: int) -> None:
    """List the tasks of a job: where each stands, on which machine, and why it failed."""
    from farmctl.columns import TASKS
    from farmctl.sorting import sort_rows
    from protocol.filters import TASK_FIELDS

    job = select_job(session, job_word)
    limit, offset = 0 if session.chosen or sort else page["limit"], page["offset"]
    tasks: list[View] = []
    while True:
        count = min(_PAGE, limit - len(tasks)) if limit else _PAGE
        document: View = session.call("task.list", job=job, state=state, offset=offset + len(tasks), limit=count)
        tasks += document["tasks"]
        if len(document["tasks"]) < count or len(tasks) in (limit, document["total"] - offset):
            break
    document["tasks"] = sort_rows(keep_chosen(session, tasks, TASK_FIELDS), sort, TASK_FIELDS)
    session.printer.listing(document, TASKS)
    if offset + len(tasks) < document["total"] and session.printer.is_for_people:
        session.note(f"{len(tasks)} of {document['total']} tasks are shown; --limit 0 shows all")


@click.command(
    "show",
    cls=Verb,
    examples=("farmctl task show JOB 12", "farmctl task show JOB --task 3 -o json | jq .tries"),
)
@job_argument
@click.argument("frame", type=int, required=False)
@click.option("--task", type=click.IntRange(0), help="The task of this number, instead of a frame.")
@pass_session
def show(session: Session, job_word: str, frame: int | None, task: int | None) -> None:
    """Show the task of FRAME: every try of it, where and how long, what went wrong, and why it waits."""
    from farmctl.taskcard import task_card

    which = _which(frame, task)
    document: View = session.call("task.show", job=select_job(session, job_word), **which)
    session.printer.one(document, str(document.get("index", "")), task_card)


def _which(frame: int | None, task: int | None) -> dict[str, int]:
    """Say which task is meant.

    Raises:
        UsageError: Neither a frame nor a task is named, or both.
    """
    if (frame is None) is (task is None):
        raise UsageError(
            "one task is needed here", "name a frame of it, or its number", "farmctl task show JOB 12, or --task 3"
        )
    return {"frame": frame} if frame is not None else {"task": task or 0}


@click.command(
    "retry",
    cls=Verb,
    examples=("farmctl task retry JOB 7,12-14 --why 'fireflies'", "farmctl task retry JOB 7 --wait"),
)
@job_argument
@click.argument("frames")
@change_options
@click.option("--wait", is_flag=True, help="Wait until the job has ended; its end is the exit code.")
@wait_options
@pass_session
def retry(session: Session, /, job_word: str, frames: str, why: str, **wish: Any) -> int | ExitCode:
    """Render the tasks of FRAMES again, even those that are done."""
    from farmctl.changing import change_and_wait
    from protocol.frames import parse_frames

    jobs = [select_job(session, job_word)]
    return change_and_wait(session, jobs, "retry", wish, why=why, frames=str(parse_frames(frames)))


@click.command(
    "thumbnail",
    cls=Verb,
    formats=False,
    examples=(
        "farmctl task thumbnail JOB 12",
        "farmctl task thumbnail JOB 12 -o /tmp/f12.jpg",
        "farmctl task thumbnail JOB 12 -o - | chafa",
    ),
)
@job_argument
@click.argument("frame", type=int)
@click.option("-o", "--output", metavar="FILE", help="Where to write it, - is stdout; else JOB.FRAME.jpg here.")
@pass_session
def thumbnail(session: Session, job_word: str, frame: int, output: str | None) -> None:
    """Fetch a small view (JPEG) of a finished frame, from whichever machine has it.

    Thumbnails are made where a frame was rendered. Those of test frames are on every machine at once. A file that is
    there already and holds something else is not overwritten.
    """
    job = select_job(session, job_word)
    shown: View = session.call("task.thumbnail", job=job, frame=frame)
    data: bytes = shown["data"]
    if output == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    path = Path(output or f"{job}.{frame:04d}.jpg")
    _write_new(path, data)
    click.echo(str(path))


def _write_new(path: Path, data: bytes) -> None:
    """Write a file unless another one is there.

    Raises:
        UserError: One is.
    """
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError as error:
        if not path.is_file() or path.read_bytes() != data:
            raise UserError(f"{path} exists and is a different file", "", "choose another name: -o FILE") from error
