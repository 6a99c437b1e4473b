from __future__ import annotations

import base64
import json
import stat
from typing import TYPE_CHECKING

import msgpack
import pytest

from farmd.adapters.identity import (
    FarmFacts,
    Identity,
    forget_token,
    init_farm,
    join,
    judge_token,
    keep_signing_key,
    load,
    make_invite,
    new_signing_key,
    open_backup,
    read_signing_key,
    read_token,
    seal_backup,
    waiting_token,
)
from protocol.errors import NotAllowed, NotFound, UserError
from protocol.ids import node_id_of

if TYPE_CHECKING:
    from pathlib import Path

NOW_MS = 1_800_000_000_000
SEEDS = [("ws07:7000", b"k" * 32), ("[::1]:7001", b"l" * 32)]


@pytest.fixture
def founder(tmp_path: Path) -> Identity:
    return init_farm(tmp_path / "founder", "Orchard")


def invite(identity: Identity, **options: int) -> str:
    return make_invite(identity, seeds=SEEDS, expires_at_ms=options.get("expires_at_ms", NOW_MS + 1000))


def test_founding_makes_keys_that_load_again(founder: Identity) -> None:
    assert load(founder.data_dir) == founder
    assert founder.node == node_id_of(founder.public_key)
    assert founder.farm.name == "Orchard"
    assert len(founder.farm.id) == 16
    assert repr(founder.secret_key) not in repr(founder), "a log must not tell it"


def test_secret_files_belong_to_their_owner_alone(founder: Identity) -> None:
    assert stat.S_IMODE(founder.data_dir.stat().st_mode) == 0o700
    for name in ("identity.key", "farm.key", "farm.json"):
        assert stat.S_IMODE((founder.data_dir / name).stat().st_mode) == 0o600
    assert sorted(path.name for path in founder.data_dir.iterdir()) == ["farm.json", "farm.key", "identity.key"]


def test_founding_twice_in_one_data_dir_is_refused(founder: Identity) -> None:
    with pytest.raises(UserError, match="Orchard") as caught:
        init_farm(founder.data_dir, "Meadow")
    assert caught.value.hint
    assert load(founder.data_dir) == founder


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "a\nb"])
def test_farm_without_a_printable_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="no name"):
        init_farm(tmp_path, name)


def test_data_dir_without_a_farm_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        load(tmp_path)
    assert "farmd init" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("identity.key", ""),
        ("identity.key", "farmd-identity-1\npublic zz\nsecret zz\n"),
        ("identity.key", "farmd-identity-1\npublic " + "00" * 32 + "\nsecret " + "11" * 32 + "\n"),
        ("identity.key", "farmd-identity-9\npublic " + "00" * 32 + "\nsecret " + "11" * 32 + "\n"),
        ("identity.key", "\N{SNOWMAN}"),
        ("farm.json", "{"),
        ("farm.json", '{"name": "x"}'),
        ("farm.json", '{"name": "x", "verify_key": "00"}'),
        ("farm.json", "[]"),
    ],
)
def test_damaged_file_is_named(founder: Identity, name: str, content: str) -> None:
    (founder.data_dir / name).write_text(content)
    with pytest.raises(UserError, match=f"{name} is damaged"):
        load(founder.data_dir)


def test_key_that_others_can_read_is_refused(founder: Identity) -> None:
    (founder.data_dir / "identity.key").chmod(0o644)
    with pytest.raises(UserError, match="not secret") as caught:
        load(founder.data_dir)
    assert caught.value.hint.startswith("chmod 600")


# -- tokens -------------------------------------------------------------------------------------------------------


def test_token_is_one_line_that_survives_being_copied(founder: Identity) -> None:
    text = invite(founder)
    assert text.startswith("farm1.")
    assert text == text.strip()
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")
    token = read_token(f"  {text}\n", now_ms=NOW_MS, farm=founder.farm)
    assert token.seeds == tuple(SEEDS)
    assert (token.farm, token.verify_key, token.role) == ("Orchard", founder.farm.verify_key, "node")
    assert invite(founder) != text


def test_token_with_any_character_changed_is_damaged(founder: Identity) -> None:
    text = invite(founder)
    for where in range(len("farm1."), len(text) - 1, 7):
        changed = text[:where] + ("A" if text[where] != "A" else "B") + text[where + 1 :]
        with pytest.raises(UserError, match="damaged"):
            read_token(changed, now_ms=NOW_MS)


@pytest.mark.parametrize(
    "text", ["", "farm1.", "farm1.AAAA", "farm2.AAAA", "farm1." + "A" * 20_000, "farm1.\N{SNOWMAN}"]
)
def test_text_that_is_no_token_is_damaged(text: str) -> None:
    with pytest.raises(UserError, match="damaged"):
        read_token(text, now_ms=NOW_MS)


def test_token_after_its_time_has_expired(founder: Identity) -> None:
    with pytest.raises(UserError, match="expired"):
        read_token(invite(founder, expires_at_ms=NOW_MS), now_ms=NOW_MS)
    with pytest.raises(UserError, match="expired"):
        read_token(invite(founder, expires_at_ms=1))  # by this machine's clock


def test_token_of_another_farm_is_named_as_such(founder: Identity, tmp_path: Path) -> None:
    other = init_farm(tmp_path / "other", "Meadow")
    with pytest.raises(UserError, match="of another farm, “Meadow”"):
        read_token(invite(other), now_ms=NOW_MS, farm=founder.farm)


def test_token_that_claims_our_key_without_its_signature_is_damaged(founder: Identity, tmp_path: Path) -> None:
    liar = init_farm(tmp_path / "liar", "Orchard")
    facts = liar.data_dir / "farm.json"
    content = json.loads(facts.read_text())
    facts.write_text(json.dumps(content | {"verify_key": founder.farm.verify_key.hex()}))
    with pytest.raises(UserError, match="damaged"):
        invite(load(liar.data_dir))


def test_judging_a_token_gives_role_or_fault(founder: Identity) -> None:
    text = invite(founder).encode()
    assert judge_token(founder.farm, text, NOW_MS)[:2] == ("node", "")
    assert judge_token(founder.farm, text, NOW_MS + 1000)[:2] == ("", "the token has expired")
    assert judge_token(FarmFacts("Meadow", b"x" * 32), text, NOW_MS)[1].startswith("the token is of another farm")
    assert judge_token(founder.farm, b"\xff\xfe", NOW_MS)[:2] == ("", "the token is damaged")


def test_joining_prepares_a_data_dir_offline(founder: Identity, tmp_path: Path) -> None:
    text = invite(founder)
    joined = join(tmp_path / "ws07", text, now_ms=NOW_MS)
    assert joined.farm == founder.farm
    assert joined.node != founder.node
    assert waiting_token(joined.data_dir) == text
    assert join(joined.data_dir, invite(founder), now_ms=NOW_MS).node == joined.node, "a second token keeps the keys"
    forget_token(joined.data_dir)
    assert waiting_token(joined.data_dir) is None


def test_data_dir_of_another_farm_cannot_join(founder: Identity, tmp_path: Path) -> None:
    other = init_farm(tmp_path / "other", "Meadow")
    with pytest.raises(UserError, match="belongs to the farm “Meadow” already") as caught:
        join(other.data_dir, invite(founder), now_ms=NOW_MS)
    assert "--data-dir" in caught.value.hint


def test_node_without_the_signing_key_cannot_invite(founder: Identity, tmp_path: Path) -> None:
    joined = join(tmp_path / "ws07", invite(founder), now_ms=NOW_MS)
    with pytest.raises(NotAllowed, match="cannot invite"):
        invite(joined)


@pytest.mark.parametrize("content", ["", "zz", "00" * 31, "00" * 32])
def test_damaged_signing_key_is_named(founder: Identity, content: str) -> None:
    (founder.data_dir / "farm.key").write_text(content)
    with pytest.raises(UserError, match=r"farm\.key is damaged"):
        invite(founder)


# -- signing keys and their backups ---------------------------------------------------------------------------------


def test_a_machine_with_a_key_of_its_own_invites_and_members_judge_by_the_keys_that_are_good(
    founder: Identity, tmp_path: Path
) -> None:
    second = join(tmp_path / "second", invite(founder), now_ms=NOW_MS)
    key = new_signing_key()
    keep_signing_key(second, key)
    text, own = invite(second), bytes(key.verify_key)
    assert read_token(text, now_ms=NOW_MS).verify_key == founder.farm.verify_key, "the farm keeps its name"
    good = judge_token(founder.farm, text.encode(), NOW_MS, [founder.farm.verify_key, own])
    assert (good.role, good.fault) == ("node", "")
    refused = judge_token(founder.farm, text.encode(), NOW_MS, [founder.farm.verify_key])
    assert refused.fault == "the token is signed by a key that is not good"
    retired = judge_token(founder.farm, invite(founder).encode(), NOW_MS, [own])
    assert retired.fault == "the token is signed by a key that is not good"


def test_a_token_names_itself_and_says_how_many_machines_it_admits(founder: Identity) -> None:
    text = make_invite(founder, seeds=SEEDS, expires_at_ms=NOW_MS + 1000, uses=3)
    judged = judge_token(founder.farm, text.encode(), NOW_MS)
    token = read_token(text, now_ms=NOW_MS)
    assert (judged.token, judged.uses) == (token.id, 3)
    assert token.nonce.hex() not in token.id
    assert judge_token(founder.farm, invite(founder).encode(), NOW_MS).uses == 0


def test_a_plain_token_can_be_read_by_a_version_that_knows_no_second_key(founder: Identity) -> None:
    signed = base64.urlsafe_b64decode(invite(founder).removeprefix("farm1.") + "==")
    fields = msgpack.unpackb(signed[64:])
    assert (fields[0], len(fields)) == (1, 7)


def test_a_backup_opens_with_its_passphrase_alone_and_tells_nothing_else(founder: Identity) -> None:
    key = read_signing_key(founder)
    text = seal_backup(founder.farm, key, "correct horse battery")
    assert len(text.split()) == 1
    assert bytes(key).hex() not in text
    assert founder.farm.id in text
    assert bytes(open_backup(founder.farm, f" {text}\n", "correct horse battery")) == bytes(key)
    with pytest.raises(UserError, match="cannot be opened"):
        open_backup(founder.farm, text, "correct horse batterz")
    for bad in (text[:-8], text[:40] + "A" + text[41:], text + "!"):
        with pytest.raises(UserError, match="cannot be opened"):
            open_backup(founder.farm, bad, "correct horse battery")


def test_a_backup_of_another_farm_or_none_at_all_is_named_as_such(founder: Identity, tmp_path: Path) -> None:
    other = init_farm(tmp_path / "other", "Meadow")
    text = seal_backup(other.farm, read_signing_key(other), "correct horse battery")
    with pytest.raises(UserError, match="of another farm"):
        open_backup(founder.farm, text, "correct horse battery")
    with pytest.raises(UserError, match="no backup"):
        open_backup(founder.farm, "farm1.AAAA", "correct horse battery")
    with pytest.raises(UserError, match="too short"):
        seal_backup(founder.farm, read_signing_key(founder), "short")
