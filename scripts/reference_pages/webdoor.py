"""The page about HTTP, drawn from the OpenAPI document that every node serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farmd.web.documents import document
from farmd.web.errors import CODES, STATUS_OF
from farmd.web.openapi import description_of
from farmd.web.settings import (
    HEAD_S,
    IDLE_S,
    MAX_CONNECTIONS,
    MAX_CONNECTIONS_EACH,
    MAX_FILE_BYTES,
    MAX_FILES,
    MAX_JSON_BYTES,
    MAX_LIST_BYTES,
)
from farmd.web.table import ENDPOINTS
from protocol.exitcodes import ExitCode
from protocol.human import format_size
from scripts.reference_pages.markdown import code, page, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmd.web.endpoints import Endpoint


def pages() -> dict[str, str]:
    """Draw this page, by file name."""
    return {"http.md": _http()}


def _http() -> str:
    parts: list[str] = []
    tag = ""
    for endpoint in ENDPOINTS:
        if endpoint.tag != tag:
            tag = endpoint.tag
            parts.append(f"## {tag}")
        parts += _endpoint(endpoint)
    exits: dict[int, list[str]] = {}
    for number, status in STATUS_OF.items():
        exits.setdefault(status, []).append(f"{int(number)} ({ExitCode(number).name.lower()})")
    rows = [(status, code(word), ", ".join(exits.get(status, []))) for status, word in CODES.items()]
    return page(
        "HTTP",
        "What a node serves with `farmd run --web`. Every request but those of the last chapter that say so carries"
        " `Authorization: Bearer TOKEN`. Answers are JSON objects that only ever grow. `/openapi.json` says the same to"
        " programs, with the schema of each answer.",
        *parts,
        "## Errors",
        "A JSON object of `code`, `message`, `why`, `hint` and `exit_code`; some carry more, such as `lacking`.",
        table(("status", "code", "exit codes of farmctl that become it"), rows),
        "## Limits",
        table(("limit", "value"), _limits()),
    )


def _limits() -> list[tuple[str, str]]:
    return [
        ("a JSON body", format_size(MAX_JSON_BYTES)),
        ("a list of files", f"{format_size(MAX_LIST_BYTES)}, {MAX_FILES:,} files"),
        ("a file", format_size(MAX_FILE_BYTES)),
        ("connections, in all and from one address", f"{MAX_CONNECTIONS}, {MAX_CONNECTIONS_EACH}"),
        ("time for the head of a request", f"{HEAD_S:.0f} s"),
        ("time in which nothing comes, or nothing is taken", f"{IDLE_S:.0f} s"),
    ]


def _endpoint(endpoint: Endpoint) -> Iterator[str]:
    operation = document()["paths"][endpoint.path][endpoint.method.lower()]
    yield f"### {endpoint.method} {endpoint.path}"
    statuses = ", ".join(operation["responses"])
    token = "" if endpoint.needs_token else " Needs no token."
    yield f"{endpoint.summary}{token} Answers: {statuses}."
    rows = [
        (
            code(entry["name"]),
            entry["in"],
            "yes" if entry["required"] else "",
            entry["description"],
            _kind(entry["schema"]),
        )
        for entry in operation["parameters"]
    ]
    rows += [(code(name), "body", "yes" if needed else "", text, kind) for name, needed, text, kind in _body(endpoint)]
    if rows:
        yield table(("name", "in", "needed", "meaning", "type"), rows)
    if isinstance(endpoint.answer, str):
        yield f"Answer: {code(endpoint.answer)}."
    else:
        yield "Answer: " + ", ".join(code(name) for name in _fields(endpoint.answer.__name__)) + ", …"


def _schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = document()["components"]["schemas"][name]
    return found


def _fields(name: str) -> list[str]:
    return list(_schema(name).get("properties", {}))


def _body(endpoint: Endpoint) -> Iterator[tuple[str, bool, str, str]]:
    if endpoint.raw_body:
        yield "…", True, "the bytes", endpoint.raw_body
    if endpoint.body is None:
        return
    schema = _schema(endpoint.body.__name__)
    for name, entry in schema.get("properties", {}).items():
        yield name, name in schema.get("required", ()), description_of(entry), _kind(entry)


def _kind(schema: dict[str, Any]) -> str:
    """Say in a word what a value looks like."""
    if "$ref" in schema:
        return _kind(_schema(schema["$ref"].rpartition("/")[2]))
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(option) for option in schema["anyOf"] if option != {"type": "null"}))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    kind = str(schema.get("type", "object"))
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    span = [str(schema[name]) for name in ("minimum", "maximum") if name in schema]
    default = f", {schema['default']}" if schema.get("default") not in (None, False, "") else ""
    return f"{kind}{f' {span[0]} to {span[1]}' if len(span) == 2 and len(span[1]) < 8 else ''}{default}"
