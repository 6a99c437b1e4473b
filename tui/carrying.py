"""Carries out what was typed after the colon, as if a key had been pressed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from protocol.errors import NotFound, UsageError
from protocol.jobwords import read_edits
from tui.keymap import Place
from tui.orders import ORDERS, edit_order, priority_order, retry_order

if TYPE_CHECKING:
    from tui.app import Dashboard
    from tui.commands import Intent
    from tui.orders import Chosen

_MOST_URGENT: Final = 100
_SHOWN: Final = 3
"""Ids that are named where a word could mean several."""


def carry_out(dashboard: Dashboard, intent: Intent, chosen: Chosen) -> None:
    """Carry out an intent.

    Args:
        dashboard: Where.
        intent: What.
        chosen: What was chosen when it began to be typed: rows come and go under the cursor meanwhile.

    Raises:
        UserError: What it names does not exist, or is no number.
    """
    screen, words = dashboard.front, intent.words
    match intent.name:
        case "show" if len(words) > 1:
            dashboard.show_filtered(Place(words[0]), " ".join(words[1:]))
        case "show":
            dashboard.show(Place(words[0]))
        case "job":
            wanted = " ".join(words)  # names have blanks
            dashboard.open_job(_only(dashboard.console_model.find_job(wanted), "job", wanted))
        case "node":
            dashboard.go_to_node(_only(dashboard.console_model.find_node(words[0]), "machine", words[0]))
        case "log":
            for job in chosen.jobs[:1]:
                dashboard.show_log(job, frame=_number(words[0]) if words else None)
        case "filter":
            screen.set_filter(" ".join(words))
        case "sort":
            screen.sort_by(words[0])
        case _:
            _act(dashboard, intent, chosen)


def _act(dashboard: Dashboard, intent: Intent, chosen: Chosen) -> None:
    match intent.name:
        case "why":
            dashboard.front.action_why()
        case "help":
            dashboard.action_help()
        case "refresh":
            dashboard.action_refresh()
        case "leave":
            dashboard.action_leave()
        case _:
            _order(dashboard, intent, chosen)


def _order(dashboard: Dashboard, intent: Intent, chosen: Chosen) -> None:
    words, order = intent.words, dashboard.ordering.order
    match intent.name:
        case "order":
            dashboard.front.order_for(chosen, words[0], " ".join(words[1:]))
        case "edit":
            order(edit_order(read_edits(words), " ".join(words)), chosen.jobs)
        case "retry" if words:
            order(retry_order(" ".join(words)), chosen.jobs)
        case "retry":
            dashboard.front.order_for(chosen, "retry")
        case "set_priority":
            order(priority_order(_urgency(words[0])), chosen.jobs)
        case "hold" | "drain" | "release":
            named = [_only(dashboard.console_model.find_node(word), "machine", word) for word in words]
            order(ORDERS[intent.name], named or chosen.nodes)


def _only(found: list[str], kind: str, word: str) -> str:
    if not found:
        raise NotFound(f"no {kind} is called {word!r}, or begins so", "", "")
    if len(found) > 1:
        more = ", …" if len(found) > _SHOWN else ""
        raise NotFound(f"{word!r} could be {len(found)} {kind}s", ", ".join(found[:_SHOWN]) + more, "")
    return found[0]


def _urgency(word: str) -> int:
    value = _number(word)
    if value > _MOST_URGENT:
        raise UsageError(f"a priority of {value} is too large", f"it goes from 0 to {_MOST_URGENT}", "")
    return value


def _number(word: str) -> int:
    if not word.isdecimal():
        raise UsageError(f"{word!r} is no number", "", "")
    return int(word)
