"""`farmctl asset list|show`: the files that a job needs, and which machines hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from farmctl.columns import size, text, when
from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.options import job_argument
from farmctl.output import Column, Listing, fields
from farmctl.selecting import select_job
from protocol.human import counted, format_size, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmctl.output import View

_FILES: Final = Listing(
    "files",
    (
        Column("PATH", text("path")),
        Column("SIZE", size("size"), right=True),
        Column("CHANGED", when("mtime_ms")),
        Column("XXHASH", text("xxh64"), wide=True, right=True),
        Column("MD5", text("md5")),
    ),
    "path",
    "the job needs no files",
)


@click.command("list", cls=Verb, examples=("farmctl asset list JOB", "farmctl asset list JOB -o csv > files.csv"))
@job_argument
@pass_session
def list_assets(session: Session, job_word: str) -> None:
    """List the files that a job needs, as they were sent with it: path, size, time of change, MD5."""
    from farmctl.manifests import with_files

    session.printer.listing(with_files(session, _asked(session, job_word)), _FILES)


@click.command("show", cls=Verb, examples=("farmctl asset show JOB", "farmctl asset show JOB -o json | jq .holders"))
@job_argument
@pass_session
def show(session: Session, job_word: str) -> None:
    """Say how much a job needs, which machines hold all of it, and what is still on its way to this one."""
    from farmctl.manifests import with_totals

    document = _asked(session, job_word)
    session.printer.one(with_totals(session, document), str(document.get("manifest") or ""), _card)


def _asked(session: Session, job_word: str) -> View:
    document: View = session.call("asset.show", job=select_job(session, job_word))
    return document


def _card(document: View, _now_ms: int) -> Iterator[str]:
    holders = document.get("holders") or []
    names = ", ".join(f"{one.get('name')}{'' if one.get('alive') else ' (off)'}" for one in holders)
    missing = int(document.get("missing_bytes") or 0)
    here = "all here" if document.get("here") else f"{format_size(missing)} on its way" if missing else "not here"
    yield from fields(
        [
            ("job", f"{document.get('job')}  {printable(str(document.get('name') or ''))}"),
            ("scene", printable(str(document.get("scene") or ""))),
            ("files", _files(document)),
            ("root", printable(str(document.get("root") or ""))),
            ("list", str(document.get("manifest") or "none: the job needs no files")),
            ("held by", printable(names) or ("" if document.get("manifest") is None else "no machine completely")),
            ("here", here if document.get("manifest") else ""),
        ]
    )


def _files(document: View) -> str:
    count = document.get("count")
    return "" if count is None else f"{counted(count, 'file')}, {format_size(int(document.get('bytes') or 0))}"
