"""Changing one's mind: who founded a farm by mistake may join another, and loses nothing by it."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from farmd.adapters.identity import init_farm, load, make_invite, waiting_token
from farmd.adapters.store import SqliteStore, out_of_use
from farmd.core.effects import Save
from farmd.daemon.membership import found, identity_for_run, invitation, prepare_to_join
from farmd.daemon.settings import RunSettings
from protocol.errors import UserError
from protocol.records import Kind, Rec

if TYPE_CHECKING:
    from pathlib import Path

EVER_MS = 1 << 42


@pytest.fixture
def token(tmp_path: Path) -> str:
    return make_invite(
        init_farm(tmp_path / "studio", "studio"), seeds=[("ws07:7000", b"k" * 32)], expires_at_ms=EVER_MS
    )


def founded(data_dir: Path, *kinds: Kind) -> Path:
    """Found a farm whose store has a row of each of these kinds."""
    found(data_dir, "mistake")
    rows = [Rec(kind, bytes([number]) * 8, 1, 1, 1, number + 1, 0, b"") for number, kind in enumerate(kinds)]

    async def story() -> None:
        async with SqliteStore(data_dir) as store:
            await store.open()
            await store.commit([Save(rows=tuple(rows), vector=((1, len(rows)),))])

    asyncio.run(story())
    return data_dir


def test_a_farm_of_one_in_which_nothing_happened_is_given_up(tmp_path: Path, token: str) -> None:
    data_dir = founded(tmp_path / "own", Kind.FARM, Kind.KEY, Kind.NODE)
    said: list[str] = []
    before = load(data_dir)
    joined = prepare_to_join(data_dir, token, said.append)
    assert (joined.farm.name, waiting_token(data_dir)) == ("studio", token)
    assert joined.node != before.node, "keys of one farm must not speak in another"
    assert not (data_dir / "farm.key").exists()
    assert not list(data_dir.glob("rec.db*"))
    assert "'mistake'" in said[0]


def test_a_farm_that_was_only_founded_is_given_up(tmp_path: Path, token: str) -> None:
    found(tmp_path / "own", "mistake")
    assert prepare_to_join(tmp_path / "own", token).farm.name == "studio"


@pytest.mark.parametrize(
    ("kinds", "why"),
    [
        ((Kind.FARM, Kind.KEY, Kind.JOB), "has had jobs"),
        ((Kind.FARM, Kind.KEY, Kind.KEY), "has had other members"),
    ],
)
def test_a_farm_that_somebody_needs_is_kept(tmp_path: Path, token: str, kinds: tuple[Kind, ...], why: str) -> None:
    data_dir = founded(tmp_path / "own", *kinds)
    before = load(data_dir)
    with pytest.raises(UserError, match="“mistake” already") as caught:
        prepare_to_join(data_dir, token)
    assert why in caught.value.why
    assert load(data_dir) == before
    with closing(sqlite3.connect(data_dir / "rec.db")) as store:
        assert store.execute("SELECT count(*) FROM rec").fetchone() == (len(kinds),)


def test_a_farm_to_which_others_were_invited_is_kept(tmp_path: Path, token: str) -> None:
    data_dir = founded(tmp_path / "own", Kind.FARM, Kind.KEY)
    invitation(data_dir, EVER_MS, ["ws08:7000"])
    with pytest.raises(UserError, match="already") as caught:
        prepare_to_join(data_dir, token)
    assert "invited" in caught.value.why


def test_a_farm_whose_daemon_runs_is_kept(tmp_path: Path, token: str) -> None:
    data_dir = founded(tmp_path / "own", Kind.FARM, Kind.KEY)
    with out_of_use(data_dir), pytest.raises(UserError, match="in use"):
        prepare_to_join(data_dir, token)
    assert load(data_dir).farm.name == "mistake"


def test_a_bad_token_gives_nothing_up(tmp_path: Path, token: str) -> None:
    data_dir = founded(tmp_path / "own", Kind.FARM, Kind.KEY)
    with pytest.raises(UserError, match="damaged"):
        prepare_to_join(data_dir, token[:-9])
    assert load(data_dir).farm.name == "mistake"


def test_no_farm_is_founded_where_the_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = "{}:{}".format(*other.getsockname())
        with pytest.raises(UserError, match="cannot listen"):
            identity_for_run(RunSettings(tmp_path / "own", taken), print)
    assert not (tmp_path / "own").exists()
    assert identity_for_run(RunSettings(tmp_path / "own", "127.0.0.1:0"), print).farm.name == "farm"
