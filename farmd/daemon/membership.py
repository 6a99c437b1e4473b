"""Founding, inviting and joining, as commands: what is written into data dirs while no daemon needs to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.adapters.identity import (
    can_invite,
    forget_farm,
    init_farm,
    join,
    load,
    make_invite,
    read_signing_key,
    read_token,
)
from farmd.adapters.store import count_rows, out_of_use, remove, was_corrupt
from farmd.adapters.zmq_transport import try_to_bind
from farmd.daemon.life import ADDRESS_FILE
from protocol.errors import NotFound, UserError
from protocol.records import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any

    from farmd.adapters.identity import Identity
    from farmd.daemon.settings import RunSettings

INVITED_FILE = "invited"
"""Says that somebody may hold a token of this farm."""


def found(data_dir: Path, name: str) -> Identity:
    """Found a farm in an empty data dir.

    Raises:
        UserError: It belongs to a farm already, or cannot be written.
    """
    return init_farm(data_dir, name)


def invitation(data_dir: Path, expires_at_ms: int, addresses: Sequence[str], uses: int = 0) -> str:
    """Make a token for so many machines (0: any number); also while the daemon runs.

    Raises:
        UserError: The data dir belongs to no farm, has no signing key, or one that was retired.
    """
    from farmd.daemon.signing import is_retired, key_id  # brings a client, which a daemon that runs does without

    identity = load(data_dir)
    key = read_signing_key(identity)
    if is_retired(identity, key):
        why = f"its signing key {key_id(key)} was retired: nobody would take what it signs"
        raise UserError("this machine cannot invite any more", why, "make another one: farmd farm key rotate")
    known = data_dir / ADDRESS_FILE
    own = list(addresses) or ([known.read_text().strip()] if known.exists() else [""])
    seeds = [(address, identity.public_key) for address in own]
    token = make_invite(identity, seeds=seeds, expires_at_ms=expires_at_ms, uses=uses)
    (data_dir / INVITED_FILE).touch()
    return token


def told_of(token: str) -> dict[str, Any]:
    """Describe a token for scripts.

    Raises:
        UserError: It is none, or has expired.
    """
    read = read_token(token)
    return {
        "schema": "farm.invite.v1",
        "token": token,
        "id": read.id,
        "farm": read.farm,
        "expires_at_ms": read.expires_at_ms,
        "uses": read.uses,
        "seeds": [address for address, _ in read.seeds],
        "signer": (read.signer or read.verify_key)[:6].hex(),
    }


def prepare_to_join(data_dir: Path, token: str, say: Callable[[str], None] = lambda _text: None) -> Identity:
    """Prepare a data dir to join; one that founded a farm and never did anything in it may change its mind.

    Raises:
        UserError: The token is not good, or the data dir belongs to another farm.
    """
    wanted = read_token(token)
    try:
        present = load(data_dir)
    except NotFound:
        present = None
    if present is not None and present.farm.verify_key != wanted.verify_key and can_invite(data_dir):
        with out_of_use(data_dir):
            _give_up(present)
        say(f"gave up the farm {present.farm.name!r}, which had no other member and no job")
    return join(data_dir, token)


def _give_up(identity: Identity) -> None:
    """Remove a farm of one in which nothing ever happened."""
    data_dir = identity.data_dir
    why = _what_happened(data_dir)
    if why:
        raise UserError(
            f"{data_dir} belongs to the farm “{identity.farm.name}” already",
            f"a node is a member of one farm for ever, and {why}",
            "use another data dir (--data-dir), or delete this one if nothing in it is needed",
        )
    remove(data_dir)
    forget_farm(data_dir)


def _what_happened(data_dir: Path) -> str:
    """Say what a farm that was founded here would lose; "" if nothing."""
    rows = count_rows(data_dir)
    if rows[Kind.JOB]:
        return "this one has had jobs"
    if rows[Kind.KEY] > 1:
        return "this one has had other members"
    if (data_dir / INVITED_FILE).exists():
        return "other machines were invited to this one"
    return "its records were damaged once, so nobody knows what was in them" if was_corrupt(data_dir) else ""


def identity_for_run(settings: RunSettings, say: Callable[[str], None]) -> Identity:
    """Read who this node is; a first run without any preparation founds a farm of one.

    Raises:
        UserError: It was told to join a farm and has no token, its files are damaged, or it could not listen.
    """
    try:
        return load(settings.data_dir)
    except NotFound as error:
        if settings.join:
            raise UserError(
                f"{settings.data_dir} belongs to no farm yet",
                "a node joins with a token of the farm, not by address alone",
                f"on a member: farmd invite; here: farmd join --data-dir {settings.data_dir} TOKEN",
            ) from error
    try_to_bind(settings.listen)  # a farm that cannot run must not be left behind
    identity = init_farm(settings.data_dir, settings.name or "farm")
    say(f"founded a new farm; to join another one, stop this, then: farmd join --data-dir {settings.data_dir} TOKEN")
    return identity
