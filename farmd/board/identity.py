"""Who publishes: a program, which is one or several processes."""

from __future__ import annotations

import secrets
import sys
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Identity:
    """One process of a program.

    Attributes:
        program: Random; a child process has that of its parent, so that both speak of the same tasks.
        process: Random, of this process alone.
        name: For people: the title of tasks that name no group.
        is_child: It reports to the board of its parent, and never serves one.
    """

    program: str
    process: str
    name: str
    is_child: bool = False

    def child(self) -> Identity:
        """Return the identity of a process that was forked from this one."""
        return replace(self, process=secrets.token_hex(8), is_child=True)

    def named(self) -> Identity:
        """Return the same with the name that the program has now; while it is imported it may have none."""
        return self if self.is_child else replace(self, name=_program_name())


def new_identity() -> Identity:
    """Make the identity of a program that has just begun."""
    return Identity(secrets.token_hex(8), secrets.token_hex(8), _program_name())


def _program_name() -> str:
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:  # started with python -m
        return str(spec.name).removesuffix(".__main__")
    return Path(sys.argv[0]).name if sys.argv and sys.argv[0] not in ("", "-c") else "python"
