"""Who may look, and who may write: hosts and origins of requests, and the proof that two boards are of one user.

Reading: a page from elsewhere must not read the board through the browser of who looks at it (DNS rebinding), so the
Host of a request has to be an address, or a name of this machine, and the Origin of a WebSocket has to be that Host.

Writing: programs of the same user on the same machine share a token that lies in a file which only this user can read.
It never crosses the wire: each side shows that it knows it (HMAC over the other's nonce), so a stranger that listens
on the port learns nothing and is told nothing. What is shown names the address and port of the connection, too: who
passes a greeting on to a board elsewhere gets a proof that is good there alone.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from protocol.errors import UserError
from protocol.places import read_secret_file, user_runtime_dir

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

TOKEN_NAME: Final = "board.token"  # noqa: S105  # the name of a file
_NONCE_BYTES: Final = 16

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def is_loopback(host: str) -> bool:
    """Tell whether an address or name is reached from this machine only."""
    name = host.strip("[]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def is_wildcard(host: str) -> bool:
    """Tell whether an address means every address of this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return not host


def near(host: str) -> str:
    """Return the address by which what listens there is reached from this machine."""
    name = host.strip("[]")
    if is_wildcard(name):
        return "::1" if ":" in name else "127.0.0.1"
    return name


def is_known_host(header: str, bound: str, names: Iterable[str] = ()) -> bool:
    """Tell whether a request came by a name that no stranger's DNS server can point here.

    Args:
        header: The Host of the request, with its port.
        bound: What the server listens on; on loopback nothing but loopback is believed.
        names: Names of this machine.
    """
    try:
        name = (urlsplit(f"//{header}").hostname or "") if header.isascii() else ""
    except ValueError:  # "[", say
        return False
    if is_loopback(name):
        return True
    if is_loopback(bound):
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.lower() in {known.lower() for known in (*names, bound)}
    return True


def own_names() -> tuple[str, ...]:
    """Name this machine, as far as it knows without asking anybody."""
    name = socket.gethostname()
    return name, name.partition(".")[0], f"{name.partition('.')[0]}.local"


def is_own_origin(origin: str | None, host: str) -> bool:
    """Tell whether a WebSocket was opened by our own page; programs send no origin."""
    if origin is None:
        return True
    try:
        found = urlsplit(origin)
    except ValueError:
        return False
    return found.scheme in ("http", "https") and found.netloc == host


def place_of(host: str, port: int) -> str:
    """Write one end of a connection as both ends of it do.

    Args:
        host: An address of IP, with or without its scope; one of version 4 may be written as one of version 6.
        port: Of TCP.
    """
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return f"{mapped or address} {port}"


# -- the token ----------------------------------------------------------------------------------------------------


def token() -> bytes:
    """Return the secret that the boards of this user share, made at the first call.

    Raises:
        UserError: There is no safe place for it, or others can read it.
    """
    path = user_runtime_dir() / TOKEN_NAME
    if not path.exists():
        _make_token(path)
    return read_secret_file(path).strip().encode()


def secret() -> bytes | None:
    """Return the token, or None where there is no safe place for one: then nobody can join."""
    try:
        return token()
    except (UserError, OSError):
        return None


def _make_token(path: Path) -> None:
    draft = path.with_suffix(f".{os.getpid()}.{secrets.token_hex(4)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
        try:
            os.link(draft, path)  # unlike a rename it never replaces what another program has just made
        except FileExistsError:
            return
        except OSError as error:
            raise UserError(f"cannot write {path}", str(error.strerror), "check the permissions") from error
    finally:
        draft.unlink()


def nonce() -> str:
    """Return a number that is used once."""
    return secrets.token_hex(_NONCE_BYTES)


def proof(secret: bytes, role: str, *texts: str) -> str:
    """Show that one knows the secret, for this role and these texts only."""
    return hmac.new(secret, "\n".join((role, *texts)).encode(), "sha256").hexdigest()


def is_proof(given: str, secret: bytes, role: str, *texts: str) -> bool:
    """Check a proof, in a time that tells nothing."""
    return hmac.compare_digest(given.encode(), proof(secret, role, *texts).encode())
