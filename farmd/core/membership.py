"""Who is in the farm, and who is here now: SWIM with Lifeguard.

Theory: Das, Gupta and Motivala, "SWIM" (2002); Dadgar, Phillips and Currey, "Lifeguard" (2017). `roster` orders the
claims, `probing` finds who is silent, `suspicion` decides how long silence is forgiven, `dissemination` chooses the
gossip that rides on pings and acks. This module joins them:
- a failed probe makes a suspect, an expired suspicion makes a dead member;
- every message carries the sender's own claim first, then what is claimed of the receiver if that is not "alive"
  (Lifeguard's buddy system), so whoever is wrongly suspected or dead learns it from the next message and refutes it
  with a higher incarnation; only the member itself can end a suspicion;
- gossip that a member is dead only makes a suspect of one that is alive here: else the dead of one half of a split
  would die in the other half when it heals.

Conventions on the wire, beyond the words of `protocol.messages`:
- `PingAck` with seq 0 answers nothing: it only carries gossip (a refutation, a farewell);
- `PingNack` with seq 0 is an accusation, from a node that got no answer itself, to the jurors of the accused;
- `PingReq` whose target is its own sender asks "whom do you know?"; it is answered by `PingAck`s with all claims
  of members that are here or have left. Asked at start, and of a random member now and then: rumours are dropped
  after a while, and this repairs what they missed.

The invariant: for each node, (epoch, incarnation, state) never falls. Called by the node machine; must never let
time of day, an address or a name stand for identity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farmd.core.dissemination import Adverts, Rumours, copies_for, room_for
from farmd.core.probing import Prober
from farmd.core.roster import Member, MemberChange, Roster, wins
from farmd.core.suspicion import LAG_S, LocalHealth, Suspicions, jurors_of
from protocol.messages import Advert, MemberUpdate, Ping, PingAck, PingNack, PingReq
from protocol.states import MemberState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from farmd.core.turn import Turn
    from protocol.ids import NodeId

ALIVE, SUSPECT, DEAD, LEFT = MemberState

POKE_PERIOD_S = 1.0
"""A member that is talking although it is suspected or dead is asked at most this often."""
TIME_TO_REFUTE_S = 2.0
"""Gossip of a death counts for nothing more than an accusation until the member was suspected here this long."""
SYNC_PERIOD_S = 30.0
HEALING_SYNC_S = 2.0
"""Time for the members beyond a healed split to refute their death, before they are asked for in one go."""
SYNCS_AT_START = 3
SYNC_CLAIMS = 40
"""Claims in one answer of a sync: about two kilobytes."""
SPREAD_TO = 3
"""A refutation goes to this many members at once, beside riding on every later message."""
FAREWELLS = 64
"""Members told directly that this node leaves; gossip tells the rest."""
EPOCH_LEAP_PERIOD_S = 10.0

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
        self.dirty_meta: dict[str, Any] = {}
        self._rng = rng
        self._admitted = admitted
        self._roster = Roster(Member(self_id, ALIVE, epoch, 0, address, 0.0))
        self._suspicions = Suspicions()
        self._rumours: Rumours[MemberUpdate] = Rumours()
        self._adverts = Adverts()
        self._prober = Prober(self._roster, self.health, self._riders, rng)
        self._poked_at: dict[NodeId, float] = {}
        self._syncs_left = SYNCS_AT_START
        self._sync_at: float | None = None
        self._leapt_at: float | None = None

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
        return tuple(node for node in self._roster.alive if node != self.self_id)

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
        return self._adverts.of(node)

    def take_changes(self) -> list[MemberChange]:
        """Return what changed since the last call."""
        return self._roster.take_changes()

    # -- what happens ------------------------------------------------------------------------------------------

    def start(self, turn: Turn) -> None:
        """Begin to probe."""
        self._prober.start(turn.now.mono)
        self._sync_at = turn.now.mono + SYNC_PERIOD_S * (0.5 + self._rng.random())

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
        self._roster.forget(node)
        self._suspicions.close(node)
        self._rumours.drop(node)
        self._retime()

    def set_own_advert(self, advert: Advert) -> None:
        """Spread what this node says of itself; its counter must be raised each time."""
        self._adverts.hear(advert)

    def hear_advert(self, advert: Advert) -> bool:
        """Take an advert that came otherwise (with a heartbeat's answer); returns whether it was new."""
        member = self._roster.get(advert.node)
        return member is not None and advert.epoch >= member.epoch and self._adverts.hear(advert)

    def note_lag(self, seconds: float) -> None:
        """Doubt the own judgement because the own loop was late."""
        self.health.note_lag(seconds)

    def heard(self, turn: Turn, sender: NodeId) -> None:
        """Take any message as a reason to ask a suspect or dead sender at once; only it can end that state."""
        member = self._roster.get(sender)
        if member is None or member.state in (ALIVE, LEFT) or self._sync_at is None:
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
                turn.send(sender, PingAck(seq, None, *self._answer_riders(sender, updates)), volatile=True)
                return
            case PingAck(_, _, updates, adverts):
                self._take_gossip(turn, sender, updates, adverts)
                self._prober.on_ack(turn, sender, message)
                self._sync_after_contact(turn, sender)
            case PingReq(_, _, updates):
                self._take_gossip(turn, sender, updates, ())
                self._on_request(turn, sender, message)
            case PingNack(seq, target):
                if seq:
                    self._prober.on_nack(message)
                else:
                    self._accused(turn, target, sender)
        if self._me.incarnation > incarnation:
            self._whisper(turn, sender)
        self.heard(turn, sender)

    def next_deadline(self) -> float | None:
        """Return the monotonic second at which `on_timer` wants to be called."""
        if self._sync_at is None:
            return None
        return min(self._sync_at, self._prober.next_deadline(), self._suspicions.next_deadline())

    def on_timer(self, turn: Turn) -> None:
        """Do what is due; a late call means that this node was deaf, and excuses the others for that time."""
        deadline, now = self.next_deadline(), turn.now.mono
        if deadline is None or now < deadline:
            return
        if now - deadline > LAG_S:
            self._prober.shift(now - deadline)
            self._suspicions.shift(now - deadline)
        for node in self._prober.on_timer(turn):
            self._silent(turn, node)
        for node in self._suspicions.due_to_ask(now):
            self._prober.ping(turn, node)
        for node in self._suspicions.expired(now):
            self._give_up(turn, node)
        if self._sync_at is not None and now >= self._sync_at:
            self._sync_at = now + SYNC_PERIOD_S * (0.5 + self._rng.random())
            others = self.alive_others()
            if others:
                self._ask_sync(turn, self._rng.choice(others))

    def leave(self, turn: Turn) -> None:
        """Say goodbye: every member that hears it counts this node out at once. Nothing is answered any more."""
        others = self.alive_others()
        self._roster.take(self._me.claim()._replace(state=LEFT), turn.now.mono)
        self._sync_at = None
        farewell = PingAck(0, None, (self._me.claim(),))
        for node in others if len(others) <= FAREWELLS else self._rng.sample(others, FAREWELLS):
            turn.send(node, farewell, volatile=True)

    # -- gossip ------------------------------------------------------------------------------------------------

    def _riders(self, to: NodeId) -> tuple[tuple[MemberUpdate, ...], tuple[Advert, ...]]:
        member = self._roster.get(to)
        about = (member.claim(),) if member is not None and member.state is not ALIVE and member.epoch else ()
        return self._updates(about), self._adverts.take()

    def _answer_riders(
        self, to: NodeId, said: tuple[MemberUpdate, ...]
    ) -> tuple[tuple[MemberUpdate, ...], tuple[Advert, ...]]:
        member = self._roster.get(to)
        own = next((claim for claim in said if claim.node == to), None)
        if member is not None and own is not None and own.epoch < member.epoch:
            return self._updates((member.claim(),)), self._adverts.take()
        return self._riders(to)

    def _updates(self, about: tuple[MemberUpdate, ...]) -> tuple[MemberUpdate, ...]:
        room = room_for(len(self._rumours)) - 1 - len(about)
        return (self._me.claim(), *about, *self._rumours.take(room, copies_for(self._roster.here)))

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
            self._hear_of_me(turn, claim)
            return
        if not ALIVE <= claim.state <= LEFT or claim.epoch < 1 or not self._may_be(claim.node):
            return
        known = self._roster.get(claim.node)
        if known is not None and claim.state == DEAD and known.is_here and known.epoch == claim.epoch:
            self._hear_of_death(turn, claim, known, sender)
        elif known is None or wins(claim, known):
            self._believe(turn, claim)
            if known is not None and known.state is DEAD and known.epoch == claim.epoch:
                self._revived(turn.now.mono, by_itself=sender == claim.node)

    def _revived(self, now: float, *, by_itself: bool) -> None:
        """A member came back within its life, so a partition has healed: look for the others without delay."""
        if by_itself:
            self._prober.revived(now)
        if self._sync_at is not None:
            self._sync_at = min(self._sync_at, now + HEALING_SYNC_S * (0.5 + self._rng.random()))

    def _hear_of_death(self, turn: Turn, claim: MemberUpdate, known: Member, sender: NodeId) -> None:
        """Believe that a member is dead only when it was suspected here for a while; until then, suspect it."""
        now = turn.now.mono
        if not wins(claim, known):
            return
        if known.state is SUSPECT and self._suspicions.age(claim.node, now) >= TIME_TO_REFUTE_S:
            self._believe(turn, claim)
            return
        self._suspicions.accuse(claim.node, sender, now)
        if wins(claim._replace(state=SUSPECT), known):
            self._believe(turn, claim._replace(state=SUSPECT))
        self._retime()

    def _may_be(self, node: NodeId) -> bool:
        return self._admitted is None or self._admitted(node)

    def _hear_of_me(self, turn: Turn, claim: MemberUpdate) -> None:
        """Refute what is claimed of this node, if it is not what this node says of itself."""
        me, now = self._me, turn.now.mono
        if claim.epoch > me.epoch:
            if self._leapt_at is not None and now < self._leapt_at + EPOCH_LEAP_PERIOD_S:
                return
            self._leapt_at = now
            me = Member(self.self_id, ALIVE, claim.epoch + 1, 0, me.address, now)
            self.dirty_meta["epoch"] = me.epoch
            turn.note("member.epoch", f"a peer remembers life {claim.epoch} of this node; it goes on as {me.epoch}")
        elif claim.epoch < me.epoch or (claim.incarnation, claim.state) <= (me.incarnation, ALIVE):
            return
        else:
            self.health.worse()
        incarnation = claim.incarnation + 1 if claim.epoch == me.epoch else 0
        self._roster.take(me.claim()._replace(incarnation=incarnation), now)
        others = self.alive_others()
        for node in self._rng.sample(others, min(SPREAD_TO, len(others))):
            self._whisper(turn, node)

    def _whisper(self, turn: Turn, to: NodeId) -> None:
        turn.send(to, PingAck(0, None, *self._riders(to)), volatile=True)

    # -- suspicion ---------------------------------------------------------------------------------------------

    def _silent(self, turn: Turn, node: NodeId) -> None:
        """Draw the consequence of a probe that failed: suspect the node, and tell those who may confirm it."""
        member = self._roster.get(node)
        if member is None or not member.is_here:
            return
        is_new = self._suspicions.accuse(node, self.self_id, turn.now.mono)
        if member.state is ALIVE:
            self._believe(turn, member.claim()._replace(state=SUSPECT))
        self._retime()
        if is_new:
            for juror in jurors_of(node, self._roster.alive):
                if juror != self.self_id:
                    turn.send(juror, PingNack(0, node), volatile=True)

    def _give_up(self, turn: Turn, node: NodeId) -> None:
        member = self._roster.get(node)
        if member is not None:
            self._believe(turn, member.claim()._replace(state=DEAD))

    def _accused(self, turn: Turn, accused: NodeId, accuser: NodeId) -> None:
        member = self._roster.get(accused)
        if member is not None and member.is_here and accused != self.self_id:
            self._suspicions.accuse(accused, accuser, turn.now.mono)
            self._retime()

    def _believe(self, turn: Turn, claim: MemberUpdate) -> None:
        """Take a claim that wins into the roster, pass it on, and open or close the suspicion."""
        known = self._roster.get(claim.node)
        change = self._roster.take(claim, turn.now.mono)
        self._rumours.put(claim.node, claim)
        if claim.state != SUSPECT or (known is not None and known.incarnation < claim.incarnation):
            self._suspicions.close(claim.node)
        if claim.state == SUSPECT:
            self._suspicions.open(claim.node, turn.now.mono)
        if change is not None:
            self._changed(turn, change)
        self._retime()

    def _changed(self, turn: Turn, change: MemberChange) -> None:
        if change.new is not ALIVE:
            self._do_jury_duty(turn)
        if change.new is ALIVE:
            self._prober.enlist(change.node)
        if change.old_epoch < change.epoch:
            self._adverts.forget(change.node, change.epoch)

    def _do_jury_duty(self, turn: Turn) -> None:
        """Probe every suspect whose juror this node is, or became because another juror fell silent too."""
        alive = self._roster.alive
        for accused in self._suspicions:
            if self.self_id in jurors_of(accused, alive) and not self._suspicions.has_accused(accused, self.self_id):
                self._prober.probe(turn, accused)

    def _retime(self) -> None:
        self._suspicions.retime(len(self._roster.alive))

    # -- whom do you know? -------------------------------------------------------------------------------------

    def _on_request(self, turn: Turn, sender: NodeId, request: PingReq) -> None:
        if request.target == sender:
            self._answer_sync(turn, sender, request.seq)
        elif request.target == self.self_id:
            turn.send(sender, PingAck(request.seq, self.self_id, *self._riders(sender)), volatile=True)
        else:
            self._prober.on_request(turn, sender, request)

    def _sync_after_contact(self, turn: Turn, sender: NodeId) -> None:
        if self._syncs_left and self.is_alive(sender):
            self._syncs_left -= 1
            self._ask_sync(turn, sender)

    def _ask_sync(self, turn: Turn, node: NodeId) -> None:
        turn.send(node, PingReq(0, self.self_id, (self._me.claim(),)), volatile=True)

    def _answer_sync(self, turn: Turn, sender: NodeId, seq: int) -> None:
        claims = [m.claim() for m in self._roster.view().values() if m.state is not DEAD and m.node != sender]
        for first in range(0, len(claims), SYNC_CLAIMS):
            turn.send(sender, PingAck(seq, None, tuple(claims[first : first + SYNC_CLAIMS])), volatile=True)
