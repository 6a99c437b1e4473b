"""`farmctl logs`: what a renderer printed, from the machine where it ran."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.options import job_argument
from farmctl.selecting import select_job
from protocol.errors import NotFound, UsageError
from protocol.states import JOB_TERMINAL

if TYPE_CHECKING:
    from farmctl.output import View

_CHUNK_BYTES: Final = 256 << 10
_LINE_BYTES: Final = 256
"""A tail is looked for in so many bytes for each line that is wanted; longer lines give fewer of them."""
_POLL_S: Final = 0.5
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@click.command(
    "logs",
    cls=Verb,
    formats=False,
    examples=("farmctl logs JOB --frame 12", "farmctl logs JOB --frame 12 --tail 50", "farmctl logs JOB --task 3 -f"),
)
@job_argument
@click.option("--frame", type=int, help="The task of this frame.")
@click.option("--task", type=click.IntRange(0), help="The task of this number; see farmctl task list.")
@click.option("--attempt", metavar="ID", help="An earlier try; else the last one.")
@click.option("-f", "--follow", is_flag=True, help="Go on printing until the attempt ends.")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="The last N lines only.")
@pass_session
def logs(session: Session, /, job_word: str, tail: int | None, *, follow: bool, **which: Any) -> None:
    """Show what the renderer of a task printed.

    Without --frame and --task, the task that ran last.
    """
    if which["frame"] is not None and which["task"] is not None:
        raise UsageError("--frame and --task exclude one another", "both name a task", "leave one out")
    asked = {"job": select_job(session, job_word)} | {name: value for name, value in which.items() if value is not None}
    answer = _first(session, asked, follow=follow)
    if answer.get("attempt"):
        asked["attempt"] = answer["attempt"]  # a later attempt has a log of its own
    session.note(f"{answer.get('node_name', '')}, attempt {answer.get('attempt', '')}")
    offset = _print_tail(session, asked, answer, tail) if tail is not None else 0
    while True:
        answer = session.call("logs", **asked, offset=offset, limit=_CHUNK_BYTES)
        _write(answer["data"])
        offset += len(answer["data"])
        if not answer["data"]:
            if answer.get("ended") or not follow:
                return
            session.pause(_POLL_S)


def _first(session: Session, asked: View, *, follow: bool) -> View:
    """Ask whether there is a log; wait for one if it shall be followed.

    Raises:
        NotFound: There is none.
    """
    job = asked["job"]
    while True:
        try:
            answer: View = session.call("logs", **asked, offset=0, limit=0)
            nothing = NotFound("there is no log", "nothing of it has run yet", f"farmctl why {job}")
            if answer["found"]:
                return answer
        except NotFound as error:
            nothing = error
        if not follow or session.call("job.show", job=job)["state"] in JOB_TERMINAL:
            raise nothing
        session.pause(_POLL_S)


def _print_tail(session: Session, asked: View, answer: View, tail: int) -> int:
    """Print the last lines and return where the log goes on."""
    size = int(answer.get("size") or 0)
    begin = max(0, size - max(tail * _LINE_BYTES, 4096)) if tail else size
    data, offset = b"", begin
    while offset < size:
        part: bytes = session.call("logs", **asked, offset=offset, limit=min(_CHUNK_BYTES, size - offset))["data"]
        if not part:
            break
        data, offset = data + part, offset + len(part)
    lines = data.splitlines(keepends=True)
    whole = lines if begin == 0 else lines[1:] or lines  # the first one may be cut
    _write(b"".join(whole[-tail:]) if tail else b"")
    return offset


def _write(data: bytes) -> None:
    """Print bytes of a log: as they are into a pipe or a file, harmless on a terminal."""
    stream = sys.stdout.buffer
    if stream.isatty():
        data = _CONTROLS.sub("\ufffd", data.decode(errors="replace").replace("\r\n", "\n")).encode()
    stream.write(data)
    stream.flush()
