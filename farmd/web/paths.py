"""Names in addresses: what stands in a path of a request is checked before anything is done with it.

None of them ever becomes a path of this machine; they are checked as if they did.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from farmd.web.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CHARS: Final = 200
PATTERNS: Final[dict[str, tuple[str, str]]] = {
    "job": (r"^[^/\\\x00-\x1f\x7f]{1,200}$", "id of a job, a unique part of it, its name, or its nine digits"),
    "id": (r"^[^/\\\x00-\x1f\x7f]{1,200}$", "task_id of nine digits, or an id as a job has it"),
    "node": (r"^[^/\\\x00-\x1f\x7f]{1,200}$", "name or id of a node"),
    "frame": (r"^-?[0-9]{1,10}$", "a frame"),
    "md5": (r"^[0-9a-fA-F]{32}$", "MD5 of the file, 32 hexadecimal digits"),
}
"""Parameters in paths: what they look like, and what they are."""


def check_path(found: Mapping[str, str]) -> None:
    """Check the parameters of a path.

    Raises:
        Refusal: One is nothing that could be meant.
    """
    for name, value in found.items():
        pattern, what = PATTERNS[name]
        if not re.fullmatch(pattern.strip("^$"), value) or value in (".", ".."):
            raise Refusal(422, f"{value[:60]!r} names nothing", f"it should be {what}", "see /docs")
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise Refusal(422, "the address is no UTF-8", f"it should be {what}", "encode it as UTF-8")
