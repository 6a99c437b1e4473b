"""Pieces that schemas are built of: JSON Schema (draft 2020-12) as plain maps, each field with what it means.

Objects never forbid further fields: documents only ever grow, and who reads one must not break on what it does not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

Schema: TypeAlias = dict[str, Any]
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def text(meaning: str) -> Schema:
    """A text."""
    return {"type": "string", "description": meaning}


def word(meaning: str, words: Iterable[str]) -> Schema:
    """One of these words."""
    return {"type": "string", "enum": [str(one) for one in words], "description": meaning}


def count(meaning: str) -> Schema:
    """A whole number, not negative."""
    return {"type": "integer", "minimum": 0, "description": meaning}


def whole(meaning: str) -> Schema:
    """A whole number."""
    return {"type": "integer", "description": meaning}


def number(meaning: str) -> Schema:
    """A number, not negative."""
    return {"type": "number", "minimum": 0, "description": meaning}


def flag(meaning: str) -> Schema:
    """True or false."""
    return {"type": "boolean", "description": meaning}


def instant(meaning: str) -> Schema:
    """Milliseconds since the Unix epoch; 0: not yet."""
    return count(f"{meaning}, in milliseconds since 1970; 0: not yet")


def maybe(schema: Schema) -> Schema:
    """The same, or null."""
    if "type" not in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    choice = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return schema | {"type": [*kinds, "null"]} | choice


def items(schema: Schema, meaning: str) -> Schema:
    """A list of these."""
    return {"type": "array", "items": schema, "description": meaning}


def thing(always: Mapping[str, Schema], sometimes: Mapping[str, Schema] | None = None, meaning: str = "") -> Schema:
    """An object with fields that are always there, and some that may be."""
    made: Schema = {"type": "object", "required": list(always), "properties": {**always, **(sometimes or {})}}
    return made | ({"description": meaning} if meaning else {})


def document(
    name: str, meaning: str, always: Mapping[str, Schema], sometimes: Mapping[str, Schema] | None = None
) -> Schema:
    """A whole document, which names its schema in the field `schema`."""
    mark = {"schema": {"const": name, "description": "which schema this is"}}
    body = thing({**mark, **always}, sometimes)
    return {"$schema": DIALECT, "$id": f"urn:{name}", "title": name, "description": meaning} | body


NODE_REF: Final = thing({"id": text("the machine's id"), "name": text("its name")})
REASON: Final = thing(
    {
        "code": text("for scripts; see `farmctl help` and the reference page on reasons"),
        "text": text("for people"),
        "hint": text("what to try; may be empty"),
    },
    {"glyph": text("how bad it is, as one character")},
)
STORED: Final = {
    "stored": maybe(text("who has stored it: here, farm, ...; null in a dry run")),
    "nodes": items(text("name"), "machines that have stored it"),
}
"""Who has a change already; always there in a submission, and with orders of machines that tell it."""
