"""Reasons: the answer to "why is it not running?", as a code with arguments, printed from one table.

Every waiting or held task has exactly one reason: the first that would have to change. A reason crosses processes as
a plain dict; words, glyph and hint are made where it is shown, so that a script reads codes and a person sentences.
A code that a newer node made up is kept and shown as unknown, never an error.

Made by `farmd.core.explain`; shown by farmctl, tui and board. Imports the standard library only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NoReturn

from protocol.errors import PeerError
from protocol.human import format_duration, format_size, printable
from protocol.ids import NodeId

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Value = str | int | float
"""What an argument of a reason, or one side of a requirement, may be."""


class ReasonCode(StrEnum):
    """Why a task does not run; the text is what scripts match and never changes."""

    NO_LEADER = "no_leader"
    MINORITY_HELD = "minority_held"
    NO_NODES = "no_nodes"
    PAUSED = "paused"
    JOB_PAUSED_ITSELF = "job_paused_itself"
    CANCELLED = "cancelled"
    GATE_TESTING = "gate_testing"
    GATE_APPROVAL = "gate_approval"
    GATE_REJECTED = "gate_rejected"
    GATE_FAILED = "gate_failed"
    AFTER_JOB = "after_job"
    ASSETS_MISSING = "assets_missing"
    ASSETS_MOVING = "assets_moving"
    NO_NODE_HAS_RENDERER = "no_node_has_renderer"
    NO_NODE_FITS_RAM = "no_node_fits_ram"
    NO_NODE_FITS_CORES = "no_node_fits_cores"
    NO_NODE_FITS_GPU = "no_node_fits_gpu"
    NO_NODE_FITS_VRAM = "no_node_fits_vram"
    NODE_DISK_FULL = "node_disk_full"
    AVOIDED = "avoided"
    MISSING_FEATURE = "missing_feature"
    FEATURE_AWAY = "feature_away"
    NODES_HELD = "nodes_held"
    NODES_BUSY = "nodes_busy"
    QUEUED_BEHIND = "queued_behind"
    RETRY_DELAY = "retry_delay"
    RETRY_ELSEWHERE = "retry_elsewhere"
    LICENSE = "license"
    POISON = "poison"
    RESULT_AWAY = "result_away"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ReasonWords:
    """How one code is shown; `{name}`, `{name:size}` and `{name:time}` stand for arguments.

    `{name:clause}` stands for what somebody said, behind a colon, or for nothing.

    Attributes:
        glyph: The mark beside the text.
        text: Says why.
        hint: Says what can be done.
        one: Instead of the text where the count is 1.
        next: Instead of the hint where no other job is in front, which `front` would name.
    """

    glyph: str
    text: str
    hint: str
    one: str = ""
    next: str = ""


_GO_BEFORE = "wait, or let it go before {front}: farmctl job priority {moved} {to}"
_LIST_NODES = "see what each machine offers: farmctl node list -o wide"

REASON_WORDS: Final[Mapping[ReasonCode, ReasonWords]] = {
    ReasonCode.NO_LEADER: ReasonWords(
        "◷", "no machine leads the farm just now", "an election takes seconds; if it lasts: farmctl farm status"
    ),
    ReasonCode.MINORITY_HELD: ReasonWords(
        "‖", "only {seen} of {known} machines are here, and the job waits for most of them", "reconnect the network"
    ),
    ReasonCode.NO_NODES: ReasonWords("◷", "no machine of the farm is there", "switch one on, or: farmctl farm status"),
    ReasonCode.PAUSED: ReasonWords("‖", "paused by {actor}{why:clause}", "farmctl job resume {job}"),
    ReasonCode.JOB_PAUSED_ITSELF: ReasonWords(
        "‖",
        "the job paused itself after {failed} failed tasks",
        "see farmctl logs {job}, then farmctl job resume {job}",
        "the job paused itself after a failed task",
    ),
    ReasonCode.CANCELLED: ReasonWords(
        "⌀", "cancelled by {actor}{why:clause}", "submit the job again if it is still wanted"
    ),
    ReasonCode.GATE_TESTING: ReasonWords(
        "◷", "waits for the test frames, {done} of {total} are done", "nothing to do: the rest follows by itself"
    ),
    ReasonCode.GATE_APPROVAL: ReasonWords(
        "◷", "the test frames are done and wait for approval", "farmctl job approve {job}, or farmctl job reject {job}"
    ),
    ReasonCode.GATE_REJECTED: ReasonWords(
        "⌀", "{actor} rejected the test frames{why:clause}", "submit a corrected scene"
    ),
    ReasonCode.GATE_FAILED: ReasonWords(
        "✖", "test frame {frame} failed", "farmctl logs {job}, then farmctl job retry {job}"
    ),
    ReasonCode.AFTER_JOB: ReasonWords("○", "waits for job {other} to complete", "farmctl job show {other}"),
    ReasonCode.ASSETS_MISSING: ReasonWords(
        "✖",
        "{count} files are on no machine that is there",
        "switch on the machine that has them: {holder}",
        "one file is on no machine that is there",
    ),
    ReasonCode.ASSETS_MOVING: ReasonWords(
        "◷",
        "its files are still moving: {have:size} of {total:size}",
        "nothing to do: it starts where they arrive first",
    ),
    ReasonCode.NO_NODE_HAS_RENDERER: ReasonWords(
        "✖", "no machine has {renderer} {version}", "install it on one, or see farmctl node list -o wide"
    ),
    ReasonCode.NO_NODE_FITS_RAM: ReasonWords(
        "✖", "no machine has {needs:size} of memory; the largest has {has:size}", _LIST_NODES
    ),
    ReasonCode.NO_NODE_FITS_CORES: ReasonWords("✖", "no machine has {needs} cores; the largest has {has}", _LIST_NODES),
    ReasonCode.NO_NODE_FITS_GPU: ReasonWords("✖", "no machine has {needs} GPUs; the most is {has}", _LIST_NODES),
    ReasonCode.NO_NODE_FITS_VRAM: ReasonWords(
        "✖", "no GPU has {needs:size} of memory; the largest has {has:size}", _LIST_NODES
    ),
    ReasonCode.NODE_DISK_FULL: ReasonWords(
        "✖", "no disk has room: {needs:size} needed, {has:size} free at most", "free space, or raise the quota"
    ),
    ReasonCode.AVOIDED: ReasonWords(
        "✖",
        "failed on every machine that fits ({count})",
        "farmctl logs {job}, then farmctl job retry {job}",
        "failed on the one machine that fits",
    ),
    ReasonCode.MISSING_FEATURE: ReasonWords(
        "✖",
        "no machine can render it: {what}",
        "install what is missing, then farmctl job retry {job}; or submit it so that it needs less",
    ),
    ReasonCode.FEATURE_AWAY: ReasonWords(
        "◷",
        "no machine that is here can render it: {what}",
        "switch on {others}; what was installed meanwhile is tried by: farmctl job retry {job}",
    ),
    ReasonCode.NODES_HELD: ReasonWords(
        "‖",
        "all {count} machines that fit are held or in use",
        "farmctl node list; farmctl node release NODE",
        "the one machine that fits is held or in use",
    ),
    ReasonCode.NODES_BUSY: ReasonWords(
        "○",
        "all {count} machines that fit are busy",
        _GO_BEFORE,
        "the one machine that fits is busy",
        "nothing to do: it is next",
    ),
    ReasonCode.QUEUED_BEHIND: ReasonWords(
        "○",
        "{count} tasks of higher priority go first",
        _GO_BEFORE,
        "one task of higher priority goes first",
    ),
    ReasonCode.RETRY_DELAY: ReasonWords("◷", "failed, tried again in {wait:time}", "farmctl logs {job}"),
    ReasonCode.RETRY_ELSEWHERE: ReasonWords(
        "◷", "failed on {where}, waits for room on another machine, at most {wait:time}", "farmctl logs {job}"
    ),
    ReasonCode.LICENSE: ReasonWords(
        "◷", "no licence of {renderer} is free, tried again in {wait:time}", "nothing to do: it costs no retry"
    ),
    ReasonCode.POISON: ReasonWords(
        "✖",
        "was running on {count} machines when they were lost",
        "look at the frame, then farmctl job retry {job}",
        "was running on a machine when it was lost",
    ),
    ReasonCode.RESULT_AWAY: ReasonWords(
        "✖",
        "done, but copies only on {where}, which are off",
        "switch {where} on, or render it again: farmctl job retry {job} --frames {frames}",
        "done, but the only copy is on {where}, which is off",
    ),
    ReasonCode.UNKNOWN: ReasonWords("○", "a reason that this version does not know: {code}", "update this machine"),
}


@dataclass(frozen=True, slots=True)
class Fit:
    """One machine that almost fits, and what is missing there.

    Attributes:
        node: The machine.
        node_name: Its name for people.
        requirement: What fails: ram, vram, disk, cores, gpus, renderer, held …
        needs: What the task asks for (bytes for ram, vram and disk).
        has: What the machine offers.
    """

    node: NodeId
    node_name: str
    requirement: str
    needs: Value
    has: Value

    def text(self) -> str:
        """Say it in one line."""
        unit = "size" if self.requirement in ("ram", "vram", "disk") else ""
        needs, has = _shown(self.needs, unit), _shown(self.has, unit)
        return f"{printable(self.node_name)}: {printable(self.requirement)} {has}, needs {needs}"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a task does not run.

    Attributes:
        code: What scripts match.
        args: Names and values for the words.
        nearest: The machines that come closest, best first.
    """

    code: ReasonCode
    args: tuple[tuple[str, Value], ...] = ()
    nearest: tuple[Fit, ...] = ()

    @property
    def glyph(self) -> str:
        """The mark that stands beside the text."""
        return REASON_WORDS[self.code].glyph

    def text(self) -> str:
        """Say it in one line."""
        words, args = REASON_WORDS[self.code], dict(self.args)
        return _filled(words.one if words.one and args.get(_COUNTED.get(self.code, "count")) == 1 else words.text, args)

    def hint(self) -> str:
        """Say in one line what can be done about it."""
        words, args = REASON_WORDS[self.code], dict(self.args)
        return _filled(words.next if words.next and "front" not in args else words.hint, args)

    def to_dict(self) -> dict[str, object]:
        """Return plain values for JSON and msgpack."""
        plain: dict[str, object] = {"code": self.code.value}
        if self.args:
            plain["args"] = dict(self.args)
        if self.nearest:
            plain["nearest"] = [
                {
                    "node": fit.node,
                    "node_name": fit.node_name,
                    "requirement": fit.requirement,
                    "needs": fit.needs,
                    "has": fit.has,
                }
                for fit in self.nearest
            ]
        return plain


def because(code: ReasonCode, *nearest: Fit, **args: Value) -> Reason:
    """Make a reason from its code, the nearest machines and named arguments."""
    return Reason(code, tuple(args.items()), nearest)


def reason_from_dict(plain: object) -> Reason:
    """Read what `Reason.to_dict` wrote; an unknown code becomes `UNKNOWN` and keeps its text as an argument.

    Raises:
        PeerError: It has another shape.
    """
    if not isinstance(plain, dict) or not isinstance(code := plain.get("code"), str):
        _refuse("no code")
    args, nearest = plain.get("args", {}), plain.get("nearest", [])
    if not isinstance(args, dict) or not isinstance(nearest, list | tuple):
        _refuse("args or nearest")
    pairs = tuple((_text(name), _value(value)) for name, value in args.items())
    fits = tuple(map(_fit, nearest))
    if code not in _CODES:
        return Reason(ReasonCode.UNKNOWN, (("code", code), *pairs), fits)
    return Reason(ReasonCode(code), pairs, fits)


_CODES: Final = frozenset(code.value for code in ReasonCode)
_COUNTED: Final[Mapping[ReasonCode, str]] = {ReasonCode.JOB_PAUSED_ITSELF: "failed"}
"""The argument that decides between one and many, where it is not `count`."""
_FIELD = re.compile(r"\{(\w+)(?::(\w+))?\}")
_UNITS: Final[Mapping[str, Callable[[float], str]]] = {
    "size": lambda value: format_size(int(value)),
    "time": format_duration,
}


def _fit(plain: object) -> Fit:
    if not isinstance(plain, dict):
        _refuse("nearest")
    node, name, requirement = (_text(plain.get(key)) for key in ("node", "node_name", "requirement"))
    return Fit(NodeId(node), name, requirement, _value(plain.get("needs")), _value(plain.get("has")))


def _text(value: object) -> str:
    if not isinstance(value, str):
        _refuse("a text is missing")
    return value


def _value(value: object) -> Value:
    # NaN and infinity are refused: they cannot be shown as sizes, nor written as JSON.
    if not isinstance(value, str) and not (isinstance(value, int | float) and abs(value) < 2**63):
        _refuse("a value is missing")
    return value


def _refuse(what: str) -> NoReturn:
    raise PeerError(f"not a reason: {what}")


def _shown(value: Value, unit: str) -> str:
    if isinstance(value, str):
        return printable(value)
    return _UNITS[unit](value) if unit in _UNITS else str(value)


def _filled(template: str, args: Mapping[str, Value]) -> str:
    """Put arguments into words; one that an older or newer node did not send shows as a question mark."""

    def filled(found: re.Match[str]) -> str:
        name, unit = found[1], found[2] or ""
        if unit == "clause":
            return f": {printable(str(args[name]))}" if args.get(name) else ""
        return _shown(args.get(name, "?"), unit)

    return _FIELD.sub(filled, template)
