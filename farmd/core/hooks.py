"""The hooks of the farm: the fold of HOOK rows.

A hook is written once and removed once; *removed* outranks everything, so that an address that was taken away is never
told again, whatever arrives late. Rows that cannot be read, or that name a kind or style that is not known here, are
passed over and relayed all the same.

Invariant: `standing` is a function of the rows alone, in the order of their keys. Called by `farmd.core.node`; what
people ask is in `farmd.core.hookorders`, who is told what in `farmd.core.notices`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protocol.bodies import HookBody, unpack_body
from protocol.errors import NotFound, PeerError, UsageError
from protocol.hooks import ALERT_CODES, KINDS, STYLES, wants
from protocol.records import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from protocol.ids import NodeId
    from protocol.records import Rec


class Hooks:
    """Which hooks there are.

    Attributes:
        alerting: One of them waits for alerts.
    """

    def __init__(self) -> None:
        self._standing: dict[bytes, HookBody] = {}
        self.alerting = False

    def apply(self, rec: Rec) -> None:
        """Take a row that stands; rows of other kinds change nothing."""
        if rec.kind != Kind.HOOK:
            return
        try:
            body = unpack_body(HookBody, rec.body)
        except PeerError:
            body = None
        if body is None or body.removed or rec.rank or body.kind not in KINDS or body.style not in STYLES:
            self._standing.pop(rec.pk, None)
        else:
            self._standing = dict(sorted({**self._standing, rec.pk: body}.items()))
        self.alerting = any(
            wants(hook.events, f"alert.{code}") for hook in self._standing.values() for code in ALERT_CODES
        )

    @property
    def standing(self) -> Mapping[bytes, HookBody]:
        """All hooks that are not removed, by key."""
        return self._standing

    def __len__(self) -> int:
        return len(self._standing)

    def find(self, text: str) -> bytes:
        """Find the hook that a person means: by id, a part from its start, or its whole target.

        Raises:
            NotFound: None is meant.
            UsageError: More than one is.
        """
        found = [pk for pk, body in self._standing.items() if body.target == text or pk.hex() == text]
        found = found or [pk for pk in self._standing if len(text) >= 3 and pk.hex().startswith(text)]
        if not found:
            raise NotFound(f"no hook is called {text[:80]!r}", "neither an id nor a target", "farmctl hook list")
        if len(found) > 1:
            ids = ", ".join(pk.hex() for pk in found[:5])
            raise UsageError(f"{text[:80]!r} means {len(found)} hooks", ids, "name one by its id")
        return found[0]


def view_of(pk: bytes, body: HookBody, name_of: Callable[[NodeId], str]) -> dict[str, Any]:
    """Describe a hook for clients; its secret is never told again."""
    return {
        "id": pk.hex(),
        "kind": body.kind,
        "target": body.target,
        "events": list(body.events),
        "style": body.style,
        "signed": bool(body.secret),
        "node": body.node,
        "node_name": name_of(body.node) if body.node else "",  # type: ignore[arg-type]  # as it was checked when made
        "note": body.note,
        "made_ms": body.made_ms,
        "made_by": body.made_by,
    }
