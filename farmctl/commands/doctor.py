"""`farmctl doctor`: is this machine fit for the farm, and if not, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from farmctl.checkup import check, print_checks
from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from protocol.errors import Unreachable, UserError
from protocol.exitcodes import ExitCode

if TYPE_CHECKING:
    from farmctl.output import View


@click.command("doctor", cls=Verb, examples=("farmctl doctor", "farmctl doctor -o json"))
@pass_session
def doctor(session: Session) -> ExitCode:
    """Check this machine and its node; exit code 1 if something needs attention, 7 if no node answers."""
    try:
        checks = [check("node", ok=True, text="it answers"), *session.call("doctor")["checks"]]
    except Unreachable as error:
        return print_checks(session, [_failed(error)], ExitCode.UNREACHABLE)
    except UserError as error:
        return print_checks(session, [_failed(error)], ExitCode.FAILED)
    return print_checks(session, checks)


def _failed(error: UserError) -> View:
    return check("node", ok=False, text=f"{error.what}: {error.why}" if error.why else error.what, hint=error.hint)
