"""The gate under many requests at once: each wrong token counts, and no good one is shut out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from farmd.web import auth
from farmd.web.auth import WRONG_AT_ONCE, Gate
from farmd.web.errors import Refusal
from protocol.errors import NotAllowed, Unreachable

if TYPE_CHECKING:
    import pytest


class SlowFarm:
    """A daemon that takes a moment to tell whose a token is."""

    def __init__(self) -> None:
        self.asked = 0

    async def call(self, _user: str, _op: str, /, *, token: str) -> dict[str, Any]:
        self.asked += 1
        await asyncio.sleep(0.002)
        if not token.startswith("good"):
            raise NotAllowed("the token is not valid")
        return {"user": token}


def request(token: str, address: str = "192.0.2.1") -> Request:
    return Request({
        "type": "http", "headers": [(b"authorization", f"Bearer {token}".encode())], "client": (address, 5000),
    })  # fmt: skip


def outcomes(farm: SlowFarm, tokens: list[str]) -> list[str | int]:
    async def scenario() -> list[Any]:
        gate = Gate(farm)  # type: ignore[arg-type]  # as much of it as a gate needs
        return await asyncio.gather(*(gate.user_of(request(token)) for token in tokens), return_exceptions=True)

    return [one.status if isinstance(one, Refusal) else one for one in asyncio.run(scenario())]


def test_wrong_tokens_that_come_all_at_once_count_each() -> None:
    farm = SlowFarm()
    assert outcomes(farm, [f"wrong{n}" for n in range(128)]) == [401] * WRONG_AT_ONCE + [429] * (128 - WRONG_AT_ONCE)
    assert farm.asked == WRONG_AT_ONCE


def test_good_tokens_that_come_all_at_once_are_let_in() -> None:
    tokens = [f"good{n % 40}" for n in range(128)]
    assert outcomes(SlowFarm(), tokens) == tokens


def test_one_wrong_token_among_good_ones_shuts_out_none() -> None:
    tokens = [f"good{n}" if n % 10 else "wrong" for n in range(60)]
    assert outcomes(SlowFarm(), tokens) == [token if token != "wrong" else 401 for token in tokens]


def test_unknown_tokens_are_told_soon_that_the_daemon_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "TURN_S", 0.02)

    async def scenario() -> None:
        answers = asyncio.Event()

        class Hanging(SlowFarm):
            async def call(self, user: str, op: str, /, *, token: str) -> dict[str, Any]:
                await answers.wait()
                return await super().call(user, op, token=token)

        gate = Gate(Hanging())  # type: ignore[arg-type]  # as much of it as a gate needs
        first = asyncio.create_task(gate.user_of(request("good1")))
        await asyncio.sleep(0)
        others = [gate.user_of(request(f"good{number}")) for number in range(2, 20)]
        told = await asyncio.gather(*others, return_exceptions=True)
        assert {type(one) for one in told} == {Unreachable}
        answers.set()
        assert await first == "good1"
        assert await gate.user_of(request("good2")) == "good2", "nobody holds the turn any more"

    asyncio.run(scenario())
