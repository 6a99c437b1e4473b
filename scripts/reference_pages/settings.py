"""Pages about configuration, JSON documents, and the topics of the help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from farmctl.settings import DEFAULTS, MEANINGS, SETTINGS, VARIABLES
from farmctl.topics import TOPICS
from farmd.cli import main as farmd
from protocol.schemas import SCHEMAS
from scripts.reference_pages.markdown import code, page, table

if TYPE_CHECKING:
    from collections.abc import Iterator


def pages() -> dict[str, str]:
    """Draw these pages, by file name."""
    return {"configuration.md": _configuration(), "json.md": _json(), "topics.md": _topics()}


def _configuration() -> str:
    settings = [
        (
            code(name),
            ", ".join(map(code, words)) or "any text",
            code(DEFAULTS[name]) if DEFAULTS[name] else "",
            MEANINGS[name],
        )
        for name, words in SETTINGS.items()
    ]
    return page(
        "Configuration",
        "## farmctl",
        "A flag beats the environment (`FARM_` and the name in capitals), which beats `.farm.toml` of the project (in this"
        " folder or the next one above it that has the file), which beats the user's file (`~/.config/farm/config.toml`, or"
        " in `$XDG_CONFIG_HOME`), which beats `/etc/farm/config.toml`. Settings stand in the table `[farmctl]`:",
        '```toml\n[farmctl]\nnode = "ws07:7871"\noutput = "wide"\n```',
        table(("setting", "values", "default", "meaning"), settings),
        "`farmctl config show --origin` tells what holds and where it comes from, `farmctl config validate` what is wrong"
        " with a file and in which line, `farmctl config set NAME VALUE` changes one line of it.",
        "Variables that are read:",
        table(("variable", "meaning"), [(code(name), meaning) for name, meaning in VARIABLES.items()]),
        "## farmd",
        "The daemon has no file: its options are given by the service, or by the environment.",
        table(("variable", "option", "meaning"), list(_daemon_variables())),
    )


def _daemon_variables() -> Iterator[tuple[str, str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for name, command in sorted(farmd.commands.items()):
        for param in command.params:
            if isinstance(param, click.Option) and isinstance(param.envvar, str) and param.envvar not in found:
                meaning = (param.help or "").partition("  [env:")[0]
                found[param.envvar] = (f"farmd {name} {param.opts[0]}", meaning)
    yield from ((code(variable), code(option), meaning) for variable, (option, meaning) in sorted(found.items()))


def _json() -> str:
    parts = [
        (
            "What `-o json` prints. Every document names its schema; within a version fields are only ever added, so read what"
            " you know and ignore the rest. `farmctl schema NAME` prints a schema as JSON Schema (draft 2020-12). Fields with"
            " a question mark are not always there."
        ),
    ]
    for name, schema in SCHEMAS.items():
        parts += [f"## {name}", str(schema["description"])]
        rows = [row for row in _fields(schema, "") if row[0] != code("schema")]
        parts.append(table(("field", "kind", "meaning"), rows))
    return page("JSON documents", *parts)


def _fields(schema: dict[str, Any], prefix: str) -> Iterator[tuple[str, str, str]]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield code(path + ("" if name in required else " ?")), _kind(field), _meaning(field)
        inner = field.get("items", field)
        for choice in (inner, *inner.get("anyOf", ())):
            yield from _fields(choice, f"{path}[]." if "items" in field else f"{path}.")


def _meaning(field: dict[str, Any]) -> str:
    text = str(field.get("description", ""))
    words = [word for word in field.get("enum", ()) if word is not None]
    return f"{text}: {', '.join(map(code, words))}" if words else text


def _kind(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_kind(choice) for choice in field["anyOf"])
    if "const" in field:
        return "text"
    kinds = field.get("type", "any")
    words = {"string": "text", "integer": "whole number", "array": "list", "object": "map", "boolean": "true or false"}
    return " or ".join(words.get(kind, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _topics() -> str:
    parts = ["What `farmctl help TOPIC` says."]
    for name, topic in TOPICS.items():
        parts += [f"## {name}", topic.line, f"```text\n{topic.text()}\n```"]
    return page("Help topics", *parts)
