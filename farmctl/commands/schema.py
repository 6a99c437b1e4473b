"""`farmctl schema`: what `-o json` promises, as JSON Schema."""

from __future__ import annotations

from typing import Final

import click

from farmctl.columns import text
from farmctl.context import Session, pass_session
from farmctl.lazy import Verb
from farmctl.output import Column, Listing, print_json
from protocol.errors import NotFound
from protocol.human import nearest_word

_SCHEMAS: Final = Listing("schemas", (Column("NAME", text("name")), Column("WHAT", text("meaning"))), "name", "none")


def complete_schemas(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the names of schemas."""
    from protocol.schemas import SCHEMAS

    return [name for name in SCHEMAS if name.startswith(incomplete)]


@click.command("schema", cls=Verb, examples=("farmctl schema", "farmctl schema farm.job.v1 > farm.job.v1.json"))
@click.argument("name", required=False, shell_complete=complete_schemas)
@pass_session
def schema(session: Session, name: str | None) -> None:
    """Print the JSON Schema (draft 2020-12) of a document; without a name, list the documents that there are.

    NAME is what a document carries in its field "schema"; farm. and the version may be left out: farmctl schema job.
    """
    from protocol.schemas import SCHEMAS

    if name is None:
        rows = [{"name": known, "meaning": one["description"]} for known, one in SCHEMAS.items()]
        session.printer.listing({"schema": "farm.schemas.v1", "schemas": rows}, _SCHEMAS)
        return
    found = SCHEMAS.get(name) or SCHEMAS.get(f"farm.{name}.v1")
    if found is None:
        short = nearest_word(name.removeprefix("farm.").removesuffix(".v1"), [one[5:-3] for one in SCHEMAS])
        hint = f"did you mean farm.{short}.v1?" if short else "see them all: farmctl schema"
        raise NotFound(f"no schema {name!r}", "no document is called so", hint)
    print_json(found)
