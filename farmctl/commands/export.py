"""`farmctl job export`: write a job as one document, or as files of another service."""

from __future__ import annotations

from pathlib import Path

import click

from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.options import job_argument
from farmctl.selecting import select_job
from protocol.errors import UsageError

FORMATS = ("renderbus", "json")


@click.command(
    "export",
    cls=Verb,
    formats=False,
    examples=(
        "farmctl job export JOB -o ~/task",
        "farmctl job export JOB --format renderbus -o ~/task --force",
        "farmctl job export JOB --format json > job.json && farmctl submit job.json",
    ),
)
@job_argument
@click.option(
    "--format",
    "kind",
    type=click.Choice(FORMATS),
    default=FORMATS[0],
    show_default=True,
    help="Of which service; json is our own.",
)
@click.option("-o", "--output", metavar="DIR", help="Folder; made if it is missing. Of json: where to, else stdout.")
@click.option("--force", is_flag=True, help="Replace files that are there and say something else.")
@pass_session
def export(session: Session, job_word: str, kind: str, output: str | None, *, force: bool) -> None:
    """Write a job as task.json, upload.json, asset.json and tips.json, which `farmctl submit` reads again.

    A job that came from such files gets them back as they were, with what was changed since. Prints the paths.

    --format json writes one document instead: the whole specification, how the job stands, and its results by name and
    address. `farmctl submit` makes the same job anew of it, from files that the farm still holds.
    """
    if kind == "json":
        _export_document(session, job_word, output, force=force)
        return
    if output is None:
        raise UsageError("where to?", "a folder is needed for several files", "farmctl job export JOB -o DIR")
    from farmctl.exports import read_job, write_documents
    from farmctl.submission import prepare_folder

    documents = read_job(session, select_job(session, job_word))
    folder = prepare_folder(output, make=True)
    for path in write_documents(folder, documents, force=force):
        click.echo(str(Path(path)))


def _export_document(session: Session, job_word: str, output: str | None, *, force: bool) -> None:
    from farmctl.jobfile import read_job_document
    from farmctl.output import print_json

    job = select_job(session, job_word)
    document = read_job_document(session, job)
    if output is None:
        print_json(document)
        return
    from farmctl.exports import write_documents
    from farmctl.submission import prepare_folder

    for path in write_documents(prepare_folder(output, make=True), {f"job-{job}": document}, force=force):
        click.echo(str(path))
