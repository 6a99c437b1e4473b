"""Signing keys as commands: a rotation that is interrupted is finished by the next, and a retired key signs nothing."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from farmd.adapters.identity import init_farm, load, read_signing_key
from farmd.adapters.store import SqliteStore
from farmd.cli import main
from farmd.core.effects import Save
from farmd.daemon.membership import invitation
from farmd.daemon.signing import RETIRING_NAME, back_up, key_id, restore, rotate_key
from protocol.api import Response, error_facts
from protocol.bodies import SignerBody, pack_body
from protocol.errors import NotFound, Unreachable, UserError
from protocol.records import Kind, Rank, Rec
from tests.protocol.answering import Daemon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from protocol.api import Request

EVER_MS = 1 << 42
PASSPHRASE = "correct horse battery"


class Signers:
    """What a daemon knows of signing keys, as far as these commands ask."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.retired: list[str] = []
        self.fault: UserError | None = None
        self.stored: dict[str, Any] = {"stored": "farm", "alone": False}

    def answer(self, request: Request) -> list[Response]:
        raw = request.args.get("verify_key")
        which = raw[:6].hex() if isinstance(raw, bytes) else str(request.args["id"])
        self.asked.append((request.op, which))
        if request.op == "signer.retire" and self.fault is not None:
            return [Response(request.id, error=error_facts(self.fault))]
        changed = which not in self.retired
        if request.op == "signer.retire":
            self.retired.append(which)
        return [Response(request.id, {"signer": {"id": which}, "changed": changed} | self.stored)]


@pytest.fixture
def signers() -> Signers:
    return Signers()


@pytest.fixture
def data_dir(tmp_path: Path, signers: Signers) -> Iterator[Path]:
    init_farm(tmp_path / "own", "studio")
    daemon = Daemon(f"ipc://{tmp_path}/own/client.sock", signers.answer)
    yield tmp_path / "own"
    daemon.close()


def own_key(data_dir: Path) -> str:
    return key_id(read_signing_key(load(data_dir)))


def test_a_rotation_that_was_interrupted_says_which_key_is_good_and_the_next_one_finishes_it(
    data_dir: Path, signers: Signers
) -> None:
    seen = own_key(data_dir)
    signers.fault = Unreachable("no answer from one", "it is off")
    with pytest.raises(UserError) as caught:
        rotate_key(data_dir, "")
    made = own_key(data_dir)
    assert made != seen
    assert caught.value.what == f"key {seen} is not retired yet, and what it signed is still good"
    assert (f"signs with key {made} already" in caught.value.why, caught.value.code) == (True, 7)
    assert f"farmd farm key retire {seen}" in caught.value.hint

    signers.fault = None
    done = rotate_key(data_dir, "")
    assert (done.old, done.new, done.resumed) == (seen, made, True)
    assert (signers.retired, own_key(data_dir)) == ([seen], made)

    again = rotate_key(data_dir, "")
    assert (again.old, again.resumed, again.new) == (made, False, own_key(data_dir))
    assert signers.retired == [seen, made]
    assert [op for op, _ in signers.asked].count("signer.add") == 2


def test_a_rotation_whose_old_key_somebody_else_has_retired_is_not_taken_for_unfinished(
    data_dir: Path, signers: Signers
) -> None:
    present = own_key(data_dir)
    (data_dir / RETIRING_NAME).write_text("5f1e00000000\n")
    signers.retired.append("5f1e00000000")
    done = rotate_key(data_dir, "")
    assert (done.old, done.resumed) == (present, False)
    assert not (data_dir / RETIRING_NAME).exists()


def test_what_a_farm_that_was_given_up_left_does_not_stop_a_rotation(data_dir: Path, signers: Signers) -> None:
    (data_dir / RETIRING_NAME).write_text("5f1e00000000\n")
    signers.fault = NotFound("no single signing key is called 5f1e00000000")
    present = own_key(data_dir)
    assert rotate_key(data_dir, "").old == present


def test_a_key_that_is_retired_where_nobody_else_hears_it_is_said_so(data_dir: Path, signers: Signers) -> None:
    signers.stored = {"stored": "here", "alone": False}
    words = ["farm", "key", "retire", "--data-dir", str(data_dir), "5f1e00000000"]
    assert "stored here only" in CliRunner().invoke(main, words).stderr
    signers.stored = {"stored": "here", "alone": True}
    said = CliRunner().invoke(main, words).stderr
    assert said == "retired: key 5f1e00000000  (was so already)\n"


def retire_in_store(data_dir: Path) -> None:
    """Have a row say that this machine's key is retired, as one that another machine wrote."""
    key = bytes(read_signing_key(load(data_dir)).verify_key)
    row = Rec(Kind.SIGNER, key, 1, 1, 1, 1, Rank.ENDED, pack_body(SignerBody("root", "a" * 16)))

    async def story() -> None:
        async with SqliteStore(data_dir) as store:
            await store.open()
            await store.commit([Save(rows=(row,), vector=((1, 1),))])

    asyncio.run(story())


def test_a_machine_whose_key_was_retired_invites_nobody(data_dir: Path) -> None:
    assert invitation(data_dir, EVER_MS, ["ws08:7000"])
    retire_in_store(data_dir)
    with pytest.raises(UserError, match="cannot invite any more") as caught:
        invitation(data_dir, EVER_MS, ["ws08:7000"])
    assert own_key(data_dir) in caught.value.why


def test_a_backup_of_a_retired_key_is_not_restored(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = lambda passphrase, salt: hashlib.sha256(salt + passphrase.encode()).digest()  # noqa: E731
    monkeypatch.setattr("farmd.adapters.identity.signing._stretched", quick)  # Argon2id is slow on purpose
    line = back_up(data_dir, PASSPHRASE)
    assert restore(data_dir, line, PASSPHRASE) == own_key(data_dir)
    retire_in_store(data_dir)
    with pytest.raises(UserError, match="was retired"):
        restore(data_dir, line, PASSPHRASE)
