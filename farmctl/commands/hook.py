"""`farmctl hook list|add|remove|test`: whom the farm tells of jobs and alerts.

All checks are the node's. A secret is read from a file and sent once; nobody can read it out of the farm again through
these commands.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from farmctl.columns import text, when
from farmctl.completing import complete_hook_events, complete_hooks, complete_nodes
from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.options import DRY_RUN
from farmctl.output import Column, Listing
from protocol.errors import UsageError
from protocol.exitcodes import ExitCode
from protocol.hooks import COMMAND, DEFAULT_EVENTS, STYLES, URL
from protocol.human import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from farmctl.output import View

TEST_S: Final = 75.0
"""Longest time of a test: a program has a minute, and others may be before it."""


def _events(row: View, _now_ms: int = 0) -> str:
    return ", ".join(row.get("events") or ())


def _teller(row: View, _now_ms: int = 0) -> str:
    return str(row.get("node_name") or "the leader")


def _went(row: View, _now_ms: int = 0) -> str:
    """Say how telling it went on the node that was asked."""
    parts = [f"{row[name]} {name}" for name in ("told", "waiting", "lost") if row.get(name)]
    error = row.get("last_error")
    return ", ".join(parts) + (f" ({error})" if error else "")


_HOOKS: Final = Listing(
    "hooks",
    (
        Column("ID", text("id")),
        Column("TELLS", text("target")),
        Column("OF", _events),
        Column("FROM", _teller),
        Column("HERE", _went),
        Column("STYLE", text("style"), wide=True),
        Column("BY", text("made_by"), wide=True),
        Column("MADE", when("made_ms"), wide=True),
        Column("NOTE", text("note")),
    ),
    "id",
    "nobody is told anything; add somebody: farmctl hook add https://ntfy.example.org/farm --on job.failed",
)
_NOTE: Final = click.option("--note", default="", metavar="TEXT", help="What for; others read it in the list.")
_HOOK: Final = click.argument("hook", shell_complete=complete_hooks)


@click.command(
    "list", cls=Verb, examples=("farmctl hook list", "farmctl hook list -o wide", "farmctl hook list --json")
)
@pass_session
def list_hooks(session: Session) -> None:
    """List the hooks of the farm, and how telling them went on the node that answers."""
    session.printer.listing(session.call("hook.list"), _HOOKS)


@click.command(
    "add",
    cls=Verb,
    examples=(
        "farmctl hook add https://hooks.slack.com/services/T0/B0/x --on job.failed --on 'alert.*'",
        "farmctl hook add https://ntfy.example.org/farm --on 'job.*' --secret-file ~/.farm-secret",
        "farmctl hook add '/usr/local/bin/farm-mail render@example.org' --teller ws01",
    ),
)
@click.argument("target", nargs=-1, required=True)
@click.option(
    "--on",
    "events",
    multiple=True,
    metavar="EVENT",
    shell_complete=complete_hook_events,
    help=f"What to tell of, as often as you like.  [default: {', '.join(DEFAULT_EVENTS)}]",
)
@click.option("--style", type=click.Choice(STYLES), help="What an address is sent.  [default: by its host, else json]")
@click.option("--secret-file", type=click.Path(dir_okay=False), help="Sign what is sent with this file's first line.")
@click.option("--teller", metavar="NODE", shell_complete=complete_nodes, help="Who tells.  [default: whoever leads]")
@_NOTE
@DRY_RUN
@pass_session
def add(session: Session, /, target: tuple[str, ...], events: tuple[str, ...], **given: Any) -> None:
    """Tell TARGET of jobs and alerts from now on.

    TARGET is an address of http or https, which is posted a notice, or a program with its arguments, which reads the
    notice from its standard input. A program is started without a shell, as the user of the daemon, on the machine that
    tells: give its whole path, and have it on every machine or name one with --teller.

    Events are job.completed, job.failed and so on, alert.only_copy and so on; job.* means all of a kind.
    """
    is_url = len(target) == 1 and target[0].lower().startswith(("http://", "https://"))
    line = target[0] if len(target) == 1 else shlex.join(target)
    asked: dict[str, Any] = {
        "kind": URL if is_url else COMMAND,
        "target": line,
        "events": list(events),
        "style": given["style"] or "",
        "secret": _secret(given["secret_file"]),
        "node": given["teller"] or "",
        "note": given["note"],
        "dry_run": session.dry_run,
    }
    _print(session, session.call("hook.add", **asked))


@click.command(
    "remove", cls=Verb, examples=("farmctl hook remove 3fa1b2c3", "farmctl hook remove 3fa1b2c3 --note 'left'")
)
@_HOOK
@_NOTE
@DRY_RUN
@pass_session
def remove(session: Session, hook: str, note: str) -> None:
    """Tell HOOK nothing more: its id, the first digits of it, or its target."""
    _print(session, session.call("hook.remove", hook=hook, note=note, dry_run=session.dry_run))


@click.command("test", cls=Verb, examples=("farmctl hook test 3fa1b2c3", "farmctl --node ws08 hook test 3fa1b2c3"))
@_HOOK
@pass_session
def test(session: Session, hook: str) -> ExitCode:
    """Send HOOK a test notice, from the node that is asked, and say what became of it.

    Ends with 1 if it did not arrive. It is tried once.
    """
    session.patience_s = max(session.patience_s, TEST_S)
    document: View = session.call("hook.test", hook=hook)
    session.printer.one(document, str(document["id"]), _test_lines)
    return ExitCode.DONE if document.get("ok") else ExitCode.FAILED


def _secret(path: str | None) -> str:
    if path is None:
        return ""
    try:
        content = sys.stdin.readline() if path == "-" else Path(path).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"the secret cannot be read from {path}", why, "name a file with one line") from error
    line = content.partition("\n")[0].strip()
    if not line:
        raise UsageError(f"there is no secret in {path}", "its first line is empty", "write the secret there")
    return line


def _print(session: Session, answer: View) -> None:
    session.printer.one(answer, str(answer["hook"]["id"]), _lines)
    if answer.get("stored") == "here" and not answer.get("alone"):
        session.warn("stored here only, other machines learn of it as soon as one answers")
    if answer.get("dry_run"):
        session.note("dry run: nothing was changed")


def _lines(answer: View, _now_ms: int) -> Iterable[str]:
    hook = answer["hook"]
    if not answer.get("holds"):
        yield printable(f"removed: {hook['id']}, which told {hook['target']}")
        return
    was = "" if answer.get("changed") else "  (was so already)"
    yield printable(f"{hook['id']} tells {hook['target']}{was}")
    yield printable(f"of {_events(hook)}")
    if answer.get("changed") and not answer.get("dry_run"):
        yield f"try it out: farmctl hook test {hook['id'][:8]}"


def _test_lines(answer: View, _now_ms: int) -> Iterable[str]:
    where = printable(f"{answer['target']} from {answer['node_name']}")
    yield f"told {where}" if answer.get("ok") else f"did not tell {where}: {printable(str(answer['error']))}"
