from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from farmd.board import access
from protocol.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("host", "bound", "is_known"),
    [
        ("127.0.0.1:8765", "127.0.0.1", True),
        ("localhost:8765", "127.0.0.1", True),
        ("[::1]:8765", "127.0.0.1", True),
        ("127.8.8.8", "127.0.0.1", True),
        ("board.localhost:8765", "127.0.0.1", True),
        ("evil.example:8765", "127.0.0.1", False),
        ("localhost.evil.example", "127.0.0.1", False),
        ("192.168.1.7:8765", "127.0.0.1", False),
        ("", "127.0.0.1", False),
        ("bad host", "127.0.0.1", False),
        ("192.168.1.7:8765", "0.0.0.0", True),
        ("ws07:8765", "0.0.0.0", True),
        ("WS07", "0.0.0.0", True),
        ("evil.example:8765", "0.0.0.0", False),
        ("[", "127.0.0.1", False),
        ("[x]:1", "0.0.0.0", False),
    ],
)
def test_host_is_known_only_where_no_strange_name_leads_here(host: str, bound: str, is_known: bool) -> None:
    assert access.is_known_host(host, bound, ["ws07", "ws07.local"]) is is_known


@pytest.mark.parametrize(
    ("origin", "is_own"),
    [
        (None, True),
        ("http://127.0.0.1:8765", True),
        ("https://127.0.0.1:8765", True),
        ("http://127.0.0.1:9999", False),
        ("http://evil.example", False),
        ("null", False),
        ("file://", False),
    ],
)
def test_only_our_own_page_may_open_the_feed(origin: str | None, is_own: bool) -> None:
    assert access.is_own_origin(origin, "127.0.0.1:8765") is is_own


def test_token_is_made_once_and_for_its_user_alone(runtime_dir: Path) -> None:
    made = access.token()
    assert access.token() == made
    assert len(made) == 64
    path = runtime_dir / "farmd" / access.TOKEN_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [access.TOKEN_NAME]


def test_token_that_others_can_read_is_refused(runtime_dir: Path) -> None:
    access.token()
    (runtime_dir / "farmd" / access.TOKEN_NAME).chmod(0o644)
    with pytest.raises(UserError, match="not secret"):
        access.token()


def test_proof_holds_for_its_role_and_texts_alone() -> None:
    shown = access.proof(b"secret", "hello", "nonce", "server")
    assert access.is_proof(shown, b"secret", "hello", "nonce", "server")
    assert not access.is_proof(shown, b"secret", "publish", "nonce", "server")
    assert not access.is_proof(shown, b"secret", "hello", "nonce", "other")
    assert not access.is_proof(shown, b"other", "hello", "nonce", "server")
    assert not access.is_proof("ö", b"secret", "hello")


@pytest.mark.parametrize(
    ("host", "written"),
    [("127.0.0.1", "127.0.0.1 8765"), ("::ffff:127.0.0.1", "127.0.0.1 8765"), ("fe80::1%eth0", "fe80::1 8765")],
)
def test_both_ends_of_a_connection_write_it_alike(host: str, written: str) -> None:
    assert access.place_of(host, 8765) == written


def test_an_origin_that_is_no_address_is_a_strange_one() -> None:
    assert access.is_own_origin("http://[", "127.0.0.1:8765") is False
