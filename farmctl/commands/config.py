"""`farmctl config show`: what is set, and where it comes from."""

from __future__ import annotations

import os
from typing import Final

import click

from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.output import fields, print_json
from farmctl.settings import DEFAULTS, SETTINGS, Setting, from_files

SCHEMA: Final = "farm.config.v1"


@click.command("show", cls=Verb, examples=("farmctl config show --origin", "farmctl config show --json"))
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
@pass_session
def show(session: Session, *, origin: bool) -> None:
    """Show every setting: flags beat the environment, that beats .farm.toml, the user's file, and /etc/farm."""
    settings = [_found(session, name) for name in SETTINGS]
    if not session.printer.is_for_people:
        print_json({"schema": SCHEMA, "settings": [setting._asdict() for setting in settings]})
        return
    for line in fields(
        (setting.name, (setting.value or "(found on this machine)") + (f"   from {setting.origin}" if origin else ""))
        for setting in settings
    ):
        click.echo(line)


def _found(session: Session, name: str) -> Setting:
    value = getattr(session, name)
    variable = f"FARM_{name.upper()}"
    in_file = next((setting for setting in from_files() if setting.name == name), None)
    if value is None:
        return Setting(name, DEFAULTS[name], "default")
    if os.environ.get(variable) == value:
        return Setting(name, value, f"environment {variable}")
    if in_file is not None and in_file.value == value:
        return in_file
    return Setting(name, str(value), "command line")
