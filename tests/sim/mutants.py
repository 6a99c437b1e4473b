"""Mistakes made on purpose, each with the scene in which it must be seen: the test of the simulator itself.

A mutant replaces one method of the core, or the driver, by a wrong one. If its scene plays to the end, the watch is
blind, and a test says so.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

from farmd.core import receiving as receiving_module
from farmd.core import tasks, worker
from farmd.core.ballot import Ballot
from farmd.core.blame import Verdict, judge_right
from farmd.core.capacity import Capacity, Claim
from farmd.core.doubts import Doubts
from farmd.core.effects import Note, Reply, Save, Send
from farmd.core.events import PackWritten
from farmd.core.fence import Fence
from farmd.core.gate import grantable_below
from farmd.core.gossip import Gossip
from farmd.core.incoming import Incoming
from farmd.core.job import Job
from farmd.core.leader import Leader
from farmd.core.outputs import Outputs
from farmd.core.receiving import Receiving
from farmd.core.replica import Replica
from farmd.core.rerender import Rerender
from farmd.core.rounds import Rounds
from farmd.core.verdicts import Verdicts
from farmd.core.worker import Worker
from farmd.core.workforce import Workforce
from protocol.bodies import ControlBody, pack_body, unpack_body
from protocol.messages import HaveIs, Refusal
from protocol.records import Kind, Rank, Rec, stamp
from tests.sim import scenes
from tests.sim.hands import SimHands
from tests.sim.machine import SimDriver

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.core.effects import Effect, WritePack
    from farmd.core.turn import Turn
    from tests.sim.scenes import SceneOf

Patch = tuple[Any, str, Any]


class Mutant(NamedTuple):
    """A mistake and where it shows."""

    name: str
    scene: SceneOf
    patches: tuple[Patch, ...] = ()
    nodes: int = 3
    driver_class: type[SimDriver] = SimDriver


def caught(mutant: Mutant) -> str:
    """Play the mutant's scene; return what broke, or nothing."""
    with ExitStack() as stack:
        for target, name, wrong in mutant.patches:
            stack.enter_context(patch.object(target, name, wrong))
        return scenes.play(mutant.scene, nodes=mutant.nodes, driver_class=mutant.driver_class)


# -- the driver -----------------------------------------------------------------------------------------------------


class AnnouncesBeforeSaving(SimDriver):
    """Carries effects out at once; the commit follows when it likes."""

    def _route(self, effects: list[Effect]) -> None:
        for effect in effects:
            if not isinstance(effect, Save | Note):
                self._hands.perform(effect)
        super()._route([effect for effect in effects if isinstance(effect, Save | Note)])


class AcknowledgesBeforeCommitting(SimDriver):
    """Answers clients at once."""

    def _route(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Reply):
                self._hands.perform(effect)
        super()._route([effect for effect in effects if not isinstance(effect, Reply)])


class SendsAllAtOnce(SimDriver):
    """Takes every send for a volatile one."""

    def _route(self, effects: list[Effect]) -> None:
        super()._route([Send(e.to, e.message, volatile=True) if isinstance(e, Send) else e for e in effects])


# -- records --------------------------------------------------------------------------------------------------------


def _merge_fields(right: Callable[..., bool]) -> Callable[..., bool]:
    """Join the fields of two controls under the stamp of the winner."""

    def merge(self: Replica, rec: Rec) -> bool:
        old = self.get(rec.kind, rec.pk)
        if old is not None and rec.kind == Kind.JOB_CONTROL and stamp(rec) > stamp(old) and old.origin != rec.origin:
            mine, theirs = unpack_body(ControlBody, old.body), unpack_body(ControlBody, rec.body)
            rec = rec._replace(body=pack_body(theirs._replace(why=max(mine.why, theirs.why))))
        return right(self, rec)

    return merge


def _no_new_origin(self: Replica, turn: Turn, why: str) -> None:
    self.origin_confirmed = True


def _joins_anything(self: Gossip, span: Any) -> bool:
    return True


class _FlatRank:
    """Done is no more than ended."""

    NORMAL, ENDED, FINAL = Rank.NORMAL, Rank.ENDED, Rank.ENDED


# -- leaders and workers --------------------------------------------------------------------------------------------


def _any_term(right: Callable[..., Refusal]) -> Callable[..., Refusal]:
    def refusal(self: Worker, sender: Any, grant: Any) -> Refusal:
        found = right(self, sender, grant)
        return Refusal.NONE if found is Refusal.OLD_TERM else found

    return refusal


def _any_epoch(right: Callable[..., Refusal]) -> Callable[..., Refusal]:
    def refusal(self: Worker, sender: Any, grant: Any) -> Refusal:
        return right(self, sender, grant._replace(epoch=self._epoch))

    return refusal


def _never_seen(self: Fence, attempt: Any) -> bool:
    return False


def _unsaved(name: str) -> Callable[..., Any]:
    right = getattr(Ballot, name)

    def forgets(self: Ballot, *args: Any) -> Any:
        kept = dict(self.dirty)
        result = right(self, *args)
        self.dirty.clear()
        self.dirty.update(kept)
        return result

    return forgets


def _remembers_nothing(right: Callable[..., None]) -> Callable[..., None]:
    def init(self: Ballot, meta: Any) -> None:
        right(self, {})

    return init


def _gate_is_open(self: Job) -> int:
    return 0 if self.cancelled or self.paused else self.plan.task_count


def _pause_is_nothing(self: Job) -> int:
    return 0 if self.cancelled else grantable_below(self.gate, self.plan)


def _no_result(current: Any) -> None:
    return None


def _always_room(self: Capacity, need: Any) -> Claim:
    return Claim(self.cores_of(need), need.ram_bytes)


# -- files ----------------------------------------------------------------------------------------------------------


def _write_unverified(self: SimHands, effect: WritePack) -> None:
    at = 0
    for blob in effect.blobs:
        self.blobs.held[blob] = effect.data[at : at + blob.size]
        at += blob.size
    asyncio.get_running_loop().call_later(0.001, self._post, PackWritten(effect.source, effect.blobs))


def _hold_unverified(right: Callable[..., None]) -> Callable[..., None]:
    """Count a piece as held when it arrives."""

    def on_piece(self: Receiving, turn: Turn, sender: Any, message: Any) -> None:
        right(self, turn, sender, message)
        incoming = self._incoming.get(message.blob)
        if incoming is not None:
            incoming.held.add(message.number)
            self._spreading.verified(turn, incoming, message.number)

    return on_piece


def _no_other(self: Receiving, turn: Turn, sender: Any, blobs: Any, number: int) -> None:
    """Forget what was refused or came with another length."""


def _drop_late(self: Incoming, index: int) -> None:
    source, _ = self.outstanding.pop(index)
    self.lose(source)


def _forget_corrupt(self: Receiving, turn: Turn, event: Any) -> None:
    return None


def _vouch_blindly(self: Doubts, turn: Turn, sender: Any, blob: Any) -> None:
    turn.send(sender, HaveIs((blob,), hashed=True))


def _blame_nobody(turn: Turn, incoming: Any) -> tuple[Any, ...]:
    incoming.begin_anew()
    return ()


def _keep_unsynced(self: Outputs, turn: Turn, key: Any) -> None:
    self.on_settled(turn, key[1])


def _blame_the_messenger(right: Callable[..., Verdict]) -> Callable[..., Verdict]:
    """Who passed a lie on has lied."""

    def judge(turn: Turn, incoming: Any) -> Verdict:
        verdict = right(turn, incoming)
        return Verdict((*verdict.stood, *verdict.passed_on), verdict.sent, ())

    return judge


def _is_there(self: SimHands, blob: Any) -> bool:
    return blob in self.blobs.held


MUTANTS: tuple[Mutant, ...] = (
    Mutant("announce before save", scenes.quiet, driver_class=AnnouncesBeforeSaving),
    Mutant("acknowledge before commit", scenes.quiet, nodes=1, driver_class=AcknowledgesBeforeCommitting),
    Mutant("every send is volatile", scenes.quiet, driver_class=SendsAllAtOnce),
    Mutant(
        "merge fields under one stamp",
        scenes.contradictory_orders,
        ((Replica, "_merge", _merge_fields(Replica._merge)),),
    ),
    Mutant("reuse sequence numbers after a lost tail", scenes.lost_tail, ((Replica, "_rotate", _no_new_origin),)),
    Mutant("believe any peer", scenes.half_heard_tail, ((Gossip, "doubt", lambda self, members: None),)),
    Mutant("apply pushes that are not contiguous", scenes.lossy, ((Gossip, "_joins", _joins_anything),), nodes=4),
    Mutant("done is not top", scenes.done_and_forgotten, ((worker, "Rank", _FlatRank),)),
    Mutant("forget own starts", scenes.start_forgotten, ((Worker, "disown", lambda self, turn, rec, job: None),), 2),
    Mutant("obey any term", scenes.late_grants, ((Worker, "_refusal", _any_term(Worker._refusal)),)),
    Mutant("obey grants to an earlier life", scenes.late_grants, ((Worker, "_refusal", _any_epoch(Worker._refusal)),)),
    Mutant("wake the leader once", scenes.healed_link_by_link, ((Leader, "_times", lambda self: iter(())),), 4),
    Mutant("run an attempt id twice", scenes.everything_twice, ((Fence, "has_seen", _never_seen),)),
    Mutant("forget to save the vote", scenes.quiet, ((Ballot, "vote", _unsaved("vote")),)),
    Mutant("forget to save whom one follows", scenes.quiet, ((Ballot, "accept", _unsaved("accept")),)),
    Mutant("start without promises", scenes.restarts, ((Ballot, "__init__", _remembers_nothing(Ballot.__init__)),), 1),
    Mutant("ignore the gate", scenes.held_and_paused, ((Job, "grantable_below", property(_gate_is_open)),)),
    Mutant("grant to a paused job", scenes.held_and_paused, ((Job, "grantable_below", property(_pause_is_nothing)),)),
    Mutant("take nothing for done", scenes.quiet, ((tasks, "_result", _no_result),)),
    Mutant("grant beyond what is offered", scenes.quiet, ((Capacity, "fit_now", _always_room),)),
    Mutant("store packs unverified", scenes.corrupt_sender, ((SimHands, "_write_pack", _write_unverified),)),
    Mutant(
        "grant where a feature is missing",
        scenes.feature_missing,
        ((Workforce, "avoided", lambda self, job, now: {}),),
    ),
    Mutant("never give a job up", scenes.feature_missing, ((Verdicts, "review", lambda self, turn: False),)),
    Mutant(
        "offer pieces unverified",
        scenes.corrupt_pieces,
        ((Receiving, "on_piece", _hold_unverified(Receiving.on_piece)),),
    ),
    Mutant("drop what a late pack should have brought", scenes.lost_packs, ((Incoming, "give_up", _drop_late),), 2),
    Mutant(
        "ask nobody else for what came too short", scenes.corrupt_pieces, ((Receiving, "_ask_elsewhere", _no_other),)
    ),
    Mutant("vouch for a copy unread", scenes.rotten_copy, ((Doubts, "add", _vouch_blindly),)),
    Mutant("blame nobody for a wrong whole", scenes.liar, ((receiving_module, "judge_wrong", _blame_nobody),)),
    Mutant(
        "blame the messenger",
        scenes.lie_passed_on,
        ((receiving_module, "judge_right", _blame_the_messenger(judge_right)),),
        5,
    ),
    Mutant("render what is damaged", scenes.rot_while_rendering, ((SimHands, "_is_sound", _is_there),)),
    Mutant("believe what was said once", scenes.store_deleted, ((Rounds, "hurry", lambda self, turn: None),)),
    Mutant("keep copies that are not synced", scenes.quiet, ((Outputs, "on_fetched", _keep_unsynced),), nodes=3),
    Mutant("leave lost results lost", scenes.last_copy_lost, ((Rerender, "review", lambda self, turn: False),)),
    Mutant("give a corrupt blob up", scenes.corrupt_sender, ((Receiving, "_wrong", _forget_corrupt),)),
)
