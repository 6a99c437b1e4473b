"""Hold a machine for a time: the options that say until when, and the wait until it is empty or safe to switch off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from farmctl.moments import parse_moment
from protocol.errors import UsageError, UserError
from protocol.exitcodes import ExitCode
from protocol.human import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmctl.context import Session

LOOK_S: Final = 1.0


def until_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --until and --for."""
    until = click.option(
        "--until", metavar="TIME", help="Let go then by itself: 18:00, 2026-11-23, '2026-11-23 08:00'."
    )
    lasting = click.option("--for", "lasting", type=parse_duration, metavar="TIME", help="Let go after so long: 2h.")
    return until(lasting(function))


def until_ms_of(session: Session, until: str | None, lasting: float | None) -> int:
    """Return when a hold ends, in milliseconds since 1970; 0 if somebody has to end it.

    Raises:
        UsageError: The time cannot be read, is over, or is said in two ways.
    """
    if until is not None and lasting is not None:
        raise UsageError("--until and --for exclude one another", "both say when the hold ends", "leave one out")
    if lasting is not None:
        return session.now_ms() + int(lasting * 1000)
    return 0 if until is None else parse_moment(until, session.now_ms())


def wait_until(session: Session, is_done: Callable[[], bool], what: str, timeout_s: float | None) -> None:
    """Look once a second until something holds.

    Raises:
        UserError: It takes too long.
    """
    end = None if timeout_s is None else session.clock() + timeout_s
    while not is_done():
        if end is not None and session.clock() >= end:
            why = f"waited {timeout_s:g} s"
            raise UserError(f"{what} took too long", why, "give it more --timeout", code=ExitCode.TIMEOUT)
        session.pause(LOOK_S)
