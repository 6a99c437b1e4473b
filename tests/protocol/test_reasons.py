"""Reasons: every code has words, they survive the way over the wire, and strangers' reasons do no harm."""

from __future__ import annotations

import json
import string
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import PeerError
from protocol.ids import NodeId
from protocol.reasons import REASON_WORDS, Fit, Reason, ReasonCode, because, reason_from_dict

NODE = NodeId("00112233445566aa")
NEAR = Fit(NODE, "ws07", "ram", 64 << 30, 32 << 30)
VALUES = st.one_of(st.text(max_size=8), st.integers(-(2**62), 2**62), st.floats(-1e9, 1e9))
FITS = st.builds(Fit, st.just(NODE), st.text(max_size=8), st.sampled_from(["ram", "cores", "held"]), VALUES, VALUES)
KNOWN = st.sampled_from([code for code in ReasonCode if code is not ReasonCode.UNKNOWN])
REASONS = st.builds(
    lambda code, args, fits: Reason(code, tuple(args.items()), tuple(fits)),
    KNOWN,
    st.dictionaries(st.text(max_size=8), VALUES, max_size=4),
    st.lists(FITS, max_size=3),
)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.binary(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["code", "args", "nearest", "node", "x"]) | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


def test_every_code_has_words() -> None:
    assert list(REASON_WORDS) == list(ReasonCode)
    for words in REASON_WORDS.values():
        assert words.glyph in "○◐●✖‖⌀◷"
        assert words.text
        assert words.hint
        for _, name, unit, _ in string.Formatter().parse(words.text + words.hint):
            assert name is None or (name.isidentifier() and unit in ("", "size", "time", "clause"))


def test_a_reason_speaks_in_units() -> None:
    reason = because(ReasonCode.NO_NODE_FITS_RAM, NEAR, needs=64 << 30, has=int(31.5 * 2**30))
    assert reason.text() == "no machine has 64G of memory; the largest has 31.5G"
    assert reason.nearest[0].text() == "ws07: ram 32G, needs 64G"
    assert reason.hint()
    assert reason.glyph == "✖"
    assert because(ReasonCode.RETRY_DELAY, wait=90.0, job="j").text() == "failed, tried again in 1m 30s"


def test_one_is_not_spoken_of_as_many() -> None:
    assert because(ReasonCode.NODES_BUSY, count=1).text() == "the one machine that fits is busy"
    assert because(ReasonCode.NODES_BUSY, count=2).text() == "all 2 machines that fit are busy"
    assert because(ReasonCode.JOB_PAUSED_ITSELF, failed=1).text() == "the job paused itself after a failed task"
    for code, words in REASON_WORDS.items():
        assert "1" not in because(code, **dict.fromkeys(("count", "failed"), 1)).text() or not words.one


def test_what_somebody_said_stands_behind_a_colon() -> None:
    said = because(ReasonCode.PAUSED, actor="maria@vm", why="need the machines", job="j")
    assert said.text() == "paused by maria@vm: need the machines"
    assert because(ReasonCode.PAUSED, actor="maria@vm", why="", job="j").text() == "paused by maria@vm"
    assert because(ReasonCode.PAUSED, actor="maria@vm", job="j").text() == "paused by maria@vm"
    assert "\x1b" not in because(ReasonCode.PAUSED, actor="eve", why="\x1b[2J", job="j").text()


def test_a_missing_argument_shows_as_a_question_mark() -> None:
    assert because(ReasonCode.AFTER_JOB).text() == "waits for job ? to complete"


@given(REASONS)
def test_a_reason_comes_back_equal_from_json_and_msgpack(reason: Reason) -> None:
    assert reason_from_dict(json.loads(json.dumps(reason.to_dict()))) == reason
    assert reason_from_dict(msgpack.unpackb(msgpack.packb(reason.to_dict()))) == reason
    assert hash(reason) == hash(reason_from_dict(reason.to_dict()))
    assert reason.text()


def test_a_code_from_a_newer_node_is_kept_as_unknown() -> None:
    reason = reason_from_dict({"code": "moon_phase", "args": {"phase": 3}, "later": 1})
    assert reason.code is ReasonCode.UNKNOWN
    assert "moon_phase" in reason.text()


@pytest.mark.parametrize(
    "plain",
    [
        None,
        [],
        {},
        {"code": 7},
        {"code": "paused", "args": []},
        {"code": "paused", "args": {1: "x"}},
        {"code": "paused", "args": {"a": None}},
        {"code": "paused", "args": {"a": float("nan")}},
        {"code": "paused", "nearest": {}},
        {"code": "paused", "nearest": [3]},
        {"code": "paused", "nearest": [{"node": "a"}]},
    ],
)
def test_another_shape_is_the_peers_fault(plain: object) -> None:
    with pytest.raises(PeerError):
        reason_from_dict(plain)


@given(JUNK)
def test_junk_is_read_or_the_peers_fault(plain: Any) -> None:
    try:
        reason = reason_from_dict(plain)
    except PeerError:
        return
    assert reason.text()
    assert reason.hint()
    json.dumps(reason.to_dict(), allow_nan=False)


def test_words_from_a_peer_cannot_steer_the_terminal() -> None:
    evil = because(ReasonCode.PAUSED, actor="\x1b[2Jeve", job="j")
    assert "\x1b" not in evil.text()
