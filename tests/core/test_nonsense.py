"""Messages that are well formed and cannot be true cost their sender, and change nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from farmd.core.election import MAX_TERM, ElectionMessage
from farmd.core.logs import Logs
from farmd.core.turn import Instant, Turn
from protocol.errors import PeerError
from protocol.ids import AttemptId, AttemptRef, JobId, NodeId, TaskIndex
from protocol.logquery import LogQuery
from protocol.messages import Heartbeat, HeartbeatNack, LogAsk, LogSeek, PreVoteReply, VoteAsk, VoteReply
from tests.core.cluster import Cluster, node_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farmd.core.node import Node

JOB, LEADER = JobId("0" * 16), node_id(1)


@pytest.fixture
def turn() -> Iterator[Turn]:
    turn = Turn(Instant(1.0, 1_000))
    yield turn
    assert turn.effects == []


@pytest.mark.parametrize(
    "message",
    [
        VoteAsk(MAX_TERM + 1),
        VoteAsk(-1),
        Heartbeat(1 << 32, 1, 2),
        HeartbeatNack(1 << 63, None),
        VoteReply(1, granted=True, current=1 << 32),
        PreVoteReply(1, granted=False, current=-1),
    ],
)
def test_term_that_no_key_of_an_attempt_can_hold_is_not_entered(turn: Turn, message: ElectionMessage) -> None:
    cluster = Cluster(1)
    cluster.boot()
    votes = cluster.machines[0].votes
    before = votes.term

    with pytest.raises(PeerError):
        votes.on_message(turn, LEADER, message)

    assert votes.term == before


@pytest.mark.parametrize(
    ("job", "leader"), [("../../etc/passwd", LEADER), ("\0" * 16, LEADER), (JOB, "../" * 5), ("", LEADER)]
)
def test_log_whose_name_would_lead_out_of_the_logs_is_not_read(turn: Turn, job: str, leader: str) -> None:
    here = SimpleNamespace(epoch=1)  # what names no attempt is refused before anything is looked up
    logs = Logs(cast("Node", here))
    ref = AttemptRef(JobId(job), TaskIndex(0), AttemptId(1, NodeId(leader), 0))

    with pytest.raises(PeerError):
        logs.bytes.on_ask(turn, LEADER, LogAsk(1, ref, 0, 100))
    with pytest.raises(PeerError):
        logs.on_seek(turn, LEADER, LogSeek(1, ref, LogQuery()))
