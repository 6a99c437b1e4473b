"""Invitations: one line of text that admits its bearer to the farm.

A token is signed with the farm's key, so that any member can check it in any partition without asking. It carries seeds
*and their keys*, so that the joiner cannot be led to an impostor. How often it was used is known only where the records
have arrived: its expiry is the limit that holds.
"""

from __future__ import annotations

import base64
import binascii
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from farmd.adapters.identity.keys import (
    FarmFacts,
    Identity,
    load,
    make_data_dir,
    make_keys,
    refuse_second_farm,
    write_farm,
)
from farmd.adapters.identity.signing import read_signing_key
from protocol.codec import decoder_of
from protocol.errors import NotFound, PeerError, UserError
from protocol.ids import short_digest
from protocol.places import KEY_NAME, read_secret_file, write_secret
from protocol.plaindata import unpack

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

TOKEN_NAME = "join.token"  # noqa: S105  # the name of a file
TOKEN_PREFIX = "farm1."  # noqa: S105  # the beginning of every token
MAX_TOKEN_CHARS = 16_384
_SIGNATURE_BYTES = 64


class Token(NamedTuple):
    """An invitation: everything that its signature covers.

    Attributes:
        version: Of this layout.
        farm: Name of the farm.
        verify_key: Of the farm, raw.
        role: That the bearer is admitted with.
        expires_at_ms: Wall clock.
        nonce: Makes each token unique.
        seeds: Nodes to ask, as (HOST:PORT, raw CURVE public key).
        signer: Verify key of the signature, raw; empty for the key that founded the farm.
        uses: How many machines it may admit; 0 = as many as like.
    """

    version: int
    farm: str
    verify_key: bytes
    role: str
    expires_at_ms: int
    nonce: bytes
    seeds: tuple[tuple[str, bytes], ...]
    signer: bytes = b""
    uses: int = 0

    @property
    def id(self) -> str:
        """Return digits that name it and admit nobody."""
        return short_digest(self.nonce).hex()


class Judged(NamedTuple):
    """What a received token is good for: the role that it grants, what is wrong with it ("" = nothing), id and uses."""

    role: str
    fault: str
    token: str = ""
    uses: int = 0


def join(data_dir: Path, token_text: str, *, now_ms: int | None = None) -> Identity:
    """Prepare a data dir for the farm of a token: keys, farm facts, and the token for the first start. Offline.

    Raises:
        UserError: The token is not good, or the data dir belongs to another farm.
    """
    token = read_token(token_text, now_ms=now_ms)
    farm = FarmFacts(token.farm, token.verify_key)
    refuse_second_farm(data_dir, farm)
    make_data_dir(data_dir)
    if not (data_dir / KEY_NAME).exists():
        make_keys(data_dir)
    write_secret(data_dir / TOKEN_NAME, token_text.strip() + "\n")
    write_farm(data_dir, farm)
    return load(data_dir)


def waiting_token(data_dir: Path) -> str | None:
    """Return the token that this node was given and has not used yet.

    Raises:
        UserError: Others can read it too.
    """
    try:
        return read_secret_file(data_dir / TOKEN_NAME).strip()
    except NotFound:
        return None


def forget_token(data_dir: Path) -> None:
    """Remove the token, once the farm has admitted this node."""
    (data_dir / TOKEN_NAME).unlink(missing_ok=True)


def make_invite(
    identity: Identity, *, seeds: Sequence[tuple[str, bytes]], expires_at_ms: int, role: str = "node", uses: int = 0
) -> str:
    """Sign an invitation: one line that can be sent by any private way.

    Args:
        identity: Of a node that has a signing key of the farm.
        seeds: Nodes to ask, as (HOST:PORT, raw CURVE public key).
        expires_at_ms: Wall clock after which nobody admits it.
        role: That the bearer gets.
        uses: How many machines it may admit, as far as records have spread; 0 = as many as like.

    Raises:
        NotAllowed: This node does not have a signing key.
        UserError: The signing key is damaged.
    """
    signing_key, farm = read_signing_key(identity), identity.farm
    own = bytes(signing_key.verify_key)
    signer = b"" if own == farm.verify_key else own
    plain = Token(1, farm.name, farm.verify_key, role, expires_at_ms, os.urandom(16), tuple(seeds))
    is_plain = not signer and not uses  # then also an older joiner can read it
    packed: bytes = msgpack.packb(tuple(plain)[:7] if is_plain else plain._replace(version=2, signer=signer, uses=uses))
    signed = signing_key.sign(packed).signature + packed
    return TOKEN_PREFIX + base64.urlsafe_b64encode(signed).rstrip(b"=").decode()


def read_token(
    text: str, *, now_ms: int | None = None, farm: FarmFacts | None = None, signers: Collection[bytes] | None = None
) -> Token:
    """Check a token and read it.

    Args:
        text: As `make_invite` printed it; white space around it is forgiven.
        now_ms: Wall clock; None takes this machine's.
        farm: The farm that it must be of; None accepts any, since the joiner has none yet.
        signers: Verify keys that may sign; None accepts any, since the joiner knows none, and trusts who gave it the token.

    Raises:
        UserError: It is damaged, expired, of another farm, or signed by a key that is not good.
    """
    signature, packed = _open_envelope(text.strip())
    token = _token_of(packed)
    if farm is not None and token.verify_key != farm.verify_key:
        raise UserError(
            f"the token is of another farm, “{token.farm}”",
            f"it is not signed by the key of “{farm.name}”",
            f"ask for a token of “{farm.name}”: farmd invite",
        )
    signer = token.signer or token.verify_key
    _check_signature(signer, signature, packed)
    if signers is not None and signer not in signers:
        raise UserError(
            "the token is signed by a key that is not good",
            f"key {signer[:6].hex()} was retired, or is not known here yet",
            "ask for a new token: farmd invite",
        )
    if (time.time_ns() // 1_000_000 if now_ms is None else now_ms) >= token.expires_at_ms:
        raise UserError(
            "the token has expired",
            "its time is over, or this machine's clock is wrong",
            "ask for a new one: farmd invite; look at the clock: timedatectl",
        )
    return token


def judge_token(farm: FarmFacts, token: bytes, now_ms: int, signers: Collection[bytes] | None = None) -> Judged:
    """Say what a received token is good for, and what is wrong with it."""
    try:
        read = read_token(token.decode("ascii"), now_ms=now_ms, farm=farm, signers=signers)
    except UnicodeDecodeError:
        return Judged("", _damaged_token().what)
    except UserError as error:
        return Judged("", error.what)
    return Judged(read.role, "", read.id, read.uses)


def _open_envelope(text: str) -> tuple[bytes, bytes]:
    if not text.startswith(TOKEN_PREFIX) or len(text) > MAX_TOKEN_CHARS:
        raise _damaged_token()
    body = text.removeprefix(TOKEN_PREFIX)
    try:
        signed = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _damaged_token() from error
    return signed[:_SIGNATURE_BYTES], signed[_SIGNATURE_BYTES:]


def _token_of(packed: bytes) -> Token:
    try:
        token: Any = decoder_of(Token)(unpack(packed))
    except PeerError as error:
        raise _damaged_token() from error
    assert isinstance(token, Token)
    keys = [token.verify_key, token.signer or token.verify_key, *[key for _, key in token.seeds]]
    if token.version not in (1, 2) or token.uses < 0 or any(len(key) != 32 for key in keys):
        raise _damaged_token()
    return token


def _check_signature(verify_key: bytes, signature: bytes, packed: bytes) -> None:
    from nacl.exceptions import BadSignatureError
    from nacl.signing import VerifyKey

    try:
        VerifyKey(verify_key).verify(packed, signature)
    except (BadSignatureError, ValueError) as error:
        raise _damaged_token() from error


def _damaged_token() -> UserError:
    return UserError(
        "the token is damaged",
        "some characters are missing or changed",
        f"copy the whole line again, from {TOKEN_PREFIX!r} to its end",
    )
