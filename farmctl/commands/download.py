"""`farmctl job download`: bring finished frames into a folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.options import existing_option, job_argument
from farmctl.progress import is_terminal
from farmctl.selecting import select_job
from protocol.errors import UsageError, UserError
from protocol.existing import ExistingFile
from protocol.exitcodes import ExitCode
from protocol.frames import FrameSet, parse_frames
from protocol.human import counted, format_size

if TYPE_CHECKING:
    from farmctl.fetching import Brought


@click.command(
    "download",
    cls=Verb,
    formats=False,
    examples=(
        "farmctl job download JOB",
        "farmctl job download JOB --frames 1-10 -o ~/renders/shot",
        "farmctl job download JOB -o ~/renders/shot --existing keep",
    ),
)
@job_argument
@click.option("--frames", metavar="RANGE", help="Only these frames.")
@click.option("-o", "--output", metavar="DIR", help="Folder; else the one that the job was submitted with.")
@existing_option(default=None)
@pass_session
def download(session: Session, job_word: str, frames: str | None, output: str | None, existing: str | None) -> None:
    """Fetch the finished frames of a job, verified; what is there already is left alone.

    Works from any machine of the farm. What was interrupted goes on where it stopped. A frame whose only copy is on a
    machine that is off is named with what can be done; if others came, the exit code is 10. A different file that the
    job did not write is moved aside (.~1~), unless the job or --existing says otherwise.

    Prints the path of every file that is in the folder then; on a terminal, only how many there are (paths: -q).
    """
    from farmctl.fetching import Fetch, frames_of
    from farmctl.submission import prepare_folder

    job = select_job(session, job_word)
    view = session.call("job.show", job=job)
    if view.get("leaves_outputs") is False:
        why = "the job was submitted without --output-name, so it promises no files"
        raise UserError("there is nothing to download", why, f"what it printed: farmctl logs {job}")
    done = frames_of(str(view.get("completed_frames") or ""))
    wanted = parse_frames(frames) if frames is not None else done
    unfinished = wanted - done
    if not wanted or len(unfinished) == len(wanted):
        raise UserError("there is nothing to download", "none of these frames is finished", f"farmctl job wait {job}")
    folder = prepare_folder(_folder(output, view.get("output_dir")), make=True)
    session.begin_transfer()
    policy = None if existing is None else ExistingFile(existing)
    with session.progress_line() as progress:
        fetch = Fetch(session.call, job, folder, progress)
        brought = fetch.bring(wanted - unfinished, existing=policy)
    _tell(session, brought, folder)
    _insist(session, job, brought, unfinished)


def _tell(session: Session, brought: Brought, folder: Path) -> None:
    from farmctl.fetching import remarks

    summary = f"{counted(len(brought.files), 'file')} in {folder}, {format_size(brought.size_bytes)} copied"
    if is_terminal(sys.stdout) and not session.quiet:
        click.echo(summary)
    else:
        for place in brought.files:
            click.echo(str(folder / place))
        session.note(summary)
    for line in remarks(brought):
        session.warn(line)


def _insist(session: Session, job: str, brought: Brought, unfinished: FrameSet) -> None:
    """Say what is not here, frame by frame, and end with the code of it.

    Raises:
        UserError: Something is not here.
    """
    from farmctl.lacking import missing_error, missing_groups, named_frames

    groups = list(missing_groups(job, brought.missing))
    for group in groups if len(groups) > 1 else ():
        session.warn(f"{named_frames(group.frames)}: {group.why}; {group.hint}")
    if unfinished:
        session.warn(f"not finished yet: {unfinished}")
    if brought.missing or brought.refused:
        raise missing_error(job, brought.missing, brought.refused, partly=bool(brought.files))
    if unfinished:
        what = f"{named_frames(unfinished)} could not be fetched"
        raise UserError(what, "not finished yet; the others are here", f"farmctl job wait {job}", code=ExitCode.PARTIAL)


def _folder(named: str | None, of_job: str | None) -> str:
    """Choose the folder; the job's own only where it exists, since the job may come from another machine.

    Raises:
        UsageError: There is none.
    """
    if named is not None:
        return named
    if of_job and Path(of_job).is_dir():
        return of_job
    why = f"{of_job} is not on this machine" if of_job else "the job was submitted without an output folder"
    raise UsageError("which folder?", why, "name one: -o DIR")
