"""`farmd farm key backup|restore|list|new|rotate|retire`: the keys that sign invitations.

Passphrases are asked for on a terminal, or read from a file; never from the command line, where others can see them.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

_DATA_DIR = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="FARM_DATA_DIR",
    default=None,
    help="Of the machine whose key it is.  [default: as for every command]",
)
_PASSPHRASE = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help='Read the passphrase from the first line of this file ("-": standard input) and ask nobody.',
)
_LABEL = click.option("--label", default="", metavar="TEXT", help="What for; others read it in the list.")


@click.group()
def farm() -> None:
    """Administer the farm itself."""


@farm.group()
def key() -> None:
    """The keys that sign invitations.

    \b
    Examples:
      farmd farm key backup ~/farm-key.backup   keep a sealed copy where the passwords are
      farmd farm key new --label 'second admin' let this machine invite, too
      farmd farm key rotate                     after the old key may have been seen
    """  # noqa: D301  # click's mark for a block that keeps its lines is the character itself


@key.command()
@_DATA_DIR
@_PASSPHRASE
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.pass_context
def backup(ctx: click.Context, data_dir: Path | None, passphrase_file: Path | None, file: Path) -> None:
    """Write this machine's signing key, sealed with a passphrase, to FILE ("-": standard output)."""
    from farmd.daemon.signing import back_up, write_backup

    line = back_up(_data_dir(ctx, data_dir), _passphrase(passphrase_file, confirm=True))
    if str(file) == "-":
        click.echo(line)
    else:
        write_backup(file, line)
        click.echo(f"written to {file}; without the passphrase it is good for nothing", err=True)


@key.command()
@_DATA_DIR
@_PASSPHRASE
@click.argument("file", type=click.File())
@click.pass_context
def restore(ctx: click.Context, data_dir: Path | None, passphrase_file: Path | None, file: Any) -> None:
    """Let this machine sign with the key that FILE holds."""
    from farmd.daemon.signing import restore as restore_key

    found = restore_key(_data_dir(ctx, data_dir), file.read(), _passphrase(passphrase_file, confirm=False))
    click.echo(f"this machine signs with key {found}", err=True)


@key.command("list")
@_DATA_DIR
@click.option("-o", "printed", type=click.Choice(["table", "json"]), default="table", help="How it is printed.")
@click.pass_context
def list_keys(ctx: click.Context, data_dir: Path | None, printed: str) -> None:
    """List the keys that sign, or have signed, invitations."""
    from farmd.daemon.signing import list_keys as found_keys
    from protocol.human import plain_table, printable, relative_time

    rows = found_keys(_data_dir(ctx, data_dir))
    if printed == "json":
        click.echo(json.dumps({"schema": "farm.signers.v1", "signers": rows}, indent=2))
        return
    now_ms = int(time.time() * 1000)
    cells = [
        [
            row["id"],
            "good" if row["good"] else "retired",
            "here" if row["here"] else "",
            printable(str(row.get("node_name") or "")),
            printable(str(row["label"])),
            relative_time(row["made_ms"], now_ms) if row["made_ms"] else "",
        ]
        for row in rows
    ]
    for line in plain_table(["KEY", "STATE", "SECRET", "NODE", "LABEL", "MADE"], cells):
        click.echo(line.rstrip())


@key.command()
@_DATA_DIR
@_LABEL
@click.pass_context
def new(ctx: click.Context, data_dir: Path | None, label: str) -> None:
    """Make a signing key for this machine, so that it can invite, too; its daemon must run."""
    from farmd.daemon.signing import add_key

    made = add_key(_data_dir(ctx, data_dir), label)
    click.echo(f"this machine signs with key {made.id}", err=True)
    _say_if_here_only(here_only=made.here_only)


@key.command()
@_DATA_DIR
@_LABEL
@click.pass_context
def rotate(ctx: click.Context, data_dir: Path | None, label: str) -> None:
    """Make a new signing key for this machine and retire the old one; its daemon must run.

    Invitations that the old key signed admit nobody any more. Machines that were admitted stay. If it is interrupted, do
    it again: it goes on where it was.
    """
    from farmd.daemon.signing import rotate_key

    done = rotate_key(_data_dir(ctx, data_dir), label)
    begun = "finished what was interrupted: " if done.resumed else ""
    signs = f"this machine signs with key {done.new}; back it up: farmd farm key backup"
    click.echo(f"{begun}key {done.old} is retired; {signs}", err=True)
    _say_if_here_only(here_only=done.here_only)


@key.command()
@_DATA_DIR
@click.argument("wanted", metavar="ID")
@click.pass_context
def retire(ctx: click.Context, data_dir: Path | None, wanted: str) -> None:
    """Make a signing key of any machine good for nothing, for ever."""
    from farmd.daemon.signing import retire_key

    done = retire_key(_data_dir(ctx, data_dir), wanted)
    click.echo(f"retired: key {done.id}{'' if done.changed else '  (was so already)'}", err=True)
    _say_if_here_only(here_only=done.here_only)


def _say_if_here_only(*, here_only: bool) -> None:
    if here_only:
        click.echo("stored here only, other machines learn of it as soon as one answers", err=True)


def _data_dir(ctx: click.Context, given: Path | None) -> Path:
    from protocol.places import default_data_dirs

    chosen = given or ctx.find_root().obj
    return chosen if isinstance(chosen, Path) else default_data_dirs()[0]


def _passphrase(file: Path | None, *, confirm: bool) -> str:
    if file is not None:
        return _first_line(sys.stdin.readline if str(file) == "-" else lambda: file.read_text().partition("\n")[0])
    if not sys.stdin.isatty():
        raise UserError("there is no terminal to ask for a passphrase on", "", "--passphrase-file FILE", code=2)
    asked: str = click.prompt("passphrase", hide_input=True, confirmation_prompt=confirm, err=True)
    return asked


def _first_line(read: Callable[[], str]) -> str:
    try:
        return read().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError("cannot read the passphrase", str(error), "look at the file", code=2) from error
