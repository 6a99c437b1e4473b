"""What is believed of the other members: which claim wins, who becomes a suspect, and when a suspect is dead.

- a failed probe makes a suspect, an expired suspicion makes a dead member;
- gossip that a member is dead only makes a suspect of one that is alive here: else the dead of one half of a split
  would die in the other half when it heals;
- every suspect is probed by its jurors, whose accusations shorten its suspicion (`farmd.core.suspicion`).

The invariant: for each node, (epoch, incarnation, state) never falls. Called by `farmd.core.membership`, which decides
whom to listen to; what others say of this node itself is not judged here (`farmd.core.refutation`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.core.roster import wins
from farmd.core.suspicion import Suspicions, jurors_of
from protocol.messages import MemberUpdate, PingNack
from protocol.states import MemberState

if TYPE_CHECKING:
    from farmd.core.probing import Prober
    from farmd.core.riders import Riders
    from farmd.core.roster import Member, MemberChange, Roster
    from farmd.core.turn import Turn
    from protocol.ids import NodeId

ALIVE, SUSPECT, DEAD, _ = MemberState

TIME_TO_REFUTE_S = 2.0
"""Gossip of a death counts for nothing more than an accusation until the member was suspected here this long."""


class Judgement:
    """Takes claims into the roster, and keeps the suspicions that follow from them."""

    def __init__(self, roster: Roster, riders: Riders, prober: Prober) -> None:
        self._roster = roster
        self._riders = riders
        self._prober = prober
        self._suspicions = Suspicions()

    def hear(self, turn: Turn, claim: MemberUpdate, sender: NodeId) -> bool:
        """Take a claim about another member. True if that member came back within its life: a split has healed."""
        known = self._roster.get(claim.node)
        if known is not None and claim.state == DEAD and known.is_here and known.epoch == claim.epoch:
            self._hear_of_death(turn, claim, known, sender)
            return False
        if known is not None and not wins(claim, known):
            return False
        self._believe(turn, claim)
        return known is not None and known.state is DEAD and known.epoch == claim.epoch

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

    def silent(self, turn: Turn, node: NodeId) -> None:
        """Draw the consequence of a probe that failed: suspect the node, and tell those who may confirm it."""
        member = self._roster.get(node)
        if member is None or not member.is_here:
            return
        is_new = self._suspicions.accuse(node, self._roster.self_id, turn.now.mono)
        if member.state is ALIVE:
            self._believe(turn, member.claim()._replace(state=SUSPECT))
        self._retime()
        if is_new:
            for juror in jurors_of(node, self._roster.alive):
                if juror != self._roster.self_id:
                    turn.send(juror, PingNack(0, node), volatile=True)

    def accused(self, turn: Turn, accused: NodeId, accuser: NodeId) -> None:
        """Another node got no answer either."""
        member = self._roster.get(accused)
        if member is not None and member.is_here and accused != self._roster.self_id:
            self._suspicions.accuse(accused, accuser, turn.now.mono)
            self._retime()

    def forget(self, node: NodeId) -> None:
        """A node belongs to the farm no longer."""
        self._roster.forget(node)
        self._suspicions.close(node)
        self._riders.drop(node)
        self._retime()

    # -- time -----------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float:
        """When a suspect is to be asked, or has been silent for too long."""
        return self._suspicions.next_deadline()

    def shift(self, seconds: float) -> None:
        """Do not count a time during which this node itself was deaf."""
        self._suspicions.shift(seconds)

    def on_timer(self, turn: Turn) -> None:
        """Ask suspects themselves; give up those whose time is over."""
        now = turn.now.mono
        for node in self._suspicions.due_to_ask(now):
            self._prober.ping(turn, node)
        for node in self._suspicions.expired(now):
            member = self._roster.get(node)
            if member is not None:
                self._believe(turn, member.claim()._replace(state=DEAD))

    # -- consequences ---------------------------------------------------------------------------------------------

    def _believe(self, turn: Turn, claim: MemberUpdate) -> None:
        """Take a claim that wins into the roster, pass it on, and open or close the suspicion."""
        known = self._roster.get(claim.node)
        change = self._roster.take(claim, turn.now.mono)
        self._riders.pass_on(claim)
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
            self._riders.adverts.forget(change.node, change.epoch)

    def _do_jury_duty(self, turn: Turn) -> None:
        """Probe every suspect whose juror this node is, or became because another juror fell silent too."""
        alive, me = self._roster.alive, self._roster.self_id
        for accused in self._suspicions:
            if me in jurors_of(accused, alive) and not self._suspicions.has_accused(accused, me):
                self._prober.probe(turn, accused)

    def _retime(self) -> None:
        self._suspicions.retime(len(self._roster.alive))
