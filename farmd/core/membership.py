"""Who is in the farm, and who is here now: SWIM with Lifeguard.

Theory: Das, Gupta and Motivala, "SWIM" (2002); Dadgar, Phillips and Currey, "Lifeguard" (2017). `roster` orders the
claims, `probing` finds who is silent, `suspicion` decides how long silence is forgiven, `judgement` what is believed of
others, `refutation` what is answered to claims about this node, `dissemination` and `riders` which gossip goes with
pings and acks, `rollcall` whom to ask for what gossip missed. This module joins them: it takes the messages, and says
to the rest of the core who is there.

Conventions on the wire, beyond the words of `protocol.messages`:
- `PingAck` with seq 0 answers nothing: it only carries gossip (a refutation, a farewell);
- `PingNack` with seq 0 is an accusation, from a node that got no answer itself, to the jurors of the accused;
- `PingReq` whose target is its own sender asks "whom do you know?"; it is answered by `PingAck`s with all claims
  of members that are here or have left.

Called by the node machine; must never let time of day, an address or a name stand for identity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.judgement import Judgement
from farmd.core.probing import Prober
from farmd.core.refutation import Refutation
from farmd.core.riders import Riders
from farmd.core.rollcall import RollCall
from farmd.core.roster import Member, Roster
from farmd.core.suspicion import LAG_S, LocalHealth
from protocol.messages import Advert, MemberUpdate, Ping, PingAck, PingNack, PingReq
from protocol.states import MemberState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from farmd.core.roster import MemberChange
    from farmd.core.turn import Turn
    from protocol.ids import NodeId

ALIVE, _, _, LEFT = MemberState

POKE_PERIOD_S = 1.0
"""A member that is talking although it is suspected or dead is asked at most this often."""
FAREWELLS = 64
"""Members told directly that this node leaves; gossip tells the rest."""

SwimMessage = Ping | PingAck | PingReq | PingNack


class Membership:
    """This node's view of all members.

    Attributes:
        self_id: This node.
        health: Local health of Lifeguard.
        dirty_meta: Facts to save with the next turn: "epoch", if a peer remembered a later life of this node.
    """

    def __init__(
        self,
        self_id: NodeId,
        epoch: int,
        address: str,
        rng: Random,
        *,
        admitted: Callable[[NodeId], bool] | None = None,
    ) -> None:
        """Begin a life.

        Args:
            self_id: This node.
            epoch: Of this life, from 1; raised at each start.
            address: HOST:PORT where others reach this node.
            rng: The injected random generator.
            admitted: Whether a node's key is admitted; gossip of others is dropped. None admits all.
        """
        self.self_id = self_id
        self.health = LocalHealth()
        self._rng = rng
        self._admitted = admitted
        self._roster = Roster(Member(self_id, ALIVE, epoch, 0, address, 0.0))
        self._riders = Riders(self._roster)
        self._prober = Prober(self._roster, self.health, self._riders.to, rng)
        self._judgement = Judgement(self._roster, self._riders, self._prober)
        self._refutation = Refutation(self._roster, self.health, self._riders, rng)
        self._rollcall = RollCall(self._roster, rng)
        self.dirty_meta = self._refutation.dirty_meta
        self._poked_at: dict[NodeId, float] = {}

    # -- what others may know ----------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Return the epoch of this life."""
        return self._me.epoch

    @property
    def _me(self) -> Member:
        return self._roster.me

    def members(self) -> Mapping[NodeId, Member]:
        """Return all members ever heard of, this node included, in the order of their ids."""
        return self._roster.view()

    def alive(self) -> tuple[NodeId, ...]:
        """Return the members that are alive and not suspected, sorted, this node included."""
        return self._roster.alive

    def alive_others(self) -> tuple[NodeId, ...]:
        """Return the same without this node."""
        return self._roster.alive_others

    def suspects(self) -> tuple[NodeId, ...]:
        """Return the members that are suspected, sorted."""
        return self._roster.suspects

    def dead(self) -> tuple[NodeId, ...]:
        """Return the members that are dead or never answered yet, sorted; not those that left in good order."""
        return self._roster.dead

    def member(self, node: NodeId) -> Member | None:
        """Return what is believed of a node, None if it is unknown."""
        return self._roster.get(node)

    def is_alive(self, node: NodeId) -> bool:
        """Tell whether a node is alive and not suspected."""
        return self.state_of(node) is ALIVE

    def state_of(self, node: NodeId) -> MemberState | None:
        """Return the state of a node, None if it is unknown."""
        member = self._roster.get(node)
        return member.state if member else None

    def recent(self, now: float, window_s: float = 600.0) -> tuple[NodeId, ...]:
        """Return, sorted, the members that are here or were within the window and did not leave in good order."""
        return self._roster.recent(now, window_s)

    def advert_of(self, node: NodeId) -> Advert | None:
        """Return the latest advert of a node."""
        return self._riders.adverts.of(node)

    def take_changes(self) -> list[MemberChange]:
        """Return what changed since the last call."""
        return self._roster.take_changes()

    # -- what happens ------------------------------------------------------------------------------------------

    def start(self, turn: Turn) -> None:
        """Begin to probe."""
        self._prober.start(turn.now.mono)
        self._rollcall.start(turn.now.mono)

    def learn(self, turn: Turn, node: NodeId, address: str) -> None:
        """Hear that a node may be at an address (a record, a seed, discovery), and ping it unless it is here."""
        member = self._roster.get(node)
        if node == self.self_id or (member is not None and member.is_here) or not self._may_be(node):
            return
        if member is None:
            self._roster.seed(node, address, turn.now.mono)
        else:
            self._roster.readdress(node, address, turn.now.mono)
        self._prober.ping(turn, node)

    def greeted(self, turn: Turn, node: NodeId, epoch: int, address: str) -> None:
        """Hear a node say itself which life it lives, and where (the `Hello` of a connection)."""
        self._hear(turn, MemberUpdate(node, ALIVE, epoch, 0, address), node)
        self.heard(turn, node)

    def forget(self, node: NodeId) -> None:
        """Remove a node whose key was revoked; `admitted` must refuse it from now on."""
        self._judgement.forget(node)

    def set_own_advert(self, advert: Advert) -> None:
        """Spread what this node says of itself; its counter must be raised each time."""
        self._riders.adverts.hear(advert)

    def hear_advert(self, advert: Advert) -> bool:
        """Take an advert that came otherwise (with a heartbeat's answer); returns whether it was new."""
        member = self._roster.get(advert.node)
        return member is not None and advert.epoch >= member.epoch and self._riders.adverts.hear(advert)

    def note_lag(self, seconds: float) -> None:
        """Doubt the own judgement because the own loop was late."""
        self.health.note_lag(seconds)

    def heard(self, turn: Turn, sender: NodeId) -> None:
        """Take any message as a reason to ask a suspect or dead sender at once; only it can end that state."""
        member = self._roster.get(sender)
        if member is None or member.state in (ALIVE, LEFT) or self._rollcall.at is None:
            return
        now = turn.now.mono
        if now < self._poked_at.get(sender, -POKE_PERIOD_S) + POKE_PERIOD_S:
            return
        self._poked_at[sender] = now
        self._prober.ping(turn, sender)

    def suspect_now(self, turn: Turn, node: NodeId) -> None:
        """Probe a node at once, directly and through others: its connection broke, or it is strangely silent."""
        member = self._roster.get(node)
        if member is not None and member.is_here and node != self.self_id and self._me.is_here:
            self._prober.probe(turn, node, at_once=True)

    def on_message(self, turn: Turn, sender: NodeId, message: SwimMessage) -> None:
        """Handle a message of SWIM; for every other message the node calls `heard`."""
        if self._me.state is LEFT or sender == self.self_id:
            return
        incarnation = self._me.incarnation
        match message:
            case Ping(seq, updates, adverts):
                self._take_gossip(turn, sender, updates, adverts)
                turn.send(sender, PingAck(seq, None, *self._riders.answer(sender, updates)), volatile=True)
                return
            case PingAck(_, _, updates, adverts):
                self._take_gossip(turn, sender, updates, adverts)
                self._prober.on_ack(turn, sender, message)
                if self.is_alive(sender):
                    self._rollcall.on_contact(turn, sender)
            case PingReq(_, _, updates):
                self._take_gossip(turn, sender, updates, ())
                self._on_request(turn, sender, message)
            case PingNack(seq, target):
                if seq:
                    self._prober.on_nack(message)
                else:
                    self._judgement.accused(turn, target, sender)
        if self._me.incarnation > incarnation:
            self._riders.whisper(turn, sender)
        self.heard(turn, sender)

    def next_deadline(self) -> float | None:
        """Return the monotonic second at which `on_timer` wants to be called."""
        if self._rollcall.at is None:
            return None
        return min(self._rollcall.at, self._prober.next_deadline(), self._judgement.next_deadline())

    def on_timer(self, turn: Turn) -> None:
        """Do what is due; a late call means that this node was deaf, and excuses the others for that time."""
        deadline, now = self.next_deadline(), turn.now.mono
        if deadline is None or now < deadline:
            return
        if now - deadline > LAG_S:
            self._prober.shift(now - deadline)
            self._judgement.shift(now - deadline)
        for node in self._prober.on_timer(turn):
            self._judgement.silent(turn, node)
        self._judgement.on_timer(turn)
        self._rollcall.on_timer(turn)

    def leave(self, turn: Turn) -> None:
        """Say goodbye: every member that hears it counts this node out at once. Nothing is answered any more."""
        others = self.alive_others()
        self._roster.take(self._me.claim()._replace(state=LEFT), turn.now.mono)
        self._rollcall.stop()
        farewell = PingAck(0, None, (self._me.claim(),))
        for node in others if len(others) <= FAREWELLS else self._rng.sample(others, FAREWELLS):
            turn.send(node, farewell, volatile=True)

    # -- gossip ------------------------------------------------------------------------------------------------

    def _take_gossip(
        self, turn: Turn, sender: NodeId, updates: tuple[MemberUpdate, ...], adverts: tuple[Advert, ...]
    ) -> None:
        for claim in updates:
            self._hear(turn, claim, sender)
        for advert in adverts:
            if advert.node != self.self_id:
                self.hear_advert(advert)

    def _hear(self, turn: Turn, claim: MemberUpdate, sender: NodeId) -> None:
        if claim.node == self.self_id:
            self._refutation.hear(turn, claim)
            return
        if not ALIVE <= claim.state <= LEFT or claim.epoch < 1 or not self._may_be(claim.node):
            return
        if self._judgement.hear(turn, claim, sender):
            self._healed(turn.now.mono, by_itself=sender == claim.node)

    def _healed(self, now: float, *, by_itself: bool) -> None:
        """A member came back within its life: look for the others that were cut off with it."""
        if by_itself:
            self._prober.revived(now)
        self._rollcall.hurry(now)

    def _may_be(self, node: NodeId) -> bool:
        return self._admitted is None or self._admitted(node)

    def _on_request(self, turn: Turn, sender: NodeId, request: PingReq) -> None:
        if request.target == sender:
            self._rollcall.answer(turn, sender, request.seq)
        elif request.target == self.self_id:
            turn.send(sender, PingAck(request.seq, self.self_id, *self._riders.to(sender)), volatile=True)
        else:
            self._prober.on_request(turn, sender, request)
