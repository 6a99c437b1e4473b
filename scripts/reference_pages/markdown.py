"""Small pieces of Markdown, and the docstrings that stand below the members of a class."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Draw a table."""
    lines = [head, ["---"] * len(head), *([_cell(part) for part in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(part: object) -> str:
    return re.sub(r"\s+", " ", str(part)).strip().replace("|", "\\|")


def diagram(text: str) -> str:
    """Draw a Mermaid diagram."""
    return f"```mermaid\n{text.rstrip()}\n```"


def page(title: str, *parts: str) -> str:
    """Put a page together."""
    return "\n\n".join([f"# {title}", *(part.strip("\n") for part in parts)]) + "\n"


def first_paragraph(thing: object) -> str:
    """Return the first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def member_docs(cls: type) -> dict[str, str]:
    """Read the docstring below each member of a class; a member without one takes the next one's.

    That is how several members share a sentence.
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    body = tree.body[0]
    assert isinstance(body, ast.ClassDef)
    docs: dict[str, str] = {}
    for statement, following in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            text = following.value if isinstance(following, ast.Expr) else None
            docs[statement.targets[0].id] = text.value if isinstance(text, ast.Constant) else ""  # type: ignore[assignment]
    return {name: " ".join(text.split()) for name, text in docs.items()}


def code(text: object) -> str:
    """Set in the type of code."""
    return f"`{text}`"
