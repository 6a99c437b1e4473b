"""`farmctl board open|list|tasks|serve|demo`: the board that shows tasks of any program, and of the farm, in a browser.

The command line asks a board over HTTP like everybody else and does not import it; to serve one, this process becomes
`python -m farmd.board`.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.output import Column, Listing, paint
from protocol.errors import Unreachable, UserError
from protocol.human import format_progress, printable
from protocol.states import GROUP_COLOURS, ColourGroup

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmctl.output import View

SCHEMA: Final = "farm.board.v1"
_HOST: Final = "127.0.0.1"
_PORT: Final = 8765
_ANSWER_S: Final = 5.0
_MAX_BYTES: Final = 256 << 20
_GLYPHS: Final = dict(zip(ColourGroup, "○◐●✖", strict=True))


def place_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --host and --port."""
    port = click.option("--port", type=click.IntRange(0, 65_535), default=_PORT, show_default=True, help="TCP port.")
    host = click.option("--host", default=_HOST, show_default=True, metavar="ADDRESS", help="Where the board listens.")
    return host(port(function))


@click.command(
    "open",
    cls=Verb,
    formats=False,
    examples=("farmctl board", "farmctl board open --port 9000", "farmctl board open --print"),
)
@place_options
@click.option("--print", "only_print", is_flag=True, help="Print the address, open nothing.")
@pass_session
def open_board(session: Session, host: str, port: int, *, only_print: bool) -> None:
    """Open the board in the browser, and print its address.

    Without a desktop the address alone is printed.
    """
    _ask(host, port, "/hello")
    url = f"http://{_in_url(host)}:{port}/"
    click.echo(url)
    has_desktop = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin")
    if only_print or session.quiet or not has_desktop or not sys.stdout.isatty():
        return
    import webbrowser

    webbrowser.open(url)


def _state(row: View, _now_ms: int) -> str:
    state = ColourGroup(row["state"])
    return paint(f"{_GLYPHS[state]} {state}", GROUP_COLOURS[state])


def _progress(row: View, _now_ms: int) -> str:
    done, total = row.get("done", 0), row.get("total", 0)
    return format_progress(int(done), int(total)) if total else f"{done:g}" if done else "-"


def _group(row: View, _now_ms: int) -> str:
    return str(row.get("title", ""))


def _plain(name: str) -> Callable[[View, int], str]:
    return lambda row, _now_ms: str(row.get(name) or "")


def _count(name: str) -> Callable[[View, int], str]:
    return lambda row, _now_ms: str(row.get(name) or 0)


_PROGRAMS: Final = Listing(
    "programs",
    (
        Column("PROGRAM", _plain("name")),
        Column("TOTAL", _count("total")),
        *(Column(group.upper(), _count(group.value)) for group in ColourGroup),
        Column("BOARD", _plain("url")),
    ),
    "key",
    "no programs on the boards of this machine",
)


@click.command("list", cls=Verb, examples=("farmctl board list", "farmctl board list -o json"))
@pass_session
def list_programs(session: Session) -> None:
    """List the programs that show their work on boards of this machine, as its daemon hears of them."""
    document = session.call("board.list")
    document["programs"] = [
        program | {"url": board.get("url", "")} for board in document["boards"] for program in board["programs"]
    ]
    session.printer.listing(document, _PROGRAMS)


_TASKS: Final = Listing(
    "tasks",
    (
        Column("ID", _plain("id")),
        Column("NAME", _plain("name")),
        Column("STATE", _state),
        Column("PROGRESS", _progress),
        Column("GROUP", _group, wide=True),
        Column("ERROR", _plain("error")),
        Column("METADATA", _plain("about"), wide=True),
    ),
    "id",
    "no tasks on the board",
)


@click.command(
    "tasks",
    cls=Verb,
    examples=("farmctl board tasks", "farmctl board tasks --state failed", "farmctl board tasks -o json | jq .counts"),
)
@place_options
@click.option("--state", type=click.Choice([group.value for group in ColourGroup]), help="Tasks in this state only.")
@pass_session
def list_tasks(session: Session, host: str, port: int, state: str | None) -> None:
    """List the tasks that programs show on the board; no daemon is needed."""
    document = _ask(host, port, "/tasks")
    titles = {group["key"]: group["title"] for group in document["groups"]}
    tasks = [task | {"title": titles.get(task["group"], "")} for task in document["tasks"]]
    document["tasks"] = [task for task in tasks if state in (None, task["state"])]
    session.printer.listing(document, _TASKS)


@click.command(
    "serve", cls=Verb, formats=False, examples=("farmctl board serve", "farmctl board serve --host 0.0.0.0 --port 9000")
)
@place_options
def serve(host: str, port: int) -> None:
    """Serve a board for programs to join, until Ctrl-C.

    Programs of the same user that start a board on this port show there. Anybody who reaches the address can read it.
    """
    _become("serve", "--host", host, "--port", str(port))


@click.command(
    "demo", cls=Verb, formats=False, examples=("farmctl board demo", "farmctl board demo --tasks 5000 --speed 4")
)
@place_options
@click.option("--tasks", type=click.IntRange(1, 50_000), default=441, show_default=True, help="How many.")
@click.option("--speed", type=click.FloatRange(0.01, 1_000), default=1.0, show_default=True, help="2 = twice as fast.")
def demo(host: str, port: int, tasks: int, speed: float) -> None:
    """Show simulated tasks on a board, until Ctrl-C; no farm is needed."""
    _become("demo", "--host", host, "--port", str(port), "--tasks", str(tasks), "--speed", str(speed))


def _become(*words: str) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    # -P: what lies in the folder that this is started from must not be taken for a module of ours
    os.execv(sys.executable, [sys.executable, "-P", "-m", "farmd.board", *words])  # noqa: S606  # this program goes on


def _ask(host: str, port: int, path: str) -> View:
    """Ask the board one thing.

    Raises:
        Unreachable: No board answers there.
        UserError: Something else does.
    """
    import http.client
    import json

    place = f"{_in_url(host)}:{port}"
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_S)
    try:
        connection.request("GET", path)
        found = json.loads(connection.getresponse().read(_MAX_BYTES))
    except OSError as error:
        hint = "start one: farmctl board serve, farmctl board demo, or farmd run --board"
        raise Unreachable(f"no board answers at {place}", str(error.strerror or error), hint) from error
    except (http.client.HTTPException, ValueError):
        found = None
    finally:
        connection.close()
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise UserError(f"what answers at {printable(place)} is no board", "it answers with something else", "--port")
    return found


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
