"""What the demo shows, in order: a farm is founded, machines join, a scene goes in, frames come out, how to look around.

Every step is told with the command that a person would type for it. The farm is asked as any client asks it.
"""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from farmctl.follow import Follower, Wish
from farmctl.output import paint
from protocol.errors import UserError
from protocol.exitcodes import ExitCode
from protocol.human import counted, format_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmctl.context import Session
    from farmctl.demo.farm import DemoFarm

NAMES: Final = ("anna", "bert", "cleo")
SCENE: Final = Path(__file__).with_name("sunrise.py")
_HERE: Final = frozenset(("idle", "busy"))


class Tour:
    """One showing.

    Args:
        session: How progress is shown.
        farm: Where it happens.
        pictures: Folder for the results.
        frames: How many.
    """

    def __init__(self, session: Session, farm: DemoFarm, pictures: Path, frames: int) -> None:
        self._session = session
        self._farm = farm
        self._pictures = pictures
        self._frames = frames

    def found(self) -> None:
        """Start the machines and wait until they have found one another.

        Raises:
            UserError: A daemon did not start.
        """
        farm = self._farm
        click.echo("A render farm of three machines, all of them here: no server, nothing shared, all encrypted.\n")
        _typed("farmd init --name demo; farmd run")
        first = farm.found(NAMES[0])
        farm.wait_for("the first daemon", lambda: farm.ask("farm.status"))
        click.echo(f"  {first.name} founds the farm and listens at {first.address}")
        _typed("farmd invite")
        token = farm.invitation()
        click.echo(f"  {token[:32]}…  a token for other machines, good for 7 days")
        _typed("farmd join TOKEN; farmd run")
        for name in NAMES[1:]:
            click.echo(f"  {name} joins, and listens at {farm.add(name, token).address}")
        status = farm.wait_for("that all machines find each other", self._all_are_here)
        click.echo(f"  they elect {status['leader_name']}, who hands out the frames\n")

    def _all_are_here(self) -> dict[str, Any] | None:
        status = self._farm.ask("farm.status") or {}
        here = [node for node in status.get("nodes", []) if node["state"] in _HERE]
        return status if len(here) == len(NAMES) and status["leader"] else None

    def submit(self) -> str:
        """Submit the scene; returns the job.

        Raises:
            UserError: It was refused.
        """
        scene = self._farm.folder / SCENE.name
        scene.write_bytes(SCENE.read_bytes())
        template = f"{shlex.quote(sys.executable)} {{scene}} {{frame}} {self._frames} {{output}}"
        words = [
            "--frames",
            f"1-{self._frames}",
            "--output",
            str(self._pictures),
            "--output-name",
            "sunrise.{frame:04d}.png",
        ]
        shown = f"farmctl submit {SCENE.name} --command 'python {{scene}} …' --frames 1-{self._frames} --output {self._pictures.name}"
        _typed(shown)
        node = str(self._farm.machines[0].data_dir)
        job = self._farm.command("farmctl", "--node", node, "submit", "-q", str(scene), "--command", template, *words)
        click.echo(f"  job {job.strip()}: its first, middle and last frame render first, as a test of the rest\n")
        return job.strip()

    def watch(self, job: str) -> dict[str, Any]:
        """Follow the job to its end and say who rendered what; returns the job.

        Raises:
            UserError: It did not complete.
            KeyboardInterrupt: The person has seen enough.
        """
        _typed(f"farmctl job wait {job}")
        since = self._session.clock()
        follower = Follower(replace(self._session, node=str(self._farm.machines[0].data_dir)), Wish())
        code = follower.follow(job)
        if code is ExitCode.INTERRUPTED:
            raise KeyboardInterrupt
        if code is not ExitCode.DONE:
            text = str((follower.view.get("reason") or {}).get("text") or follower.view.get("why_stopped") or "")
            raise UserError(
                f"the job ended as {follower.view.get('state')}", text, "farmctl demo --keep keeps the logs"
            )
        took = format_duration(self._session.clock() - since)
        shares = Counter({str(node["name"]): int(node["frames"]) for node in follower.view.get("nodes") or []})
        by = ", ".join(f"{name} {count}" for name, count in sorted(shares.items()))
        click.echo(f"  {counted(self._frames, 'frame')} in {took} ({by})")
        click.echo(f"  {self._pictures}{'/sunrise.0001.png'} …\n")
        return follower.view

    def show_around(self, job: str) -> None:
        """Say what can be tried in another terminal."""
        click.echo("The farm runs. Look around in another terminal:\n")
        for line in (
            f"export FARM_NODE={shlex.quote(str(self._farm.machines[0].data_dir))}",
            "farmctl status --watch              what is going on",
            f"farmctl job show {job}   how the test frames came out",
            f"farmctl task list {job}  who rendered which frame",
            f"farmctl task retry {job} {min(3, self._frames)} --wait",
            "farmctl node hold bert --why lunch  and then: farmctl node release bert",
            "farmctl tui                         all of it on one screen",
        ):
            click.echo(f"  {line}")


def _typed(command: str) -> None:
    """Show what a person would type."""
    click.echo(paint(f"$ {command}", "cyan"))


def wait_for_enter(read: Callable[[], str]) -> None:
    """Leave the farm running until somebody has seen enough."""
    click.echo("\nEnter ends the farm.", err=True)
    read()
