"""People of a farm: what a name looks like, which roles there are, and whom an actor's name means.

A person is the same on every machine by name alone: "anna@ws07" and "anna@ws08" are both anna. Called by the core, the
doors and farmctl. Decides nothing: who may do what is in `farmd.core.permissions`.
"""

from __future__ import annotations

import re
from typing import Final

ROLES: Final = ("viewer", "artist", "wrangler", "admin")
"""Each includes the ones before it."""
EVERYBODY: Final = "*"
"""Stands for everybody who is not listed."""
DEFAULT_ROLE: Final = "artist"
"""Of everybody who is not listed, until somebody says otherwise."""
MAX_NAME_CHARS: Final = 64
TOKEN_PREFIX: Final = "farm_"  # noqa: S105  # the beginning of every token
"""The beginning of every token, so that scanners for lost secrets can find one."""
_NAME: Final = re.compile(r"[a-z0-9._-]{1,64}")


def is_user_name(text: str) -> bool:
    """Tell whether a person can be listed under this name."""
    return _NAME.fullmatch(text) is not None


def person_of(actor: str) -> str:
    """Return the person that the name of an actor or an owner means: what stands before the machine."""
    person, at, _machine = actor.rpartition("@")
    return person if at else actor
