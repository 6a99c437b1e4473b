"""Values of JSON documents whose writers do not agree on types: "64", 64 and 64.0 are the same number here.

Strict where a guess could change a render: what is no number, or no text, is refused with the name of its field.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from protocol.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_DOCUMENT_BYTES: Final = 64 << 20
_YES: Final = ("1", "true", "yes", "on")
_NO: Final = ("0", "false", "no", "off")

Document = dict[str, Any]


def parse_document(data: bytes, name: str) -> Document:
    """Read a JSON object; a byte order mark, as Windows programs write it, is fine.

    Args:
        data: The file.
        name: What to call it in an error.

    Raises:
        UsageError: It is no JSON, no object, or too large.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise UsageError(f"{name} is too large", f"{len(data)} bytes are more than {MAX_DOCUMENT_BYTES}")
    try:
        found = json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name} cannot be read", f"it is not JSON: {error}", "write it anew") from error
    if not isinstance(found, dict):
        raise UsageError(f"{name} cannot be read", "it holds no JSON object", "write it anew")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def print_document(document: Mapping[str, Any]) -> bytes:
    """Write a JSON document as the service's own client does: two blanks, letters as they are."""
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")


def object_at(document: Mapping[str, Any], name: str) -> Document:
    """Return an inner object; an empty one where there is none.

    Raises:
        UsageError: Something else stands there.
    """
    found = document.get(name)
    if found is None or found in ("", []):
        return {}
    if not isinstance(found, dict):
        raise _wrong(name, found, "an object")
    return found


def list_at(document: Mapping[str, Any], name: str) -> list[Any]:
    """Return an inner list; an empty one where there is none.

    Raises:
        UsageError: Something else stands there.
    """
    found = document.get(name)
    if found is None or found == "":
        return []
    if not isinstance(found, list):
        raise _wrong(name, found, "a list")
    return found


def text_at(document: Mapping[str, Any], name: str) -> str | None:
    """Return a text without blanks around it; None where nothing is said.

    Raises:
        UsageError: It is neither a text nor a number.
    """
    found = document.get(name)
    if found is None:
        return None
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    if not isinstance(found, str | int | float):
        raise _wrong(name, found, "a text")
    return str(found).strip() or None


def whole_at(document: Mapping[str, Any], name: str, *, least: int = 0, most: int = 1 << 31) -> int | None:
    """Return a whole number; None where nothing is said.

    Raises:
        UsageError: It is none, or out of range.
    """
    text = text_at(document, name)
    if text is None:
        return None
    try:
        value = float(text)
        number = int(value)
    except (ValueError, OverflowError) as error:
        raise _wrong(name, text, "a whole number") from error
    if number != value or not least <= number <= most:
        raise _wrong(name, text, f"a whole number from {least} to {most}")
    return number


def flag_at(document: Mapping[str, Any], name: str) -> bool | None:
    """Return a yes or no, written as 1, 0, True, "false", …; None where nothing is said.

    Raises:
        UsageError: It is neither.
    """
    text = text_at(document, name)
    if text is None:
        return None
    if text.lower() in _YES:
        return True
    if text.lower() in _NO:
        return False
    raise _wrong(name, text, "1 or 0")


def _wrong(name: str, found: object, wanted: str) -> UsageError:
    shown = f"{found!r}"[:60]
    return UsageError(
        f"the field {name!r} of task.json cannot be read", f"{shown} is not {wanted}", f"correct {name!r}"
    )
