"""Keys that sign invitations, as commands: backed up, restored, made anew, retired.

What the farm must know of (which keys are good) goes through the daemon of the data dir, which must run; what concerns
this machine alone (the secret half) is a file. A new key is known to the farm before it lies here, and lies here before
the old one is retired: at every moment somebody can invite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.adapters.identity import (
    can_invite,
    keep_signing_key,
    load,
    new_signing_key,
    open_backup,
    read_signing_key,
    seal_backup,
)
from protocol.client import Client
from protocol.errors import UserError
from protocol.places import write_secret

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from nacl.signing import SigningKey

    from farmd.adapters.identity import Identity


def key_id(key: SigningKey) -> str:
    """Return the digits that name a signing key, as the farm's list does."""
    return bytes(key.verify_key)[:6].hex()


def back_up(data_dir: Path, passphrase: str) -> str:
    """Seal this machine's signing key into one line of text.

    Raises:
        UserError: There is none here, or the passphrase is too short.
    """
    identity = load(data_dir)
    return seal_backup(identity.farm, read_signing_key(identity), passphrase)


def write_backup(path: Path, line: str) -> None:
    """Write a backup where nobody else can read it; never over another file.

    Raises:
        UserError: The file exists, or cannot be written.
    """
    if path.exists():
        raise UserError(f"{path} exists", "a backup is never written over another file", "name a new one")
    write_secret(path, line + "\n")


def restore(data_dir: Path, text: str, passphrase: str) -> str:
    """Let this machine sign with the key of a backup; returns the key's id.

    Raises:
        UserError: It cannot be opened, is of another farm, or this machine signs with another key already.
    """
    identity = load(data_dir)
    key = open_backup(identity.farm, text, passphrase)
    if can_invite(data_dir) and bytes(read_signing_key(identity)) != bytes(key):
        raise UserError(
            "this machine has another signing key already",
            f"key {key_id(read_signing_key(identity))}, which would be lost",
            "back that up first: farmd farm key backup FILE; then move farm.key out of the data dir",
        )
    keep_signing_key(identity, key)
    return key_id(key)


def list_keys(data_dir: Path) -> list[dict[str, Any]]:
    """List the farm's signing keys, each with whether its secret half lies here.

    Raises:
        UserError: The daemon does not answer.
    """
    own = key_id(read_signing_key(load(data_dir))) if can_invite(data_dir) else ""
    with Client(data_dir) as client:
        rows: list[dict[str, Any]] = client.call("signer.list")["signers"]
    return [row | {"here": row["id"] == own} for row in rows]


def add_key(data_dir: Path, label: str) -> str:
    """Make a signing key for this machine, which has none; returns the key's id.

    Raises:
        UserError: It has one already, or the daemon does not answer.
    """
    identity = load(data_dir)
    if can_invite(data_dir):
        known = key_id(read_signing_key(identity))
        raise UserError("this machine signs already", f"with key {known}", "farmd farm key rotate makes another one")
    return key_id(_make_known(identity, label))


def rotate_key(data_dir: Path, label: str) -> tuple[str, str]:
    """Replace this machine's signing key by a new one and retire it; returns the ids of the old and the new one.

    Raises:
        UserError: It has none, or the daemon does not answer.
    """
    identity = load(data_dir)
    old = key_id(read_signing_key(identity))
    new = key_id(_make_known(identity, label))
    retire_key(data_dir, old)
    return old, new


def retire_key(data_dir: Path, wanted: str) -> str:
    """Make a signing key good for nothing, for ever; returns its id.

    Raises:
        UserError: There is no such key, it is the last one, or the daemon does not answer.
    """
    with Client(data_dir) as client:
        return str(client.call("signer.retire", id=wanted)["signer"]["id"])


def _make_known(identity: Identity, label: str) -> SigningKey:
    key = new_signing_key()
    with Client(identity.data_dir) as client:
        client.call("signer.add", verify_key=bytes(key.verify_key), label=label)
    keep_signing_key(identity, key)
    return key
