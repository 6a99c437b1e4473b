"""Founding, inviting and joining, as commands: what is written into data dirs while no daemon needs to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.adapters.identity import init_farm, join, load, make_invite
from farmd.daemon.life import ADDRESS_FILE
from protocol.errors import NotFound, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from farmd.adapters.identity import Identity
    from farmd.daemon.settings import RunSettings


def found(data_dir: Path, name: str) -> Identity:
    """Found a farm in an empty data dir.

    Raises:
        UserError: It belongs to a farm already, or cannot be written.
    """
    return init_farm(data_dir, name)


def invitation(data_dir: Path, expires_at_ms: int, addresses: Sequence[str]) -> str:
    """Make a token; also while the daemon runs.

    Raises:
        UserError: The data dir belongs to no farm, or has no signing key.
    """
    identity = load(data_dir)
    known = data_dir / ADDRESS_FILE
    own = list(addresses) or ([known.read_text().strip()] if known.exists() else [""])
    return make_invite(identity, seeds=[(address, identity.public_key) for address in own], expires_at_ms=expires_at_ms)


def prepare_to_join(data_dir: Path, token: str) -> Identity:
    """Prepare a data dir to join; one that founded a farm and never did anything in it may change its mind.

    Raises:
        UserError: The token is not good, or the data dir belongs to another farm.
    """
    return join(data_dir, token)


def identity_for_run(settings: RunSettings, say: Callable[[str], None]) -> Identity:
    """Read who this node is; a first run without any preparation founds a farm of one.

    Raises:
        UserError: It was told to join a farm and has no token, or its files are damaged.
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
    identity = init_farm(settings.data_dir, settings.name or "farm")
    say(f"founded a new farm in {settings.data_dir}; to join another one: farmd join TOKEN, in an empty data dir")
    return identity
