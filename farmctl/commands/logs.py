"""`farmctl logs`: what renderers printed, from the machines where they ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from farmctl import logreading
from farmctl.context import Session, pass_session
from farmctl.forms import Format
from farmctl.lazy import Verb
from farmctl.loglines import LinePrinter, Looks
from farmctl.options import job_argument
from farmctl.output import print_json
from farmctl.selecting import select_job
from protocol.errors import UsageError, UserError
from protocol.human import parse_duration

if TYPE_CHECKING:
    from farmctl.output import View

_EXAMPLES = (
    "farmctl logs JOB --frame 12 --tail 50",
    "farmctl logs JOB --frame 12 --errors",
    "farmctl logs JOB -f",
)


@click.command("logs", cls=Verb, examples=_EXAMPLES)
@job_argument
@click.option("--frame", type=int, help="The task of this frame.")
@click.option("--task", type=click.IntRange(0), help="The task of this number; see farmctl task list.")
@click.option("--attempt", metavar="ID", help="An earlier try; else the last one. See --list.")
@click.option("--list", "list_attempts", is_flag=True, help="List the tries, where they ran and what they printed.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the attempt ends; without a task, of the whole job.")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="The last N lines only.")
@click.option("--since", type=parse_duration, metavar="TIME", help="Only what was printed in the last 10m, 2h, 1d.")
@click.option("--grep", "pattern", metavar="TEXT", help="Only lines with this text, searched where the log is.")
@click.option("--regex", is_flag=True, help="The text to --grep for is a regular expression.")
@click.option("--case/--ignore-case", "case", default=None, help="Of --grep; else capitals count if it has one.")
@click.option("--errors", is_flag=True, help="Only lines that tell of errors, as renderers print them.")
@click.option("--context", type=click.IntRange(0, 100), default=0, metavar="N", help="Lines around each match.")
@click.option("--numbers", is_flag=True, help="Number the lines.")
@click.option("--times", is_flag=True, help="Say when each line was printed, to about a second.")
@click.option("--raw", is_flag=True, help="Every byte as it was printed: a terminal obeys what is in there.")
@pass_session
def logs(session: Session, /, job_word: str, **chosen: Any) -> None:
    """Show what the renderer of a task printed.

    Without --frame and --task, the task that ran last; with -f, all that runs of the job. Control characters are made
    harmless; --raw leaves them.
    """
    _check(chosen)
    asked: View = {"job": select_job(session, job_word)}
    asked |= {name: chosen[name] for name in ("frame", "task", "attempt") if chosen[name] is not None}
    printer = LinePrinter(session, Looks(chosen["numbers"], chosen["times"]))
    if chosen["list_attempts"]:
        _list(session, asked)
    elif chosen["follow"] and len(asked) == 1 and not chosen["raw"]:
        from farmctl.logfollow import JobFollower

        JobFollower(session, asked["job"], printer, tail=chosen["tail"]).run()
    else:
        _one(session, asked, printer, chosen)


def _check(chosen: View) -> None:
    """Refuse words that exclude one another.

    Raises:
        UsageError: Two do.
    """
    pairs = (("frame", "task"), ("pattern", "errors"), ("follow", "pattern"), ("follow", "errors"))
    for one, other in (*pairs, ("raw", "pattern"), ("raw", "errors"), ("raw", "since"), ("raw", "numbers")):
        if chosen[one] not in (None, False) and chosen[other] not in (None, False):
            words = {"pattern": "grep"}
            first, second = words.get(one, one), words.get(other, other)
            raise UsageError(
                f"--{first} and --{second} exclude one another", "they mean different things", "leave one out"
            )


def _list(session: Session, asked: View) -> None:
    from farmctl.columns import LOGS

    session.printer.listing(session.call("log.list", **asked), LOGS)


def _one(session: Session, asked: View, printer: LinePrinter, chosen: View) -> None:
    """Print the log of one attempt, or a part of it."""
    answer = logreading.await_log(session, asked, wait=chosen["follow"])
    asked["attempt"] = answer["attempt"]  # a later attempt has a log of its own
    session.note(logreading.where(session, answer))
    if answer["away"] or not answer["found"]:
        _print(session, printer, answer)
        raise UserError(
            "the log cannot be read", logreading.why_not(answer), "farmctl logs JOB --list shows the other tries"
        )
    if chosen["raw"]:
        from farmctl.lograw import print_raw

        print_raw(session, asked, chosen["tail"], follow=chosen["follow"])
    elif chosen["pattern"] is not None or chosen["errors"]:
        _find(session, asked, printer, chosen)
    else:
        _show(session, asked, printer, chosen)


def _show(session: Session, asked: View, printer: LinePrinter, chosen: View) -> None:
    how: dict[str, Any] = {"numbers": chosen["numbers"]}
    if chosen["since"] is not None:
        how["since_ms"] = session.now_ms() - int(1000 * chosen["since"])
    pages = [logreading.tail(session, asked, chosen["tail"], **how)] if chosen["tail"] is not None else None
    whole: View | None = None
    last: View = {}
    for last in pages if pages is not None else logreading.read(session, asked, **how):
        if session.format is Format.JSON and not chosen["follow"]:
            whole = last if whole is None else last | {"lines": whole["lines"] + last["lines"]}
        elif chosen["follow"]:
            printer.answer(last)
        else:
            printer.lines(last["lines"])
    if whole is not None:
        print_json(whole)
    if chosen["follow"]:
        how.pop("since_ms", None)
        try:
            for answer in logreading.follow(session, asked, last, **how):
                if answer["away"]:  # its lines, if any, are of no known place: most were printed already
                    raise logreading.broke_off(answer)
                printer.answer(answer)
        finally:
            printer.end()


def _find(session: Session, asked: View, printer: LinePrinter, chosen: View) -> None:
    how: dict[str, Any] = {"errors": True} if chosen["errors"] else {"pattern": chosen["pattern"]}
    how |= {name: chosen[name] for name in ("regex", "context", "numbers")}
    if chosen["case"] is not None:
        how["ignore_case"] = not chosen["case"]
    if chosen["since"] is not None:
        how["since_ms"] = session.now_ms() - int(1000 * chosen["since"])
    lines: list[View] = []
    answer: View = {}
    for answer in logreading.find(session, asked, **how):
        lines += answer["lines"]
        if chosen["tail"] is None and session.format is not Format.JSON:
            printer.lines(answer["lines"], gaps=bool(chosen["context"]))
    kept = lines if chosen["tail"] is None else lines[-chosen["tail"] :] if chosen["tail"] else []
    if session.format is Format.JSON:
        print_json(answer | {"lines": kept})
    elif chosen["tail"] is not None:
        printer.lines(kept, gaps=bool(chosen["context"]))
    if not lines:
        session.note("nothing matches")


def _print(session: Session, printer: LinePrinter, answer: View) -> None:
    if session.format is Format.JSON:
        print_json(answer)
    else:
        printer.lines(answer["lines"])
