"""`farmctl tui`: the dashboard in this terminal.

The command line may not import the dashboard (it answers `--help` before Textual could be loaded, and the two are tested
apart), so this process becomes `python -m tui`: one terminal, one process, one exit code.
"""

from __future__ import annotations

import os
import sys

import click

from farmctl.context import Session, pass_session
from farmctl.lazy import Verb


@click.command(
    "tui",
    cls=Verb,
    formats=False,
    examples=("farmctl tui", "farmctl tui --node ws07:7000", "farmctl tui --read-only"),
)
@click.option("--read-only", is_flag=True, help="Nothing there can change the farm.")
@click.option("--theme", metavar="NAME", default=None, help="farm-dark, farm-light, or a theme of Textual.")
@pass_session
def tui(session: Session, theme: str | None, *, read_only: bool) -> None:
    """Watch and steer the farm in this terminal; ? there shows all keys."""
    # -P: what lies in the folder that this is started from must not be taken for a module of ours.
    words = [sys.executable, "-P", "-m", "tui"]
    words += ["--node", session.node] if session.node else []
    words += ["--theme", theme] if theme else []
    words += ["--read-only"] if read_only else []
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, words)  # noqa: S606  # it is this program that goes on as another
