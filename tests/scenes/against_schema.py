"""Compares plain data with a JSON Schema: the words that our own schema uses, and none besides."""

from __future__ import annotations

import re
from typing import Any

_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_ABOUT = {"$schema", "$id", "$defs", "title"}
_KNOWN = {
    *("type", "const", "enum", "pattern", "minimum", "minItems", "maxItems", "items"),
    *("required", "properties", "additionalProperties", "$ref"),
}


def faults(schema: dict[str, Any], data: object, root: dict[str, Any] | None = None, at: str = "$") -> list[str]:
    """List where data is not as the schema says."""
    root = root or schema
    assert schema.keys() <= _KNOWN | _ABOUT, f"{at}: this comparison does not know {schema.keys() - _KNOWN - _ABOUT}"
    if "$ref" in schema:
        return faults(root["$defs"][schema["$ref"].rpartition("/")[2]], data, root, at)
    if "const" in schema and data != schema["const"]:
        return [f"{at}: {data!r} is not {schema['const']!r}"]
    if "enum" in schema and data not in schema["enum"]:
        return [f"{at}: {data!r} is none of {schema['enum']}"]
    if "type" in schema and not _is_a(data, schema["type"]):
        return [f"{at}: {data!r} is no {schema['type']}"]
    return [*_simple(schema, data, at), *_inside(schema, data, root, at)]


def _is_a(data: object, named: str | list[str]) -> bool:
    names = [named] if isinstance(named, str) else named
    kinds = tuple(kind for name in names for kind in _KINDS[name])
    return isinstance(data, kinds) and (not isinstance(data, bool) or "boolean" in names)


def _simple(schema: dict[str, Any], data: object, at: str) -> list[str]:
    if isinstance(data, str) and not re.search(schema.get("pattern", ""), data):
        return [f"{at}: {data!r} does not fit {schema['pattern']}"]
    if isinstance(data, int) and data < schema.get("minimum", data):
        return [f"{at}: {data} is too small"]
    if isinstance(data, list) and not schema.get("minItems", 0) <= len(data) <= schema.get("maxItems", len(data)):
        return [f"{at}: {len(data)} items"]
    return []


def _inside(schema: dict[str, Any], data: object, root: dict[str, Any], at: str) -> list[str]:
    if isinstance(data, list):
        items = schema.get("items", {})
        return [fault for place, item in enumerate(data) for fault in faults(items, item, root, f"{at}[{place}]")]
    if not isinstance(data, dict):
        return []
    found = [f"{at}: {name} is missing" for name in schema.get("required", ()) if name not in data]
    others = schema.get("additionalProperties", {})
    for name, value in data.items():
        inner = schema.get("properties", {}).get(name, others)
        if inner is False:
            found.append(f"{at}: {name} is not described")
        else:
            found += faults(inner if isinstance(inner, dict) else {}, value, root, f"{at}.{name}")
    return found
