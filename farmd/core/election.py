"""Who leads: leases and votes over the members that are alive now.

Theory: Raft's elections (Ongaro and Ousterhout, 2014) with PREVOTE, leases and check-quorum (Ongaro's dissertation,
sections 6.2, 6.4.1 and 9.6), changed in one thing: the majority is one of the *current alive view*, not of a fixed
list. A farm of five at noon and of one at night always has a leader, and a split farm has one on each side. That is
safe because leadership is an optimisation: grants carry (term, leader), nodes refuse lower ones (`ballot`), and
records never conflict.

    FOLLOWER  --lease over, waited by rank-->  CANDIDATE (prevote, then vote)  --majority-->  LEADER
    CANDIDATE --no majority in a second, or a heartbeat-->  FOLLOWER
    LEADER    --no majority of acks within a lease, or a stronger leader, or resigned-->  FOLLOWER

Two leaders that meet compare (live followers, term, id): the larger one leaps its term above the other's, the smaller
one steps down. Rank only shortens the wait before campaigning; no rank deposes a healthy leader.

What is promised stands in `ballot`, standing and counting in `candidacy`, an office in `reign`, following in
`allegiance`; here is decided which of them has the word, and what becomes of two leaders.

Conventions beyond the words of `protocol.messages`: `HeartbeatNack(term, leader)` names the highest accepted term,
and whom its sender follows. From a leader it means "I am the stronger one"; with no leader it means "leap above this
term, then I follow"; from the own leader, with no leader, it means "I resign: elect at once".

Called by the node machine; all time is the local monotonic clock, so a machine that slept does not believe its lease.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from farmd.core.allegiance import Allegiance
from farmd.core.ballot import Ballot
from farmd.core.candidacy import CAMPAIGN_S, Candidacy
from farmd.core.outlook import LeaderChange, Outlook, Role
from farmd.core.reign import LEASE_S, SILENT_S, Reign
from protocol.errors import PeerError
from protocol.messages import (
    Heartbeat,
    HeartbeatAck,
    HeartbeatNack,
    PreVoteAsk,
    PreVoteReply,
    VoteAsk,
    VoteReply,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from farmd.core.candidacy import Votes
    from farmd.core.turn import Turn
    from protocol.ids import NodeId

LISTEN_S = 1.0
"""A node that starts listens this long before it may campaign."""
MEETING_S = 1.0
"""Terms leap at most once in this time, and third leaders are called at most as often."""
RESIGNED_S = 10.0
MAX_TERM = (1 << 31) - 1
"""Highest term that another node may speak of: keys of attempts have 32 bits for it, and a term never falls again."""

ElectionMessage = (
    PreVoteAsk | PreVoteReply | VoteAsk | VoteReply | Heartbeat | HeartbeatAck | HeartbeatNack
)  # fmt: skip


class Election:
    """This node's part in elections.

    Attributes:
        barred: Never leads: its clock is too far off.
    """

    def __init__(self, self_id: NodeId, rng: Random, outlook: Outlook, meta: Mapping[str, Any]) -> None:
        """Begin as a follower.

        Args:
            self_id: This node.
            rng: The injected random generator.
            outlook: What is known of the others.
            meta: Saved facts: "term", "voted_for", "accepted_term", "accepted_leader", as far as there are any.
        """
        self.self_id = self_id
        self.barred = False
        self._ballot = Ballot(meta)
        self._outlook = outlook
        self._allegiance = Allegiance()
        self._candidacy = Candidacy(self_id, self._ballot, outlook, rng)
        self._reign: Reign | None = None
        self._met_at = -math.inf
        self._called_at = -math.inf
        self._hints: list[NodeId] = []

    # -- what others may know ----------------------------------------------------------------------------------

    @property
    def role(self) -> Role:
        """Return what this node is. Only `may_grant` says that a leader may act."""
        if self._reign is not None:
            return Role.LEADER
        return Role.CANDIDATE if self._candidacy.is_open else Role.FOLLOWER

    @property
    def leader(self) -> NodeId | None:
        """Return whom this node follows, itself if it leads, None if it knows no leader."""
        return self._allegiance.leader

    @property
    def term(self) -> int:
        """Return the highest term known; while this node leads, the term in which it leads."""
        return self._reign.term if self._reign is not None else self._ballot.term

    @property
    def accepted(self) -> tuple[int, str]:
        """Return the highest (term, leader) that this node has followed; never falls."""
        return self._ballot.accepted_term, self._ballot.accepted_leader

    @property
    def dirty_meta(self) -> dict[str, Any]:
        """Return the facts to save with this turn; the node empties it when it has taken them."""
        return self._ballot.dirty

    @property
    def is_leader(self) -> bool:
        """Tell whether this node is in office; `may_grant` tells whether its lease is good."""
        return self._reign is not None

    def followers(self, now: float) -> tuple[NodeId, ...]:
        """Return, sorted, who acknowledged this leader within the lease, itself included; empty if not leading."""
        return self._reign.followers(now) if self._reign else ()

    def may_grant(self, now: float) -> bool:
        """Tell whether this node leads and a majority of its view acknowledged it within the lease; ask each time."""
        return self._reign is not None and not self.barred and self._reign.has_quorum(now, self._outlook.alive())

    def leader_at(self, now: float) -> NodeId | None:
        """Return the leader whose lease is good at this instant."""
        if self._reign is not None:
            return self.self_id if self.may_grant(now) else None
        return self._allegiance.leader_at(now)

    def accepts(self, term: int, leader: NodeId) -> bool:
        """Tell whether orders of this (term, leader) may be obeyed: not below the highest accepted."""
        return self._ballot.accepts(term, leader)

    def obey(self, term: int, leader: NodeId) -> bool:
        """Take an order of this (term, leader): from now on everything below it is refused. False if it is below."""
        if not 0 <= term <= MAX_TERM or not self._ballot.accepts(term, leader):
            return False
        self._ballot.accept(term, leader)
        return True

    def take_changes(self) -> list[LeaderChange]:
        """Return the changes of leader and of its term since the last call."""
        return self._allegiance.take_changes()

    def take_hints(self) -> list[NodeId]:
        """Return nodes that are strangely silent: the node machine lets the membership probe them at once."""
        hints, self._hints = self._hints, []
        return hints

    # -- what happens ------------------------------------------------------------------------------------------

    def start(self, turn: Turn) -> None:
        """Begin to listen for a leader."""
        self._candidacy.wait(turn, LISTEN_S)

    def resign(self, turn: Turn) -> None:
        """Step down in good order: the followers elect at once, this node does not stand for a while."""
        if self._reign is not None:
            term = self._reign.term
            self._step_down(turn, "resigned")
            for node in self._others():
                turn.send(node, HeartbeatNack(term, None))
        self._candidacy.withdraw()
        self._candidacy.wait(turn, RESIGNED_S)

    def bar(self, turn: Turn, *, barred: bool) -> None:
        """Forbid or allow to lead (clock offset)."""
        if barred and not self.barred:
            self.resign(turn)
        self.barred = barred

    def on_view_changed(self, turn: Turn) -> None:
        """Count again: a smaller view needs fewer votes."""
        self._elected(turn, self._candidacy.count(turn))

    def on_message(self, turn: Turn, sender: NodeId, message: ElectionMessage) -> None:
        """Handle one message of elections.

        Raises:
            PeerError: It speaks of a term that no farm can have come to.
        """
        current = message.current if isinstance(message, PreVoteReply | VoteReply) else message.term
        if not 0 <= message.term <= MAX_TERM or not 0 <= current <= MAX_TERM:
            raise PeerError(f"term {max(message.term, current)} cannot be")
        match message:
            case PreVoteAsk(term):
                granted = not self._hears_other(sender, turn.now.mono) and term > self._ballot.term
                turn.send(sender, PreVoteReply(term, granted, self._ballot.term), volatile=True)
            case VoteAsk(term):
                self._on_vote_ask(turn, sender, term)
            case PreVoteReply() | VoteReply():
                self._elected(turn, self._candidacy.on_reply(turn, sender, message))
            case Heartbeat():
                self._on_heartbeat(turn, sender, message)
            case HeartbeatAck(term, seq):
                if self._reign is not None and term == self._reign.term:
                    self._reign.ack(sender, seq)
            case HeartbeatNack():
                self._on_nack(turn, sender, message)

    def next_deadline(self) -> float | None:
        """Return the monotonic second at which `on_timer` wants to be called."""
        if self._reign is not None:
            return self._reign.round_at
        if self._candidacy.is_open:
            return self._candidacy.ends_at
        deadline = self._allegiance.next_deadline() if self.leader else self._candidacy.stand_at
        return deadline if deadline < math.inf else None

    def on_timer(self, turn: Turn) -> None:
        """Do what is due."""
        now = turn.now.mono
        if self._reign is not None:
            self._rule(turn, self._reign)
        elif self._candidacy.is_open:
            if now >= self._candidacy.ends_at:  # who did not even refuse is probably not there, and no voter
                self._hints += self._candidacy.give_up(turn)
        elif self.leader is not None:
            self._review_leader(turn, self.leader)
        elif now >= self._candidacy.stand_at:
            self._stand(turn)

    def _review_leader(self, turn: Turn, leader: NodeId) -> None:
        """The leader was silent for long, or for too long."""
        now = turn.now.mono
        if self._allegiance.take_doubt(now):
            self._hints.append(leader)
        if self._allegiance.is_over(now):
            turn.note("leader", f"no word from {leader} for {LEASE_S:g} s", node=leader)
            self._lose_leader(turn)

    # -- candidate ---------------------------------------------------------------------------------------------

    def _stand(self, turn: Turn) -> None:
        """Ask whether a vote would be won, without disturbing anybody."""
        if self.barred or self.self_id not in self._outlook.alive():
            self._candidacy.wait(turn, CAMPAIGN_S)
            return
        self._elected(turn, self._candidacy.stand(turn))

    def _elected(self, turn: Turn, votes: Votes | None) -> None:
        """Begin to lead, if there is a majority."""
        if votes is None:
            return
        self._reign = Reign(self.self_id, self.term, votes, turn.now.mono)
        self._enthrone(turn, f"elected by {len(votes)} of {len(self._outlook.alive())}")

    # -- voter -------------------------------------------------------------------------------------------------

    def _on_vote_ask(self, turn: Turn, sender: NodeId, term: int) -> None:
        granted = not self._hears_other(sender, turn.now.mono) and self._ballot.vote(term, sender)
        if granted:
            self._step_down(turn, "has no majority and votes for another")
            self._candidacy.withdraw()
            self._candidacy.wait(turn, CAMPAIGN_S)
        turn.send(sender, VoteReply(term, granted, self._ballot.term))

    def _hears_other(self, candidate: NodeId, now: float) -> bool:
        """Tell whether a leader's lease is good; a candidate evidently does not lead itself."""
        return self.leader_at(now) not in (None, candidate)

    # -- follower ----------------------------------------------------------------------------------------------

    def _on_heartbeat(self, turn: Turn, sender: NodeId, beat: Heartbeat) -> None:
        if self._reign is not None:
            self._meet(turn, sender, beat, self._reign)
        elif self._ballot.accepts(beat.term, sender):
            self._follow(turn, sender, beat)
        else:
            now = turn.now.mono
            turn.send(sender, HeartbeatNack(self._ballot.accepted_term, self.leader_at(now)))

    def _follow(self, turn: Turn, leader: NodeId, beat: Heartbeat) -> None:
        self._ballot.accept(beat.term, leader)
        self._candidacy.withdraw()
        self._allegiance.follow(leader, beat.term, turn.now.mono)
        turn.send(leader, HeartbeatAck(beat.term, beat.seq, self._outlook.advert()))

    def _lose_leader(self, turn: Turn) -> None:
        self._allegiance.renounce(self.term)
        self._candidacy.wait(turn, 0.0)

    # -- leader ------------------------------------------------------------------------------------------------

    def _rule(self, turn: Turn, reign: Reign) -> None:
        now = turn.now.mono
        if not reign.has_quorum(now, self._outlook.alive()):
            self._step_down(turn, "not heard by a majority")
            self._candidacy.wait(turn, 0.0)
        elif now >= reign.round_at:
            reign.heartbeat(turn, self._here(), self._outlook.dead(), calm=self._outlook.calm())
            self._hints += reign.silent(now, self._outlook.alive())

    def _enthrone(self, turn: Turn, why: str) -> None:
        """Begin to lead in the present term: fence this node itself, and let everybody know."""
        assert self._reign is not None
        self._ballot.accept(self.term, self.self_id)
        self._allegiance.swear(self.self_id, self.term)
        turn.note("leader", f"leads in term {self.term}: {why}", node=self.self_id)
        self._reign.heartbeat(turn, self._here(), self._outlook.dead(), to_all=True)

    def _step_down(self, turn: Turn, why: str) -> None:
        if self._reign is None:
            return
        turn.note("leader", f"no longer leads in term {self._reign.term}: {why}", node=self.self_id)
        self._reign = None
        self._allegiance.renounce(self.term)

    def _meet(self, turn: Turn, sender: NodeId, beat: Heartbeat, reign: Reign) -> None:
        """Meet another leader: more followers win, then the higher term, then the higher id."""
        mine = (len(reign.followers(turn.now.mono)), reign.term, self.self_id)
        if mine > (beat.followers, beat.term, sender):
            if (beat.term, sender) > (reign.term, self.self_id):
                self._leap(turn, beat.term, f"met {sender} with {beat.followers} followers")
            turn.send(sender, HeartbeatNack(self.term, self.self_id))
            return
        term = self._ballot.term
        self._step_down(turn, f"met {sender} with {beat.followers} followers")
        if self._ballot.accepts(beat.term, sender):
            self._follow(turn, sender, beat)
        else:
            self._candidacy.wait(turn, SILENT_S)
            turn.send(sender, HeartbeatNack(term, None))

    def _on_nack(self, turn: Turn, sender: NodeId, nack: HeartbeatNack) -> None:
        if self._reign is None:
            if nack.leader is None and sender == self.leader and nack.term >= self._ballot.accepted_term:
                self._lose_leader(turn)
            return
        now, leader = turn.now.mono, nack.leader
        if leader == self.self_id or (nack.term, leader or sender) < (self.term, self.self_id):
            return
        if leader == sender:
            self._step_down(turn, f"{sender} leads in term {nack.term} and is stronger")
            self._candidacy.wait(turn, SILENT_S)
        elif leader is None:
            if self.may_grant(now):
                self._leap(turn, nack.term, f"{sender} remembers term {nack.term}")
        elif now >= self._called_at + MEETING_S:
            self._called_at = now
            self._reign.heartbeat_one(turn, leader)

    def _leap(self, turn: Turn, above: int, why: str) -> None:
        """Go on in a term above the other's; at most once a second, so that two leaders cannot chase each other."""
        now = turn.now.mono
        if self._reign is None or now < self._met_at + MEETING_S:
            return
        self._met_at = now
        self._ballot.vote(max(above, self._ballot.term) + 1, self.self_id)
        self._reign.term = self._ballot.term
        self._enthrone(turn, why)

    # -- small things ------------------------------------------------------------------------------------------

    def _here(self) -> tuple[NodeId, ...]:
        return self._outlook.alive() + self._outlook.suspects()

    def _others(self) -> list[NodeId]:
        return [node for node in self._outlook.alive() if node != self.self_id]
