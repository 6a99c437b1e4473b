"""Watch the farm until interrupted, whichever node answers: `farmctl status --watch`."""

from __future__ import annotations

from shutil import get_terminal_size
from typing import TYPE_CHECKING, Final, NoReturn

from farmctl.links import POLL_S, Links
from farmctl.overview import Overview, overview_lines
from farmctl.screen import Screen
from protocol.errors import Unreachable
from protocol.exitcodes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmctl.context import Session
    from farmctl.output import View

RETRY_S: Final = 1.0
LOST: Final = "not_answering"
"""Why the last known state is shown and not the present one; a field of the view that is added here."""


def watch_farm(session: Session) -> ExitCode:
    """Show the farm again and again until the person has seen enough; returns what to exit with.

    Raises:
        UserError: No node answered the first question.
    """
    try:
        _watch(session)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED  # the usual way to end it, and no error


def _watch(session: Session) -> NoReturn:
    printer, overview, links = session.printer, Overview(), Links(session)

    def lines(farm: View, now_ms: int) -> Iterator[str]:
        if farm.get(LOST):
            yield f"✖ {farm[LOST]}; looking for another node. The last that is known:"
        rows = get_terminal_size().lines - bool(farm.get(LOST)) if screen.in_place else None
        yield from overview_lines(printer, farm, now_ms, rows)

    with Screen(session, lines) as screen:
        try:
            links.open()
            last: View = {}
            while True:
                try:
                    last = overview.look(links.call, POLL_S)
                except Unreachable as error:
                    if last:
                        screen.show(last | {LOST: error.what})
                    if not links.move_on():
                        session.pause(RETRY_S)
                else:
                    screen.show(last)
        finally:
            links.close()
