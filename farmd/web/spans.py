"""Which part of a file a request carries: `Content-Range` (RFC 9110, 14.4), of which requests use what is written here.

`bytes A-B/TOTAL` is a part, no header at all is the whole, and `bytes */TOTAL` without a body says that all of it was
sent before.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from farmd.web.errors import Refusal
from farmd.web.settings import MAX_FILE_BYTES
from protocol.human import format_size

_RANGE: Final = re.compile(r"bytes (?:(\d{1,15})-(\d{1,15})|\*)/(\d{1,15})", re.ASCII)


class Span(NamedTuple):
    """The part of a file that a request carries.

    Attributes:
        offset: Where it begins.
        length: Of it; 0 at the end of the file = everything is here already.
        total: Of the file.
    """

    offset: int
    length: int
    total: int

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the file."""
        return self.length == self.total


def span_of(content_range: str | None, length: int | None) -> Span:
    """Read which part of a file a request carries.

    Args:
        content_range: The header.
        length: Of the body; None if it comes in chunks.

    Raises:
        Refusal: It does not say, or contradicts itself.
    """
    if content_range is None:
        if length is None:
            raise Refusal(411, "how large is the file?", "the request says no length", "send Content-Length")
        return _possible(Span(0, length, length))
    found = _RANGE.fullmatch(content_range.strip())
    if found is None:
        raise Refusal(
            416, "the Content-Range cannot be read", f"{content_range[:60]!r}", "write: bytes 0-1048575/5000000"
        )
    total = int(found[3])
    if found[1] is None and not length:
        return _possible(Span(total, 0, total))
    first, last = int(found[1] or 1), int(found[2] or 0)
    if first > last or last >= total or (length is not None and length != last - first + 1):
        raise Refusal(416, "the Content-Range cannot be", "it contradicts itself, or the length", "leave it out")
    return _possible(Span(first, last - first + 1, total))


def _possible(span: Span) -> Span:
    if span.total > MAX_FILE_BYTES:
        raise Refusal(413, "the file is too large", f"at most {format_size(MAX_FILE_BYTES)} are taken")
    return span
