"""What a log may hold to fool a person or a terminal, and what is left of it."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.logtext import harmless, harmless_lines


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain", "plain"),
        (b"tab\there", "tab\there"),
        (b"\x1b[1;31mred\x1b[0m", "red"),
        (b"\x1b]0;root@host\x07title", "title"),
        (b"\x1b]52;c;cm0gLXJm\x1b\\clip", "clip"),
        (b"\x1bP1$r\x1b\\dcs", "dcs"),
        (b"\x1b]8;;http://x\x07link\x1b]8;;\x07", "link"),
        (b"\x1b]never ended", ""),
        (b"\x1b(B\x1b=keys", "keys"),
        (b"\xc2\x9b31mred", "red"),
        (b"bell\x07", "bell\u2407"),
        (b"a\x08b\x7f", "a\u2408b\u2421"),
        (b"10%\r20%\r", "20%"),
        (b"windows\r", "windows"),
        (b"\r", ""),
        (b"nul\x00\x00", "nul\u2400\u2400"),
        (b"\x00" * 5000, "\u2400×5000"),
        (b"bad \xff\xfe utf", "bad \ufffd\ufffd utf"),
        ("gnp\u202egpj.exe".encode(), "gnp\ufffdgpj.exe"),
        ("ümläut → 漢字".encode(), "ümläut → 漢字"),
    ],
)
def test_line_is_made_harmless(data: bytes, text: str) -> None:
    assert harmless(data) == text


@given(st.binary(max_size=400))
def test_nothing_that_steers_a_terminal_is_left_of_any_bytes(data: bytes) -> None:
    text = harmless(data)
    assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]", text)
    assert not {unicodedata.bidirectional(letter) for letter in text} & {
        "RLO",
        "LRO",
        "RLE",
        "LRE",
        "RLI",
        "LRI",
        "FSI",
    }
    text.encode("utf-8")


def test_text_that_was_gossiped_is_split_into_harmless_lines() -> None:
    assert harmless_lines("one\n\x1b[2Jtwo\n") == ["one", "two"]
    assert harmless_lines("\udc80x") == ["?x"]
