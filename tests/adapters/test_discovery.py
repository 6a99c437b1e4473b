from __future__ import annotations

import asyncio
import sys
from subprocess import run as run_process
from typing import TYPE_CHECKING

import pytest

from farmd.adapters.discovery import Discovery, read_entry
from farmd.core.events import PeerHeardOf
from protocol.ids import node_id_of
from tests.adapters.loopback import FARM, run, until

if TYPE_CHECKING:
    from farmd.core.events import Event


def discovery(farm: str, key: bytes, events: list[Event]) -> Discovery:
    return Discovery(farm, node_id_of(key), key, events.append, interfaces=["127.0.0.1"])


def test_nodes_of_one_farm_hear_of_one_another_and_of_no_other() -> None:
    async def story() -> None:
        heard: list[list[Event]] = [[], [], []]
        nodes = [discovery(farm, bytes([n]) * 32, heard[n]) for n, farm in enumerate((FARM, "elsewhere", FARM))]
        try:
            started = await asyncio.gather(*(node.start(f"127.0.0.1:{7000 + n}") for n, node in enumerate(nodes)))
            if not all(started):
                pytest.skip("no multicast on loopback here")
            await until(lambda: heard[2])
            assert heard[2] == [PeerHeardOf("127.0.0.1:7000", b"\0" * 32)]
            await until(lambda: heard[0])
            assert heard[0] == [PeerHeardOf("127.0.0.1:7002", b"\2" * 32)]
            assert heard[1] == []
        finally:
            await asyncio.gather(*(node.close() for node in nodes))

    run(story())


def test_no_network_is_no_error(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(**_options: object) -> None:
        raise OSError("network is unreachable")

    monkeypatch.setattr("zeroconf.asyncio.AsyncZeroconf", no_network)

    async def story() -> None:
        node = discovery(FARM, b"k" * 32, [])
        assert not await node.start("127.0.0.1:7000")
        assert "no discovery" in caplog.text
        await node.close()

    run(story())


@pytest.mark.parametrize(
    "change",
    [
        {b"farm": b"other"},
        {b"key": b"00"},
        {b"key": b"xyz"},
        {b"address": b"nowhere"},
        {b"address": b":7"},
        {b"address": b"h" * 200 + b":7"},
        {b"address": None},
        {b"farm": b"\xff"},
    ],
)
def test_entry_that_makes_no_sense_is_left_alone(change: dict[bytes, bytes | None]) -> None:
    entry: dict[bytes, bytes | None] = {b"farm": FARM.encode(), b"key": b"00" * 32, b"address": b"ws07:7000"}
    assert read_entry(entry, FARM) == PeerHeardOf("ws07:7000", b"\0" * 32)
    assert read_entry(entry | change, FARM) is None


def test_zeroconf_is_not_imported_before_it_is_used() -> None:
    code = "import sys, farmd.adapters.discovery; sys.exit('zeroconf' in sys.modules)"
    assert run_process([sys.executable, "-c", code], check=False).returncode == 0
