"""Tokens are judged by the signing keys that the farm's rows call good, and by the founding one only before any rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from farmd.adapters.identity import init_farm, make_invite
from farmd.core.signers import Signer, Signers
from farmd.daemon.judging import judged
from protocol.bodies import SignerBody, pack_body
from protocol.records import Kind, Rank, Rec

if TYPE_CHECKING:
    from pathlib import Path

    from farmd.adapters.identity import Identity

NOW_MS = 1_800_000_000_000
OTHER = b"o" * 32


@pytest.fixture
def founder(tmp_path: Path) -> Identity:
    return init_farm(tmp_path / "founder", "studio")


def token_of(founder: Identity) -> bytes:
    return make_invite(founder, seeds=[("127.0.0.1:1", b"k" * 32)], expires_at_ms=NOW_MS + 1000).encode()


def row(key: bytes, rank: int = 0) -> Rec:
    return Rec(Kind.SIGNER, key, 1, 1, 1, 1, rank, pack_body(SignerBody("root", "a" * 16)))


def known(founder: Identity, *rows: Rec) -> list[Signer]:
    """List the keys that a farm of these rows knows."""
    fold = Signers()
    for rec in rows:
        fold.apply(rec)
    return fold.all(founder.farm.verify_key)


def test_before_there_are_rows_the_key_that_founded_the_farm_admits(founder: Identity) -> None:
    assert judged(founder.farm, token_of(founder), NOW_MS, [])[:2] == ("node", "")


def test_the_founding_key_admits_until_it_is_retired(founder: Identity) -> None:
    own = founder.farm.verify_key
    token = token_of(founder)
    assert judged(founder.farm, token, NOW_MS, known(founder))[:2] == ("node", "")
    assert judged(founder.farm, token, NOW_MS, known(founder, row(OTHER)))[:2] == ("node", "")
    retired = judged(founder.farm, token, NOW_MS, known(founder, row(OTHER), row(own, Rank.ENDED)))
    assert retired[:2] == ("", "the token is signed by a key that is not good")


def test_where_all_keys_are_retired_none_admits_and_the_founding_one_does_not_come_back(founder: Identity) -> None:
    keys = known(founder, row(OTHER, Rank.ENDED), row(founder.farm.verify_key, Rank.ENDED))
    assert [signer.good for signer in keys] == [False, False]
    assert judged(founder.farm, token_of(founder), NOW_MS, keys).role == ""
