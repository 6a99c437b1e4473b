"""Who leads, and what the leader has the others do."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from protocol.ids import AttemptRef, JobId, NodeId
from protocol.messages.presence import Advert, Running


class PreVoteAsk(NamedTuple):
    """Would you vote for me in `term`? Changes nothing at the receiver."""

    term: int


class PreVoteReply(NamedTuple):
    """Answer to `PreVoteAsk`; `term` is the one asked about, `current` the voter's own."""

    term: int
    granted: bool
    current: int


class VoteAsk(NamedTuple):
    """Vote for me in `term`."""

    term: int


class VoteReply(NamedTuple):
    """Answer to `VoteAsk`."""

    term: int
    granted: bool
    current: int


class Heartbeat(NamedTuple):
    """The leader of `term` is alive and followed by `followers` live nodes (itself included)."""

    term: int
    seq: int
    followers: int


class HeartbeatAck(NamedTuple):
    """A follower's answer: renews the leader's quorum and carries the follower's advert."""

    term: int
    seq: int
    advert: Advert | None = None


class HeartbeatNack(NamedTuple):
    """The receiver follows a leader of a higher term."""

    term: int
    leader: NodeId | None


class InventoryAsk(NamedTuple):
    """A new leader asks what a node runs, before its first grant."""

    term: int


class Inventory(NamedTuple):
    """Attempts in flight at a node of that epoch, and what it has accepted but not started."""

    term: int
    epoch: int
    attempts: tuple[Running, ...]


class Grant(NamedTuple):
    """Run this attempt.

    Attributes:
        ref: Job, task, attempt id; the attempt id carries term and leader, which fence it.
        epoch: Life of the receiver that the leader has in mind; another life refuses.
        generation: Of the task, when granted.
        spec: Body of the JOB row, for a node that may not have it yet.
    """

    ref: AttemptRef
    epoch: int
    generation: int
    spec: bytes


class Refusal(IntEnum):
    """Why a node refuses a grant."""

    NONE = 0
    OLD_TERM = 1
    OTHER_LIFE = 2
    SEEN_BEFORE = 3
    BUSY = 4
    HELD = 5
    NO_ASSETS = 6
    JOB_STOPPED = 7
    DISK_FULL = 8
    UNREADABLE = 9
    DONE_ALREADY = 10


class GrantReply(NamedTuple):
    """Accepted (`reason` 0), or refused with a `Refusal` number."""

    ref: AttemptRef
    accepted: bool
    reason: int = 0


class Stop(NamedTuple):
    """End a running attempt: `cause` is a `protocol.states.FailureClass` number, `text` says who and why."""

    ref: AttemptRef
    cause: int
    text: str


class Prefetch(NamedTuple):
    """Fetch the assets of this job: grants will follow."""

    job: JobId
    spec: bytes
