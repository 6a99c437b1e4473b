"""The command line behind `:`, as data: names, what follows them, what they ask the application to do.

A command becomes an intent, a name with arguments, which the application carries out as if a key had been pressed; so
whatever a key does can be typed, and the palette (ctrl-p) lists the same table. Typos get a proposal, tab completes.

Called by the application; must not import textual.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from protocol.errors import UsageError
from protocol.human import nearest_word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Intent(NamedTuple):
    """What the application shall do."""

    name: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        name: The first word.
        intent: What it asks for.
        line: One line of help.
        words: Arguments that the intent always has.
        takes: What may follow: job, node, column, filter (of the present rows, or of those that are named), edit, number,
            frames, why; empty for nothing.
        needs: Something must follow.
        changes: It changes something in the farm.
    """

    name: str
    intent: str
    line: str
    words: tuple[str, ...] = ()
    takes: str = ""
    needs: bool = False
    changes: bool = False


def _order(name: str, line: str, takes: str = "") -> Command:
    return Command(name, "order", line, (name,), takes, changes=True)


_COMMANDS: Final = (
    Command("overview", "show", "the whole farm at a glance", ("overview",)),
    Command("jobs", "show", "all jobs; with words after it, filtered", ("jobs",), "job filter"),
    Command("nodes", "show", "all machines; with words after it, filtered", ("nodes",), "machine filter"),
    Command("events", "show", "who did what, and when; with words after it, filtered", ("events",), "event filter"),
    Command("farm", "show", "leader, versions, disks, checks", ("farm",)),
    Command("job", "job", "open a job by id or name", takes="job", needs=True),
    Command("node", "node", "go to a machine", takes="node", needs=True),
    Command("log", "log", "what the renderer printed; of a frame, if one is named", takes="number"),
    Command("why", "why", "why does it not run?"),
    Command("filter", "filter", "show what matches; without words, everything", takes="filter"),
    Command("sort", "sort", "sort by a column; again turns it round", takes="column", needs=True),
    Command("approve", "order", "approve the test frames", ("approve",), changes=True),
    _order("reject", "reject the test frames", "why"),
    _order("pause", "start no more frames"),
    _order("resume", "go on after a pause"),
    Command("retry", "retry", "render again what failed, or the named frames", takes="frames", changes=True),
    Command("priority", "set_priority", "0 to 100; larger goes first", takes="number", needs=True, changes=True),
    _order("cancel", "cancel for ever; asks first"),
    _order("delete", "delete with all results; asks first"),
    _order("archive", "put an ended job away, with its results"),
    Command("edit", "edit", "change what a job needs: ram=16G priority=80", takes="edit", needs=True, changes=True),
    Command("hold", "hold", "give a machine no more work", takes="node", changes=True),
    Command("drain", "drain", "let a machine run empty, to switch it off", takes="node", changes=True),
    Command("release", "release", "let a machine work again", takes="node", changes=True),
    Command("help", "help", "all keys of this screen"),
    Command("refresh", "refresh", "draw and ask again"),
    Command("quit", "leave", "leave the dashboard"),
)

COMMANDS: Final[dict[str, Command]] = {command.name: command for command in _COMMANDS}
_SHORT: Final = {"q": "quit", "q!": "quit", "e": "events", "j": "jobs", "n": "nodes", "h": "help", "/": "filter"}

_SEVERAL: Final = ("edit", "filter", "job filter", "machine filter", "event filter", "node")
"""What can stand behind a command more than once: each is completed for itself."""


def parse_command(text: str, *, read_only: bool = False) -> Intent:
    """Read a command line.

    Raises:
        UsageError: There is no such command, something is missing or too much, or it would change something and may not.
    """
    first, *rest = text.split() or [""]
    command = COMMANDS.get(_SHORT.get(first, first))
    if command is None:
        meant = nearest_word(first, COMMANDS)
        raise UsageError(f"no command {first!r}", "", f"did you mean {meant}?" if meant else "tab shows all commands")
    if read_only and command.changes:
        raise UsageError(f"{command.name} changes something", "the dashboard was started with --read-only", "")
    if rest and not command.takes:
        raise UsageError(f"{command.name} stands alone", f"{rest[0]!r} is too much", "")
    if command.needs and not rest:
        raise UsageError(f"{command.name} needs a {command.takes}", command.line, "")
    return Intent(command.intent, (*command.words, *rest))


def completions(text: str, known: Callable[[str], Iterable[str]], *, read_only: bool = False) -> list[str]:
    """Return whole command lines that the text could become.

    Args:
        text: What is typed so far.
        known: Gives the words for what a command takes: job, node, column.
        read_only: Without commands that change anything.
    """
    first, blank, rest = text.partition(" ")
    if not blank:
        names = [command.name for command in _COMMANDS if not (read_only and command.changes)]
        return [name for name in names if name.startswith(first)]
    command = COMMANDS.get(_SHORT.get(first, first))
    if command is None or not command.takes:
        return []
    done, gap, last = rest.rpartition(" ") if command.takes in _SEVERAL else ("", "", rest)
    return [f"{first} {done}{gap}{word}" for word in known(command.takes) if word.startswith(last)]
