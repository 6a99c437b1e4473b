"""Hooks: what may be told to an address or a program, and how a hook says what it wants of that.

An event is a noun and a word: `job.completed`, `alert.only_copy`. A pattern is an event, or ends in `*` and means all
that begin so: `job.*`, `*`. Both sides of the wire use these tables: `farmctl` to help with typing, the core to refuse
what would never be told.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from protocol.human import nearest_word
from protocol.states import JobState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from urllib.parse import SplitResult

URL: Final = "url"
COMMAND: Final = "command"
KINDS: Final = (URL, COMMAND)
STYLES: Final = ("json", "slack", "discord")
ALERT_CODES: Final = (
    "disk", "store", "node_lost", "node_sick", "job_paused_itself", "gate_approval", "poison", "only_copy",
)  # fmt: skip
"""What `farmd.core.alerts` may raise, but for the one that says that nobody leads: nobody is there to tell it."""
JOB_EVENTS: Final[Mapping[JobState, str]] = {
    JobState.QUEUED: "submitted",
    JobState.PREPARING: "submitted",
    **{state: state.value for state in JobState if state not in (JobState.QUEUED, JobState.PREPARING)},
}
"""What a hook is told of a job in each state; not started is one thing, whatever it waits for."""
EVENTS: Final = (
    *(f"job.{word}" for word in dict.fromkeys(JOB_EVENTS.values())),
    *(f"alert.{code}" for code in ALERT_CODES),
)
DEFAULT_EVENTS: Final = ("job.completed", "job.failed", "job.paused", "alert.*")
TEST_EVENT: Final = "test"
SCHEMA: Final = "farm.notice.v1"
_STYLES_OF_HOSTS: Final = {"hooks.slack.com": "slack", "discord.com": "discord", "discordapp.com": "discord"}
_TEXT_FIELDS: Final = {"slack": "text", "discord": "content"}
_MAX_TEXT_CHARS: Final = 1900
"""Discord takes 2,000 characters."""


def words_of(command: str) -> list[str]:
    """Split the target of a command into words, as a shell would, and expand nothing.

    Raises:
        ValueError: Its quotes do not match.
    """
    import shlex  # needed where there are hooks, and a daemon mostly has none

    return shlex.split(command)


def _parts_of(url: str) -> SplitResult:
    from urllib.parse import urlsplit  # as above; it brings a module of its own for addresses

    return urlsplit(url)


def wants(patterns: Iterable[str], event: str) -> bool:
    """Tell whether one of these patterns means an event."""
    return any(_means(pattern, event) for pattern in patterns)


def _means(pattern: str, event: str) -> bool:
    return event.startswith(pattern[:-1]) if pattern.endswith("*") else event == pattern


def fault_of_pattern(pattern: str) -> tuple[str, str] | None:
    """Say why a pattern would never mean anything and what to try, or None if it may."""
    if any(_means(pattern, event) for event in EVENTS):
        return None
    meant = nearest_word(pattern, EVENTS)
    hint = f"did you mean {meant}?" if meant else "one of " + ", ".join(EVENTS)
    return f"nothing is called {pattern[:80]!r}", hint


def fault_of_target(kind: str, target: str) -> tuple[str, str] | None:
    """Say why nothing can be told to a target and what to try, or None if it looks right."""
    if kind == COMMAND:
        return _fault_of_command(target)
    try:
        parts = _parts_of(target)
        named = parts.hostname and parts.port != 0
    except ValueError as error:
        return str(error), "write https://host/path"
    if parts.scheme not in ("http", "https") or not named or any(letter <= " " for letter in target):
        return "it is no address of http or https", "write https://host/path"
    if parts.username or parts.password:
        return "a name or password in an address ends up in logs", "use --secret-file: what is sent is signed with it"
    return None


def _fault_of_command(target: str) -> tuple[str, str] | None:
    try:
        words = words_of(target)
    except ValueError as error:
        return f"its quotes do not match: {error}", "quote it as a shell would need it"
    if not words:
        return "it has no words", "name a program and its arguments"
    if not words[0].startswith("/"):
        return f"{words[0][:80]!r} is no absolute path", "name the program in full: any machine may have to start it"
    return None


def style_for(target: str) -> str:
    """Guess what an address wants to be sent."""
    try:
        host = _parts_of(target).hostname or ""
    except ValueError:
        return STYLES[0]
    return _STYLES_OF_HOSTS.get(host, STYLES[0])


def place_of(kind: str, target: str) -> str:
    """Name a target without what may be secret in it: the host of an address, the program of a command."""
    try:
        if kind == URL:
            return _parts_of(target).hostname or "?"
        return words_of(target)[0].rpartition("/")[2] or "?"
    except (ValueError, IndexError):
        return "?"


def body_for(style: str, notice: Mapping[str, Any]) -> bytes:
    """Write a notice as an address of this style wants it."""
    field = _TEXT_FIELDS.get(style)
    if field is None:
        return json.dumps(notice, ensure_ascii=False).encode(errors="replace")
    text = str(notice.get("text", ""))
    if style == "slack":  # these three begin its own notation, and would let a job's name ring everybody
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    document: dict[str, Any] = {field: text[:_MAX_TEXT_CHARS]}
    if style == "discord":
        document["allowed_mentions"] = {"parse": []}
    return json.dumps(document, ensure_ascii=False).encode(errors="replace")
