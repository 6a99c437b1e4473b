"""An attempt id runs at most once, in bounded memory."""

from __future__ import annotations

from farmd.core.fence import WINDOW, Fence
from protocol.ids import AttemptId, NodeId

LEADER = NodeId("aa" * 8)


def test_a_number_is_admitted_once_in_any_order() -> None:
    fence = Fence()
    assert [fence.admit(AttemptId(1, LEADER, n)) for n in (5, 3, 5, 4, 3)] == [True, True, False, True, False]


def test_other_terms_and_leaders_number_on_their_own() -> None:
    fence = Fence()
    assert fence.admit(AttemptId(1, LEADER, 0))
    assert fence.admit(AttemptId(2, LEADER, 0))
    assert fence.admit(AttemptId(1, NodeId("bb" * 8), 0))
    assert not fence.admit(AttemptId(2, LEADER, 0))


def test_what_fell_out_of_the_window_counts_as_seen() -> None:
    fence = Fence()
    for n in range(4 * WINDOW):
        assert fence.admit(AttemptId(1, LEADER, n))
    assert not any(fence.admit(AttemptId(1, LEADER, n)) for n in range(4 * WINDOW))


def test_many_terms_leave_the_newest_fenced() -> None:
    fence = Fence()
    for term in range(1, 200):
        assert fence.admit(AttemptId(term, LEADER, 7))
    assert not fence.admit(AttemptId(199, LEADER, 7))
