"""`farmctl demo`: a whole farm on this machine, for a look."""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.options import NO_INPUT
from protocol.errors import UserError

if TYPE_CHECKING:
    from types import FrameType


@click.command(
    "demo", cls=Verb, formats=False, examples=("farmctl demo", "farmctl demo --frames 48 --output ~/sunrise --keep")
)
@click.option("--frames", type=click.IntRange(1, 500), default=24, show_default=True, help="Frames to render.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("farm-demo"),
    show_default=True,
    help="Folder for the pictures; they stay.",
)
@click.option("--keep", is_flag=True, help="Leave the machines' folders and logs for a look.")
@NO_INPUT
@pass_session
def demo(session: Session, frames: int, output: Path, *, keep: bool) -> None:
    """Show a whole farm on this machine: three daemons in a folder of their own render a scene that needs no renderer.

    On a terminal the farm then runs until Enter, so that it can be tried out; elsewhere, and with --no-input, it ends.
    Daemons, folders and ports are its own: a farm that runs on this machine is not touched.
    """
    from farmctl.demo.farm import DemoFarm
    from farmctl.demo.tour import Tour, wait_for_enter

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    pictures = _prepared(output)
    with DemoFarm(keep=keep) as farm:
        tour = Tour(session, farm, pictures, frames)
        tour.found()
        job = tour.submit()
        tour.watch(job)
        if sys.stdin.isatty() and not session.no_input:
            tour.show_around(job)
            wait_for_enter(sys.stdin.readline)
        if keep:
            click.echo(f"  {farm.folder}: folders and logs of the machines")
    session.note("the machines are ended")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _prepared(folder: Path) -> Path:
    """Make the folder before anything is started.

    Raises:
        UserError: Nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"cannot write to {folder}", str(error.strerror), "another folder: --output DIR") from error
    return folder.resolve()
