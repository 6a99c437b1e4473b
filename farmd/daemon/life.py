"""One life of a daemon: the order in which things are opened, what runs beside the loop, and how it ends.

Order at start: the store (locked, so that a second daemon on it fails before anything is touched), the port, what a
former life left running is ended, the machine is measured, then the core speaks. READY is said only when the store is
open, the port bound and clients are served. At the end the core says goodbye, renders are ended, what it said is
committed, and only then things are closed.

This package is the only place where adapters and core meet.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from typing import TYPE_CHECKING

from farmd.adapters import hardware
from farmd.adapters.allocation import keep_freed_memory
from farmd.adapters.client_door import Caller, ClientDoor
from farmd.adapters.clock import BootClock, boot_id
from farmd.adapters.discovery import Discovery
from farmd.adapters.identity import waiting_token
from farmd.adapters.joblog import JobLogs, Keep, Seeker
from farmd.adapters.notify import Notifier
from farmd.adapters.runner import Runner, RunnerSettings, Tools
from farmd.adapters.service import ServiceManager
from farmd.adapters.store import SqliteStore
from farmd.adapters.thumbnails import Thumbnails
from farmd.adapters.zap import Zap
from farmd.adapters.zmq_transport import Keys, Verdict, ZmqTransport
from farmd.core.beat import next_beat
from farmd.core.effects import Note
from farmd.core.events import Measured, PeerHeardOf, Stopping
from farmd.core.life import Loaded, Self
from farmd.core.node import Node
from farmd.daemon.eventlog import recaller
from farmd.daemon.hands import RealHands
from farmd.daemon.joining import Joining
from farmd.daemon.judging import judged
from farmd.daemon.logkeeping import LogKeeping
from farmd.daemon.loglooking import LogLooking
from farmd.daemon.operations import Operations
from farmd.daemon.pictures import StoredThumbnails
from farmd.daemon.software import installed_version
from farmd.daemon.storage import Storage
from farmd.daemon.webdoor import web_child
from farmd.driver import Driver
from farmd.renderers import images
from farmd.renderers.errorlines import errors_of, level_of
from farmd.renderers.registry import find_renderers
from protocol.bodies import FarmBody, NodeBody
from protocol.codec import NEWEST_VERSION, OLDEST_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from farmd.adapters.identity import Identity
    from farmd.adapters.store import Loaded as Opened
    from farmd.core.events import Event
    from farmd.daemon.settings import RunSettings
    from protocol.bodies import RendererFact
    from protocol.ids import NodeId
    from protocol.messages import JoinReply

_LOG = logging.getLogger("farmd")
MEASURE_S = 2.0
JOIN_TIMEOUT_S = 2.0
GOODBYE_S = 12.0
ADDRESS_FILE = "address"
"""Where the node was reached last: invitations made while it is off still name it."""


class Daemon:
    """A running node; `run` returns when it was asked to stop."""

    def __init__(self, settings: RunSettings, identity: Identity) -> None:
        self._settings = settings
        self._identity = identity
        self._stopped = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._manager = ServiceManager()
        self._clock = BootClock()
        self._events: list[Event] = []
        self._driver: Driver | None = None
        self._core: Node | None = None
        self._store = SqliteStore(settings.data_dir, boot_id())
        self._zap = Zap()
        self._notifier = Notifier(self._post, installed_version())
        self._transport: ZmqTransport | None = None
        self._storage: Storage | None = None
        self._logs = JobLogs(settings.data_dir / "logs")
        self._discovery = Discovery(identity.farm.id, identity.node, identity.public_key, self._post)

    def stop(self) -> None:
        """Ask the daemon to end in good order."""
        self._stopped.set()

    def _post(self, event: Event) -> None:
        if self._driver is not None:
            self._driver.post(event)
        else:
            self._events.append(event)

    def _beside(self, what: str, work: Coroutine[None, None, None]) -> None:
        """Run something beside the loop; that it failed is told at once, not when somebody asks for its result."""
        task = asyncio.create_task(work)
        task.add_done_callback(lambda done: self._note_end(what, done))
        self._tasks.append(task)

    def _note_end(self, what: str, done: asyncio.Task[None]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is None:
            return
        _LOG.error("a bug of farmd ended %s", what, exc_info=error)
        if self._driver is not None:
            text = f"{what} ended: {error!r}"
            self._driver.remark(Note(self._clock.now().wall_ms, "bug", text[:400], self._identity.node))

    # -- the order of things --------------------------------------------------------------------------------------

    async def run(self, on_ready: Callable[[str], None]) -> None:
        """Live until `stop`.

        Args:
            on_ready: Told the address once clients are served.

        Raises:
            UserError: The port is taken, the store is newer or used by another daemon, …
        """
        keep_freed_memory()
        try:
            opened = await self._store.open()
            self._zap.start()
            self._transport = self._open_transport(int(opened.meta.get("epoch", 0)) + 1)
            address = self._transport.bind()
            (self._settings.data_dir / ADDRESS_FILE).write_text(address + "\n")
            await self._serve(address, opened, on_ready)
        finally:
            for task in self._tasks:
                task.cancel()
            if self._transport is not None:
                self._transport.close()
            await self._store.close()
            self._zap.close()

    def _open_transport(self, epoch: int) -> ZmqTransport:
        return ZmqTransport(
            self._zap.context,
            Keys(self._identity.public_key, self._identity.secret_key),
            self._settings.listen,
            self._post,
            farm=self._identity.farm.id,
            epoch=epoch,
            judge=self._judge,
            on_api=self._on_api,
            on_person=self._on_person,
            on_trust=self._zap.trust,
            on_lanes=self._zap.admit_to_lanes,
        )

    async def _serve(self, address: str, opened: Opened, on_ready: Callable[[str], None]) -> None:
        transport = self._transport
        assert transport is not None
        storage = Storage(self._settings.data_dir, self._logs, post=self._post, send=transport.send)
        self._storage = storage
        registry = find_renderers(inspect=images.inspect, cache=self._settings.data_dir / "renderers.json")
        drawer = Thumbnails()
        thumbnails = StoredThumbnails(drawer, storage.blobs)
        tools = Tools(storage.checkout, storage.take_in, registry, self._logs.path, thumbnails)
        runner = Runner(RunnerSettings(self._settings.data_dir, self._name()), tools, self._post)
        ended = await runner.reap_leftovers()
        facts = await asyncio.to_thread(registry.probe)
        body = self._body(address, facts)
        node = self._core = self._node(opened, body)
        node.thumbnails.fault = drawer.fault
        operations = Operations(storage.blobs, self._store, node, node.condition.disk_fault)
        handlers, check = operations.handlers, node.door.permissions.check
        door = ClientDoor(self._zap.context, self._settings.data_dir, self._post, handlers, check=check)
        self._door = door
        recall = recaller(self._store, self._post)
        self._looking = LogLooking(Seeker(self._logs, errors_of, level_of), self._post)
        hands = RealHands(
            transport=transport,
            door=door,
            runner=runner,
            storage=storage,
            logs=self._looking,
            recall=recall,
            notifier=self._notifier,
        )
        self._driver = Driver(node, clock=self._clock, store=self._store, hands=hands, on_bug=self._on_bug)
        transport.trust([body.public_key for body in node.registry.keys.values()])
        transport.start()
        door.start(address)
        self._driver.start()
        for note in opened.notes:
            self._driver.remark(note)
        if drawer.fault:
            text = f"no thumbnails are made here: {drawer.fault}"
            self._driver.remark(Note(self._clock.now().wall_ms, "thumbnails", text, self._identity.node))
        for mark in ended:
            text = f"{mark} was still running from a former life; it was ended"
            self._driver.remark(Note(self._clock.now().wall_ms, "leftover", text, self._identity.node))
        self._keep_logs(runner, node)
        for event in self._events:
            self._driver.post(event)
        try:
            await self._live(node, address, on_ready)
        finally:
            await self._end(runner, door, storage)

    def _keep_logs(self, runner: Runner, node: Node) -> None:
        assert self._driver is not None
        keep = Keep(self._settings.logs_age_s, self._settings.logs_quota_bytes)
        keeping = LogKeeping(keep, self._logs, runner, node, self._driver.remark)
        self._beside("what keeps the logs in bounds", keeping.run())

    async def _live(self, node: Node, address: str, on_ready: Callable[[str], None]) -> None:
        self._measure()
        self._hear_of_seeds(node)
        self._beside("the pulse", self._measure_for_ever(node))
        if not node.registry.is_admitted(node.id):
            self._beside("asking to be admitted", self._join(node))
        if self._settings.mdns:
            self._beside("discovery", self._discover(address))
        self._manager.ready(self._status(node))
        on_ready(address)
        async with web_child(self._settings, lambda fault: self._on_door_fault(node, fault)):
            await self._stopped.wait()

    def _on_door_fault(self, node: Node, fault: str) -> None:
        node.condition.door_fault = fault
        if fault and self._driver is not None:
            self._driver.remark(Note(self._clock.now().wall_ms, "http", f"HTTP is not served: {fault}"[:400], node.id))

    async def _end(self, runner: Runner, door: ClientDoor, storage: Storage) -> None:
        assert self._driver is not None
        self._manager.stopping()
        self._driver.post(Stopping())
        try:
            async with asyncio.timeout(GOODBYE_S):
                await self._driver.settle()
                await runner.close()
                await self._driver.settle()
                await self._discovery.close()
        except TimeoutError:
            _LOG.warning("the end took longer than %g s; what is left is ended hard", GOODBYE_S)
        self._driver.close()
        door.close()
        await self._notifier.close()
        self._looking.close()
        storage.close()

    # -- what the core is told ------------------------------------------------------------------------------------

    def _name(self) -> str:
        return self._settings.name or socket.gethostname().partition(".")[0]

    def _body(self, address: str, facts: tuple[RendererFact, ...]) -> NodeBody:
        offer = hardware.offer(self._settings.advertise)
        return NodeBody(
            name=self._name(),
            address=address,
            epoch=0,
            cores=offer.cores,
            ram_bytes=offer.ram_bytes,
            gpus=offer.gpus,
            slots=self._settings.slots,
            renderers=facts,
            software=installed_version(),
            oldest_version=OLDEST_VERSION,
            newest_version=NEWEST_VERSION,
        )

    def _node(self, opened: Opened, body: NodeBody) -> Node:
        farm = self._identity.farm
        founds = None if waiting_token(self._settings.data_dir) else FarmBody(farm.name, farm.verify_key)
        founder = (self._settings.data_dir / "farm.key").exists()
        meta = dict(opened.salvaged) | dict(opened.meta)
        if opened.salvaged:
            meta.pop("origin", None)
        return Node(
            Self(
                self._identity.public_key,
                body,
                founds if founder else None,
                self._settings.transfer_limit_bytes_s,
                self._settings.store_quota_bytes,
                self._settings.archive_after_s,
            ),
            Loaded(tuple(opened.rows), opened.vector, meta, opened.power_cut),
            random.Random(),
            self._clock.now(),
        )

    def _measure(self) -> None:
        if self._storage is not None:
            self._storage.look()
        seen = hardware.measure(self._settings.data_dir)
        held = self._storage.blobs.held.size_bytes if self._storage is not None else 0
        self._post(Measured(seen.free_ram_bytes, seen.free_disk_bytes, seen.load, held, seen.disk_bytes))

    async def _measure_for_ever(self, node: Node) -> None:
        """The daemon's pulse: measures the machine, feeds the watchdog from the loop itself."""
        while True:
            now = self._clock.now().mono
            await asyncio.sleep(next_beat(now, MEASURE_S) - now)
            self._measure()
            self._manager.alive()
            self._manager.status(self._status(node))

    def _status(self, node: Node) -> str:
        if node.links.join_fault and not node.registry.is_admitted(node.id):
            return f"not a member yet · {node.links.join_fault}"
        leader = node.election.leader
        who = node.registry.name_of(leader) if leader is not None else "none"
        return (
            f"leader {who} · term {node.election.term} · {len(node.membership.alive())} nodes · {len(node.jobs)} jobs"
        )

    # -- finding and joining --------------------------------------------------------------------------------------

    def _judge(self, token: bytes) -> Verdict:
        known = self._core.registry.signing_keys() if self._core is not None else []
        return Verdict(*judged(self._identity.farm, token, self._clock.now().wall_ms, known))

    def _hear_of_seeds(self, node: Node) -> None:
        """Members named on the command line: by the key that their address had, where it is known."""
        for address in self._settings.join:
            for known, body in node.registry.bodies.items():
                key = node.registry.keys.get(known)
                if key is not None and body.address == address:
                    self._post(PeerHeardOf(address, key.public_key))

    async def _ask_to_join(self, seeds: Sequence[tuple[str, bytes]], token: bytes) -> JoinReply:
        assert self._transport is not None
        return await self._transport.join(seeds, token, name=self._name(), timeout_s=JOIN_TIMEOUT_S)

    async def _join(self, node: Node) -> None:
        """Ask to be admitted until a member does, and our own key comes back with the farm's records."""

        def say(fault: str) -> None:
            assert self._driver is not None
            node.links.join_fault = fault
            self._driver.remark(Note(self._clock.now().wall_ms, "not-admitted", fault, node.id))

        await Joining(
            self._settings.data_dir,
            self._settings.join,
            self._ask_to_join,
            is_admitted=lambda: node.registry.is_admitted(node.id),
            on_event=self._post,
            say=say,
        ).run()

    async def _discover(self, address: str) -> None:
        host = address.rpartition(":")[0]
        if host in ("127.0.0.1", "localhost", "[::1]"):
            return
        await self._discovery.start(address)

    # -- clients of other nodes, bugs -----------------------------------------------------------------------------

    def _on_api(self, node: NodeId, data: bytes, answer: Callable[[bytes], bool]) -> None:
        caller = Caller(f"node {node}", same_user=False, connection=node.encode(), vouches=True)
        self._door.receive(data, caller, answer)

    def _on_person(self, name: str, data: bytes, answer: Callable[[bytes], bool]) -> None:
        caller = Caller(name, same_user=False, connection=name.encode(), user=name, proof="key")
        self._door.receive(data, caller, answer)

    def _on_bug(self, event: Event, error: Exception) -> None:
        _LOG.error("a bug of farmd met %s", type(event).__name__, exc_info=error)
        if self._driver is not None:
            text = f"{type(event).__name__}: {error!r}"
            self._driver.remark(Note(self._clock.now().wall_ms, "bug", text[:400], self._identity.node))
