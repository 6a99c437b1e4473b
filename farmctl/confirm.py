"""Ask before something is lost for good; never where nobody could answer.

Three levels. None: what can be undone or keeps all results (pause, cancel, reject). Yes or no, with No as the default
and with what will be lost: what deletes results. Without a terminal the second is refused unless `-y` says it.
"""

from __future__ import annotations

import sys

import click

from protocol.errors import UsageError


def confirm(question: str, *, yes: bool, no_input: bool = False) -> None:
    """Go on only if a person wants it.

    Args:
        question: With what will be lost.
        yes: It was answered on the command line.
        no_input: Ask nothing.

    Raises:
        UsageError: Nobody can be asked.
        Abort: The answer is no.
    """
    if yes:
        return
    if no_input or not (sys.stdin.isatty() and sys.stderr.isatty()):
        why = "--no-input forbids to ask" if no_input else "there is no terminal to ask on"
        raise UsageError(question.removesuffix("?"), why, "say it on the command line: -y")
    if not click.confirm(question, default=False, err=True):
        raise UsageError("nothing was changed", "the answer was no", "", code=1)
