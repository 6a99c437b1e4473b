"""What people ordered, in words for the event log of every node.

An order is a register (see `farmd.core.controls`) that spreads like any row. Each node notes it when it learns of it,
with the word, the reason and the actor that stand in it, so that all logs name who ordered, not only the log of the
node where it was typed. A retry is a row for each run of tasks: its equal rows of one turn are one line.

Called by `farmd.core.node` for each change of a row. Never changes anything but the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.cost import MILLIONTHS
from farmd.core.edits import edit_text
from farmd.core.prices import is_hardware_price
from farmd.core.turn import MAX_TEXT
from protocol.bodies import (
    ControlBody,
    CredentialBody,
    HookBody,
    KeyBody,
    PathRuleBody,
    SignerBody,
    UserBody,
    unpack_body,
)
from protocol.errors import PeerError
from protocol.hooks import place_of
from protocol.ids import NodeId, unpack_job, unpack_node
from protocol.people import EVERYBODY
from protocol.records import LIFE, JobField, Kind, NodeField, Rank

if TYPE_CHECKING:
    from farmd.core.jobs import Jobs
    from farmd.core.registry import Registry
    from farmd.core.turn import Turn
    from protocol.records import Rec

DRAIN = "drain"
_PRICES = (bytes((NodeField.PRICE,)), bytes((NodeField.HARDWARE_PRICE,)))
_JOB_BYTES, _NODE_BYTES = 10, 8
_JOB_WORDS: dict[int, tuple[str, ...]] = {
    JobField.PAUSED: ("resume", "pause"),
    JobField.CANCELLED: ("cancel", "cancel"),
    JobField.DELETED: ("delete", "delete"),
    JobField.GATE: ("gate", "approve", "reject"),
    JobField.GIVEN_UP: ("give-up", "give-up"),
    JobField.ARCHIVED: ("unarchive", "archive"),
}
"""Word of each value of a register; larger values share the last one."""


class Orders:
    """Notes each order once."""

    def __init__(self, jobs: Jobs, registry: Registry) -> None:
        self._jobs = jobs
        self._registry = registry
        self._last: tuple[object, ...] = ()

    def note(self, turn: Turn, rec: Rec) -> None:
        """Write a changed row into the event log, if it is an order."""
        try:
            if rec.kind == Kind.JOB_CONTROL and len(rec.pk) > _JOB_BYTES:
                self._note_job(turn, rec, unpack_body(ControlBody, rec.body))
            elif rec.kind == Kind.NODE_CONTROL and rec.pk[_NODE_BYTES:] == bytes((NodeField.HELD,)):
                self._note_node(turn, rec, unpack_body(ControlBody, rec.body))
            elif rec.kind == Kind.NODE_CONTROL and rec.pk[_NODE_BYTES : _NODE_BYTES + 1] in _PRICES:
                self._note_price(turn, rec, unpack_body(ControlBody, rec.body))
            elif rec.kind == Kind.PATH_RULE:
                _note_path_rule(turn, unpack_body(PathRuleBody, rec.body))
            elif rec.kind == Kind.NODE_CONTROL and rec.pk[_NODE_BYTES:] == bytes((NodeField.REPLACED,)):
                self._note_heir(turn, rec, unpack_body(ControlBody, rec.body))
            elif rec.kind == Kind.KEY:
                self._note_key(turn, rec, unpack_body(KeyBody, rec.body))
            elif rec.kind == Kind.SIGNER:
                _note_signer(turn, rec, unpack_body(SignerBody, rec.body))
            elif rec.kind in (Kind.USER, Kind.HOOK):
                _note_user(turn, rec) if rec.kind == Kind.USER else _note_hook(turn, rec)
        except PeerError:
            return  # whoever folds it counts it

    def _note_job(self, turn: Turn, rec: Rec, body: ControlBody) -> None:
        job_id = unpack_job(rec.pk[:_JOB_BYTES])
        job = self._jobs.get(job_id)
        what, text = _word(rec.pk[_JOB_BYTES], body.value), body.why[:MAX_TEXT] or (job.spec.name if job else "")
        if what == "priority":
            text = f"{body.value}: {text}"
        if what == "edit":
            text = f"{edit_text(rec.pk[_JOB_BYTES + 1 :], body)}: {text}"
        line = turn.cause, what, text, job_id, body.actor
        if what and line != self._last:
            self._last = line
            turn.note(what, text, job=job_id, actor=body.actor[:MAX_TEXT])

    def _note_node(self, turn: Turn, rec: Rec, body: ControlBody) -> None:
        node = unpack_node(rec.pk[:_NODE_BYTES])
        name, why = self._registry.name_of(node), body.why[:MAX_TEXT]
        text = f"{name}: {why}" if why else name
        what = ("drain" if body.text == DRAIN else "hold") if body.value else "release"
        turn.note(what, text, node=node, actor=body.actor[:MAX_TEXT])

    def _note_price(self, turn: Turn, rec: Rec, body: ControlBody) -> None:
        """Note what an hour costs from now on, of one machine or of all alike."""
        price = "none" if body.value < 0 else f"{body.value / MILLIONTHS:g} an hour"
        if is_hardware_price(rec.pk):
            turn.note(
                "price", f"{rec.pk[9:].decode(errors='replace')}: {price}"[:MAX_TEXT], actor=body.actor[:MAX_TEXT]
            )
            return
        node = unpack_node(rec.pk[:_NODE_BYTES])
        turn.note("price", f"{self._registry.name_of(node)}: {price}", node=node, actor=body.actor[:MAX_TEXT])

    def _note_heir(self, turn: Turn, rec: Rec, body: ControlBody) -> None:
        node, name_of = unpack_node(rec.pk[:_NODE_BYTES]), self._registry.name_of
        text = f"{name_of(node)} by {name_of(NodeId(body.text))}" + (f": {body.why}" if body.why else "")
        turn.note("replace", text[:MAX_TEXT], node=node, actor=body.actor[:MAX_TEXT])

    def _note_key(self, turn: Turn, rec: Rec, body: KeyBody) -> None:
        """Note who was let in, on every node and with the id: whoever never says more can be evicted by that alone."""
        node = unpack_node(rec.pk)
        if rec.rank < Rank.ENDED:
            if body.name and not self._registry.is_admitted(node):
                by = self._registry.name_of(NodeId(body.admitted_by))
                text = f"{body.name} at {body.address}, let in by {by}: key {node}"
                turn.note("admitted", text[:MAX_TEXT], node=node)
            return
        text = self._registry.name_of(node) + (f": {body.why}" if body.why else "")
        turn.note("evict", text[:MAX_TEXT], node=node, actor=body.actor[:MAX_TEXT])


def _note_signer(turn: Turn, rec: Rec, body: SignerBody) -> None:
    what = "signer-retire" if rec.rank >= Rank.ENDED else "signer-add"
    text = rec.pk[:6].hex() + (f" ({body.label})" if body.label else "")
    turn.note(what, text[:MAX_TEXT], actor=body.actor[:MAX_TEXT])


def _note_path_rule(turn: Turn, body: PathRuleBody) -> None:
    where = "" if body.platform == "any" else f" on {body.platform}"
    rule = f"{body.written} -> {body.becomes}{where}"
    text = f"{rule}: {body.note}" if body.note else rule
    turn.note("path-add" if body.value else "path-remove", text[:MAX_TEXT], actor=body.actor[:MAX_TEXT])


def _note_user(turn: Turn, rec: Rec) -> None:
    name, is_credential, credential = rec.pk.decode(errors="replace").partition("\0")
    if credential.startswith(LIFE):  # and not the person's row, which another order elsewhere may have won over
        turn.note("user-remove", name[:MAX_TEXT], actor=unpack_body(CredentialBody, rec.body).actor[:MAX_TEXT])
        return
    if is_credential:
        held = unpack_body(CredentialBody, rec.body)
        text = f"{name}: {held.what} {credential}" + (f" ({held.label})" if held.label else "")
        what = f"{held.what}-revoke" if rec.rank >= Rank.ENDED else f"{held.what}-add"
        turn.note(what, text[:MAX_TEXT], actor=held.actor[:MAX_TEXT])
        return
    body = unpack_body(UserBody, rec.body)
    if not body.removed:
        who = "everybody who is not listed" if name == EVERYBODY else name
        turn.note("user-role", f"{who} is {body.role}"[:MAX_TEXT], actor=body.actor[:MAX_TEXT])


def _note_hook(turn: Turn, rec: Rec) -> None:
    """Note a hook by its place alone: an address may be as good as a password."""
    body = unpack_body(HookBody, rec.body)
    who, what = body.made_by[:MAX_TEXT], "hook-remove" if body.removed else "hook-add"
    if body.removed:
        text = body.note or ", ".join(body.events)
    else:
        text = f"{place_of(body.kind, body.target)}: {', '.join(body.events)}" + (f": {body.note}" if body.note else "")
    turn.note(what, text[:MAX_TEXT], actor=who)


def _word(field: int, value: int) -> str:
    """Name an order as the command that gives it; nothing for a register that a newer node made up."""
    if field == JobField.PRIORITY:
        return "priority"
    if field == JobField.REQUEUE:
        return "retry"
    if field == JobField.EDITED:
        return "edit"
    words = _JOB_WORDS.get(field)
    return words[max(0, min(value, len(words) - 1))] if words else ""
