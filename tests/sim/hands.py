"""Carries out a simulated node's effects: links, renders, blobs, deliveries. No file, no process, no real time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgpack

from farmd.core.effects import (
    AnswerJoin,
    Deliver,
    EvictBlobs,
    FindBlobs,
    LeaveLog,
    Link,
    ListBlobs,
    Notify,
    ReadBlob,
    ReadLog,
    ReadManifest,
    ReadNotes,
    ReadPack,
    ReadPiece,
    RemoveCheckouts,
    Reply,
    SeekLog,
    Send,
    SettleBlobs,
    StartAttempt,
    StopAttempt,
    Tidy,
    Trust,
    TrustPeople,
    Unlink,
    VerifyBlob,
    WritePack,
    WritePiece,
)
from farmd.core.events import (
    AttemptEnded,
    AttemptProgressed,
    BlobFinished,
    BlobLost,
    BlobRead,
    BlobsFound,
    BlobsSettled,
    BlobVerified,
    Delivered,
    LogFound,
    LogRead,
    ManifestRead,
    NotesRead,
    Notified,
    PackWritten,
    PieceWritten,
)
from farmd.core.incoming import piece_size
from protocol.bodies import OutputFact
from protocol.ids import AttemptRef, BlobAddress, NodeId, node_id_of
from protocol.messages import PackIs, PieceIs, PieceRefused
from protocol.states import FailureClass
from tests.sim.blobs import address_of, flipped, weighed

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.core.effects import Effect
    from farmd.core.events import Event
    from protocol.messages import Message
    from tests.sim.blobs import Blobs
    from tests.sim.simlogs import SimLogs

PIECE_S = 0.05
"""Until a piece of a large file is on its way: so that a transfer takes long enough for something to happen."""


@dataclass(slots=True)
class Process:
    """A simulated render."""

    effect: StartAttempt
    ends_at: float
    end: asyncio.TimerHandle
    beat: asyncio.TimerHandle | None = None


class SimHands:
    """`Hands` port of one simulated node."""

    def __init__(self, node: NodeId, world: Any, post: Callable[[Event], None], blobs: Blobs) -> None:
        self.node = node
        self._world = world
        self._post = post
        self.blobs = blobs
        self.processes: dict[AttemptRef, Process] = {}
        self.logs: SimLogs = world.by_id[node].logs
        self.links: dict[NodeId, None] = {}
        self.trusted: dict[NodeId, None] = {}
        self.stash: list[Effect] | None = None
        self._is_over = False

    def perform(self, effect: Effect) -> None:
        """Carry out one effect; while the machine is paused, keep it for later."""
        if self.stash is not None:
            self.stash.append(effect)
            return
        match effect:
            case Send():
                if effect.to in self.links:
                    self._world.on_send(self.node, effect)
            case Link() | Unlink() | Trust() | TrustPeople():
                self._connect(effect)
            case Reply():
                self._world.on_reply(self.node, effect)
            case AnswerJoin():
                self._world.on_join_answer(self.node, effect)
            case StartAttempt():
                self._start(effect)
            case StopAttempt():
                self._stop(effect)
            case Notify():
                error, delay_s = self._world.on_notice(self.node, effect)
                asyncio.get_running_loop().call_later(delay_s, self._notified, effect.ask, error)
            case _:
                self._perform_storage(effect)

    def _connect(self, effect: Link | Unlink | Trust | TrustPeople) -> None:
        match effect:
            case TrustPeople():
                pass  # people ask at the door itself here
            case Link():
                self.links[effect.node] = None
            case Unlink():
                self.links.pop(effect.node, None)
            case Trust():
                self.trusted = {node_id_of(key): None for key in effect.keys}

    def _perform_storage(self, effect: Effect) -> None:
        match effect:
            case FindBlobs():
                self._later(BlobsFound(effect.ask, self.blobs.missing(effect.blobs)))
            case ReadManifest():
                files = self._files_of(effect.blob) if not effect.quiet or effect.blob in self.blobs.held else None
                self._later(ManifestRead(effect.blob, files, lost=files is None))
            case ReadPiece() | WritePiece() | ReadPack() | WritePack():
                self._transfer(effect)
            case SettleBlobs():
                asyncio.get_running_loop().call_later(0.02, self._settle, effect)
            case ListBlobs() | EvictBlobs() | Tidy() | RemoveCheckouts():
                self._world.by_id[self.node].ageing.perform(effect, self._later)
            case VerifyBlob():
                self.blobs.unsettled.pop(effect.blob, None)  # who hashes for others syncs first
                self._later(BlobVerified(effect.blob, self._is_sound(effect.blob)))
            case Deliver():
                self._deliver(effect)
            case ReadBlob():
                self._later(BlobRead(effect.ask, self.blobs.held.get(effect.blob)))
            case ReadLog() | SeekLog() | LeaveLog() | ReadNotes():
                self._look_into_log(effect)
            case _:
                raise AssertionError(f"unexpected effect {effect}")

    def _look_into_log(self, effect: ReadLog | SeekLog | LeaveLog | ReadNotes) -> None:
        match effect:
            case ReadNotes():
                notes = self._world.by_id[self.node].disk.notes
                found = [note for note in notes if note.key and note.at_ms >= effect.since_ms]
                self._later(NotesRead(effect.ask, tuple(found[-effect.limit :])))
            case ReadLog():
                part = self.logs.read(effect.ref, effect.offset, effect.limit)
                self._later(LogRead(effect.ask, part is not None, *(part or (0, 0, b""))))
            case SeekLog():
                self._later(LogFound(effect.ask, self.logs.seek(effect.ref, effect.query)))
            case LeaveLog():
                self.logs.left.append(effect.ask)

    def _transfer(self, effect: ReadPiece | WritePiece | ReadPack | WritePack) -> None:
        match effect:
            case ReadPiece():
                self._serve(effect)
            case WritePiece():
                self._write(effect)
            case ReadPack():
                self._serve_pack(effect)
            case WritePack():
                self._write_pack(effect)

    def _later(self, event: Event, delay_s: float = 0.0005) -> None:
        asyncio.get_running_loop().call_later(delay_s, self._post, event)

    def _files_of(self, blob: BlobAddress) -> tuple[BlobAddress, ...] | None:
        if not self._is_sound(blob):
            return None
        return tuple(BlobAddress(*entry) for entry in msgpack.unpackb(self.blobs.held[blob]))

    def _is_sound(self, blob: BlobAddress) -> bool:
        """Who uses a blob looks at it; what is missing or damaged is told."""
        content = self.blobs.held.get(blob)
        if content is not None and address_of(content) == blob:
            return True
        self.blobs.set_aside(blob)
        self._later(BlobLost(blob))
        return False

    def _serve(self, effect: ReadPiece) -> None:
        piece = self.blobs.read_piece(effect.blob, effect.index)
        if piece is None:
            self.perform(Send(effect.to, PieceRefused(effect.blob, effect.index)))
            self._later(BlobLost(effect.blob))
            return
        piece = self._world.on_piece_read(self.node, piece)
        data = self._world.on_piece_served(self.node, piece)
        size = piece_size(effect.blob, effect.index) + len(data) - len(piece)
        message = PieceIs(effect.blob, effect.index, address_of(piece).xxh64, weighed(data, size))
        asyncio.get_running_loop().call_later(PIECE_S, self._send_later, effect.to, message)

    def _send_later(self, to: NodeId, message: Message) -> None:
        if not self._is_over:
            self.perform(Send(to, message))

    def _serve_pack(self, effect: ReadPack) -> None:
        held = [blob for blob in effect.blobs if blob in self.blobs.held]
        for blob in effect.blobs:
            if blob not in held:
                self._later(BlobLost(blob))
        contents = [self._world.on_piece_read(self.node, self.blobs.held[blob]) for blob in held]
        data = b"".join(contents)
        if data and self._world.on_piece_served(self.node, data) != data:
            data = data + b"?" if self._world.rng.random() < 0.3 else flipped(data)
        self.perform(Send(effect.to, PackIs(tuple(held), data, effect.most_bytes)))

    def _write(self, effect: WritePiece) -> None:
        if address_of(effect.data).xxh64 != effect.xxh64:
            self._later(PieceWritten(effect.blob, effect.index, effect.source, False, True))
            return
        whole = self.blobs.write_piece(effect.blob, effect.index, bytes(effect.data))
        self._later(PieceWritten(effect.blob, effect.index, effect.source, True))
        if whole is not None:
            asyncio.get_running_loop().call_later(2.0, self._settle)
            self._later(BlobFinished(effect.blob, whole, not whole), 0.001)

    def _write_pack(self, effect: WritePack) -> None:
        ok: list[BlobAddress] = []
        at = 0
        for blob in effect.blobs:
            content = effect.data[at : at + blob.size]
            at += blob.size
            if address_of(content) == blob:
                ok.append(self.blobs.take(content))
        corrupt = tuple(blob for blob in effect.blobs if blob not in ok)
        asyncio.get_running_loop().call_later(2.0, self._settle)
        self._later(PackWritten(effect.source, tuple(ok), corrupt))

    def _settle(self, effect: SettleBlobs | None = None) -> None:
        if self._is_over:
            return
        self.blobs.unsettled.clear()
        if effect is not None:
            self._post(BlobsSettled(effect.ref))

    def _deliver(self, effect: Deliver) -> None:
        lacking = [output for output in effect.outputs if not self._is_sound(output.blob)]
        if lacking:
            self._later(Delivered(effect.ref, "an output is not in the store"))
            return
        for output in effect.outputs:
            self._world.on_delivered(effect.folder, output, self.blobs.held[output.blob])
        self._later(Delivered(effect.ref))

    def _start(self, effect: StartAttempt) -> None:
        self._world.on_start(self.node, effect)
        plan = self._plan(effect)
        loop = asyncio.get_running_loop()
        end = loop.call_later(plan.seconds, self._end, effect.ref, plan.cause, plan.text, plan.peak_ram_bytes)
        process = Process(effect, loop.time() + plan.seconds, end)
        self.processes[effect.ref] = process
        if plan.seconds > 2:
            process.beat = loop.call_later(1.0, self._beat, effect.ref, plan.seconds)

    def _plan(self, effect: StartAttempt) -> Any:
        """How this render will go; a checkout that lacks a file ends at once."""
        manifest = effect.spec.manifest
        files = (manifest, *(self._files_of(manifest) or ())) if manifest is not None else ()
        if not [blob for blob in files if not self._is_sound(blob)]:  # each is looked at, and told if it is bad
            self._world.watch.on_checkout(self.node, files)
            self._world.by_id[self.node].ageing.touch(files)
            return self._world.render_plan(self.node, effect)
        return self._world.missing_asset_plan()

    def _beat(self, ref: AttemptRef, seconds: float) -> None:
        process = self.processes.get(ref)
        if process is None:
            return
        loop = asyncio.get_running_loop()
        self.logs.print(ref, f"at {loop.time():.0f} s")
        self._post(AttemptProgressed(ref, max(0.0, 1.0 - (process.ends_at - loop.time()) / seconds)))
        process.beat = loop.call_later(1.0, self._beat, ref, seconds)

    def _end(self, ref: AttemptRef, cause: int, text: str, peak: int) -> None:
        process = self.processes.pop(ref)
        if process.beat is not None:
            process.beat.cancel()
        self.logs.print(ref, f"ended: {text}" if text else "ended")
        outputs: tuple[OutputFact, ...] = ()
        if cause == 0 and process.effect.spec.output_name is not None:
            outputs = tuple(self._output_of(ref, frame) for frame in process.effect.frames)
        self._post(AttemptEnded(ref, cause, 0 if cause == 0 else 1, peak, outputs, text, text))

    def _output_of(self, ref: AttemptRef, frame: int) -> OutputFact:
        """Every attempt paints other bytes, so that mixing two attempts is seen."""
        blob = self.blobs.add(f"{ref} frame {frame} by {self.node}".encode())
        self.blobs.painted[blob] = None
        return OutputFact(f"f.{frame:04d}.png", blob)

    def _stop(self, effect: StopAttempt) -> None:
        process = self.processes.get(effect.ref)
        if process is None:
            return
        process.end.cancel()
        delay = self._world.stop_delay(effect.grace_s)
        process.end = asyncio.get_running_loop().call_later(
            delay, self._end, effect.ref, effect.cause or FailureClass.CANCELLED, effect.text, 0
        )

    def _notified(self, ask: int, error: str) -> None:
        if not self._is_over:
            self._post(Notified(ask, error))

    def crash(self) -> None:
        """All processes of the machine end; nobody hears of it."""
        self.blobs.crash(self._world.rng)
        self._is_over = True
        for process in self.processes.values():
            process.end.cancel()
            if process.beat is not None:
                process.beat.cancel()
        self.processes.clear()
