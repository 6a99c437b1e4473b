"""The words that `-o`, `--progress` and `--color` take; apart from what they do, so that help needs no more than this."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """How data is printed."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    JSONL = "jsonl"
    NAME = "name"
    CSV = "csv"


class ProgressMode(StrEnum):
    """How waiting is shown."""

    AUTO = "auto"
    TTY = "tty"
    PLAIN = "plain"
    NONE = "none"


class ColourMode(StrEnum):
    """When output is coloured."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"
