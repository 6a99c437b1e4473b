"""Completion with what is there right now: job ids and machine names, asked for within 300 ms, else nothing at all.

A completion that hangs or prints is worse than none, so every way to fail gives an empty list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from farmctl.context import Session
from farmctl.settings import apply_settings
from protocol.errors import FarmError
from protocol.human import printable

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

    from farmctl.output import View

BUDGET_S: Final = 0.3
NEWEST: Final = 500
"""So many jobs are offered; thousands of them would not come within the budget."""


def complete_jobs(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer ids and names of jobs."""
    rows = _rows(ctx, "job.list", "jobs", limit=NEWEST)
    offered = [(str(row["id"]), f"{row.get('name', '')} {row.get('state', '')}") for row in rows]
    offered += [(str(row["name"]), str(row.get("state", ""))) for row in rows if row.get("name")]
    return _items(offered, incomplete)


def complete_nodes(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer names of machines."""
    rows = _rows(ctx, "node.list", "nodes")
    return _items([(str(row.get("name") or row["id"]), str(row.get("state", ""))) for row in rows], incomplete)


def complete_targets(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer addresses: of the daemons of this machine, and of all machines that one of them knows."""
    from protocol.places import running_daemons

    offered = [(daemon.address, "on this machine") for daemon in running_daemons()]
    rows = _rows(ctx, "node.list", "nodes", name="address")
    offered += [(str(row["address"]), str(row.get("name") or "")) for row in rows if row["address"]]
    return _items(offered, incomplete)


def complete_path_prefixes(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the written prefixes of path rules."""
    from click.shell_completion import CompletionItem

    rows = _rows(ctx, "path.list", "rules", name="written")
    return [
        CompletionItem(str(row["written"]), help=str(row.get("becomes", "")))
        for row in rows
        if str(row["written"]).lower().startswith(incomplete.lower())
    ]


def complete_users(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the names of people."""
    from click.shell_completion import CompletionItem

    rows = _rows(ctx, "user.list", "users", name="name")
    return [
        CompletionItem(str(row["name"]), help=str(row.get("role", "")))
        for row in rows
        if str(row["name"]).startswith(incomplete)
    ]


def complete_hooks(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the ids of hooks."""
    from click.shell_completion import CompletionItem

    rows = _rows(ctx, "hook.list", "hooks", name="id")
    return [
        CompletionItem(str(row["id"]), help=str(row.get("target", "")))
        for row in rows
        if str(row["id"]).startswith(incomplete)
    ]


def complete_hook_events(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer what a hook may wait for. Asks nobody."""
    from click.shell_completion import CompletionItem

    from protocol.hooks import EVENTS

    words = ("job.*", "alert.*", *EVENTS)
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def complete_filter(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the fields that rows can be chosen by; after `state=`, the states. Asks nobody."""
    from click.shell_completion import CompletionItem

    from protocol.filters import JOB_FIELDS, NODE_FIELDS, TASK_FIELDS, Kind

    path = ctx.command_path.split()
    fields = NODE_FIELDS if "node" in path else TASK_FIELDS if "task" in path else JOB_FIELDS
    before, comma, part = incomplete.rpartition(",")
    head = before + comma
    name, sign, word = part.partition("=")
    if not sign:
        offered = [
            f"{head}{known}{'=' if field.kind is Kind.WORD else ''}"
            for known, field in fields.known.items()
            if known.startswith(part)
        ]
    else:
        words, bar, last = word.rpartition("|")
        known_words = fields.known[name].all_words if name in fields.known else ()
        offered = [f"{head}{name}={words}{bar}{known}" for known in known_words if known.startswith(last)]
    return [CompletionItem(text) for text in offered]


def _items(offered: list[tuple[str, str]], incomplete: str) -> list[CompletionItem]:
    """Make items of what begins right, each once; a name that would break a line of the shell's is left out."""
    from click.shell_completion import CompletionItem

    return [
        CompletionItem(value, help=printable(told).strip() or None)
        for value, told in {value: (value, told) for value, told in offered}.values()
        if value.startswith(incomplete) and printable(value) == value
    ]


def _rows(ctx: click.Context, op: str, key: str, name: str = "id", limit: int = 0) -> list[View]:
    """Ask the node for a list, or for its last `limit` rows."""
    session = ctx.find_object(Session) or Session()
    try:
        apply_settings(session)  # the command itself is not run, so nothing has read the files
        client = session.connect(session.node, BUDGET_S)
        try:
            answer: View = client.call(op, limit=limit) if limit else client.call(op)
            rows: list[View] = answer[key]
            unseen = int(answer.get("total") or 0) - len(rows)
            if unseen > 0:
                rows = client.call(op, offset=unseen, limit=limit)[key]
        finally:
            client.close()
    except (FarmError, OSError, LookupError, TypeError):
        return []
    return [row for row in rows if name in row]
