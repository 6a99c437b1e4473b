"""Templates of command lines and file names: named places, filled in safely.

Unlike `str.format`, a template can reach nothing but the values it is given: no attributes, no indexes, no other
formats than that of whole numbers (`{frame:04d}`).
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from protocol.errors import UsageError
from protocol.human import nearest_word

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_PLACEHOLDER = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::(0?[0-9]{0,2}d?))?")


def render_template(template: str, values: Mapping[str, str | int]) -> str:
    """Fill `{name}` and, for whole numbers, `{name:04d}` in; `{{` and `}}` stand for braces.

    Not `str.format`, which would follow attributes and indexes of whatever it is given. No value is quoted: a command
    is split into words first and filled in word by word, so that a blank or a quote in a value stays inside its word.

    Raises:
        UsageError: A placeholder is malformed or has no value.
    """
    return _TOKEN.sub(partial(_fill, values), template)


def _fill(values: Mapping[str, str | int], token: re.Match[str]) -> str:
    if token[0] in ("{{", "}}"):
        return token[0][0]
    what = f"cannot read the template at column {token.start() + 1}"
    found = _PLACEHOLDER.fullmatch(token[1] or "")
    if found is None:
        raise UsageError(what, f"{token[0][:40]!r} is not a placeholder", "write {frame} or {frame:04d}; {{ is a brace")
    name, form = found.groups()
    if name not in values:
        meant = nearest_word(name, values) or "frame"
        raise UsageError(what, f"nothing is called {name[:40]!r} here", f"did you mean {{{meant}}}? {{{{ is a brace")
    value = values[name]
    if form is None:
        return str(value)
    if isinstance(value, str):
        raise UsageError(what, f"{name!r} is a text and takes no format", f"write {{{name}}}")
    return format(value, form)
