r"""`farmctl path list|add|remove|test`: what scenes call a folder, and what each kind of machine calls it.

Rules hold for every job of the farm that brings its files; one job alone gets them with `farmctl submit --map`. All
checks are the node's; `--dry-run` asks it for the answer without the change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from farmctl.columns import text, when
from farmctl.completing import complete_path_prefixes
from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.output import Column, Listing
from protocol.exitcodes import ExitCode
from protocol.human import printable
from protocol.pathrules import PLATFORMS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from farmctl.output import View

_RULES: Final = Listing(
    "rules",
    (
        Column("WRITTEN", text("written")),
        Column("BECOMES", text("becomes")),
        Column("ON", text("platform")),
        Column("BY", text("actor"), wide=True),
        Column("SET", when("set_at_ms"), wide=True),
        Column("NOTE", text("note")),
    ),
    "written",
    r"no path rules; add one: farmctl path add 'Y:\show' /mnt/show",
)


def _rule_text(row: View, _now_ms: int = 0) -> str:
    rule = row.get("rule")
    return f"{rule['written']} -> {rule['becomes']}" if rule else "no rule"


_OUTCOMES: Final = Listing(
    "platforms",
    (Column("ON", text("platform")), Column("READS", text("becomes")), Column("BY", _rule_text)),
    "becomes",
    "the node knows no platforms",
)
_DRY_RUN: Final = click.option("-n", "--dry-run", is_flag=True, help="Check everything, change nothing.")


@click.command(
    "list", cls=Verb, examples=("farmctl path list", "farmctl path list -o wide", "farmctl path list --json")
)
@pass_session
def list_rules(session: Session) -> None:
    """List the path rules of the farm."""
    session.printer.listing(session.call("path.list"), _RULES)


@click.command(
    "add",
    cls=Verb,
    examples=(
        r"farmctl path add 'Y:\show' /mnt/show",
        r"farmctl path add '\\filer\tex' /Volumes/tex --platform darwin --note 'since the move'",
        r"farmctl path add 'Y:\show' /mnt/show --dry-run",
    ),
)
@click.argument("written")
@click.argument("becomes")
@click.option(
    "--platform",
    type=click.Choice(PLATFORMS),
    default=PLATFORMS[0],
    show_default=True,
    help="Only on machines of this kind; beats a rule for any.",
)
@click.option("--note", default="", metavar="TEXT", help="What for; others read it in the list.")
@_DRY_RUN
@pass_session
def add(session: Session, written: str, becomes: str, platform: str, note: str, *, dry_run: bool) -> None:
    """Let paths that begin with WRITTEN be read from BECOMES, in every scene of the farm.

    WRITTEN is a prefix of whole folders, with either slash; paths of Windows compare without case. Of several rules the
    longest prefix counts. A rule for the same prefix and platform is replaced. Frames that render already go on as they
    are; frames that start later follow the rule.
    """
    given = {"written": written, "becomes": becomes, "platform": platform, "note": note}
    _print(session, session.call("path.add", dry_run=dry_run, **given))


@click.command(
    "remove",
    cls=Verb,
    examples=(r"farmctl path remove 'Y:\show'", r"farmctl path remove '\\filer\tex' --platform darwin"),
)
@click.argument("written", shell_complete=complete_path_prefixes)
@click.option(
    "--platform", type=click.Choice(PLATFORMS), help="Where the rule holds; needed if several have the prefix."
)
@click.option("--note", default="", metavar="TEXT", help="What others read as the reason.")
@_DRY_RUN
@pass_session
def remove(session: Session, written: str, platform: str | None, note: str, *, dry_run: bool) -> None:
    """Let the rule for WRITTEN hold no longer."""
    _print(session, session.call("path.remove", written=written, platform=platform or "", note=note, dry_run=dry_run))


@click.command(
    "test",
    cls=Verb,
    examples=(r"farmctl path test 'Y:\show\tex\a.png'", r"farmctl path test '\\filer\tex\a.png' --json"),
)
@click.argument("path")
@pass_session
def test(session: Session, path: str) -> ExitCode:
    """Say which rule PATH falls under, and what becomes of it on each kind of machine.

    Ends with 5 if no rule is for it. Nothing is looked for on any disk: a machine that has no such file leaves the
    path as it is.
    """
    document: View = session.call("path.test", path=path)
    session.printer.listing(document, _OUTCOMES)
    if any(row.get("rule") for row in document.get("platforms", [])):
        return ExitCode.DONE
    session.note(f"no rule of the farm is for {printable(path)}; add one: farmctl path add WRITTEN BECOMES")
    return ExitCode.NOT_FOUND


def _print(session: Session, answer: View) -> None:
    session.printer.one(answer, str(answer["rule"]["written"]), _lines)
    if answer.get("stored") == "here" and not answer.get("alone"):
        session.warn("stored here only, other machines learn of it as soon as one answers")
    if answer.get("dry_run"):
        session.note("dry run: nothing was changed")


def _lines(answer: View, _now_ms: int) -> Iterable[str]:
    rule = answer["rule"]
    where = "" if rule["platform"] == PLATFORMS[0] else f" on {rule['platform']}"
    said = printable(f"{rule['written']} -> {rule['becomes']}{where}")
    if not answer.get("holds"):
        yield f"removed: {said}"
    elif not answer.get("changed"):
        yield f"{said}  (was so already)"
    else:
        old = answer.get("replaced")
        yield f"{said}  (was {printable(str(old))})" if old else said
