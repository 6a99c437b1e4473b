"""The OpenAPI document, made from the table of endpoints: version 3.1, whose schemas are JSON Schema as pydantic writes it.

https://spec.openapis.org/oas/v3.1.1. Called by the door and by the reference page.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pydantic.json_schema import models_json_schema

from farmd.web.errors import CODES
from farmd.web.paths import PATTERNS
from farmd.web.schemas import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import BaseModel

    from farmd.web.endpoints import Endpoint

_REF: Final = "#/components/schemas/{model}"
_IN_PATH: Final = re.compile(r"\{(\w+)\}")
_ALL_CAN: Final = (422, 503)
_WITH_TOKEN: Final = (401, 403, 429)
_WITH_BODY: Final = (400, 408, 413, 415)
_MEANINGS: Final = {
    400: "The request cannot be read.",
    401: "It brings no token, or a wrong one.",
    403: "The owner of the token may not do this.",
    404: "There is no such thing.",
    408: "The body came too slowly.",
    409: "It cannot be done as things stand.",
    411: "It says no length.",
    413: "It is too large.",
    415: "The body is no JSON.",
    416: "The range is none that can be had.",
    422: "It says something that cannot be meant.",
    429: "Too many wrong tokens came from this address, or too much is asked at once.",
    503: "The daemon does not answer, or the machine that is needed does not.",
}
_GOOD: Final = {200: "Done.", 201: "Made.", 202: "Taken; more is to come.", 206: "The rest of the file."}


def openapi_document(endpoints: Sequence[Endpoint], version: str) -> dict[str, Any]:
    """Write the document.

    Args:
        endpoints: The table.
        version: Of the program.
    """
    models = _models(endpoints)
    _, schemas = models_json_schema(models, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "farmd",
            "version": version,
            "description": "A render farm without a server, over HTTP. Any node of the farm answers the same.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": tag} for tag in dict.fromkeys(endpoint.tag for endpoint in endpoints)],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _models(endpoints: Iterable[Endpoint]) -> list[tuple[type[BaseModel], Any]]:
    found: dict[tuple[type[BaseModel], str], None] = {(Failure, "serialization"): None}
    for endpoint in endpoints:
        if endpoint.body is not None:
            found[endpoint.body, "validation"] = None
        if not isinstance(endpoint.answer, str):
            found[endpoint.answer, "serialization"] = None
    return list(found)


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "security": [{"token": []}] if endpoint.needs_token else [],
        "parameters": [*_in_path(endpoint), *_in_query(endpoint), *_in_header(endpoint)],
        "responses": {str(status): response for status, response in _responses(endpoint)},
    }
    if endpoint.body is not None:
        schema = {"$ref": _REF.format(model=endpoint.body.__name__)}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    elif endpoint.raw_body:
        operation["requestBody"] = {"required": True, "content": {endpoint.raw_body: {}}}
    return operation


def _in_path(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": PATTERNS[name][1],
            "schema": {"type": "string", "pattern": PATTERNS[name][0]},
        }
        for name in _IN_PATH.findall(endpoint.path)
    ]


def _in_query(endpoint: Endpoint) -> list[dict[str, Any]]:
    schema = endpoint.query.model_json_schema(ref_template=_REF)
    inner = schema.get("$defs", {})
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": description_of(entry),
            "schema": _without_null(_resolved(entry, inner)),
        }
        for name, entry in schema.get("properties", {}).items()
    ]


def description_of(entry: dict[str, Any]) -> str:
    """Return what a field means: its own words, or those of the kind of text that it is."""
    inner = [str(option.get("description", "")) for option in entry.get("anyOf", ())]
    return str(entry.get("description") or next(filter(None, inner), ""))


def _resolved(entry: dict[str, Any], inner: dict[str, Any]) -> dict[str, Any]:
    """Put in what an entry refers to: a parameter's schema stands alone."""
    plain = {name: value for name, value in entry.items() if name not in ("title", "description")}
    reference = plain.pop("$ref", None)
    if reference is not None:
        plain |= {name: value for name, value in inner[reference.rpartition("/")[2]].items() if name != "title"}
    if "anyOf" in plain:
        plain["anyOf"] = [_resolved(option, inner) for option in plain["anyOf"]]
    return plain


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Leave out null: what is not said in an address is not there."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    plain = {name: value for name, value in schema.items() if name != "anyOf" and (name, value) != ("default", None)}
    return plain | options[0] if len(options) == 1 else plain


def _in_header(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "required": False, "description": meaning, "schema": {"type": "string"}}
        for name, meaning in endpoint.headers.items()
    ]


def _responses(endpoint: Endpoint) -> Iterable[tuple[int, dict[str, Any]]]:
    for status in (endpoint.status, *endpoint.also):
        yield status, {"description": _GOOD[status], "content": _content(endpoint)}
    refusals = {*endpoint.refusals, *_ALL_CAN}
    refusals |= set(_WITH_TOKEN) if endpoint.needs_token else set()
    refusals |= set(_WITH_BODY) if endpoint.body is not None or endpoint.raw_body else set()
    failure = {"application/json": {"schema": {"$ref": _REF.format(model=Failure.__name__)}}}
    for status in sorted(refusals):
        yield status, {"description": f"`{CODES[status]}`: {_MEANINGS[status]}", "content": failure}


def _content(endpoint: Endpoint) -> dict[str, Any]:
    if isinstance(endpoint.answer, str):
        return {endpoint.answer: {}}
    return {"application/json": {"schema": {"$ref": _REF.format(model=endpoint.answer.__name__)}}}
