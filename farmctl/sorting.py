"""`--sort age`, `--sort=-priority`: put rows of a list in order by what filters know of them.

Words are compared without case, states in the order of a life, numbers, sizes and times by their amount; a row that does
not have the field comes last, whichever way. Rows that are equal stay in the order in which the node told them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protocol.errors import UsageError
from protocol.filters import Kind
from protocol.human import nearest_word

if TYPE_CHECKING:
    from collections.abc import Callable

    import click

    from farmctl.output import View
    from protocol.filters import Field, Fields


def sort_rows(rows: list[View], order: str | None, fields: Fields) -> list[View]:
    """Return the rows in the order that a person asked for; `-` in front turns it round.

    Raises:
        UsageError: These rows have no such field.
    """
    if not order:
        return rows
    name = order.removeprefix("-")
    field = fields.known.get(name)
    if field is None:
        meant = nearest_word(name, fields.known)
        hint = f"did you mean {meant}?" if meant else f"known are: {', '.join(fields.known)}"
        raise UsageError(f"cannot sort by {name!r}", f"{fields.rows} have no such field", hint)
    amount = _amount_of(field)
    there = [row for row in rows if amount(row) is not None]
    # An age counts from an instant: the youngest has the largest one.
    turned = order.startswith("-") is not (field.kind is Kind.AGE)
    there.sort(key=amount, reverse=turned)
    return [*there, *(row for row in rows if amount(row) is None)]


def _amount_of(field: Field) -> Callable[[View], Any]:
    def amount(row: View) -> Any:
        value = row.get(field.key)
        if field.kind is not Kind.WORD:
            return len(value) if isinstance(value, list) else value if value or field.kind is Kind.NUMBER else None
        if isinstance(value, dict):
            value = value.get("text")
        if isinstance(value, list):
            value = ", ".join(str(item.get("name") or "") if isinstance(item, dict) else str(item) for item in value)
        text = str(value or "").lower()
        return (field.words.index(text) if text in field.words else len(field.words), text) if text else None

    return amount


def complete_order(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the fields."""
    from protocol.filters import JOB_FIELDS, NODE_FIELDS, TASK_FIELDS

    path = ctx.command_path.split()
    fields = NODE_FIELDS if "node" in path else TASK_FIELDS if "task" in path else JOB_FIELDS
    sign = "-" if incomplete.startswith("-") else ""
    return [f"{sign}{name}" for name in fields.known if name.startswith(incomplete.removeprefix("-"))]
