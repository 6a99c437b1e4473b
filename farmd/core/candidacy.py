"""When a node stands for leader, and the votes that it collects.

A candidacy has two rounds. Prevotes are asked for the next term and change nothing, so a node that is cut off cannot
disturb the others by standing again and again; votes are asked for the term that was entered with them. A majority is
one of the members that are alive just now, and is counted anew when that view changes.

How soon a node stands depends on its rank among the others (`farmd.core.outlook`): better leaders wait less. Rank only
orders the candidates; it deposes nobody.

Called by `farmd.core.election`, which alone knows whether to stand at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from farmd.core.reign import is_majority
from protocol.messages import PreVoteAsk, PreVoteReply, VoteAsk, VoteReply

if TYPE_CHECKING:
    from random import Random

    from farmd.core.ballot import Ballot
    from farmd.core.outlook import Outlook
    from farmd.core.turn import Turn
    from protocol.ids import NodeId

CAMPAIGN_S = 1.0
"""A campaign without a majority ends after this."""
RETRY_S = 0.6
"""Longest random pause after a lost campaign."""

Votes = dict["NodeId", float]
"""Voters, with the instant at which their vote was asked."""


@dataclass(slots=True)
class _Round:
    """One question to all: who would vote (`is_vote` False), or who votes for this node."""

    is_vote: bool
    asked_at: float
    ends_at: float
    votes: Votes
    answered: dict[NodeId, None]


class Candidacy:
    """This node's attempts to become leader.

    Attributes:
        stand_at: Monotonic second before which this node does not stand.
    """

    def __init__(self, self_id: NodeId, ballot: Ballot, outlook: Outlook, rng: Random) -> None:
        self._me = self_id
        self._ballot = ballot
        self._outlook = outlook
        self._rng = rng
        self._round: _Round | None = None
        self.stand_at = math.inf

    @property
    def is_open(self) -> bool:
        """Tell whether this node stands just now."""
        return self._round is not None

    @property
    def ends_at(self) -> float:
        """When the present round is given up."""
        return self._round.ends_at if self._round is not None else math.inf

    def wait(self, turn: Turn, at_least_s: float) -> None:
        """Do not stand before this pause and the wait of our rank are over."""
        place = sum(node < self._me for node in self._outlook.alive())
        wait = self._outlook.standing().wait_s(place) + 0.05 * self._rng.random()
        self.stand_at = turn.now.mono + at_least_s + wait

    def stand(self, turn: Turn) -> Votes | None:
        """Ask whether a vote would be won, without disturbing anybody; the votes, if there is nobody else to ask."""
        return self._ask(turn, is_vote=False)

    def withdraw(self) -> None:
        """Stand no longer: another leads, or has this node's vote."""
        self._round = None

    def give_up(self, turn: Turn) -> list[NodeId]:
        """End a round that found no majority; list the members that did not even refuse."""
        answered = self._round.answered if self._round is not None else {}
        self._round = None
        self.stand_at = turn.now.mono + RETRY_S * self._rng.random()
        return [node for node in self._outlook.alive() if node != self._me and node not in answered]

    def on_reply(self, turn: Turn, voter: NodeId, reply: PreVoteReply | VoteReply) -> Votes | None:
        """Count an answer; the votes, if they are a majority now."""
        asked, is_vote = self._round, isinstance(reply, VoteReply)
        if asked is None or asked.is_vote != is_vote or reply.term != self._ballot.term + (not is_vote):
            return None
        asked.answered[voter] = None
        if reply.granted:
            asked.votes[voter] = asked.asked_at
            return self.count(turn)
        if reply.current > self._ballot.term:
            self._ballot.advance(reply.current)
            return self._ask(turn, is_vote=False)
        return None

    def count(self, turn: Turn) -> Votes | None:
        """Count among the members that are alive now; a majority of prevotes leads to the vote, one of votes wins."""
        asked, view = self._round, self._outlook.alive()
        if asked is None or not is_majority(sum(node in asked.votes for node in view), view):
            return None
        if not asked.is_vote:
            self._ballot.vote(self._ballot.term + 1, self._me)
            return self._ask(turn, is_vote=True)
        self._round = None
        return asked.votes

    def _ask(self, turn: Turn, *, is_vote: bool) -> Votes | None:
        now, term = turn.now.mono, self._ballot.term
        self._round = _Round(is_vote, now, now + CAMPAIGN_S, {self._me: now}, {self._me: None})
        for node in self._outlook.alive():
            if node == self._me:
                continue
            if is_vote:
                turn.send(node, VoteAsk(term))
            else:
                turn.send(node, PreVoteAsk(term + 1), volatile=True)
        return self.count(turn)
