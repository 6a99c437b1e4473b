"""What this interface says about itself: the OpenAPI document, a page for people, and that it is there.

The page is one file without scripts, pictures or anything from elsewhere.
"""

from __future__ import annotations

import html
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, JSONResponse, Response

if TYPE_CHECKING:
    from farmd.web.endpoints import Asked, Endpoint

_CSS = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
section { border: 1px solid var(--line); border-radius: 6px; padding: .6rem 1rem; margin: .7rem 0; }
section h3 { margin: 0; font: 600 14px/1.6 ui-monospace, monospace; overflow-wrap: anywhere; }
section p { margin: .3rem 0; }
b.method { display: inline-block; min-width: 4rem; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
td { border-top: 1px solid var(--line); padding: .2rem .6rem .2rem 0; vertical-align: top; }
code { background: var(--soft); border-radius: 3px; padding: 0 .25rem; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


async def show_health(_asked: Asked) -> dict[str, Any]:
    """Say that this process answers."""
    return {"status": "ok"}


async def show_openapi(_asked: Asked) -> Response:
    """Send the OpenAPI document."""
    return JSONResponse(document(), headers={"Cache-Control": "public, max-age=300"})


async def show_docs(_asked: Asked) -> Response:
    """Send the page."""
    return HTMLResponse(_page(), headers={"Content-Security-Policy": _POLICY})


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    from farmd.web.openapi import openapi_document
    from farmd.web.table import ENDPOINTS

    return openapi_document(ENDPOINTS, program_version())


def program_version() -> str:
    """Return the version of the program, "0" where it was never installed."""
    try:
        return version("farmd")
    except PackageNotFoundError:
        return "0"


@cache
def _page() -> str:
    from farmd.web.table import ENDPOINTS

    parts = ["<!doctype html><html lang=en><meta charset=utf-8><title>farmd over HTTP</title>"]
    parts.append("<meta name=viewport content='width=device-width'>")
    parts.append(f"<style>{_CSS}</style><h1>farmd over HTTP</h1>")
    parts.append(
        "<p>Send <code>Authorization: Bearer TOKEN</code> with every request; an admin makes a token with "
        "<code>farmctl user token NAME</code>. Errors are JSON: <code>code</code>, <code>message</code>, "
        "<code>why</code>, <code>hint</code>. For programs: <a href='/openapi.json'>openapi.json</a>.</p>"
    )
    tag = ""
    for endpoint in ENDPOINTS:
        if endpoint.tag != tag:
            tag = endpoint.tag
            parts.append(f"<h2>{html.escape(tag)}</h2>")
        parts.append(_section(endpoint))
    return "\n".join(parts)


def _section(endpoint: Endpoint) -> str:
    operation = document()["paths"][endpoint.path][endpoint.method.lower()]
    rows = [
        (entry["name"], f"{entry['in']}{', needed' if entry['required'] else ''}", entry["description"])
        for entry in operation["parameters"]
    ]
    rows += [(name, "body" + (", needed" if needed else ""), text) for name, needed, text in _fields(endpoint)]
    cells = "".join(
        f"<tr><td><code>{html.escape(name)}</code><td>{html.escape(where)}<td>{html.escape(text)}"
        for name, where, text in rows
    )
    good = ", ".join(status for status in operation["responses"] if status < "300")
    return (
        f"<section><h3><b class=method>{endpoint.method}</b> {html.escape(endpoint.path)}</h3>"
        f"<p>{html.escape(endpoint.summary)} <small>{good}</small></p>"
        f"{f'<table>{cells}</table>' if cells else ''}</section>"
    )


def _fields(endpoint: Endpoint) -> list[tuple[str, bool, str]]:
    if endpoint.body is None:
        return []
    fields = endpoint.body.model_fields.items()
    return [(name, field.is_required(), field.description or "") for name, field in fields]
