"""The words that `-o` and `--progress` take; apart from what they do, so that help needs no more than this."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """How data is printed."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    JSONL = "jsonl"
    NAME = "name"


class ProgressMode(StrEnum):
    """How waiting is shown."""

    AUTO = "auto"
    TTY = "tty"
    PLAIN = "plain"
    NONE = "none"
