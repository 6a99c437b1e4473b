"""`farmctl doctor`: is this machine fit for the farm, and if not, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.output import paint
from protocol.errors import Unreachable, UserError
from protocol.exitcodes import ExitCode
from protocol.human import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmctl.output import View

SCHEMA: Final = "farm.doctor.v1"


@click.command("doctor", cls=Verb, examples=("farmctl doctor", "farmctl doctor -o json"))
@pass_session
def doctor(session: Session) -> ExitCode:
    """Check this machine and its node; exit code 1 if something needs attention, 7 if no node answers."""
    code, checks = ExitCode.DONE, []
    try:
        checks = [_check("node", ok=True, text="it answers"), *session.call("doctor")["checks"]]
    except Unreachable as error:
        code, checks = ExitCode.UNREACHABLE, [_failed("node", error)]
    except UserError as error:
        code, checks = ExitCode.FAILED, [_failed("node", error)]
    if code is ExitCode.DONE and not all(check.get("ok") for check in checks):
        code = ExitCode.FAILED
    session.printer.one({"schema": SCHEMA, "checks": checks}, "\n".join(_names(checks)), _lines)
    return code


def _check(name: str, *, ok: bool, text: str, hint: str = "") -> View:
    return {"name": name, "ok": ok, "text": text, "hint": hint}


def _failed(name: str, error: UserError) -> View:
    return _check(name, ok=False, text=f"{error.what}: {error.why}" if error.why else error.what, hint=error.hint)


def _names(checks: list[View]) -> list[str]:
    """Name what needs attention."""
    return [str(check.get("name")) for check in checks if not check.get("ok")]


def _lines(document: View, _now_ms: int) -> Iterator[str]:
    for check in document["checks"]:
        ok = bool(check.get("ok"))
        mark = paint("● ok", "green") if ok else paint("✖ no", "red")
        yield f"{mark}  {printable(str(check.get('name')))}: {printable(str(check.get('text') or ''))}"
        if not ok and check.get("hint"):
            yield f"      try: {printable(str(check['hint']))}"
