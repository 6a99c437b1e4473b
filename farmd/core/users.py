"""The people of the farm: the fold of USER rows.

A person is one register (role, full name, listed or not: the larger stamp wins as a whole). Each token and each key is a
row of its own, whose revocation absorbs: had they been fields of the person's row, a role that is changed in one half of
a divided farm could bring back a token that was revoked in the other. A credential names the *life* of its person, which
a removal ends: whoever is listed again starts without any. The end of a life is a row of its own, too, which absorbs: else
a role changed in one half would undo a removal in the other, and what was made there meanwhile would be good.

Invariant: what is answered here is a function of the rows alone. Rows that cannot be read are passed over and relayed.
Called by `farmd.core.node`; what people ask is in `farmd.core.userorders`, what a role may in `farmd.core.permissions`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from farmd.core.effects import TrustPeople
from protocol.bodies import CredentialBody, UserBody, unpack_body
from protocol.clock import wall_ms_of
from protocol.errors import PeerError
from protocol.people import DEFAULT_ROLE, EVERYBODY, ROLES, is_user_name
from protocol.records import LIFE, Kind, Rank

if TYPE_CHECKING:
    from typing import Any

    from farmd.core.turn import Turn
    from protocol.records import Rec

PROOF_BYTES = 32
TOKEN, KEY = "token", "key"
_LIFE = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


class User(NamedTuple):
    """A person as its row says, and when that was written."""

    name: str
    body: UserBody
    set_at_ms: int


class Users:
    """Who is listed, with which role, and what proves it."""

    def __init__(self) -> None:
        self._rows: dict[str, User] = {}
        self._ended: dict[str, int] = {}
        self._credentials: dict[str, dict[str, CredentialBody]] = {}
        self._revoked: dict[str, dict[str, int]] = {}
        self._owners: dict[bytes, dict[tuple[str, str], None]] = {}
        self._dirty = False
        self._told: tuple[tuple[bytes, str], ...] = ()

    def apply(self, rec: Rec) -> None:
        """Take a row that stands; rows of other kinds change nothing."""
        if rec.kind != Kind.USER:
            return
        try:
            name, is_credential, credential = rec.pk.decode().partition("\0")
        except UnicodeDecodeError:
            return
        self._dirty = True
        if credential.startswith(LIFE):
            self._apply_life(name, credential.removeprefix(LIFE), rec)
        elif is_credential:
            self._apply_credential(name, credential, rec)
        elif name == EVERYBODY or is_user_name(name):
            self._apply_user(name, rec)

    def _apply_user(self, name: str, rec: Rec) -> None:
        try:
            self._rows[name] = User(name, unpack_body(UserBody, rec.body), wall_ms_of(rec.hlc))
        except PeerError:
            self._rows.pop(name, None)  # what stood before was overwritten, whatever by

    def _apply_life(self, name: str, life: str, rec: Rec) -> None:
        """Take the end of a life: the key alone says which, so that no later version of the row can mean another."""
        if rec.rank >= Rank.ENDED and _LIFE.fullmatch(life):
            self._ended[name] = max(self._ended.get(name, 0), int(life))

    def _apply_credential(self, name: str, credential: str, rec: Rec) -> None:
        known = self._credentials.setdefault(name, {})
        old = known.pop(credential, None)
        if old is not None:
            self._owners[old.proof].pop((name, credential), None)
        try:
            body = unpack_body(CredentialBody, rec.body)
        except PeerError:
            return
        if rec.rank >= Rank.ENDED:
            self._revoked.setdefault(name, {})[credential] = body.life
        elif len(body.proof) == PROOF_BYTES:
            known[credential] = body
            self._owners.setdefault(body.proof, {})[name, credential] = None

    def follow_keys(self, turn: Turn) -> None:
        """Have client requests of exactly the listed keys taken."""
        if not self._dirty:
            return
        self._dirty = False
        people = tuple((key, name) for key in self.keys() if (name := self.holder_of(KEY, key)) is not None)
        if people != self._told:
            self._told = people
            turn.effects.append(TrustPeople(people))

    # -- reading ---------------------------------------------------------------------------------------------------

    def get(self, name: str) -> User | None:
        """Return a listed person, or the row of everybody who is not."""
        user = self._rows.get(name)
        is_over = user is None or user.body.removed or user.body.life <= self._ended.get(name, 0)
        return None if is_over else user

    def life_of(self, name: str) -> int:
        """Return how often a person was listed so far."""
        user = self._rows.get(name)
        return max(user.body.life if user is not None else 0, self._ended.get(name, 0))

    def is_listed(self, name: str) -> bool:
        """Tell whether a person has a role of its own."""
        return name != EVERYBODY and self.get(name) is not None

    def role_of(self, name: str) -> str:
        """Return the role of a person; a role that a newer node made up counts as the least."""
        user = self.get(name) or self.get(EVERYBODY)
        if user is None:
            return DEFAULT_ROLE
        return user.body.role if user.body.role in ROLES else ROLES[0]

    def names(self) -> list[str]:
        """Return the names of all who are listed, sorted."""
        return sorted(name for name in self._rows if self.is_listed(name))

    def admins(self) -> list[str]:
        """Return the names of all who are listed as admins."""
        return [name for name in self.names() if self.role_of(name) == ROLES[-1]]

    def credentials(self, name: str) -> dict[str, CredentialBody]:
        """Return what a person proves to be itself with, by id: nothing of an earlier life."""
        user, known = self.get(name), self._credentials.get(name, {})
        if user is None:
            return {}
        return {found: body for found, body in sorted(known.items()) if body.life == user.body.life}

    def revoked_count(self, name: str) -> int:
        """Count what was revoked of a person in its present life."""
        life = self.life_of(name)
        return sum(revoked == life for revoked in self._revoked.get(name, {}).values())

    def holder_of(self, what: str, proof: bytes) -> str | None:
        """Return whose token (by its SHA-256) or key this is; of several, which only a split can bring, the first."""
        owners = sorted(self._owners.get(proof, ()))
        for name, credential in owners:
            body = self.credentials(name).get(credential)
            if body is not None and body.what == what:
                return name
        return None

    def keys(self) -> list[bytes]:
        """Return the public keys of all people."""
        found = [body for name in self.names() for body in self.credentials(name).values()]
        return list(dict.fromkeys(body.proof for body in found if body.what == KEY))

    def view(self, name: str) -> dict[str, Any]:
        """Describe a person for clients: no token and no hash of one."""
        user = self.get(name)
        held = self.credentials(name)
        return {
            "name": name,
            "role": self.role_of(name),
            "full_name": user.body.full_name if user is not None else "",
            "listed": user is not None,
            "actor": user.body.actor if user is not None else "",
            "set_at_ms": user.set_at_ms if user is not None else None,
            "tokens": [_view_of(found, body) for found, body in held.items() if body.what == TOKEN],
            "keys": [_view_of(found, body) for found, body in held.items() if body.what == KEY],
        }

    def views(self) -> list[dict[str, Any]]:
        """Describe all for clients, and last everybody who is not listed."""
        return [self.view(name) for name in (*self.names(), EVERYBODY)]


def _view_of(credential: str, body: CredentialBody) -> dict[str, Any]:
    return {"id": credential, "label": body.label, "made_ms": body.made_ms, "actor": body.actor}
