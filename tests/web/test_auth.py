"""The gate under many requests at once: each wrong token counts, and no good one is shut out."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request

from farmd.web.auth import WRONG_AT_ONCE, Gate
from farmd.web.errors import Refusal
from protocol.errors import NotAllowed


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
