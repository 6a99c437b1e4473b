"""Orders: what each asks, when it makes sense, when it has come true; and the command line that gives them by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import UsageError
from protocol.states import JobState
from tests.tui.recorded import JOBS
from tui.commands import COMMANDS, Intent, completions, parse_command
from tui.orders import ORDERS, PATIENCE_S, Order, PendingOrders, Subject, priority_order, retry_order

JOB_ORDERS = [order for order in ORDERS.values() if order.subject is Subject.JOB]


@pytest.mark.parametrize("name", ["reject", "cancel", "delete", "hold", "drain"])
def test_order_that_loses_something_asks_and_says_what(name: str) -> None:
    order = ORDERS[name]
    assert "{what}" in order.asks
    assert order.loses
    assert order.question([JOBS[0]]).count("city_flyover_v012") == 1
    assert "2 " in order.question(JOBS[:2])


@pytest.mark.parametrize("order", JOB_ORDERS, ids=lambda order: order.id)
@pytest.mark.parametrize("state", [state.value for state in JobState])
def test_order_that_makes_sense_has_not_come_true_yet(order: Order, state: str) -> None:
    row = {"id": "j1", "state": state, "failed": 1 if state == "failed" else 0}
    # A retry has come true when nothing is failed any more, which holds for a rejected job, too.
    if order.id != "retry" and not order.refuses(row):
        assert not order.confirmed(row)


def test_priority_stays_within_its_bounds() -> None:
    assert [priority_order(value).args["value"] for value in (-5, 40, 130)] == [0, 40, 100]
    assert priority_order(40).confirmed({"priority": 40})


def test_retry_of_named_frames_asks() -> None:
    assert retry_order("7,12").question([JOBS[0]]) == "Render frames 7,12 of job city_flyover_v012 again?"


def test_order_ends_when_it_came_true_was_refused_or_took_too_long() -> None:
    pending = PendingOrders()
    for key in ("a", "b", "c"):
        pending.began(key, ORDERS["cancel"])
        pending.sent(key, now=100.0)
    rows = {"a": {"state": "cancelled"}, "b": {"state": "rendering"}, "c": {"state": "rendering"}}
    assert pending.review(["a", "b"], rows.get) == [("a", ORDERS["cancel"])]
    pending.refused("b")
    assert pending.words == {"c": "cancelling…"}
    assert pending.expire(100.0 + PATIENCE_S - 0.1) == []
    assert pending.expire(100.0 + PATIENCE_S) == ["c"]
    assert len(pending) == 0


def test_order_that_waits_for_its_turn_is_given_no_time_limit() -> None:
    pending = PendingOrders()
    for key in ("a", "b"):
        pending.began(key, ORDERS["cancel"])
    pending.sent("a", now=100.0)
    assert pending.unsent == 1
    assert pending.expire(100.0 + 10 * PATIENCE_S) == ["a"]
    assert pending.words == {"b": "cancelling…"}


def test_several_jobs_are_deleted_only_when_their_number_is_typed() -> None:
    delete = ORDERS["delete"]
    assert [delete.must_type(JOBS[:count]) for count in (1, 2, 7)] == ["", "2", "7"]
    assert not any(order.must_type(JOBS) for order in ORDERS.values() if order is not delete)


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("jobs state=failed age>2h", Intent("show", ("jobs", "state=failed", "age>2h"))),
        ("q", Intent("leave")),
        ("hold ws07", Intent("hold", ("ws07",))),
        ("priority 80", Intent("set_priority", ("80",))),
        ("cancel", Intent("order", ("cancel",))),
        ("reject too dark", Intent("order", ("reject", "too", "dark"))),
        ("edit ram=16G", Intent("edit", ("ram=16G",))),
        ("drain", Intent("drain")),
        ("retry 7,12-14", Intent("retry", ("7,12-14",))),
    ],
)
def test_command_becomes_what_is_to_be_done(text: str, intent: Intent) -> None:
    assert parse_command(text) == intent


@pytest.mark.parametrize("text", ["", "nonsense", "priority", "approve now", "help me"])
def test_command_that_cannot_be_carried_out_says_why(text: str) -> None:
    with pytest.raises(UsageError):
        parse_command(text)


def test_read_only_refuses_every_command_that_changes_something() -> None:
    changing = [name for name, command in COMMANDS.items() if command.changes]
    assert {"cancel", "delete", "hold", "retry", "priority"} <= set(changing)
    for name in changing:
        with pytest.raises(UsageError, match="changes something"):
            parse_command(f"{name} 1", read_only=True)
    assert not set(completions("", lambda _: [], read_only=True)) & set(changing)


def test_second_word_is_completed_for_itself() -> None:
    assert completions("edit ram=16G prio", lambda _: ["ram=", "priority="]) == ["edit ram=16G priority="]


@given(st.text(max_size=20))
def test_completion_goes_on_from_what_is_typed(text: str) -> None:
    known = {"job": ["j1", "j2"], "node": ["ws01"], "column": ["state"]}
    for line in completions(text, lambda kind: known.get(kind, [])):
        assert line.startswith(text)
