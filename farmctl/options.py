"""Arguments and options that several commands share.

What all that change something take (`--filter`, `-n`, `-y`, `--no-input`) is stored in the session, where the modules
that select and that ask look for it: a new command gets them by one decorator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from farmctl.completing import complete_filter, complete_jobs, complete_nodes
from farmctl.context import session_option
from protocol.existing import ExistingFile
from protocol.human import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable


def job_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument JOB."""
    return click.argument("job_word", metavar="JOB", shell_complete=complete_jobs)(function)


def jobs_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument JOB... and the option --filter, one of which must be there; `-` reads ids from stdin."""
    return jobs_and("")(function)


def jobs_and(last: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the same, with one more word after the jobs."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        function = filter_option("state=failed,owner=me: all jobs of which this holds, instead of ids.")(function)
        metavar = f"[JOB...] {last}".rstrip()
        return click.argument("words", nargs=-1, metavar=metavar, shell_complete=complete_jobs)(function)

    return add


def node_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument NODE."""
    return click.argument("node_word", metavar="NODE", shell_complete=complete_nodes)(function)


def nodes_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument NODE... and the option --filter, one of which must be there; `-` reads ids from stdin."""
    function = filter_option("state=idle,free_ram<8G: all machines of which this holds, instead of names.")(function)
    return click.argument("words", nargs=-1, metavar="[NODE...]", shell_complete=complete_nodes)(function)


def filter_option(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the option --filter; `farmctl.selecting` reads it from the session."""
    return session_option("--filter", "chosen", metavar="TESTS", shell_complete=complete_filter, help=text)


def _complete_order(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from farmctl.sorting import complete_order

    return complete_order(ctx, param, incomplete)


SORT: Final = click.option(
    "--sort",
    metavar="FIELD",
    shell_complete=_complete_order,
    help="By this field; -FIELD turns it round. Fields as in filters.",
)
WHY: Final = click.option("--why", default="", metavar="TEXT", help="What others read as the reason.")
DRY_RUN: Final = session_option("-n", "--dry-run", is_flag=True, help="Check everything, change nothing.")
YES: Final = session_option("-y", "--yes", is_flag=True, help="Do not ask.")
NO_INPUT: Final = session_option("--no-input", is_flag=True, help="Never ask; refuse instead.")


def change_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every change takes: --why, -n, -y, --no-input."""
    return WHY(DRY_RUN(YES(NO_INPUT(function))))


def wait_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --timeout and --stop-at-gate, in the words of `farmctl.follow`."""
    timeout = click.option(
        "--timeout", type=parse_duration, metavar="TIME", help="Give up after so long (exit code 8)."
    )
    stop = click.option("--stop-at-gate", is_flag=True, help="Leave with 9 when a person must decide.")
    return timeout(stop(function))


def existing_option(*, default: ExistingFile | None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the option --existing; without a default it is None where it was not given."""
    return click.option(
        "--existing",
        type=click.Choice([choice.value for choice in ExistingFile]),
        default=None if default is None else default.value,
        show_default=default is not None,
        help="Other files of these names: move them aside, keep them, replace them, or fail.",
    )
