"""Who sent what was wrong: found out from the tries of one blob, whole by whole and piece by piece.

A whole whose MD5 disagrees says only that one of its senders erred. So each of them is asked to hash its copy
(`farmd.core.doubts`), and the blob comes again, this time from a single source that holds all of it, first from one
that sent nothing of the bad whole. Four findings follow:

  its copy was bad, it set it aside          honest, and cured: no source until it has the blob again
  it sent every piece, after it was asked    it lies, or its memory does: left out
  right whole, and its piece was another     left out if it had stood by its copy, else one strike
  the same, but it had only a part           it may have passed a lie on, and finds that out by itself: no strike; it is
                                             no source of parts for a while

Each further try with a single source either brings the blob or leaves that source out, so the search ends. Nodes are
trusted not to collude; what is isolated here is a bad machine rather than an enemy. Called by `farmd.core.swarm`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from protocol.messages import Doubt

if TYPE_CHECKING:
    from farmd.core.incoming import Incoming
    from farmd.core.turn import Turn
    from protocol.ids import NodeId


class Verdict(NamedTuple):
    """Who was wrong, when a whole is right at last.

    Attributes:
        stood: Stood by wrong pieces.
        sent: Merely sent them.
        passed_on: Had them from somebody else, and had not seen the whole.
    """

    stood: tuple[NodeId, ...]
    sent: tuple[NodeId, ...]
    passed_on: tuple[NodeId, ...]


def judge_wrong(turn: Turn, incoming: Incoming) -> tuple[NodeId, ...]:
    """The whole was wrong: ask its senders to look, begin anew, and name those that are convicted."""
    sole = incoming.sole_sender
    convicted = (sole,) if sole is not None and sole in incoming.doubted else ()
    for sender in incoming.now.sent:
        incoming.doubted[sender] = False
        turn.send(sender, Doubt(incoming.blob))
    incoming.fail()
    return convicted


def judge_right(turn: Turn, incoming: Incoming) -> Verdict:
    """The whole is right at last: name those that stood by wrong pieces, sent them, or passed them on."""
    wrong, passed = incoming.wrong_claims(passed_on=False), incoming.wrong_claims(passed_on=True)
    for node, pieces in (wrong | passed).items():
        turn.note("peer-wrong-pieces", f"{pieces} of {incoming.held.count} pieces of {incoming.blob}", node=node)
    stood = tuple([node for node in wrong if incoming.doubted.get(node)])
    return Verdict(stood, tuple([node for node in wrong if node not in stood]), tuple(passed))
