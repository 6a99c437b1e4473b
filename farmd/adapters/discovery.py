"""Finding other nodes of this farm on the local network, by mDNS: a convenience, never a necessity.

A node tells for as long as it runs that it is there, and looks around only while it starts: whoever starts later finds
those who tell. What is found is a rumour (anybody may tell anything on a network) and becomes a `PeerHeardOf`; CURVE
then proves the key. zeroconf is imported only when discovery is started (megabytes), and no network is no error.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from typing import TYPE_CHECKING

from farmd.core.events import PeerHeardOf

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from zeroconf import ServiceStateChange, Zeroconf
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

    from farmd.core.events import Event
    from protocol.ids import NodeId

_log = logging.getLogger(__name__)
SERVICE = "_farmd._tcp.local."
BROWSE_S = 15.0
ASK_MS = 2000
MAX_ADDRESS_CHARS = 100


class Discovery:
    """Tells and looks.

    Args:
        farm: Id of the farm: nodes of others are left alone.
        node: Own id, which is also the name of the service.
        public_key: Own CURVE key, raw.
        on_event: Takes each `PeerHeardOf`.
        interfaces: Addresses of the interfaces to use; None = all.
    """

    def __init__(
        self,
        farm: str,
        node: NodeId,
        public_key: bytes,
        on_event: Callable[[Event], None],
        *,
        interfaces: list[str] | None = None,
    ) -> None:
        self._farm = farm
        self._node = node
        self._public_key = public_key
        self._on_event = on_event
        self._interfaces = interfaces
        self._zeroconf: AsyncZeroconf | None = None
        self._browser: AsyncServiceBrowser | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, address: str) -> bool:
        """Tell that this node is reached at `address` (HOST:PORT), and look around; False if there is no network."""
        import zeroconf
        from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

        try:
            self._zeroconf = AsyncZeroconf(interfaces=self._interfaces or zeroconf.InterfaceChoice.All)
            await self._zeroconf.async_register_service(self._own_entry(address))
            self._browser = AsyncServiceBrowser(self._zeroconf.zeroconf, SERVICE, handlers=[self._heard])
        except (OSError, zeroconf.Error) as error:
            _log.warning("no discovery by mDNS: %s", error)
            await self.close()
            return False
        self._spawn(self._stop_looking())
        return True

    async def close(self) -> None:
        """Take the entry back and stop."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stop_browser()
        if self._zeroconf is not None:
            import zeroconf

            try:
                await self._zeroconf.async_unregister_all_services()
                await self._zeroconf.async_close()
            except (OSError, zeroconf.Error) as error:
                _log.info("mDNS could not say goodbye: %s", error)
            self._zeroconf = None

    def _own_entry(self, address: str) -> AsyncServiceInfo:
        from zeroconf.asyncio import AsyncServiceInfo

        host, _, port = address.rpartition(":")
        return AsyncServiceInfo(
            SERVICE,
            f"{self._node}.{SERVICE}",
            port=int(port),
            parsed_addresses=[_number_of(host)],
            properties={"farm": self._farm, "node": self._node, "key": self._public_key.hex(), "address": address},
            server=f"{self._node}.local.",
        )

    def _heard(self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change.name != "Removed" and not name.startswith(self._node):
            self._spawn(self._ask(zeroconf, service_type, name))

    async def _ask(self, zeroconf: Zeroconf, service_type: str, name: str) -> None:
        from zeroconf.asyncio import AsyncServiceInfo

        info = AsyncServiceInfo(service_type, name)
        try:
            found = await info.async_request(zeroconf, ASK_MS)
        except OSError as error:
            _log.info("mDNS: cannot ask for %s: %s", name, error)
            return
        heard = read_entry(info.properties, self._farm) if found else None
        if heard is not None and heard.public_key != self._public_key:
            self._on_event(heard)

    async def _stop_looking(self) -> None:
        await asyncio.sleep(BROWSE_S)
        await self._stop_browser()

    async def _stop_browser(self) -> None:
        browser, self._browser = self._browser, None
        if browser is not None:
            await browser.async_cancel()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def read_entry(properties: dict[bytes, bytes | None], farm: str) -> PeerHeardOf | None:
    """Read what a node tells of itself; None if it is of another farm, or nonsense."""
    try:
        theirs, address, key = ((properties.get(name) or b"").decode("ascii") for name in (b"farm", b"address", b"key"))
        public_key = bytes.fromhex(key)
    except ValueError:
        return None
    host, _, port = address.rpartition(":")
    if theirs != farm or len(public_key) != 32 or not host or not port.isdecimal() or len(address) > MAX_ADDRESS_CHARS:
        return None
    return PeerHeardOf(address, public_key)


def _number_of(host: str) -> str:
    """Return the host if it is an IP address: mDNS wants one, we read the `address` property."""
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return "127.0.0.1"
