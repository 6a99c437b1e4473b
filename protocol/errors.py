"""The exceptions, split by who erred.

FarmError
├── PeerError          the other side sent something wrong: drop it, count it, name the peer
│   └── VersionError   the other side speaks no version that we speak
├── UserError          a person asked for something that cannot be: what, why, what to try
│   ├── UsageError
│   ├── NotFound
│   ├── NotAllowed
│   ├── Unreachable
│   │   └── Starting   the daemon is coming up: worth waiting for
│   ├── MissingFeature
│   └── FilesLost
└── InvariantBroken    we erred: a bug of ours, raised with the story that led to it
"""

from __future__ import annotations


class FarmError(Exception):
    """Root of every error that this project raises on purpose."""


class PeerError(FarmError):
    """The other side erred: what it sent is dropped and counted, and never stops the daemon."""


class VersionError(PeerError):
    """No protocol version in common with the other side."""


class UserError(FarmError):
    """A person asked for something that cannot be done; printed as three lines.

    Attributes:
        what: What went wrong, one line.
        why: The cause, one line.
        hint: What to try, one line.
        code: Process exit code (see docs/reference/exit-codes).
    """

    code = 1

    def __init__(self, what: str, why: str = "", hint: str = "", *, code: int | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint
        if code is not None:
            self.code = code


class UsageError(UserError):
    """The words of the command or a configuration value are wrong."""

    code = 2


class NotFound(UserError):
    """The named job, node, task or file does not exist here."""

    code = 5


class NotAllowed(UserError):
    """The caller may not do this."""

    code = 6


class Unreachable(UserError):
    """No node answered."""

    code = 7


class Starting(Unreachable):
    """The daemon is there and serves nobody yet."""


class MissingFeature(UserError):
    """What is installed on this node cannot do it; on another node it may be possible."""


class FilesLost(UserError):
    """Files of a job were lost or damaged on this node; they are fetched again, and nobody is to blame."""


class InvariantBroken(FarmError):
    """A bug of ours: an invariant of docs/explanation/invariants does not hold."""
