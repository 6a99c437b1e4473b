"""Arguments that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from farmctl.completing import complete_jobs, complete_nodes

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
