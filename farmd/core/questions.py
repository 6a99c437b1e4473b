"""Numbers by which a node knows the answers to its questions again, unlike those of all its lives before.

A question is answered under the number that the asker gave it. If each life began to count anew, an answer that was on
its way when a node died would be taken by its next life for the answer to another question.
"""

from __future__ import annotations

LIFE_BITS = 32
"""So many questions of one life have numbers of their own."""


def first_number(epoch: int) -> int:
    """Return the number after which a life counts its questions.

    Args:
        epoch: Of the life.
    """
    return epoch << LIFE_BITS
