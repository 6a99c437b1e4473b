"""Starts the dashboard: `farmctl tui` becomes this program, which is `python -m tui`.

What Textual reads from the environment is set before it is loaded: over SSH 15 pictures a second and no animations,
since each of them travels.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from typing import TYPE_CHECKING

from protocol.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

SSH_PICTURES_PER_S = "15"


def main(words: Sequence[str] | None = None) -> int:
    """Show the dashboard until the person leaves; returns the exit code."""
    asked = _parser().parse_args(words)
    _prepare_terminal()
    try:
        return _run(asked)
    except UserError as error:
        for line in (error.what, error.why, error.hint):
            if line:
                sys.stderr.write(f"{line}\n")
        return error.code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("farmctl tui", description="Watch and steer the farm in this terminal.")
    parser.add_argument("--node", metavar="HOST:PORT|DIR", default=None, help="node to ask first")
    parser.add_argument("--read-only", action="store_true", help="nothing here can change the farm")
    parser.add_argument("--theme", default="", help="farm-dark, farm-light, or a theme of Textual")
    return parser


def _prepare_terminal() -> None:
    """Set what Textual reads when it is loaded."""
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    if os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"):
        os.environ.setdefault("TEXTUAL_FPS", SSH_PICTURES_PER_S)


def _run(asked: argparse.Namespace) -> int:
    from tui.settings import read_settings

    settings = read_settings()
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):  # Textual draws on stderr
        raise UserError("there is no terminal here", "the dashboard draws on one", "try: farmctl status")
    from tui.app import Dashboard
    from tui.live import LiveSource

    dashboard = Dashboard(
        LiveSource(asked.node),
        user=getpass.getuser(),
        read_only=asked.read_only or settings.read_only,
        keys=settings.keys,
        theme=asked.theme or settings.theme,
    )
    code = dashboard.run()
    return code if code is not None else dashboard.return_code or 0


if __name__ == "__main__":
    sys.exit(main())
