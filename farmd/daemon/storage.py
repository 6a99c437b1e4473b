"""Everything that reads or writes files, off the event loop: blobs, manifests, checkouts, deliveries, logs.

Two small pools: one for what peers and clients wait for (pieces), one for what may take long (checkouts, deliveries,
MD5 of whole blobs), so that a large picture never stands in front of a piece. Every effect ends in exactly one event; one
that writes what came from others does so whatever goes wrong, for the core counts what waits for the disk.

Whoever uses a blob checks it: checkouts and deliveries while they copy, a manifest when it is read. What is missing or
not what it is called is set aside and told (`BlobLost`), so that the core takes its word back and fetches it again.

What was fetched is synced later and together (`settle`): a render needs it now, and a power cut in between only makes
the node fetch it again. Only who is about to say, for all to rely on, that it keeps a copy of a result waits for that.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from farmd.adapters.blobs import BlobsFailed, BlobStore, How, Wrote
from farmd.adapters.checkout import BlobMissing, Checkouts
from farmd.adapters.delivery import DeliveryRefused, deliver
from farmd.adapters.runner import Laid
from farmd.core.events import (
    BlobFinished,
    BlobLost,
    BlobRead,
    BlobsFound,
    BlobsSettled,
    BlobVerified,
    Delivered,
    LogRead,
    ManifestRead,
    PackWritten,
    PieceWritten,
)
from farmd.daemon.evicting import Evicting
from farmd.ingest.hashing import address_of_bytes
from farmd.ingest.manifest import decode_manifest
from protocol.errors import FarmError, FilesLost, PeerError, UserError
from protocol.messages import PackIs, PieceIs, PieceRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmd.adapters.joblog import JobLogs
    from farmd.core.effects import (
        Deliver,
        FindBlobs,
        ReadBlob,
        ReadLog,
        ReadManifest,
        ReadPack,
        ReadPiece,
        SettleBlobs,
        VerifyBlob,
        WritePack,
        WritePiece,
    )
    from farmd.core.events import Event
    from farmd.ingest.manifest import Manifest
    from protocol.ids import AttemptRef, BlobAddress, NodeId
    from protocol.jobspec import JobSpec
    from protocol.messages import Message


SETTLE_S = 2.0
"""Pause before fetched files are synced, and before that is tried again where the disk refused."""


class Storage:
    """The content store of this node and what is made from it."""

    def __init__(
        self,
        data_dir: Path,
        logs: JobLogs,
        *,
        post: Callable[[Event], None],
        send: Callable[[NodeId, Message], object],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.blobs = BlobStore(data_dir / "blobs", self._lost)
        self._bare = data_dir / "checkouts" / "none"
        self.checkouts = Checkouts(data_dir / "checkouts", self.blobs.use)
        self.evicting = Evicting(self.blobs, self.checkouts, post)
        self._logs = logs
        self._post = post
        self._send = send
        self._following: dict[BlobAddress, None] = {}
        self._settle_timer: asyncio.TimerHandle | None = None
        self._is_settling = False
        self._to_settle: list[AttemptRef] = []
        self._quick = ThreadPoolExecutor(2, "farmd-pieces")
        self._slow = ThreadPoolExecutor(2, "farmd-files")

    def close(self) -> None:
        """Wait for what is being written."""
        if self._settle_timer is not None:
            self._settle_timer.cancel()
        self.blobs.close()
        self._quick.shutdown(cancel_futures=True)
        self._slow.shutdown(cancel_futures=True)
        self.evicting.close()

    def _run(self, pool: ThreadPoolExecutor, work: Callable[[], Event | None], otherwise: Event | None = None) -> None:
        """Have work done by a pool. No future of asyncio: for each piece it would wake the event loop once more.

        Args:
            pool: Which.
            work: Returns what is posted.
            otherwise: Posted if it raises: what the disk does is no more than that, and what is a bug is raised as well.
        """
        pool.submit(self._work, work, otherwise)

    def _work(self, work: Callable[[], Event | None], otherwise: Event | None) -> None:
        try:
            event = work()
        except Exception as error:  # noqa: BLE001  # a bug, mostly: the event loop's handler tells of it
            event = otherwise
            if event is None or not isinstance(error, (BlobsFailed, OSError)):
                self._loop.call_soon_threadsafe(self._raise, error)
        if event is not None:
            self._loop.call_soon_threadsafe(self._post, event)

    @staticmethod
    def _raise(error: Exception) -> None:
        raise error

    # -- what the core asks for -----------------------------------------------------------------------------------

    def find(self, effect: FindBlobs) -> None:
        """Answer which blobs are not here."""
        self._run(self._quick, partial(self._find, effect))

    def _find(self, effect: FindBlobs) -> Event:
        try:
            return BlobsFound(effect.ask, self.blobs.missing(effect.blobs))
        except BlobsFailed:
            return BlobsFound(effect.ask, tuple((blob, ()) for blob in effect.blobs))

    def read_manifest(self, effect: ReadManifest) -> None:
        """Answer which blobs a manifest names."""
        self._run(self._quick, partial(self._read_manifest, effect.blob, quiet=effect.quiet))

    def _read_manifest(self, blob: BlobAddress, *, quiet: bool) -> Event:
        if quiet and self.blobs.path(blob) is None:
            return ManifestRead(blob, None, lost=True)
        try:
            manifest = self.manifest(blob)
        except FilesLost:
            return ManifestRead(blob, None, lost=True)
        except (FarmError, OSError):
            return ManifestRead(blob, None)
        return ManifestRead(blob, manifest.blobs)

    def manifest(self, blob: BlobAddress) -> Manifest:
        """Read a manifest from the store.

        Raises:
            PeerError: It is none.
            FilesLost: It is not here, or damaged.
        """
        path = self.blobs.path(blob)
        packed = path.read_bytes() if path is not None else b""
        if path is None or address_of_bytes(packed) != blob:
            self._look_again(blob)
            raise FilesLost("the list of the job's files is not here", str(blob), "it is fetched again")
        return decode_manifest(packed)

    def serve(self, effect: ReadPiece) -> None:
        """Send one piece to a node."""
        self._run(self._quick, partial(self._read_piece, effect))

    def _read_piece(self, effect: ReadPiece) -> None:
        piece = self.blobs.read_piece(effect.blob, effect.index)
        message: Message = PieceRefused(effect.blob, effect.index)
        if piece is not None:
            message = PieceIs(effect.blob, effect.index, *piece)
        elif effect.blob.size:
            self._lost(effect.blob)
        self._loop.call_soon_threadsafe(self._send, effect.to, message)

    def write(self, effect: WritePiece) -> None:
        """Verify and store one piece; the last one has the whole blob confirmed."""
        failed = PieceWritten(effect.blob, effect.index, effect.source, ok=False)
        self._run(self._quick, partial(self._write, effect), failed)

    def _write(self, effect: WritePiece) -> Event:
        wrote = self.blobs.write_piece(effect.blob, effect.index, effect.xxh64, effect.data)
        if wrote in (Wrote.LAST, Wrote.HELD):
            self._loop.call_soon_threadsafe(self._confirm_later, effect.blob)
        elif wrote is Wrote.STORED and effect.blob not in self._following:
            self._following[effect.blob] = None
            self._slow.submit(self._follow, effect.blob)
        corrupt = wrote is Wrote.CORRUPT
        return PieceWritten(effect.blob, effect.index, effect.source, ok=not corrupt, corrupt=corrupt)

    def _confirm_later(self, blob: BlobAddress) -> None:
        self._run(self._slow, partial(self._confirm, blob), BlobFinished(blob, ok=False))

    def _confirm(self, blob: BlobAddress) -> Event:
        ok = self.blobs.confirm(blob, durable=False)
        self._loop.call_soon_threadsafe(self._settle_later)
        return BlobFinished(blob, ok, corrupt=not ok)

    def _follow(self, blob: BlobAddress) -> None:
        """Hash beside the transfer."""
        try:
            self.blobs.follow(blob)
        finally:
            self._following.pop(blob, None)

    def serve_pack(self, effect: ReadPack) -> None:
        """Send small blobs to a node."""
        self._run(self._quick, partial(self._read_pack, effect))

    def _read_pack(self, effect: ReadPack) -> None:
        found, data = self.blobs.read_pack(effect.blobs)
        held = set(found)
        lacking = [blob for blob in effect.blobs if blob not in held]
        if lacking:
            self._lost(lacking[0])  # one has all jobs looked at; whoever believed an old word asks for thousands
        self._loop.call_soon_threadsafe(self._send, effect.to, PackIs(tuple(found), data, effect.most_bytes))

    def write_pack(self, effect: WritePack) -> None:
        """Verify and store small blobs."""
        self._run(self._quick, partial(self._write_pack, effect), PackWritten(effect.source, failed=effect.blobs))

    def _write_pack(self, effect: WritePack) -> Event:
        pack = self.blobs.write_pack(effect.blobs, effect.data)
        self._loop.call_soon_threadsafe(self._settle_later)
        return PackWritten(effect.source, tuple(pack.stored), tuple(pack.corrupt), tuple(pack.failed))

    def settle(self, effect: SettleBlobs) -> None:
        """Sync what is held."""
        self._to_settle.append(effect.ref)
        self._settle_now()

    def _settle_later(self) -> None:
        if self._settle_timer is None:
            self._settle_timer = self._loop.call_later(SETTLE_S, self._settle_now)

    def _settle_now(self) -> None:
        """Begin to sync; who asks while that runs waits for the next time, all together."""
        if self._settle_timer is not None:
            self._settle_timer.cancel()
            self._settle_timer = None
        if not self._is_settling:
            self._is_settling = True
            refs, self._to_settle = self._to_settle, []
            future = self._loop.run_in_executor(self._slow, self._settle)
            future.add_done_callback(partial(self._settled, refs))

    def _settle(self) -> bool:
        try:
            self.blobs.settle()
        except BlobsFailed:
            return False
        return True

    def _settled(self, refs: list[AttemptRef], future: asyncio.Future[bool]) -> None:
        self._is_settling = False
        if future.cancelled():
            return
        if not future.result():
            self._to_settle += refs
            self._settle_later()
            return
        for ref in refs:
            self._post(BlobsSettled(ref))
        if self._to_settle:
            self._settle_now()

    def verify(self, effect: VerifyBlob) -> None:
        """Hash a blob again."""
        self._run(self._slow, partial(self._verify, effect.blob))

    def _verify(self, blob: BlobAddress) -> Event:
        try:
            self.blobs.settle()  # who vouches for a copy must not lose it to a power cut
            return BlobVerified(blob, self.blobs.verify(blob))
        except BlobsFailed:
            return BlobVerified(blob, ok=False)

    def _look_again(self, blob: BlobAddress) -> None:
        """Something was wrong with a blob: tell of it if it is damaged (the store does that) or not here."""
        if self.blobs.path(blob) is None:
            self._lost(blob)
        else:
            self._verify(blob)

    def look(self) -> None:
        """Notice that somebody deleted the whole store under the running daemon: it begins anew, empty."""
        try:
            self.blobs.rest()
            in_place = self.blobs.is_in_place()
        except BlobsFailed:
            return  # the disk is bad: whoever uses the store says so
        if not in_place:
            self._post(BlobLost(None))

    def _lost(self, blob: BlobAddress) -> None:
        self._loop.call_soon_threadsafe(self._post, BlobLost(blob))

    def deliver(self, effect: Deliver) -> None:
        """Write outputs into the artist's folder."""
        self._run(self._slow, partial(self._deliver, effect))

    def _deliver(self, effect: Deliver) -> Event:
        looked_up: list[BlobAddress] = []

        def find(blob: BlobAddress) -> Path | None:
            looked_up.append(blob)
            return self.blobs.use(blob)

        try:
            report = deliver(Path(effect.folder), effect.outputs, find, existing=effect.existing, former=effect.former)
        except (FarmError, OSError) as error:
            if not isinstance(error, DeliveryRefused):
                for blob in looked_up[-1:]:  # the one that was being written
                    self._look_again(blob)
            return Delivered(effect.ref, str(error), lasting=isinstance(error, DeliveryRefused))
        return Delivered(effect.ref, remark=report.remark)

    def read_log(self, effect: ReadLog) -> None:
        """Read a part of an attempt's log."""
        self._run(self._quick, partial(self._read_log, effect))

    def _read_log(self, effect: ReadLog) -> Event:
        part = self._logs.read(effect.ref, effect.offset, effect.limit)
        if part is None:
            return LogRead(effect.ask, found=False, offset=0, size=0, data=b"")
        return LogRead(effect.ask, True, part.offset, part.size, part.data)

    def read_blob(self, effect: ReadBlob) -> None:
        """Read a small blob as a whole."""
        self._run(self._quick, partial(self._read_blob, effect))

    def _read_blob(self, effect: ReadBlob) -> Event:
        path = self.blobs.path(effect.blob)
        try:
            return BlobRead(effect.ask, None if path is None else path.read_bytes())
        except OSError:
            return BlobRead(effect.ask, None)

    # -- what the runner asks for ---------------------------------------------------------------------------------

    async def checkout(self, ref: AttemptRef, spec: JobSpec) -> Laid:
        """Lay the job's files out.

        Raises:
            UserError: They cannot be laid out.
        """
        if spec.manifest is None:
            if not self._bare.is_dir():
                self._bare.mkdir(parents=True, exist_ok=True)
            return Laid(self._bare)
        await self.evicting.settled(ref.job)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._slow, self._checkout, ref, spec.manifest)

    def _checkout(self, ref: AttemptRef, blob: BlobAddress) -> Laid:
        try:
            manifest = self.manifest(blob)
            return Laid(self.checkouts.build(ref.job, manifest).tree, manifest.root)
        except BlobMissing as error:
            self._look_again(error.blob)
            raise FilesLost("a file of the job is not here", str(error), "it is fetched again") from error
        except PeerError as error:
            raise UserError("the list of the job's files is unusable", str(error), "submit the job again") from error

    def take_in(self, path: Path) -> BlobAddress:
        """Take a finished output into the content store.

        Raises:
            FarmError: The disk is full or bad.
        """
        return self.blobs.adopt(path, How.MOVE)
