"""A person's own CURVE key pair on disk: found, or made and written where only that person can read it.

Called by `farmctl user key`. A new pair is written only after the farm knows it: farmctl asks other machines with the
pair that lies there, and one that nobody knows would lock its owner out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocol.errors import NotFound, UsageError, UserError
from protocol.places import format_key_file, read_key_file, user_key_path, write_secret

if TYPE_CHECKING:
    from pathlib import Path

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A key pair, and where it is or will be kept."""

    path: Path
    public_key: bytes
    unkept: str = ""
    """What the file will say, while it does not."""

    def keep(self) -> None:
        """Write the pair, unless it lies there already.

        Raises:
            UserError: It cannot be written.
        """
        if not self.unkept:
            return
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make {self.path.parent}", str(error.strerror), "") from error
        write_secret(self.path, self.unkept)


def own_key(*, anew: bool) -> OwnKey:
    """Find this person's key pair; without one, or `anew`, make one that is not kept yet.

    Raises:
        UserError: There is one that cannot be read, is damaged, or that others can read.
    """
    path = user_key_path()
    if not anew:
        try:
            return OwnKey(path, read_key_file(path)[0])
        except NotFound:
            pass
    from protocol.client import new_key_pair

    public_key, secret_key = new_key_pair()
    return OwnKey(path, public_key, format_key_file(public_key, secret_key))


def public_key_of(text: str) -> bytes:
    """Read a public key that was typed.

    Raises:
        UsageError: It is none.
    """
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise UsageError("this is no public key", "one has 64 hexadecimal digits", "farmctl user key prints one")
    return key
