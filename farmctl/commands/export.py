"""`farmctl job export`: write a job as files of another service."""

from __future__ import annotations

from pathlib import Path

import click

from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.options import job_argument
from farmctl.selecting import select_job

FORMATS = ("renderbus",)


@click.command(
    "export",
    cls=Verb,
    formats=False,
    examples=("farmctl job export JOB -o ~/task", "farmctl job export JOB --format renderbus -o ~/task --force"),
)
@job_argument
@click.option(
    "--format", "kind", type=click.Choice(FORMATS), default=FORMATS[0], show_default=True, help="Of which service."
)
@click.option("-o", "--output", metavar="DIR", required=True, help="Folder; made if it is missing.")
@click.option("--force", is_flag=True, help="Replace files that are there and say something else.")
@pass_session
def export(session: Session, job_word: str, kind: str, output: str, *, force: bool) -> None:
    """Write a job as task.json, upload.json, asset.json and tips.json, which `farmctl submit` reads again.

    A job that came from such files gets them back as they were, with what was changed since. Prints the paths.
    """
    from farmctl.exports import read_job, write_documents
    from farmctl.submission import prepare_folder

    del kind  # there is one so far
    documents = read_job(session, select_job(session, job_word))
    folder = prepare_folder(output, make=True)
    for path in write_documents(folder, documents, force=force):
        click.echo(str(Path(path)))
