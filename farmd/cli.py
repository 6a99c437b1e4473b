"""`farmd`: found a farm, invite, join, run, and check a store."""

from __future__ import annotations

import json
import logging
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from farmd.farmkeys import farm
from protocol.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

DEFAULT_LISTEN = "0.0.0.0:7777"
DEFAULT_WEB = "127.0.0.1:8766"
DEFAULT_BOARD = "127.0.0.1:8765"
INTERRUPTED = 130
_DATA_DIR = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="FARM_DATA_DIR",
    default=None,
    help="Everything that the node keeps.  [default: /var/lib/farmd for root, else ~/.local/share/farmd]",
)


class _Errors(click.Group):
    """Prints an error as three lines: what, why, what to try."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002  # the signature is click's
        **extra: Any,
    ) -> NoReturn:
        """Run one command line and exit with its code."""
        try:
            code = super().main(args, prog_name or "farmd", complete_var, standalone_mode=False, **extra)
        except click.ClickException as error:
            code = _report(_in_three_lines(error))
        except click.Abort:
            code = INTERRUPTED
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            if ctx.params.get("debug"):
                raise
            ctx.exit(_report(error))


def _report(error: UserError) -> int:
    for label, line in (("error", error.what), ("  why", error.why), ("  try", error.hint)):
        if line:
            click.echo(f"{label}: {line}", err=True)
    return error.code


def _in_three_lines(error: click.ClickException) -> UserError:
    """Say what click refuses as every other error is said."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context is not None else "farmd"
    what = error.format_message().rstrip(".")
    why = " ".join(context.get_usage().split()).replace("Usage:", "it is written:") if context else "it lacks something"
    hint = f"{path} --help"
    if isinstance(error, click.exceptions.NoSuchOption | click.exceptions.NoSuchCommand):
        what, why = error.message.rstrip("."), f"{path} does not know it"
        hint = f"did you mean {' or '.join(error.possibilities[:3])}?" if error.possibilities else hint
    return UserError(what[:1].lower() + what[1:], why, hint, code=error.exit_code)


@click.group(cls=_Errors, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--check", is_flag=True, help="Check what the node keeps, also while it runs, and exit.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(package_name="farmd")
@_DATA_DIR
@click.pass_context
def main(ctx: click.Context, data_dir: Path | None, check: bool, debug: bool) -> None:
    """The daemon of a render farm without a server.

    \b
    Examples:
      farmd init --data-dir ~/farm            found a farm on this machine
      farmd run --data-dir ~/farm             run the node
      farmd invite --data-dir ~/farm          print a token for another machine
      farmd join --data-dir ~/farm TOKEN      (there) prepare it to join
    """  # noqa: D301  # click's mark for a block that keeps its lines is the character itself
    del debug
    ctx.obj = data_dir
    if check:
        _check(_data_dir(ctx, data_dir))
    elif ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        ctx.exit(2)


def _data_dir(ctx: click.Context, given: Path | None) -> Path:
    """The data dir as said after or before the command, or the usual one of this user."""
    from protocol.places import default_data_dirs

    chosen = given or ctx.find_root().obj
    return chosen if chosen is not None else default_data_dirs()[0]


def _check(data_dir: Path) -> None:
    from farmd.daemon.checking import check_store

    problems = check_store(data_dir, click.echo)
    raise SystemExit(1 if problems else 0)


@main.command()
@_DATA_DIR
@click.option("--name", default="farm", show_default=True, help="Name of the farm, for people.")
@click.pass_context
def init(ctx: click.Context, data_dir: Path | None, name: str) -> None:
    """Found a farm: this machine becomes its first node."""
    from farmd.daemon.membership import found

    chosen = _data_dir(ctx, data_dir)
    identity = found(chosen, name)
    click.echo(f"founded the farm {name!r}; this node is {identity.node}", err=True)
    click.echo(f"next: farmd run --data-dir {chosen}", err=True)


@main.command()
@_DATA_DIR
@click.option("--expires", default="7d", show_default=True, help="How long the token is good (30m, 12h, 7d).")
@click.option("--address", multiple=True, metavar="HOST:PORT", help="Where others reach this node, if not as it runs.")
@click.option("--uses", default=0, type=click.IntRange(0), help="Most machines that it admits; 0 = as many as like.")
@click.option("-o", "printed", type=click.Choice(["token", "json"]), default="token", help="How it is printed.")
@click.pass_context
def invite(ctx: click.Context, /, data_dir: Path | None, expires: str, printed: str, **options: Any) -> None:
    """Print a token that admits other machines; anyone who holds it may join until it expires.

    In a farm that is divided, each part counts the uses that it knows of: rely on the expiry.
    """
    from farmd.daemon.membership import invitation, told_of
    from protocol.human import parse_duration

    expires_at_ms = int(time.time() * 1000 + parse_duration(expires) * 1000)
    token = invitation(_data_dir(ctx, data_dir), expires_at_ms, options["address"], options["uses"])
    click.echo(token if printed == "token" else json.dumps(told_of(token), indent=2))


@main.command()
@_DATA_DIR
@click.argument("token")
@click.pass_context
def join(ctx: click.Context, data_dir: Path | None, token: str) -> None:
    """Prepare this machine to join the farm of TOKEN ("-" reads it from standard input)."""
    from farmd.daemon.membership import prepare_to_join

    chosen = _data_dir(ctx, data_dir)
    identity = prepare_to_join(chosen, sys.stdin.read() if token in ("-",) else token, _say)
    click.echo(f"this node is {identity.node}; it asks the farm {identity.farm.name!r} when it runs", err=True)
    click.echo(f"next: farmd run --data-dir {chosen}", err=True)


@main.command()
@_DATA_DIR
@click.option("--listen", default=DEFAULT_LISTEN, show_default=True, metavar="HOST:PORT", help="Where to listen.")
@click.option("--join", "seeds", multiple=True, metavar="HOST:PORT", help="A member to look for; may be repeated.")
@click.option("--name", default="", help="Name of this node, for people.  [default: the host's name]")
@click.option("--slots", default=0, type=click.IntRange(0, 4096), help="Most frames at once; 0 = as resources allow.")
@click.option("--advertise", default="", metavar="ram=64G,gpu=2", help="Offer this instead of what the machine has.")
@click.option(
    "--transfer-limit",
    "transfer_limit_bytes_s",
    default="0",
    metavar="50M",
    callback=lambda _ctx, _param, text: _size(text),
    envvar="FARM_TRANSFER_LIMIT",
    help="Most bytes a second from and to other machines, each.  [env: FARM_TRANSFER_LIMIT]",
)
@click.option(
    "--store-quota",
    "store_quota_bytes",
    default="0",
    metavar="200G",
    callback=lambda _ctx, _param, text: _quota(text),
    envvar="FARM_STORE_QUOTA",
    help="Most bytes of files and results kept for jobs; 0 or none = no limit.  [env: FARM_STORE_QUOTA]",
)
@click.option(
    "--archive-after",
    "archive_after_s",
    default="0",
    metavar="90d",
    callback=lambda _ctx, _param, text: _seconds(text),
    envvar="FARM_ARCHIVE_AFTER",
    help="Jobs that ended so long ago leave the lists and stay; 0 = never.  [env: FARM_ARCHIVE_AFTER]",
)
@click.option(
    "--logs-age",
    "logs_age_s",
    default="30d",
    show_default=True,
    metavar="TIME",
    callback=lambda _ctx, _param, text: _age(text),
    envvar="FARM_LOGS_AGE",
    help="Remove logs that were written last so long ago; 0 or none = never.  [env: FARM_LOGS_AGE]",
)
@click.option(
    "--logs-quota",
    "logs_quota_bytes",
    default="10G",
    show_default=True,
    metavar="SIZE",
    callback=lambda _ctx, _param, text: _quota(text),
    envvar="FARM_LOGS_QUOTA",
    help="Most bytes of logs, the oldest go first; 0 or none = no limit.  [env: FARM_LOGS_QUOTA]",
)
@click.option("--mdns/--no-mdns", default=True, help="Look for other nodes by multicast DNS.")
@click.option(
    "--web",
    is_flag=False,
    flag_value=DEFAULT_WEB,
    default="",
    envvar="FARM_WEB",
    metavar="[HOST:PORT]",
    help=f"Serve HTTP too, by a process of its own; alone it means {DEFAULT_WEB}.  [env: FARM_WEB]",
)
@click.option(
    "--board",
    is_flag=False,
    flag_value=DEFAULT_BOARD,
    default="",
    envvar="FARM_BOARD",
    metavar="[HOST:PORT]",
    help=f"Serve the board too, likewise; alone it means {DEFAULT_BOARD}.  [env: FARM_BOARD]",
)
@click.option(
    "--log-level",
    default="warning",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="How much it tells on standard error.",
)
@click.pass_context
def run(ctx: click.Context, /, data_dir: Path | None, log_level: str, seeds: tuple[str, ...], **options: Any) -> None:
    """Run this node until it is stopped (Ctrl-C, SIGTERM)."""
    from protocol.places import note_start

    note_start(_data_dir(ctx, data_dir))  # before all that takes long to import: somebody may ask at once
    from farmd.daemon.settings import RunSettings

    asyncio = _asyncio_without_ssl()
    logging.basicConfig(level=log_level.upper(), format="%(levelname)s %(message)s", stream=sys.stderr)
    settings = RunSettings(data_dir=_data_dir(ctx, data_dir), join=seeds, **options)
    _warn_of_door(settings)
    asyncio.run(_run(settings))


@main.command()
@_DATA_DIR
@click.option(
    "--listen", default=DEFAULT_WEB, show_default=True, metavar="HOST:PORT", help='Where to listen; "" = not.'
)
@click.option("--board", default="", metavar="HOST:PORT", help="Serve the board there, too.")
@click.option(
    "--scenes",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False),
    envvar="FARM_WEB_SCENES",
    help="Folder of this machine whose scenes may be named by path; may be repeated.  [env: FARM_WEB_SCENES]",
)
@click.option(
    "--quota",
    "quota_bytes",
    default="256G",
    show_default=True,
    callback=lambda _ctx, _param, text: _size(text),
    envvar="FARM_WEB_QUOTA",
    help="Most bytes of one user's files on their way in.  [env: FARM_WEB_QUOTA]",
)
@click.option(
    "--open-metrics",
    is_flag=True,
    envvar="FARM_WEB_OPEN_METRICS",
    help="Serve /metrics to whoever asks, without token.",
)
@click.option("--with-parent", is_flag=True, hidden=True, help="End when standard input is closed.")
@click.pass_context
def web(ctx: click.Context, /, data_dir: Path | None, **options: Any) -> None:
    """Serve HTTP as a client of this machine's daemon; `farmd run --web` starts this by itself."""
    try:
        from farmd.web.server import serve
        from farmd.web.settings import WebSettings
    except ModuleNotFoundError as error:
        from protocol.extras import how_to_install

        why, hint = f"{error.name} is not installed", f"{how_to_install('web')}, or leave --web out"
        raise UserError("HTTP cannot be served", why, hint, code=2) from error
    logging.basicConfig(level="WARNING", format="%(levelname)s %(message)s", stream=sys.stderr)
    serve(WebSettings(data_dir=_data_dir(ctx, data_dir), **options), _say)


main.add_command(farm)


def _size(text: str) -> int:
    from protocol.human import parse_size

    return parse_size(text)


def _seconds(text: str) -> int:
    from protocol.human import parse_duration

    return int(parse_duration(text))


def _quota(text: str) -> int:
    return 0 if text.strip().lower() == "none" else _size(text)


def _age(text: str) -> float:
    from protocol.human import parse_duration

    return 0.0 if text.strip().lower() == "none" else parse_duration(text)


def _asyncio_without_ssl() -> Any:
    """Import asyncio, which imports ssl where it can: 4 MiB of every daemon, and nothing here speaks TLS.

    Whoever needs ssl afterwards can still import it.
    """
    absent = "ssl" not in sys.modules
    if absent:
        sys.modules["ssl"] = None  # type: ignore[assignment]  # Python's way to say that a module cannot be imported
    try:
        import asyncio
    finally:
        if absent:
            del sys.modules["ssl"]
    return asyncio


def _warn_of_door(settings: Any) -> None:
    """Say at once that HTTP cannot be served: in the log, and on the terminal where the log goes elsewhere."""
    from farmd.daemon.webdoor import door_fault

    fault = door_fault(settings)
    if fault is None:
        return
    lines = f"warning: {fault.what}\n  why: {fault.why}\n  try: {fault.hint}; then start farmd again"
    _say(lines)
    if sys.stdout.isatty() and not sys.stderr.isatty():
        click.echo(lines)


async def _run(settings: Any) -> None:
    import asyncio

    from farmd.daemon.garbage import keep_what_is_loaded
    from farmd.daemon.life import Daemon
    from farmd.daemon.membership import identity_for_run

    def on_ready(address: str) -> None:
        keep_what_is_loaded()
        _say(f"node {identity.node} of {identity.farm.name!r} serves at {address}")

    identity = identity_for_run(settings, _say)
    daemon = Daemon(settings, identity)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.stop)
    await daemon.run(on_ready)


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main()
