"""Ask for one change of many jobs or machines: one result for each, one exit code for all, and a dry run.

A refusal stops nothing: the others are asked all the same, and the first refusal is the exit code. A node that does not
answer any more ends it, since the rest would only wait: they are told as not asked, and the exit code is that of a node
which does not answer, whatever was refused before, so that a script knows that it is not through.

A dry run says how the jobs stand. It leaves out what the node decides (whether a job can be approved just now), because
by the time that the change is asked for, that may be different.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from farmctl.confirm import confirm, confirm_by_name
from farmctl.errors import report
from farmctl.forms import Format
from protocol.errors import UserError
from protocol.exitcodes import ExitCode
from protocol.human import counted, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from farmctl.context import Session
    from farmctl.output import View

SCHEMA: Final = "farm.controls.v1"
_SHOWN: Final = 3
_PEOPLE_SAY: Final = {"job": "job", "node": "machine"}
_NOT_ASKED: Final = UserError("not asked", "the node did not answer before", "ask again for this one")


class Order(NamedTuple):
    """What is done, a verb, and with what: job or node."""

    action: str
    kind: str = "job"


def ask_before(session: Session, jobs: Sequence[str], action: str, loss: str, *, for_good: bool = False) -> None:
    """Ask before jobs are changed, naming what will be lost.

    Args:
        session: With -n, -y and --no-input.
        jobs: Their ids; several that are changed `for_good` need their number typed.
        action: The verb.
        loss: What will be lost, a clause.
        for_good: It cannot be undone in any way.

    Raises:
        UsageError: The answer is no, or nobody can be asked.
    """
    if session.dry_run:
        return
    what = jobs[0] if len(jobs) == 1 else f"{len(jobs)} jobs ({', '.join(jobs[:_SHOWN])}{_more(jobs)})"
    question = f"{action} {what}: {loss}?"
    if for_good and len(jobs) > 1:
        confirm_by_name(question, str(len(jobs)), yes=session.yes, no_input=session.no_input)
    else:
        confirm(question, yes=session.yes, no_input=session.no_input)


def change(session: Session, jobs: Sequence[str], action: str, *, told: bool = True, **args: Any) -> int:
    """Ask for one change of every job and print one result each; the first refusal is the exit code."""
    return carry_out(session, jobs, Order(action), lambda job: _one(session, job, action, args), _state_line, told=told)


def change_and_wait(
    session: Session, jobs: Sequence[str], action: str, wish: Mapping[str, Any], **args: Any
) -> int | ExitCode:
    """Ask for one change of every job, and with `--wait` for their ends, which are then the exit code.

    Whoever reads ids or JSON gets the jobs as they ended, not a second time as they were asked.
    """
    waits = bool(wish["wait"]) and not session.dry_run
    code = change(session, jobs, action, told=not waits or session.printer.is_for_people, **args)
    if code or not waits:
        return code
    from farmctl.follow import Wish, follow_all

    return follow_all(session, jobs, Wish(wish["timeout"], stop_at_gate=wish["stop_at_gate"]))


def carry_out(
    session: Session,
    ids: Sequence[str],
    order: Order,
    ask: Callable[[str], View],
    line: Callable[[View], str],
    *,
    told: bool = True,
) -> int:
    """Do one thing with every job or machine and print one result each; the first refusal is the exit code.

    Args:
        session: With -n.
        ids: Of the jobs or machines.
        order: The verb, and what it is done with.
        ask: Does it with one, and returns its result.
        line: Says to a person what was done with it.
        told: Print results even if nothing was refused.
    """
    results: list[View] = []
    code, kind, action = 0, order.kind, order.action
    for number, which in enumerate(ids):
        try:
            results.append(ask(which))
        except UserError as error:
            refused = report(error, debug=session.debug)
            results.append({kind: which, "action": action, "error": _facts(error)})
            code = code or int(refused)
            if error.code == ExitCode.UNREACHABLE:
                code, rest = ExitCode.UNREACHABLE, ids[number + 1 :]
                results += [{kind: other, "action": action, "error": _not_asked()} for other in rest]
                if rest:
                    session.warn(f"{counted(len(rest), 'other')} not asked: {', '.join(rest[:_SHOWN])}{_more(rest)}")
                break
    if told or code:
        _print(session, {"schema": SCHEMA, "results": results}, line, kind)
    if session.dry_run:
        session.note(f"dry run: {counted(len(results), _PEOPLE_SAY[kind])} looked at, nothing was changed")
    return code


def _one(session: Session, job: str, action: str, args: dict[str, Any]) -> View:
    if session.dry_run:
        view: View = session.call("job.show", job=job)
        would = {"job": job, "action": action, "state": view.get("state"), "changed": False, "dry_run": True}
        if action == "priority":
            before, value = view.get("priority"), args["value"]
            would["changes"] = [] if before == value else [{"field": action, "from": before, "to": value}]
        return would
    answer: View = session.call("job.control", job=job, action=action, **args)
    warn_if_here_only(session, job, answer)
    return {"job": job, "action": action} | answer


def warn_if_here_only(session: Session, which: str, answer: View) -> None:
    """Say that a change of a job or machine is on no other node yet, where there are others."""
    if answer.get("stored") == "here" and not answer.get("alone"):
        session.warn(f"{printable(which)}: stored here only, other machines learn of it as soon as one answers")


def _more(ids: Sequence[str]) -> str:
    return f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""


def _not_asked() -> View:
    return _facts(_NOT_ASKED) | {"code": int(ExitCode.UNREACHABLE)}


def _facts(error: UserError) -> View:
    return {"code": error.code, "what": error.what, "why": error.why, "hint": error.hint}


def _print(session: Session, document: View, line: Callable[[View], str], kind: str) -> None:
    done = [result for result in document["results"] if "error" not in result]

    def lines(_shown: View, _now_ms: int) -> Iterable[str]:
        for result in done:
            yield f"{printable(str(result.get('name') or result[kind]))}  {line(result)}"

    if done or session.format in (Format.JSON, Format.JSONL):
        session.printer.one(document, "\n".join(str(result[kind]) for result in done), lines)


def _state_line(result: View) -> str:
    if "changes" in result:
        from farmctl.revising import changes_line

        return changes_line(result)
    return f"{printable(str(result.get('state', '')))}{_remark(result)}"


def _remark(result: View) -> str:
    if result.get("dry_run"):
        return f"  (would be asked to {result['action']})"
    return "" if result.get("changed", True) else "  (was so already)"
