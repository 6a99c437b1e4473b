"""What people ask of the list of people: list them, add one, change a role, make and revoke what proves who they are.

Asking for what already holds writes nothing and is no error, and every check comes before the write; with `dry_run` the
write is left out. Tokens are drawn outside, where there is randomness fit for secrets, and kept as their SHA-256 alone:
nobody can read one out of a replica. Called by `farmd.core.door`, after `farmd.core.permissions` agreed.
"""

from __future__ import annotations

from itertools import accumulate, takewhile
from typing import TYPE_CHECKING, Any

from farmd.core.acknowledge import answer_order
from farmd.core.arguments import text_of
from farmd.core.effects import Reply
from farmd.core.users import KEY, PROOF_BYTES, TOKEN
from protocol.bodies import CredentialBody, UserBody, pack_body
from protocol.errors import NotAllowed, NotFound, UsageError, UserError
from protocol.human import nearest_word
from protocol.ids import node_id_of
from protocol.people import DEFAULT_ROLE, EVERYBODY, ROLES, TOKEN_PREFIX, is_user_name, person_of
from protocol.records import LIFE, Kind, Rank, credential_pk, life_pk, user_pk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from farmd.core.events import ClientAsked
    from farmd.core.node import Node
    from farmd.core.turn import Turn
    from protocol.records import Rec

MAX_USERS = 10_000
MAX_CREDENTIALS = 100
MAX_ROWS = 1_000
"""Tokens and keys of a person since it was listed, those included that were revoked."""
LIST_BYTES = 3 << 20
"""So much of the people fits into an answer."""
_MOST_BYTES = 2_000
"""Of a person in an answer, or of one of its tokens or keys."""
MAX_TEXT = 200
MIN_TOKEN_CHARS = 32


class UserOrders:
    """Answers the operations `user.*`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.operations: Mapping[str, Callable[[Turn, ClientAsked], None]] = {
            "user.list": self.list,
            "user.show": self.show,
            "user.me": self.me,
            "user.check": self.check,
            "user.add": self.add,
            "user.role": self.role,
            "user.remove": self.remove,
            "user.token": self.token,
            "user.key": self.key,
            "user.revoke": self.revoke,
        }

    # -- reading -----------------------------------------------------------------------------------------------------

    def list(self, turn: Turn, event: ClientAsked) -> None:
        """Answer with the people after a name, as many as an answer holds, and last with everybody who is not listed."""
        users, after = self._node.users, text_of(event, "after", "")
        left = [name for name in users.names() if name > after]
        sizes = accumulate(_MOST_BYTES * (1 + len(users.credentials(name))) for name in left)
        told = left[: max(1, sum(1 for _ in takewhile(lambda size: size <= LIST_BYTES, sizes)))]
        data: dict[str, Any] = {"schema": "farm.users.v1", "users": [users.view(name) for name in told]}
        if len(told) < len(left):
            data["next"] = told[-1]
        else:
            data["users"].append(users.view(EVERYBODY))
        turn.effects.append(Reply(event.client, data))

    def show(self, turn: Turn, event: ClientAsked) -> None:
        """Answer with one of them."""
        name = self._listed(event, everybody=True)
        turn.effects.append(Reply(event.client, {"schema": "farm.user.v1", "user": self._node.users.view(name)}))

    def me(self, turn: Turn, event: ClientAsked) -> None:
        """Answer who asks, as this node sees it."""
        name = event.user or person_of(event.actor)
        role = self._node.users.role_of(event.user) if event.user else ROLES[-1]
        data = {"schema": "farm.me.v1", "user": name, "role": role, "actor": event.actor}
        turn.effects.append(Reply(event.client, data))

    def check(self, turn: Turn, event: ClientAsked) -> None:
        """Answer whose token this is."""
        digest = _sha256(text_of(event, "token").encode())
        name = self._node.users.holder_of(TOKEN, digest)
        if name is None:
            raise NotAllowed(
                "this token is not good", "nobody has it, or it was revoked", "make a new one: farmctl user token"
            )
        turn.effects.append(Reply(event.client, {"user": name, "role": self._node.users.role_of(name)}))

    # -- people ------------------------------------------------------------------------------------------------------

    def add(self, turn: Turn, event: ClientAsked) -> None:
        """List a person; one that is listed with this role may be given another full name."""
        name, full_name = _name(event), _line(event, "full_name")
        if not is_user_name(name):
            why = "a name has 1 to 64 of a-z, 0-9, dot, underscore and hyphen: that of the account on the machines"
            raise UsageError(f"nobody can be listed as {name[:80]!r}", why, "farmctl user add --help")
        users = self._node.users
        known = users.get(name)
        role = _role(event, DEFAULT_ROLE if known is None else known.body.role)
        if known is None:
            if len(users.names()) >= MAX_USERS:
                raise UserError(f"the farm lists {MAX_USERS} people", "more are not kept", "remove those who have left")
            body = UserBody(role, event.actor, full_name, life=users.life_of(name) + 1)
        elif role != known.body.role:
            hint = f"farmctl user role {name} {role} changes that"
            raise UserError(f"{name} is listed already", f"as {known.body.role}", hint)
        else:
            body = known.body._replace(full_name=full_name or known.body.full_name, actor=event.actor)
        changed = known is None or body.full_name != known.body.full_name
        self._write_user(turn, event, name, body, changed=changed)

    def role(self, turn: Turn, event: ClientAsked) -> None:
        """Give a person, or everybody who is not listed, another role."""
        name, role = self._listed(event, everybody=True), _role(event, None)
        known = self._node.users.get(name)
        body = known.body if known is not None else UserBody(DEFAULT_ROLE, "")
        if role != ROLES[-1]:
            self._refuse_last_admin(name, f"make {name} {role}")
        self._write_user(turn, event, name, body._replace(role=role, actor=event.actor), changed=body.role != role)

    def remove(self, turn: Turn, event: ClientAsked) -> None:
        """List a person no longer, and revoke all that proves to be that person."""
        name = self._listed(event)
        self._refuse_last_admin(name, f"remove {name}")
        user = self._node.users.get(name)
        assert user is not None
        if not event.args.get("dry_run"):
            for credential, held in self._node.users.credentials(name).items():
                self._write(turn, credential_pk(name, credential), held._replace(actor=event.actor), Rank.ENDED)
            self._end_life(turn, event, name, user.body.life)
        self._write_user(turn, event, name, user.body._replace(removed=True, actor=event.actor), changed=True)

    def _end_life(self, turn: Turn, event: ClientAsked, name: str, life: int) -> None:
        """Write what no change of the person's row undoes, wherever it is made."""
        body = CredentialBody(LIFE, b"", event.actor, made_ms=turn.now.wall_ms, life=life)
        self._write(turn, life_pk(name, life), body, Rank.ENDED)

    def _refuse_last_admin(self, name: str, doing: str) -> None:
        if self._node.users.admins() == [name]:
            raise UserError(
                f"nobody can {doing}",
                f"{name} is the only admin of the farm (besides the user of each daemon, on its own machine)",
                "make somebody else admin first: farmctl user role NAME admin",
            )

    # -- what proves who they are --------------------------------------------------------------------------------------

    def token(self, turn: Turn, event: ClientAsked) -> None:
        """Keep the hash of a new token; the answer is the only one that ever carries the token itself."""
        name, token = self._listed(event), text_of(event, "token")
        if not token.startswith(TOKEN_PREFIX) or len(token) < MIN_TOKEN_CHARS:
            raise UsageError("this is no token of a farm", "the daemon draws them", "")
        digest = _sha256(token.encode())
        self._write_credential(turn, event, (name, TOKEN, digest), {"token": token})

    def key(self, turn: Turn, event: ClientAsked) -> None:
        """Register a CURVE public key of a person."""
        name, key = self._listed(event), event.args.get("public_key")
        if not isinstance(key, bytes) or len(key) != PROOF_BYTES:
            raise UsageError("the request user.key needs a public key", "it has 32 raw bytes", "")
        node, registry = node_id_of(key), self._node.registry
        if registry.is_admitted(node) or registry.is_revoked(node):
            raise UserError("this is the key of a machine", "people have keys of their own", "farmctl user key")
        holder = self._node.users.holder_of(KEY, key)
        if holder not in (None, name):
            hint = "make another one: farmctl user key --new"
            raise UserError("this key is registered already", f"it belongs to {holder}", hint)
        self._write_credential(turn, event, (name, KEY, key), {})

    def revoke(self, turn: Turn, event: ClientAsked) -> None:
        """Make a token or a key good for nothing, for ever."""
        name, wanted = self._listed(event), text_of(event, "id")
        held = self._node.users.credentials(name)
        found = [credential for credential in held if credential.startswith(wanted)]
        if len(found) != 1:
            why = "several begin so" if found else "it never had it, or it is revoked"
            raise NotFound(f"{name} has no single token or key {wanted[:80]!r}", why, f"farmctl user show {name}")
        data = {"id": found[0], "what": held[found[0]].what, "changed": True}
        if event.args.get("dry_run"):
            self._answer(turn, event, name, data)
            return
        body = held[found[0]]._replace(actor=event.actor)
        rec = self._write(turn, credential_pk(name, found[0]), body, Rank.ENDED)
        self._answer(turn, event, name, data, rec)

    def _write_credential(
        self, turn: Turn, event: ClientAsked, held_as: tuple[str, str, bytes], data: dict[str, Any]
    ) -> None:
        name, what, proof = held_as
        users = self._node.users
        held = users.credentials(name)
        credential = (proof if what == KEY else _sha256(proof))[:6].hex()
        data = data | {"id": credential, "changed": credential not in held}
        if credential in held or event.args.get("dry_run"):
            self._answer(turn, event, name, data)
            return
        _refuse_more(name, len(held), users.revoked_count(name))
        body = CredentialBody(what, proof, event.actor, _line(event, "label"), turn.now.wall_ms, users.life_of(name))
        rec = self._write(turn, credential_pk(name, credential), body)
        if rec.rank != Rank.NORMAL:
            hint = f"make another one: farmctl user {what}{' --new' if what == KEY else ''}"
            raise UserError(f"this {what} was revoked", "that is for ever", hint)
        self._answer(turn, event, name, data, rec)

    # -- writing and answering -----------------------------------------------------------------------------------------

    def _listed(self, event: ClientAsked, *, everybody: bool = False) -> str:
        name, users = _name(event), self._node.users
        if users.is_listed(name) or (everybody and name == EVERYBODY):
            return name
        is_own = name in (event.user, person_of(event.actor))
        meant = None if is_own else nearest_word(name, users.names())
        hint = f"did you mean {meant}?" if meant else f"an admin can list {name[:80]}: farmctl user add {name[:80]}"
        why = "only who is listed has tokens and keys" if is_own else "the farm knows no such name"
        raise NotFound(f"nobody is listed as {name[:80]!r}", why, hint)

    def _write_user(self, turn: Turn, event: ClientAsked, name: str, body: UserBody, *, changed: bool) -> None:
        dry = bool(event.args.get("dry_run"))
        rec = self._write(turn, user_pk(name), body) if changed and not dry else None
        self._answer(turn, event, name, {"changed": changed}, rec)

    def _write(self, turn: Turn, pk: bytes, body: UserBody | CredentialBody, rank: Rank = Rank.NORMAL) -> Rec:
        body = body._replace(actor=body.actor[:MAX_TEXT])
        return self._node.replica.write(turn, Kind.USER, pk, pack_body(body), rank=rank)

    def _answer(self, turn: Turn, event: ClientAsked, name: str, data: dict[str, Any], rec: Rec | None = None) -> None:
        self._node.fold(turn)
        data = {"schema": "farm.user.v1", "user": self._node.users.view(name)} | data
        if event.args.get("dry_run"):
            turn.effects.append(Reply(event.client, data | {"dry_run": True}))
            return
        answer_order(self._node, turn, event, data, [] if rec is None else [rec])


def _sha256(secret: bytes) -> bytes:
    import hashlib  # loads OpenSSL, which a farm without users does without

    return hashlib.sha256(secret).digest()


def _refuse_more(name: str, held: int, revoked: int) -> None:
    """Refuse what would let the rows of a person grow without end: those that are revoked stay.

    Raises:
        UserError: The person has, or had, too many.
    """
    if held >= MAX_CREDENTIALS:
        raise UserError(f"{name} has {held} tokens and keys", "more are not kept", f"farmctl user revoke {name} ID")
    if held + revoked >= MAX_ROWS:
        hint = f"make one for long; an admin can begin anew: farmctl user remove {name}, farmctl user add {name}"
        why = "revoked ones are remembered for ever, so more are not made"
        raise UserError(f"{name} has had {held + revoked} tokens and keys", why, hint)


def _name(event: ClientAsked) -> str:
    return text_of(event, "name")


def _role(event: ClientAsked, default: str | None) -> str:
    role = text_of(event, "role", default)
    if role not in ROLES:
        raise UsageError(f"no role is called {role[:80]!r}", "", "one of " + ", ".join(ROLES))
    return role


def _line(event: ClientAsked, name: str) -> str:
    """Read a line for people: printable, short."""
    text = text_of(event, name, "")
    return "".join(letter if letter.isprintable() else " " for letter in text)[:MAX_TEXT]
