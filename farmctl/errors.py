"""How a command that went wrong ends: three lines on stderr (what, why, what to try) and an exit code.

A traceback is shown with --debug only. Also translates what click refuses, so that a typo reads like every other error.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import click

from protocol.errors import FarmError, UsageError, UserError

if TYPE_CHECKING:
    from types import TracebackType

INTERRUPTED: Final = 130
"""`protocol.exitcodes.ExitCode` brings the tables of the states with it, which help does not need."""


def three_lines(what: str, why: str = "", hint: str = "") -> str:
    """Lay an error out; a part that is missing takes no line."""
    parts = (("error: ", what), ("  why: ", why), ("  try: ", hint))
    return "\n".join(head + _harmless(text) for head, text in parts if text)


def report(error: BaseException, *, debug: bool) -> int:
    """Print an error and return the code to exit with."""
    if debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return UsageError.code
    what, why, hint, code = _told(error)
    click.echo(three_lines(what, why, hint), err=True)
    return code


def _told(error: BaseException) -> tuple[str, str, str, int]:
    if isinstance(error, UserError):
        return error.what, error.why, error.hint, error.code
    if isinstance(error, click.ClickException):
        return (*_told_by_click(error), error.exit_code)
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return "interrupted", "", "", INTERRUPTED
    if isinstance(error, FarmError):
        return "the node sent something that cannot be read", str(error), "compare: farmctl --version", UserError.code
    if isinstance(error, OSError):
        return (*_told_by_system(error), UserError.code)
    why = f"{type(error).__name__}: {error}"
    return "farmctl has a bug", why, "run it again with --debug, and report what it prints", UserError.code


def _told_by_system(error: OSError) -> tuple[str, str, str]:
    if isinstance(error, FileNotFoundError) and _is_folder_gone():
        return "the current folder is gone", "it was deleted or moved after you went there", "cd to another one"
    name = f" {error.filename}" if error.filename else ""
    return f"the system refuses{name}", str(error.strerror or error), "check the permissions"


def _is_folder_gone() -> bool:
    try:
        os.getcwd()  # noqa: PTH109  # pathlib is not loaded for this
    except FileNotFoundError:
        return True
    return False


def _told_by_click(error: click.ClickException) -> tuple[str, str, str]:
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else "farmctl"
    help_hint = f"{path} --help"
    if isinstance(error, click.exceptions.NoSuchOption | click.exceptions.NoSuchCommand):
        near = error.possibilities or []
        return _sentence(error.message), f"{path} does not know it", _did_you_mean(near) or help_hint
    if isinstance(error, click.BadParameter) and error.param is not None and isinstance(error.param.type, click.Choice):
        return _told_of_choice(error.message, error.param, list(map(str, error.param.type.choices)), help_hint)
    usage = " ".join(context.get_usage().split()).removeprefix("Usage: ") if context else ""
    return _sentence(error.format_message()), usage and f"it is written: {usage}", help_hint


def _told_of_choice(message: str, param: click.Parameter, choices: list[str], help_hint: str) -> tuple[str, str, str]:
    """Say which words there are, and which was probably meant."""
    from protocol.human import nearest_word

    given = message.partition("'")[2].partition("'")[0]
    meant = nearest_word(given, choices) if given else None
    hint = f"did you mean {meant}?" if meant else help_hint
    return f"{param.opts[0]} cannot be {given!r}", f"it is one of {', '.join(choices)}", hint


def _did_you_mean(near: list[str]) -> str:
    return f"did you mean {' or '.join(near[:3])}?" if near else ""


def _sentence(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")


def _harmless(text: str) -> str:
    from protocol.human import printable

    return printable(" ".join(text.split("\n")))


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if "--debug" in sys.argv or os.environ.get("FARM_DEBUG"):
        sys.__excepthook__(kind, error, trace)
    else:
        report(error, debug=False)


def install_hook() -> None:
    """See to it that even a bug of ours ends in three lines; nothing needs to catch everything for that."""
    sys.excepthook = _hook
