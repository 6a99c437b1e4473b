"""Keys that sign invitations, as commands: backed up, restored, made anew, retired.

What the farm must know of (which keys are good) goes through the daemon of the data dir, which must run; what concerns
this machine alone (the secret half) is a file. A new key is known to the farm before it lies here, and lies here before
the old one is retired: at every moment somebody can invite. Which key is still to be retired is written down before the new
one takes its place, so that a rotation that was interrupted is finished by the next.

What a retired key signs admits nobody, so nothing is signed with one of which this machine's records say so.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from farmd.adapters.identity import (
    can_invite,
    keep_signing_key,
    load,
    new_signing_key,
    open_backup,
    read_signing_key,
    seal_backup,
)
from farmd.adapters.store import StoreFailed, read_rows
from farmd.core.signers import Signers
from protocol.client import Client
from protocol.errors import NotFound, UserError
from protocol.places import write_secret
from protocol.records import Kind

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from nacl.signing import SigningKey

    from farmd.adapters.identity import Identity


RETIRING_NAME = "farm.key.retiring"
"""Names the key that a rotation has replaced and not retired yet."""


class Ordered(NamedTuple):
    """What became of an order about a signing key: which one, whether that was news, whether only this machine knows."""

    id: str
    changed: bool
    here_only: bool


class Rotated(NamedTuple):
    """What a rotation did: the key that is retired, the one that signs, and whether it only finished an earlier one."""

    old: str
    new: str
    here_only: bool
    resumed: bool


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
        UserError: It cannot be opened, is of another farm, was retired, or this machine signs with another key already.
    """
    identity = load(data_dir)
    key = open_backup(identity.farm, text, passphrase)
    if is_retired(identity, key):
        why = "that is for ever: nobody would take what it signs"
        raise UserError(f"key {key_id(key)} was retired", why, "make another one: farmd farm key new")
    if can_invite(data_dir) and bytes(read_signing_key(identity)) != bytes(key):
        raise UserError(
            "this machine has another signing key already",
            f"key {key_id(read_signing_key(identity))}, which would be lost",
            "back that up first: farmd farm key backup FILE; then move farm.key out of the data dir",
        )
    keep_signing_key(identity, key)
    return key_id(key)


def is_retired(identity: Identity, key: SigningKey) -> bool:
    """Tell whether a key is retired, as far as this machine's records tell; its daemon may run or not."""
    fold, own = Signers(), bytes(key.verify_key)
    with suppress(StoreFailed):  # then the daemon, which can mend it, says so
        for rec in read_rows(identity.data_dir, Kind.SIGNER):
            fold.apply(rec)
    return any(signer.verify_key == own and not signer.good for signer in fold.all(identity.farm.verify_key))


def list_keys(data_dir: Path) -> list[dict[str, Any]]:
    """List the farm's signing keys, each with whether its secret half lies here.

    Raises:
        UserError: The daemon does not answer.
    """
    own = key_id(read_signing_key(load(data_dir))) if can_invite(data_dir) else ""
    with Client(data_dir) as client:
        rows: list[dict[str, Any]] = client.call("signer.list")["signers"]
    return [row | {"here": row["id"] == own} for row in rows]


def add_key(data_dir: Path, label: str) -> Ordered:
    """Make a signing key for this machine, which has none.

    Raises:
        UserError: It has one already, or the daemon does not answer.
    """
    identity = load(data_dir)
    if can_invite(data_dir):
        known = key_id(read_signing_key(identity))
        raise UserError("this machine signs already", f"with key {known}", "farmd farm key rotate makes another one")
    key, ordered = _make_known(identity, label)
    keep_signing_key(identity, key)
    return ordered


def rotate_key(data_dir: Path, label: str) -> Rotated:
    """Replace this machine's signing key by a new one and retire it; or finish an earlier try that was interrupted.

    Raises:
        UserError: It has none, or the daemon does not answer; what is good then is said.
    """
    identity, marker = load(data_dir), data_dir / RETIRING_NAME
    present = key_id(read_signing_key(identity))
    left = _left_over(marker)
    if left not in ("", present):
        ordered = _retire_replaced(marker, left, present)
        if ordered.changed:
            return Rotated(left, present, ordered.here_only, resumed=True)
    key, _ = _make_known(identity, label)
    write_secret(marker, present + "\n")
    keep_signing_key(identity, key)
    ordered = _retire_replaced(marker, present, key_id(key))
    return Rotated(present, key_id(key), ordered.here_only, resumed=False)


def _left_over(marker: Path) -> str:
    return marker.read_text().strip() if marker.exists() else ""


def _retire_replaced(marker: Path, old: str, new: str) -> Ordered:
    """Retire a key that this machine signs with no longer."""
    try:
        ordered = retire_key(marker.parent, old)
    except NotFound:  # of a farm that was given up since
        ordered = Ordered(old, changed=False, here_only=False)
    except UserError as error:
        raise UserError(
            f"key {old} is not retired yet, and what it signed is still good",
            f"this machine signs with key {new} already, but then: {error.what}",
            f"when its daemon answers: farmd farm key rotate finishes it; on another machine: farmd farm key retire {old}",
            code=error.code,
        ) from error
    marker.unlink(missing_ok=True)
    return ordered


def retire_key(data_dir: Path, wanted: str) -> Ordered:
    """Make a signing key good for nothing, for ever.

    Raises:
        UserError: There is no such key, it is the last one, or the daemon does not answer.
    """
    with Client(data_dir) as client:
        return _ordered(client.call("signer.retire", id=wanted))


def _make_known(identity: Identity, label: str) -> tuple[SigningKey, Ordered]:
    key = new_signing_key()
    with Client(identity.data_dir) as client:
        return key, _ordered(client.call("signer.add", verify_key=bytes(key.verify_key), label=label))


def _ordered(answer: dict[str, Any]) -> Ordered:
    here_only = answer.get("stored") == "here" and not answer.get("alone")
    return Ordered(str(answer["signer"]["id"]), bool(answer["changed"]), here_only)
