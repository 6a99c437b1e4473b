"""Accounts of this machine: the name of a user id, and whether it belongs to the group that is served.

Both may come from a directory on another machine (LDAP, Active Directory) that takes half a minute to say nothing. On
the event loop that would silence the node until the others take it for dead. So an answer is remembered for some seconds,
and everything else is looked up on a thread of its own; requests of that user wait meanwhile, in their order, and those of
others pass. (Rejected: a pool of threads, which a few stuck look-ups fill, and which holds up the end of the daemon.)

Called by `farmd.adapters.client_door.door`, in the event loop. Decides nothing.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import time
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    Then = Callable[["Account"], None]

FRESH_S = 10.0
"""Whoever joins the group or leaves it is treated so after this time."""
MAX_WAITING = 128
"""Requests that wait for an account, all users together."""


class Account(NamedTuple):
    """What the system says of a user id."""

    name: str
    is_member: bool


class Accounts:
    """Looks accounts up.

    Args:
        gid: The group in question; None = nobody is a member.
    """

    def __init__(self, gid: int | None) -> None:
        self._gid = gid
        self._known: dict[int, tuple[float, Account]] = {}
        self._waiting: dict[int, list[Then]] = {}

    def ask(self, uid: int, then: Then) -> bool:
        """Have `then` called with the account of a user, at once where it is known.

        Returns:
            False if too many wait already, or no thread is left to look it up.
        """
        until, account = self._known.get(uid, (0.0, None))
        if account is not None and time.monotonic() < until:
            then(account)
            return True
        if sum(map(len, self._waiting.values())) >= MAX_WAITING:
            return False
        if uid not in self._waiting:
            try:
                Thread(target=self._look_up, args=(uid, asyncio.get_running_loop()), daemon=True).start()
            except RuntimeError:  # no thread is left; the next request tries again
                return False
        self._waiting.setdefault(uid, []).append(then)
        return True

    def close(self) -> None:
        """Forget who waits."""
        self._waiting.clear()

    def _look_up(self, uid: int, loop: asyncio.AbstractEventLoop) -> None:
        """Ask the system, on a thread."""
        account = None
        try:
            account = account_of(uid, self._gid)
        finally:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(self._found, uid, account)

    def _found(self, uid: int, account: Account | None) -> None:
        """Tell who waits; a user whose look-up broke off is a stranger this once."""
        if account is None:
            account = Account(f"uid {uid}", is_member=False)
        else:
            self._known[uid] = time.monotonic() + FRESH_S, account
        for then in self._waiting.pop(uid, []):
            then(account)


def account_of(uid: int, gid: int | None) -> Account:
    """Ask the system for an account; this may take long."""
    return Account(user_name(uid), gid is not None and _is_member(uid, gid))


def user_name(uid: int) -> str:
    """Return the name of a user; one without any is called by number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _is_member(uid: int, gid: int) -> bool:
    try:
        user = pwd.getpwuid(uid)
        return gid in os.getgrouplist(user.pw_name, user.pw_gid)
    except (KeyError, OSError):
        return False
