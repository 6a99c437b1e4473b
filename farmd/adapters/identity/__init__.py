"""Who this node is: its keys on disk, the farm it belongs to (`keys`), what admits others (`tokens`, `signing`)."""

from farmd.adapters.identity.keys import FarmFacts, Identity, can_invite, forget_farm, init_farm, load
from farmd.adapters.identity.signing import (
    keep_signing_key,
    new_signing_key,
    open_backup,
    read_signing_key,
    seal_backup,
)
from farmd.adapters.identity.tokens import (
    Token,
    forget_token,
    join,
    judge_token,
    make_invite,
    read_token,
    waiting_token,
)

__all__ = [
    "FarmFacts",
    "Identity",
    "Token",
    "can_invite",
    "forget_farm",
    "forget_token",
    "init_farm",
    "join",
    "judge_token",
    "keep_signing_key",
    "load",
    "make_invite",
    "new_signing_key",
    "open_backup",
    "read_signing_key",
    "read_token",
    "seal_backup",
    "waiting_token",
]
