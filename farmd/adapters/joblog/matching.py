"""What is searched for in a log: a word, a regular expression, or what renderers print as errors.

Lines are compared as people see them, harmless. To look at each line of a gigabyte so would take a minute; so a block
of lines is passed over as a whole where that surely misses nothing. Blocks are looked at as they were written, but for
escape sequences; so what only stands in the shown text (pictures of control characters, the length of a run of zeros)
forbids that.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from protocol.logtext import without_escapes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_SPANS: Final = 20
_CROSSING: Final = re.compile(r"\[\^|\\[sSWDAZuUN]|\(\?|\n")
"""Parts of an expression that mean something else in a block of many lines than in each of them, as it is shown."""
_ZEROS: Final = b"\0\0\0\0"
"""What is shown by its length (`protocol.logtext`)."""


class Matcher:
    """Finds a pattern in lines."""

    def __init__(
        self, pattern: str, *, regex: bool, ignore_case: bool, words: Sequence[str] = (), unless: str = ""
    ) -> None:
        """Compile the pattern.

        Args:
            pattern: A word or an expression.
            regex: Which of the two.
            ignore_case: Whether capitals are small letters.
            words: Of which each matching line is known to have one, in small letters; none = nothing is known.
            unless: An expression of beginnings of lines that do not match in any case; empty = there are none.

        Raises:
            re.error: It is no expression.
        """
        flags = re.IGNORECASE if ignore_case else 0
        self._in_line = re.compile(pattern if regex else re.escape(pattern), flags)
        self._words = tuple(words)
        self._unless = re.compile(unless) if unless else None
        self._may_be_in: Callable[[str], object]
        if words:
            self._may_be_in = self._has_word
        elif not pattern.isascii() or (regex and _CROSSING.search(pattern)):
            self._may_be_in = lambda _block: True
        elif not regex:
            self._may_be_in = _finder(pattern, ignore_case=ignore_case)
        else:
            self._may_be_in = re.compile(pattern, flags | re.MULTILINE).search

    def may_match(self, block: bytes) -> bool:
        """Tell whether one of these whole lines may match.

        False is certain, but for an expression that wants an end there where a very long line happens to be cut.
        """
        if _ZEROS in block and not self._words:
            return True
        text = without_escapes(block.decode("utf-8", "replace"))
        if "\r" in text:
            text = text.replace("\r", "\n")
        return bool(self._may_be_in(text))

    def spans(self, text: str) -> tuple[tuple[int, int], ...]:
        """Return where a line matches; an empty match is one too."""
        if (self._words and not self._has_word(text)) or (self._unless is not None and self._unless.match(text)):
            return ()
        found = []
        for match in self._in_line.finditer(text):
            found.append(match.span())
            if len(found) == MAX_SPANS:
                break
        return tuple(found)

    def _has_word(self, text: str) -> bool:
        small = text.lower()
        return any(word in small for word in self._words)


def _finder(word: str, *, ignore_case: bool) -> Callable[[str], object]:
    if not ignore_case:
        return lambda text: word in text
    lower, anywhere = word.lower(), re.compile(re.escape(word), re.IGNORECASE).search
    # The long s is an s, and the dotless i an i, to an expression; not to `lower`.
    return lambda text: lower in text.lower() if text.isascii() else anywhere(text)
