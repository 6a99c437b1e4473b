"""Arguments that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from farmctl.completing import complete_jobs, complete_nodes
from protocol.existing import ExistingFile

if TYPE_CHECKING:
    from collections.abc import Callable


def job_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument JOB."""
    return click.argument("job_word", metavar="JOB", shell_complete=complete_jobs)(function)


def jobs_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument JOB..., at least one; `-` reads ids from stdin."""
    return click.argument("words", nargs=-1, required=True, metavar="JOB...", shell_complete=complete_jobs)(function)


def node_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument NODE."""
    return click.argument("node_word", metavar="NODE", shell_complete=complete_nodes)(function)


def existing_option(*, default: ExistingFile | None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the option --existing; without a default it is None where it was not given."""
    return click.option(
        "--existing",
        type=click.Choice([choice.value for choice in ExistingFile]),
        default=None if default is None else default.value,
        show_default=default is not None,
        help="Other files of these names: move them aside, keep them, replace them, or fail.",
    )
