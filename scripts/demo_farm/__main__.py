"""`scripts/demo`: what may be asked for, and how it ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from farmctl.demo.farm import DemoFarm
from protocol.errors import UserError
from scripts.demo_farm.scenes import has_blender
from scripts.demo_farm.story import Story, Wish

if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED = 130


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--headless", is_flag=True, help="Open no picture; end with one line of JSON.")
@click.option("--frames", type=click.IntRange(1, 240), default=24, show_default=True, help="Frames to render.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-output"),
    show_default=True,
    help="Folder for the pictures.",
)
@click.option("--renderer", type=click.Choice(["blender", "mitsuba"]), help="[default: Blender if it is there]")
@click.option("--keep", is_flag=True, help="Leave the machines' folders and logs for a look.")
def main(*, headless: bool, frames: int, output: Path, renderer: str | None, keep: bool) -> None:
    """Show a whole farm on this machine: three encrypted daemons render a scene, and one of them is killed."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    wish = Wish(renderer or ("blender" if has_blender() else "mitsuba"), frames, output.absolute())
    try:
        _prepare(wish.output)
        with DemoFarm(keep=keep) as farm:
            summary = Story(farm, wish).tell()
            if keep:
                click.echo(f"kept       {farm.folder}")
    except KeyboardInterrupt:
        click.echo("\ninterrupted; the machines are ended, and their folders removed", err=True)
        raise SystemExit(INTERRUPTED) from None
    except UserError as error:
        click.echo(f"error: {error.what}\n  why: {error.why}\n  try: {error.hint}", err=True)
        raise SystemExit(1) from None
    except OSError as error:
        click.echo(
            f"error: {error.strerror}: {error.filename}\n  why: the system refused it\n  try: --output DIR", err=True
        )
        raise SystemExit(1) from None
    sheet = summary.pop("contact_sheet")
    if headless:
        _print_json(summary)
    else:
        _show(sheet, summary["images"])


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _prepare(output: Path) -> None:
    """Make the folder before anything is started.

    Raises:
        UserError: Nothing can be written there.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise UserError(
            f"cannot write to {output}", str(error.strerror), "name another folder: --output DIR"
        ) from error


def _print_json(summary: dict[str, Any]) -> None:
    import json

    click.echo(json.dumps(summary))


def _show(sheet: Path, images: list[str]) -> None:
    """Open the contact sheet where there is a display; say where things are in any case."""
    click.echo(f"pictures   {images[0]} … {Path(images[-1]).name}")
    click.echo(f"together   {sheet}")
    opener = shutil.which("xdg-open")
    if opener and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        subprocess.Popen(
            [opener, str(sheet)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )


if __name__ == "__main__":
    sys.exit(main())
