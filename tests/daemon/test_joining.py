"""A machine that is not admitted yet: what it asks again, what it says, and what ends its waiting."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from farmd.adapters.identity import init_farm, join, make_invite, waiting_token
from farmd.adapters.identity.tokens import TOKEN_NAME
from farmd.core.events import PeerHeardOf
from farmd.daemon import joining
from farmd.daemon.joining import Joining
from protocol.errors import Unreachable
from protocol.messages import JoinReply

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from farmd.core.events import Event

EVER_MS = 1 << 42
FIRST, SECOND = ("ws01:7777", b"1" * 32), ("ws02:7777", b"2" * 32)
NO = JoinReply(False, "the token is signed by a key that is not good")
YES = JoinReply(True, "", (("10.0.0.1:7777", b"3" * 32),))
Seed = tuple[str, bytes]


class Members:
    """Two members who answer as a test says; the machine is admitted once one has said yes."""

    def __init__(self, data_dir: Path, *addresses: str) -> None:
        self.asked: list[Seed] = []
        self.said: list[str] = []
        self.heard: list[Event] = []
        self.admitted = False
        self.answers: dict[Seed, Callable[[], JoinReply | None]] = {}
        self.on_said: Callable[[], object] = lambda: None
        self.joining = Joining(
            data_dir,
            addresses,
            self.ask,
            is_admitted=lambda: self.admitted,
            on_event=self.heard.append,
            say=self.say,
        )

    def say(self, fault: str) -> None:
        self.said.append(fault)
        self.on_said()

    async def ask(self, seeds: Sequence[Seed], token: bytes) -> JoinReply:
        (seed,) = seeds
        assert token.startswith(b"farm1.")
        self.asked.append(seed)
        reply = self.answers.get(seed, lambda: None)()
        if reply is None:
            raise Unreachable("no node of the farm answered", "", "start farmd on one of these machines")
        self.admitted = reply.admitted
        return reply


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AGAIN_S", "REFUSED_S", "REFUSED_MOST_S"):
        monkeypatch.setattr(joining, name, 0.002)


@pytest.fixture
def token(tmp_path: Path) -> Callable[[int], str]:
    founder = init_farm(tmp_path / "studio", "studio")
    return lambda expires_at_ms: make_invite(founder, seeds=[FIRST, SECOND], expires_at_ms=expires_at_ms)


def play(members: Members) -> None:
    async def run() -> None:
        await asyncio.wait_for(members.joining.run(), 10)

    asyncio.run(run())


def test_a_token_that_has_expired_is_said_and_a_new_one_is_taken_up_without_a_restart(
    tmp_path: Path, token: Callable[[int], str]
) -> None:
    join(tmp_path / "new", token(int(time.time() * 1000) - 1), now_ms=0)
    members = Members(tmp_path / "new")
    members.answers[FIRST] = lambda: YES
    members.on_said = lambda: join(tmp_path / "new", token(EVER_MS))
    play(members)
    (said,) = members.said
    assert "expired" in said
    assert (members.joining.fault, waiting_token(tmp_path / "new")) == ("", None)
    assert members.heard == [PeerHeardOf("10.0.0.1:7777", b"3" * 32, vouched=True)]


def test_a_refusal_of_one_member_is_not_the_farms(tmp_path: Path, token: Callable[[int], str]) -> None:
    join(tmp_path / "new", token(EVER_MS))
    members = Members(tmp_path / "new")
    members.answers |= {FIRST: lambda: NO, SECOND: lambda: YES}
    play(members)
    assert (members.asked, members.said) == ([FIRST, SECOND], [])


def test_a_refusal_that_passes_is_said_once_and_asked_about_again(tmp_path: Path, token: Callable[[int], str]) -> None:
    join(tmp_path / "new", token(EVER_MS))
    members = Members(tmp_path / "new")
    replies = iter([NO, NO, NO, YES])
    members.answers[FIRST] = lambda: next(replies)
    play(members)
    assert members.asked.count(FIRST) == 4
    (said,) = members.said
    assert said.startswith("the farm refuses this node: the token is signed by a key that is not good; ask for a new")


def test_members_that_are_silent_are_asked_until_one_answers(tmp_path: Path, token: Callable[[int], str]) -> None:
    join(tmp_path / "new", token(EVER_MS))
    members = Members(tmp_path / "new", "10.0.0.9:7777")
    last = ("10.0.0.9:7777", SECOND[1])
    replies = iter([None, None, YES])
    members.answers[last] = lambda: next(replies)
    play(members)
    assert members.asked[:4] == [FIRST, SECOND, ("10.0.0.9:7777", FIRST[1]), last]
    assert members.said == ["no node of the farm answered; start farmd on one of these machines"]


def test_a_machine_without_an_invitation_asks_nobody(tmp_path: Path) -> None:
    members = Members(tmp_path)
    play(members)
    assert not members.asked


def test_an_invitation_that_may_not_be_read_is_said_once_and_taken_up_once_it_may(
    tmp_path: Path, token: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    join(tmp_path / "new", token(EVER_MS))
    (tmp_path / "new" / TOKEN_NAME).chmod(0o640)
    members = Members(tmp_path / "new")
    members.answers[FIRST] = lambda: YES
    looks = iter(range(10))

    def look(data_dir: Path) -> str | None:
        if next(looks, None) is None:
            (data_dir / TOKEN_NAME).chmod(0o600)
        return waiting_token(data_dir)

    monkeypatch.setattr(joining, "waiting_token", look)
    play(members)
    (said,) = members.said
    assert "is not secret" in said
    assert waiting_token(tmp_path / "new") is None
