"""Who this node is: its keys on disk, the farm it belongs to (`keys`), and what admits others (`tokens`)."""

from farmd.adapters.identity.keys import FarmFacts, Identity, can_invite, forget_farm, init_farm, load
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
    "load",
    "make_invite",
    "read_token",
    "waiting_token",
]
