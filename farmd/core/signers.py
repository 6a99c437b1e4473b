"""Whose signatures admit machines: the fold of SIGNER rows.

The farm's identity is the public half of the key that founded it, for ever; that key signs invitations until somebody
retires it. Each further admin machine has a signing key of its own, so that one can be retired alone: retired is
absorbing. A key is named by its row; what signs is only the machine that has its secret half.

Invariant: a function of the rows alone. Called by `farmd.core.registry` and `farmd.core.signerorders`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from protocol.bodies import SignerBody, unpack_body
from protocol.errors import PeerError
from protocol.records import Rank

if TYPE_CHECKING:
    from protocol.records import Rec

KEY_BYTES = 32
FOUNDER = "founder"
"""Label of the key that founded the farm, and who admitted the machine that did."""


class Signer(NamedTuple):
    """A signing key of the farm: its public half, what its row says (None: only that it founded), if it is good."""

    verify_key: bytes
    body: SignerBody | None
    good: bool

    @property
    def id(self) -> str:
        """Return the digits that name it for people."""
        return self.verify_key[:6].hex()


class Signers:
    """Which keys may sign invitations."""

    def __init__(self) -> None:
        self._rows: dict[bytes, Signer] = {}

    def apply(self, rec: Rec) -> None:
        """Take a SIGNER row that stands."""
        if len(rec.pk) != KEY_BYTES:
            return
        try:
            body = unpack_body(SignerBody, rec.body)
        except PeerError:
            body = None
        self._rows[rec.pk] = Signer(rec.pk, body, body is not None and rec.rank < Rank.ENDED)

    def all(self, founding: bytes) -> list[Signer]:
        """List all keys there ever were, the founding one first."""
        first = self._rows.get(founding) or Signer(founding, None, good=True)
        return [first, *[self._rows[key] for key in sorted(self._rows) if key != founding]]

    def good(self, founding: bytes) -> list[bytes]:
        """List the keys whose invitations are good."""
        return [signer.verify_key for signer in self.all(founding) if signer.good]
