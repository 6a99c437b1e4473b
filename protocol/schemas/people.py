"""Documents about people and who belongs to the farm: roles, what proves who they are, machines that were evicted."""

from __future__ import annotations

from typing import Final

from protocol.people import ROLES
from protocol.schemas.parts import STORED, Schema, count, document, flag, instant, items, maybe, text, thing, word

_CREDENTIAL: Final = thing(
    {
        "id": text("names it; no secret"),
        "label": text("what for; may be empty"),
        "made_ms": instant("when it was made"),
        "actor": text("who made it"),
    }
)
_USER: Final = thing(
    {
        "name": text('of the account on the machines; "*" stands for everybody who is not listed'),
        "role": word("what the person may do", ROLES),
        "full_name": text("for people; may be empty"),
        "listed": flag("there is a row of it"),
        "actor": text("who set it; empty: nobody did"),
        "set_at_ms": maybe(instant("when that was")),
        "tokens": items(_CREDENTIAL, "tokens that are good"),
        "keys": items(_CREDENTIAL, "keys that are good"),
    }
)
_CHANGED: Final = {
    **STORED,
    "changed": flag("this request changed it"),
    "dry_run": flag("nothing was changed"),
    "id": text("the token or key that was made or revoked"),
    "what": word("which of the two was revoked", ("token", "key")),
    "token": text("the token itself, in the answer that made it alone"),
}
_SIGNER: Final = thing(
    {
        "id": text("names it"),
        "verify_key": text("its public half, 64 hexadecimal digits"),
        "good": flag("invitations that it signs are good"),
        "label": text("what for; may be empty"),
        "node": text("id of the machine where it was made; empty if nobody knows"),
        "actor": text("who made or retired it"),
        "made_ms": instant("when it was made"),
    },
    {
        "node_name": text("and its name"),
        "here": flag("its secret half is on this machine; told by farmd alone"),
    },
)
DOCUMENTS: Final[dict[str, Schema]] = {
    "farm.users.v1": document(
        "farm.users.v1",
        "All people.",
        {"users": items(_USER, "by name; last who is not listed")},
        {
            "next": text(
                "where to go on (`after`), if one answer of a node does not hold all; farmctl asks for the rest"
            )
        },
    ),
    "farm.user.v1": document("farm.user.v1", "One person, and what became of an order.", {"user": _USER}, _CHANGED),
    "farm.eviction.v1": document(
        "farm.eviction.v1",
        "A machine that was evicted, or replaced by another one.",
        {
            "node": text("the machine's id"),
            "node_name": text("its name"),
            "alive": flag("it answered when this was asked"),
            "findings": items({"type": "object"}, "what it alone has or does, as in farm.safe-to-off.v1"),
            "changed": flag("this request changed it"),
        },
        {
            **STORED,
            "by": text("the id of the machine that stands in for it"),
            "by_name": text("and its name"),
            "dry_run": flag("nothing was changed"),
        },
    ),
    "farm.signers.v1": document(
        "farm.signers.v1",
        "Keys that sign, or have signed, invitations.",
        {"signers": items(_SIGNER, "the founder's first")},
    ),
    "farm.signer.v1": document(
        "farm.signer.v1", "One of them, and what became of an order.", {"signer": _SIGNER}, _CHANGED
    ),
    "farm.invite.v1": document(
        "farm.invite.v1",
        "An invitation, as farmd invite -o json prints it.",
        {
            "token": text("the secret: farmd join TOKEN"),
            "id": text("names it, and admits nobody"),
            "farm": text("name of the farm"),
            "expires_at_ms": instant("until when it is good"),
            "uses": count("most machines that it admits; 0: as many as like"),
            "seeds": items(text("HOST:PORT"), "machines that are asked"),
            "signer": text("id of the key that signed it"),
        },
    ),
    "farm.me.v1": document(
        "farm.me.v1",
        "Who asks, as the node sees it.",
        {
            "user": text("the person"),
            "role": word("what that person may do there", ROLES),
            "actor": text("the name in the history"),
        },
    ),
}
"""By name."""
