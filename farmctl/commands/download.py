"""`farmctl job download`: bring finished frames into a folder."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.options import job_argument
from farmctl.progress import is_terminal
from farmctl.selecting import select_job
from protocol.errors import UsageError, UserError
from protocol.frames import parse_frames
from protocol.human import counted, format_size


@click.command(
    "download",
    cls=Verb,
    formats=False,
    examples=("farmctl job download JOB", "farmctl job download JOB --frames 1-10 -o ~/renders/shot"),
)
@job_argument
@click.option("--frames", metavar="RANGE", help="Only these frames.")
@click.option("-o", "--output", metavar="DIR", help="Folder; else the one that the job was submitted with.")
@pass_session
def download(session: Session, job_word: str, frames: str | None, output: str | None) -> None:
    """Fetch the finished frames of a job, verified; what is there already is left alone.

    Prints the path of every file that is in the folder then; on a terminal, only how many there are (paths: -q).
    """
    from farmctl.fetching import bring, frames_of, missing_error
    from farmctl.submission import prepare_folder

    job = select_job(session, job_word)
    view = session.call("job.show", job=job)
    done = frames_of(str(view.get("completed_frames") or ""))
    wanted = parse_frames(frames) if frames is not None else done
    unfinished = wanted - done
    if not wanted or len(unfinished) == len(wanted):
        raise UserError("there is nothing to download", "none of these frames is finished", f"farmctl job wait {job}")
    folder = prepare_folder(_folder(output, view.get("output_dir")), make=True)
    session.begin_transfer()
    with session.progress_line() as progress:
        brought = bring(session.call, job, wanted - unfinished, folder, progress)
    summary = f"{counted(len(brought.files), 'file')} in {folder}, {format_size(brought.size_bytes)} copied"
    if is_terminal(sys.stdout) and not session.quiet:
        click.echo(summary)
    else:
        for place in brought.files:
            click.echo(str(folder / place))
        session.note(summary)
    if unfinished and frames is not None:
        session.note(f"not finished yet: {unfinished}")
    if brought.missing:
        raise missing_error(brought, job)


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
