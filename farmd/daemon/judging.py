"""Which tokens admit a machine: those that a signing key signed which is good by the farm's rows.

Before this node knows of a farm (it has just founded one, or just joined one) there are no rows, and the key that
founded the farm is good. Once there are, they alone count: where every key that they name is retired, none is good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.adapters.identity import judge_token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from farmd.adapters.identity import FarmFacts
    from farmd.adapters.identity.tokens import Judged
    from farmd.core.signers import Signer


def judged(farm: FarmFacts, token: bytes, now_ms: int, known: Sequence[Signer]) -> Judged:
    """Say what a received token is good for, and what is wrong with it.

    Args:
        farm: This node's.
        token: As it came.
        now_ms: Wall clock.
        known: All signing keys that the farm's rows name, retired ones too; empty before there are any.
    """
    signers = [signer.verify_key for signer in known if signer.good] if known else [farm.verify_key]
    return judge_token(farm, token, now_ms, signers)
