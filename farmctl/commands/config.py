"""`farmctl config show|validate|path|set`: what is set, where it comes from, and what is wrong with the files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import click

from farmctl.context import Session, pass_session
from farmctl.forms import Format
from farmctl.lazy import Verb
from farmctl.output import fields
from farmctl.settings import DEFAULTS, SETTINGS, Setting, dashboard_faults, files, from_files, read
from protocol.errors import UsageError
from protocol.exitcodes import ExitCode
from protocol.human import nearest_word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmctl.output import View

SCHEMA: Final = "farm.config.v1"
CHECK_SCHEMA: Final = "farm.config-check.v1"
PLACES: Final = ("project", "user", "system")


def complete_settings(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the names of settings."""
    return [name for name in SETTINGS if name.startswith(incomplete)]


def complete_values(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the words that the named setting takes."""
    return [word for word in SETTINGS.get(str(ctx.params.get("name")), ()) if word.startswith(incomplete)]


@click.command("show", cls=Verb, examples=("farmctl config show --origin", "farmctl config show --json"))
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
@pass_session
def show(session: Session, *, origin: bool) -> None:
    """Show every setting: flags beat the environment, that beats .farm.toml, the user's file, and /etc/farm."""
    found = {setting.name: setting for setting in from_files()}
    settings = [_found(session, name, found.get(name)) for name in SETTINGS]

    def lines(_document: View, _now_ms: int) -> Iterator[str]:
        yield from fields(
            (one.name, (one.value or "(found on this machine)") + (f"   from {one.origin}" if origin else ""))
            for one in settings
        )

    document: View = {"schema": SCHEMA, "settings": [setting._asdict() for setting in settings]}
    session.printer.one(document, "\n".join(SETTINGS), lines)


def _found(session: Session, name: str, in_file: Setting | None) -> Setting:
    value = getattr(session, name)
    variable = f"FARM_{name.upper()}"
    if value is None:
        return Setting(name, DEFAULTS[name], "default")
    if os.environ.get(variable) == value:
        return Setting(name, value, f"environment {variable}")
    if in_file is not None and in_file.value == value:
        return in_file
    return Setting(name, str(value), "command line")


@click.command("validate", cls=Verb, examples=("farmctl config validate", "farmctl config validate -o json"))
@pass_session
def validate(session: Session) -> ExitCode:
    """Check the configuration files, the dashboard's part too: every fault with its line. Exit code 2 if there is one."""
    read_files = [path for path in files().values() if path.is_file()]
    faults = [fault for path in read_files for fault in (*read(path)[1], *dashboard_faults(path))]
    document: View = {
        "schema": CHECK_SCHEMA,
        "files": [str(path) for path in read_files],
        "faults": [
            {"file": str(one.path), "line": one.line, "text": f"{one.what}: {one.why}", "hint": one.hint}
            for one in faults
        ],
    }

    def lines(shown: View, _now_ms: int) -> Iterator[str]:
        for fault in shown["faults"]:
            where = f"{fault['file']}:{fault['line']}" if fault["line"] else fault["file"]
            yield f"{where}: {fault['text']}"
            yield f"  try: {fault['hint']}"
        if not shown["faults"]:
            yield from (f"{path}: all is well" for path in shown["files"])

    if read_files or session.format in (Format.JSON, Format.JSONL):
        session.printer.one(document, "\n".join(dict.fromkeys(one["file"] for one in document["faults"])), lines)
    else:
        session.note("there is no configuration file; farmctl config path tells where they are looked for")
    return ExitCode.USAGE if faults else ExitCode.DONE


@click.command("path", cls=Verb, formats=False, examples=("farmctl config path", "farmctl config path --user"))
@click.option("--project", "place", flag_value="project", help="The one of this folder, or of one above it.")
@click.option("--user", "place", flag_value="user", help="Your own.")
@click.option("--system", "place", flag_value="system", help="The machine's.")
@pass_session
def path(session: Session, place: str | None) -> None:
    """Print where configuration files are looked for, the strongest first."""
    del session
    for name, file in files().items():
        if place is None:
            click.echo(f"{name:8}  {file}{'' if file.is_file() else '  (not there)'}")
        elif place == name:
            click.echo(str(file))


@click.command(
    "set",
    cls=Verb,
    formats=False,
    examples=(
        "farmctl config set output wide",
        "farmctl config set --project node ws07:7871",
        "farmctl config set node ''",
    ),
)
@click.argument("name", shell_complete=complete_settings)
@click.argument("value", shell_complete=complete_values)
@click.option(
    "--project", "place", flag_value="project", help="In .farm.toml of this folder, or of the one above that has it."
)
@click.option("--user", "place", flag_value="user", default=True, help="In your own file (the default).")
@click.option("--system", "place", flag_value="system", help="In the machine's, for everybody.")
@pass_session
def set_value(session: Session, name: str, value: str, place: str) -> None:
    """Write a setting into a file; an empty VALUE takes it out. What else the file says stays as it is."""
    from farmctl.settings import refusal
    from farmctl.settingsfile import write_setting

    if name not in SETTINGS:
        meant = nearest_word(name, SETTINGS)
        hint = f"did you mean {meant}?" if meant else f"known are: {', '.join(SETTINGS)}"
        raise UsageError(f"no setting {name!r}", "farmctl does not know it", hint)
    if value and (reason := refusal(name, value)):
        raise UsageError(f"{name} cannot be {value!r}", reason, f"farmctl config set {name} {DEFAULTS[name]}")
    file = files()[place]
    write_setting(file, name, value)
    session.note(f"{name} = {value or 'not set'} in {file}")
