r"""Cuts a Maya ASCII file into statements, in chunks: never the whole file in memory.

The grammar is MEL's, as far as scene files use it: a statement ends at a `;` that is in no string and no comment.
Strings know `\"` and `\\`; comments are `// …` and `/* … */`. One regular expression is matched once per statement, so
that vertices and key frames, most of a scene, cost what reading their bytes costs; only statements that somebody
wants become text (`words`).

Invariant: what stands in a string is never taken for a statement, whatever it looks like. Possessive quantifiers are
used so that a part which fails in the middle can only fail at the end of the data, where more is read anyway: Python
before 3.11.5 does not step back from such a failure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO

from protocol.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK_BYTES = 1 << 22
LONGEST_BYTES = 1 << 24
"""Of a longer statement only the beginning is handed on; its end is still found."""

_CODECS = {"932": "cp932", "936": "gb18030", "949": "cp949", "950": "cp950", "1251": "cp1251", "1252": "cp1252"}
# In these a character may end in the byte of a backslash, so strings must be read by character.
_PAIRED = {"932": rb"[\x81-\x9f\xe0-\xfc]", "936": rb"[\x81-\xfe]", "949": rb"[\x81-\xfe]", "950": rb"[\x81-\xfe]"}
_COMMENT = rb"//[^\r\n]*+[\r\n]|/\*[^*]*+(?:\*(?!/)[^*]*+)*+\*/"
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_CODESET = re.compile(rb"//Codeset: *([\w-]+)")
_BLANK = re.compile(rb"(?:[\s}]++|" + _COMMENT + rb")*+")
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|//[^\r\n]*|/\*.*?\*/|([();+])(?=[\s"();]|$)|([^\s"();]+)', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class Text(str):
    """A word that stood in quotes: never a flag."""

    __slots__ = ()


class _Grammar:
    """The patterns for one way of writing strings.

    Attributes:
        statement: Group 1 is there if it sets an attribute of the node in hand, group 2 is the command otherwise,
            group 3 is what is left without an end.
        head: The same two groups, of a statement that is too long to be held.
        body: As much as is complete of a statement.
    """

    def __init__(self, string: bytes) -> None:
        body = rb'(?:[^"/;]++|' + string + rb"|" + _COMMENT + rb"|/(?![/*]))*+"
        lead = rb"(?:\s++|" + _COMMENT + rb")*+"
        command = rb'(?:(setAttr(?=[^";]*+"\.))|([A-Za-z]*+))'
        self.statement = re.compile(lead + command + body + rb";|(.++)", re.DOTALL)
        self.head = re.compile(lead + command)
        self.body = re.compile(body, re.DOTALL)


_PLAIN = _Grammar(_STRING)


class Statements:
    """The statements of one open file.

    Attributes:
        deaf: While true, statements that set an attribute of the node in hand are passed over.
        ended: After the last one: whether the file has the mark that Maya writes at its end.
        codeset: What the head of the file says about its characters; "" = nothing.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self.deaf = False
        self.ended = False
        self.codeset = ""
        self._paired: _Grammar | None = None

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Yield the command and all of each statement.

        Raises:
            UserError: The file ends in the middle of one, or is no Maya ASCII file.
            OSError: It cannot be read.
        """
        data = self._file.read(CHUNK_BYTES)
        self._read_head(data)
        while True:
            rest = b""
            for found in self._grammar(data).statement.finditer(data):
                kind = found.lastindex
                if kind == 1 and self.deaf:
                    continue
                if kind == 3:
                    rest = found[3]
                else:
                    yield ("setAttr" if kind == 1 else found[2].decode()), found[0]
            if len(rest) > LONGEST_BYTES:
                yield from self._cut(rest)
                data = self._behind(rest)
                continue
            more = self._file.read(max(CHUNK_BYTES, len(rest)))  # doubling, so that nothing is read over often
            if not more:
                break
            data = rest + more
        self._check_end(rest)

    def text(self, statement: bytes) -> str:
        """Decode a statement: UTF-8 if it is that, else as the head of the file says."""
        try:
            return statement.decode("utf-8")
        except UnicodeDecodeError:
            codec = _CODECS.get(self.codeset, "cp1252")
        try:
            return statement.decode(codec)
        except UnicodeDecodeError:
            return statement.decode("latin-1")

    def _read_head(self, data: bytes) -> None:
        if not data.strip():
            raise UserError(f"{self._name} is empty", "there is nothing in it", "save the scene again")
        head = data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
        if head.startswith((b"FOR4", b"FOR8")):
            raise UserError(f"{self._name} is no Maya ASCII scene", "it is a Maya binary one", "name it .mb")
        if not re.match(rb"//\s*Maya ASCII", head):
            why = "it is no text" if b"\0" in head else "it does not begin with //Maya ASCII"
            raise UserError(f"{self._name} is no Maya ASCII scene", why, "name a scene that Maya saved as .ma")
        if found := _CODESET.search(head):
            self.codeset = found[1].decode()
        if lead := _PAIRED.get(self.codeset):
            pair = lead + rb"[\x40-\x7e\x80-\xfe]"
            self._paired = _Grammar(rb'"(?:[^"\\\x80-\xff]++|\\.|' + pair + rb'|[\x80-\xff])*+"')

    def _grammar(self, data: bytes) -> _Grammar:
        """Choose how strings are read: newer versions write UTF-8 and still name the codeset of the machine."""
        if self._paired is None or data.isascii():
            return _PLAIN
        try:
            data[:-3].decode("utf-8")
        except UnicodeDecodeError as error:
            return _PLAIN if error.start >= len(data) - 6 else self._paired
        return _PLAIN

    def _cut(self, rest: bytes) -> Iterator[tuple[str, bytes]]:
        found = _PLAIN.head.match(rest)
        own = found is not None and found[1] is not None
        if found is not None and not (own and self.deaf):
            yield ("setAttr" if own else found[2].decode()), rest[:LONGEST_BYTES]

    def _behind(self, data: bytes) -> bytes:
        """Read to the end of a very long statement, keeping little of it; returns what follows."""
        while True:
            grammar = self._grammar(data)
            complete = grammar.body.match(data)
            data = data[complete.end() :] if complete else data
            if data.startswith(b";"):
                return data[1:]
            if len(data) > CHUNK_BYTES:
                data = _shortened(data)
            more = self._file.read(CHUNK_BYTES)
            if not more:
                raise self._cut_off(data)
            data += more

    def _check_end(self, rest: bytes) -> None:
        self.ended = b"// End of" in rest
        rest += b"\n"
        blank = _BLANK.match(rest)
        if blank and blank.end() == len(rest):
            return
        raise self._cut_off(rest)

    def _cut_off(self, rest: bytes) -> UserError:
        complete = self._grammar(rest).body.match(rest)
        what = "a string" if complete and rest[complete.end() :].startswith(b'"') else "a statement"
        why = "it is not all there"
        return UserError(f"{self._name} ends in the middle of {what}", why, "copy it again, or save the scene again")


def _shortened(data: bytes) -> bytes:
    """Drop the inside of a string or comment that is still open."""
    if data.startswith(b'"'):
        odd = (len(data) - len(data.rstrip(b"\\"))) % 2
        return b'"' + b"\\" * odd
    return data[:2] + (b"*" if data.startswith(b"/*") and data.endswith(b"*") else b"")


def words(statement: str) -> list[str]:
    r"""Split a statement into its words, the command first; what stood in quotes is `Text`.

    Strings joined by `+` become one. Escapes are resolved: `\\` is one backslash.
    """
    found: list[str] = []
    joining = False
    for match in _WORD.finditer(statement):
        quoted, mark, plain = match.groups()
        if mark == "+":
            joining = True
        elif quoted is not None:
            text = _ESCAPE.sub(lambda escape: _ESCAPES.get(escape[1], escape[1]), quoted)
            if joining and found:
                text = found.pop() + text
            found.append(Text(text))
            joining = False
        elif plain is not None:
            found.append(plain)
            joining = False
    return found


def flags(given: list[str], single: frozenset[str]) -> tuple[dict[str, str], list[str]]:
    """Separate the flags of a command from its arguments.

    Args:
        given: Words, without the command.
        single: Flags that take one value; all others take none.

    Returns:
        The flags without their dash, each with its last value, and the arguments in their order.
    """
    named: dict[str, str] = {}
    rest: list[str] = []
    pending = iter(given)
    for word in pending:
        if isinstance(word, Text) or not (word.startswith("-") and word[1:2].isalpha()):
            rest.append(word)
        else:
            named[word[1:]] = next(pending, "") if word[1:] in single else ""
    return named, rest
