"""The farm's signing key on this machine: made, read, sealed into a backup and opened again.

`farm.key` is the seed of an Ed25519 key in hexadecimal digits, and, unless that founded the farm, its public half on a
second line, by which damage is noticed. The farm knows the public halves of all keys that may
sign (its records list them); a machine without the file signs nothing. A backup is one line of text, sealed with a
passphrase: Argon2id makes a key of it, with the costs that libsodium calls moderate, and XSalsa20-Poly1305 seals (both
by PyNaCl). The backup names the farm in the clear, so that it can be told from another, and nothing else.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from farmd.adapters.identity.keys import SIGNING_NAME, FarmFacts, Identity
from protocol.errors import NotAllowed, NotFound, UserError
from protocol.places import damaged, read_secret_file, write_secret

if TYPE_CHECKING:
    from nacl.signing import SigningKey

BACKUP_PREFIX = "farmkey1."
MIN_PASSPHRASE_CHARS = 8
_SALT_BYTES = 16
_ID_CHARS = 16


def new_signing_key() -> SigningKey:
    """Make a signing key; it is kept nowhere yet."""
    from nacl.signing import SigningKey

    return SigningKey.generate()


def keep_signing_key(identity: Identity, key: SigningKey) -> None:
    """Make a key the one that this machine signs with.

    Raises:
        UserError: It cannot be written.
    """
    own = bytes(key.verify_key)
    public = "" if own == identity.farm.verify_key else own.hex() + "\n"
    write_secret(identity.data_dir / SIGNING_NAME, f"{bytes(key).hex()}\n{public}")


def read_signing_key(identity: Identity) -> SigningKey:
    """Read the key that this machine signs with.

    Raises:
        NotAllowed: It has none.
        UserError: It is damaged, or others can read it too.
    """
    from nacl.signing import SigningKey

    path = identity.data_dir / SIGNING_NAME
    try:
        seed, *expected = [bytes.fromhex(line) for line in read_secret_file(path).split()] or [b""]
        key = SigningKey(seed)
    except NotFound as error:
        raise NotAllowed(
            "this node cannot invite",
            "it does not have a signing key of the farm",
            "run farmd invite where the farm was founded; or let this machine sign, too: farmd farm key new",
        ) from error
    except ValueError as error:
        raise damaged(path) from error
    if bytes(key.verify_key) not in (identity.farm.verify_key, *expected):
        raise damaged(path)
    return key


def seal_backup(farm: FarmFacts, key: SigningKey, passphrase: str) -> str:
    """Return the line of text from which only who knows the passphrase gets the key.

    Raises:
        UserError: The passphrase is too short to protect anything.
    """
    from nacl.secret import SecretBox
    from nacl.utils import random

    if len(passphrase) < MIN_PASSPHRASE_CHARS:
        raise UserError(
            "this passphrase is too short", f"it has less than {MIN_PASSPHRASE_CHARS} characters", "take a few words"
        )
    salt = random(_SALT_BYTES)
    sealed = SecretBox(_stretched(passphrase, salt)).encrypt(bytes(key))
    return f"{BACKUP_PREFIX}{farm.id}.{base64.urlsafe_b64encode(salt + sealed).decode()}"


def open_backup(farm: FarmFacts, text: str, passphrase: str) -> SigningKey:
    """Get the key out of a backup.

    Raises:
        UserError: It is no backup, one of another farm, damaged, or the passphrase is wrong.
    """
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox
    from nacl.signing import SigningKey

    farm_id, _, packed = text.strip().removeprefix(BACKUP_PREFIX).partition(".")
    if not text.strip().startswith(BACKUP_PREFIX) or len(farm_id) != _ID_CHARS:
        raise UserError("this is no backup of a farm's key", f"one begins with {BACKUP_PREFIX}", "look at the file")
    if farm_id != farm.id:
        raise UserError(
            "this is the key of another farm", f"of {farm_id}, and this machine belongs to {farm.id} “{farm.name}”", ""
        )
    try:
        raw = base64.b64decode(packed, altchars=b"-_", validate=True)
        return SigningKey(SecretBox(_stretched(passphrase, raw[:_SALT_BYTES])).decrypt(raw[_SALT_BYTES:]))
    except (CryptoError, binascii.Error, ValueError) as error:
        raise UserError(
            "the backup cannot be opened", "the passphrase is wrong, or the file is damaged", "try again"
        ) from error


def _stretched(passphrase: str, salt: bytes) -> bytes:
    from nacl.pwhash import argon2id
    from nacl.secret import SecretBox

    return argon2id.kdf(
        SecretBox.KEY_SIZE,
        passphrase.encode(),
        salt,
        opslimit=argon2id.OPSLIMIT_MODERATE,
        memlimit=argon2id.MEMLIMIT_MODERATE,
    )
