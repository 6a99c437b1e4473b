"""What people's objects look like on the board: bounded texts and finite numbers, and never an exception.

A board that broke the program it watches would be worse than none, so whatever is given as metadata, error, name or
number becomes something that can be shown and sent.
"""

from __future__ import annotations

import hashlib
import math
from reprlib import Repr
from typing import Final

NAME_CHARS: Final = 200
ERROR_CHARS: Final = 2_000
ABOUT_CHARS: Final = 500
_LARGEST: Final = 1e15
"""Numbers above are no longer exact in a browser."""


class _BoundedRepr(Repr):
    """Shows the beginning of everything, without walking through all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 12
        self.maxstring = self.maxother = 120
        self.maxlong = 60

    def repr_instance(self, x: object, level: int) -> str:  # noqa: ARG002  # the signature is reprlib's
        """Show any other object by its own repr, and one whose repr fails by its type."""
        try:
            text = repr(x)
        except Exception as error:  # noqa: BLE001  # it is the user's code, and this is only about showing it
            return f"<{type(x).__name__}: its repr raised {type(error).__name__}>"
        return shortened(text, self.maxother)


_REPR: Final = _BoundedRepr()


def shortened(text: str, limit: int) -> str:
    """Cut a text, and take out what cannot be sent (halves of surrogate pairs, NUL)."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return cut.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def about(metadata: object) -> str:
    """Show any object in at most `ABOUT_CHARS`; None is nothing."""
    if metadata is None:
        return ""
    if isinstance(metadata, str):
        return shortened(metadata, ABOUT_CHARS)
    try:
        return shortened(_REPR.repr(metadata), ABOUT_CHARS)
    except Exception as error:  # noqa: BLE001  # a mapping that cannot be iterated, say
        return f"<{type(metadata).__name__}: {type(error).__name__}>"


def text_of(value: object, limit: int = NAME_CHARS) -> str:
    """Show a name or an error: strings as they are, an exception with its type, anything else by its repr."""
    if isinstance(value, str):
        return shortened(value, limit)
    if isinstance(value, BaseException):
        return shortened(f"{type(value).__name__}: {_said(value)}", limit)
    return shortened(about(value), limit)


def task_key(task_id: object) -> str:
    """Return the text under which a task is known; ids that are too long stay different."""
    text = task_id if isinstance(task_id, str) else about(task_id)
    if len(text) <= NAME_CHARS:
        return shortened(text, NAME_CHARS)
    mark = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=6).hexdigest()
    return f"{shortened(text, NAME_CHARS - 13)}-{mark}"


def number(value: object) -> float:
    """Read a number that can be sent; what is none, or endless, is 0. Kept whole where it is whole."""
    if isinstance(value, bool):
        return int(value)
    try:
        found = float(value)  # type: ignore[arg-type]  # that is what is tried
    except Exception:  # noqa: BLE001  # a tensor on a device that is gone, say
        return 0
    if not math.isfinite(found):
        return 0
    bounded = max(-_LARGEST, min(_LARGEST, found))
    return int(bounded) if bounded.is_integer() else bounded


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # see `repr_instance`
        return "?"
