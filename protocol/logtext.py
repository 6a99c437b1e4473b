"""What renderers print, made harmless for people to read.

A log is bytes of a program that nobody of us wrote, about a scene that anybody may have sent: printed as it is, it may
clear the screen, rename the window or type into the shell of whoever reads it. So escape sequences (ECMA-48, as xterm
understands them) are taken out, other control characters become visible pictures (U+2400 and on), letters that turn the
direction of writing around a replacement mark, as does what is no UTF-8. Of a line that was drawn over again and again
after a carriage return, as progress is, the last state is kept.

Pure; used by the node that has the log, so that searching finds what people see, and by clients for what was gossiped.
"""

from __future__ import annotations

import re
from typing import Final

MAX_LETTERS: Final = 4096
"""Of one line; what a person can read of it."""
_ESCAPES: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI … final byte: colours, cursor
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # OSC, DCS, SOS, PM, APC … until BEL or ST, or the end of the line
    r"|\x1b[ -/]*[0-~]"  # two or three letters: character sets, keypad modes
    r"|\x9b[0-?]*[ -/]*[@-~]"  # CSI in one byte
)
_UNSAFE: Final = re.compile(
    r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_NULS: Final = re.compile(r"\x00{4,}")
_REPLACEMENT: Final = "\ufffd"


def without_escapes(text: str) -> str:
    """Take escape sequences out; line ends stay where they are."""
    return _ESCAPES.sub("", text) if "\x1b" in text or "\x9b" in text else text


def harmless(data: bytes) -> str:
    """Make one line, without its line end, harmless; tabs stay.

    Args:
        data: The line; may hold carriage returns, of which the last that is followed by something counts.
    """
    text = data.decode("utf-8", "replace")
    if text.isascii() and text.isprintable():
        return text
    text = without_escapes(text)
    if "\r" in text:
        text = last_state(text)
    if "\x00" in text:
        text = _NULS.sub(lambda run: f"\x00×{len(run.group())}", text)
    return _UNSAFE.sub(_picture, text)


def last_state(text: str) -> str:
    """Return what a line shows in the end that was drawn over after carriage returns."""
    states = [state for state in text.split("\r") if state]
    return states[-1] if states else ""


def harmless_lines(text: str) -> list[str]:
    """Split a text that is no longer bytes (last lines that were gossiped) into harmless lines."""
    lines = text.encode("utf-8", "replace").split(b"\n")
    return [harmless(line)[:MAX_LETTERS] for line in (lines[:-1] if not lines[-1] else lines)]


def _picture(found: re.Match[str]) -> str:
    code = ord(found.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else _REPLACEMENT
