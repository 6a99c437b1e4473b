"""`farmctl task ...`: look at the pieces of a job."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.options import job_argument
from farmctl.selecting import select_job
from protocol.errors import UserError
from protocol.states import TaskState

if TYPE_CHECKING:
    from farmctl.output import View

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
@click.option("--limit", type=click.IntRange(0), default=200, show_default=True, help="So many at most; 0: all.")
@click.option("--offset", type=click.IntRange(0), default=0, help="Leave so many out first.")
@pass_session
def list_tasks(session: Session, job_word: str, state: str | None, limit: int, offset: int) -> None:
    """List the tasks of a job: where each stands, on which machine, and why it failed."""
    from farmctl.columns import TASKS

    job = select_job(session, job_word)
    tasks: list[View] = []
    while True:
        count = min(_PAGE, limit - len(tasks)) if limit else _PAGE
        document: View = session.call("task.list", job=job, state=state, offset=offset + len(tasks), limit=count)
        tasks += document["tasks"]
        if len(document["tasks"]) < count or len(tasks) in (limit, document["total"] - offset):
            break
    document["tasks"] = tasks
    session.printer.listing(document, TASKS)
    if offset + len(tasks) < document["total"] and session.printer.is_for_people:
        session.note(f"{len(tasks)} of {document['total']} tasks are shown; --limit 0 shows all")


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
