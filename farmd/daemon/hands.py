"""Carries out the core's effects with the real adapters: one table, no decisions."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from farmd.core import effects as ef
from protocol.messages import JoinReply

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.adapters.client_door import ClientDoor
    from farmd.adapters.notify import Notifier
    from farmd.adapters.runner import Runner
    from farmd.adapters.zmq_transport import ZmqTransport
    from farmd.daemon.loglooking import LogLooking
    from farmd.daemon.storage import Storage

_LOG = logging.getLogger("farmd")


class RealHands:
    """`Hands` port of a daemon."""

    def __init__(  # noqa: PLR0913  # one argument for each adapter
        self,
        *,
        transport: ZmqTransport,
        door: ClientDoor,
        runner: Runner,
        storage: Storage,
        logs: LogLooking,
        recall: Callable[[ef.ReadNotes], None],
        notifier: Notifier,
    ) -> None:
        self._table: dict[type, Callable[[Any], object]] = {
            ef.Send: lambda effect: transport.send(effect.to, effect.message),
            ef.Link: lambda effect: transport.link(effect.node, effect.address, effect.public_key),
            ef.Unlink: lambda effect: transport.unlink(effect.node),
            ef.Trust: lambda effect: transport.trust(effect.keys),
            ef.TrustPeople: lambda effect: transport.trust_people(effect.people),
            ef.AnswerJoin: lambda effect: transport.answer_join(
                effect.door, JoinReply(effect.admitted, effect.reason, effect.members)
            ),
            ef.Reply: lambda effect: door.reply(effect.client, effect.data, effect.error),
            ef.StartAttempt: runner.start,
            ef.StopAttempt: runner.stop,
            ef.FindBlobs: storage.find,
            ef.ReadManifest: storage.read_manifest,
            ef.ReadPiece: storage.serve,
            ef.WritePiece: storage.write,
            ef.ReadPack: storage.serve_pack,
            ef.WritePack: storage.write_pack,
            ef.SettleBlobs: storage.settle,
            ef.VerifyBlob: storage.verify,
            ef.ListBlobs: storage.evicting.list,
            ef.EvictBlobs: storage.evicting.evict,
            ef.Tidy: storage.evicting.tidy,
            ef.RemoveCheckouts: storage.evicting.remove_checkouts,
            ef.Deliver: storage.deliver,
            ef.ReadLog: storage.read_log,
            ef.SeekLog: logs.seek,
            ef.LeaveLog: logs.leave,
            ef.ReadNotes: recall,
            ef.ReadBlob: storage.read_blob,
            ef.Notify: notifier.notify,
        }

    def perform(self, effect: ef.Effect) -> None:
        """Begin carrying out one effect."""
        try:
            self._table[type(effect)](effect)
        except Exception:  # noqa: BLE001  # one effect that fails must not take the others of its turn with it
            _LOG.exception("could not carry out %s", type(effect).__name__)
