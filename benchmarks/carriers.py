"""Programs that bring the files of one folder to another place: the farm, rsync, syncthing, libtorrent.

Each gets the same files, freshly made for the round, prepares as long as it likes (hashing at the source, connecting:
none of that is timed), and is timed from the word *go* until everything stands at the destination, verified as that program
does: syncthing encrypted, each block with SHA-256; libtorrent each with SHA-1 or SHA-256; rsync in the clear, with a
checksum of its own; the farm encrypted and authenticated, each piece with xxHash64, and then the whole by MD5, which no
other does, and which cannot be done faster than 0.6 GB/s. It is done when that has confirmed every blob; the moment at
which all pieces stood verified, as with the others, is told as well, as `farm_verified`.

Neither the farm (it does so seconds later) nor rsync nor libtorrent waits until files are synced to disk; syncthing, as it
is installed (the option `disableFsync` of a folder is false), does sync each file and its folder, and its time for many small
files contains that. A program that is not installed is left out with a word.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self
from xml.etree import ElementTree as ET

from benchmarks.carrying import PATIENCE_S, Carrier, Cleanup, end, files_of, until_there
from benchmarks.farm_carrier import FarmCarrier
from benchmarks.harness import free_ports, pause, say, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Rsync(Cleanup):
    """Rsync from its daemon, whole files, uncompressed, unencrypted."""

    def __init__(self, scratch: Path) -> None:
        super().__init__()
        self._scratch = scratch
        self._port = free_ports(1)[0]

    def __enter__(self) -> Self:
        """Start the daemon."""
        self._scratch.mkdir()
        config = self._scratch / "rsyncd.conf"
        parent = self._scratch.parent
        config.write_text(f"use chroot = no\nuid = {os.getuid()}\ngid = {os.getgid()}\n[all]\npath = {parent}\n")
        words = ("--daemon", "--no-detach", f"--port={self._port}", "--address=127.0.0.1", f"--config={config}")
        self.run("rsync", *words, log=self._scratch / "log")
        until("rsync serves", lambda: self._rsync("rsync://127.0.0.1") == 0, 20)
        return self

    def _rsync(self, *words: str) -> int:
        argv = ["rsync", f"--port={self._port}", *words]
        return subprocess.run(argv, check=False, capture_output=True).returncode

    def carry(self, source: Path, target: Path) -> float:
        """Time one rsync process."""
        began = time.perf_counter()
        code = self._rsync("-rW", f"rsync://127.0.0.1/all/{source.name}/", str(target))
        took = time.perf_counter() - began
        assert code == 0, f"rsync: exit code {code}"
        return took


LIBTORRENT_SEED: Final = """
import sys, time
import libtorrent as lt

source, torrent, port = sys.argv[1:]
name = source.rsplit("/", 1)[1]
files = lt.list_files(source)
made = lt.create_torrent(files)
lt.set_piece_hashes(made, source.rsplit("/", 1)[0])
with open(torrent + ".new", "wb") as file:
    file.write(lt.bencode(made.generate()))
__SESSION__
handle = session.add_torrent({"ti": lt.torrent_info(torrent + ".new"), "save_path": source.rsplit("/", 1)[0],
                              "flags": lt.torrent_flags.seed_mode})
while not handle.status().is_seeding:
    time.sleep(0.01)
import os
os.rename(torrent + ".new", torrent)
time.sleep(1e6)
"""
LIBTORRENT_FETCH: Final = """
import sys, time
import libtorrent as lt

torrent, target, port, peer = sys.argv[1:]
info = lt.torrent_info(torrent)
__SESSION__
began = time.perf_counter()
handle = session.add_torrent({"ti": info, "save_path": target})
handle.connect_peer(("127.0.0.1", int(peer)))
while not handle.status().is_seeding:
    time.sleep(0.005)
print(time.perf_counter() - began)
"""
LIBTORRENT_SESSION: Final = """
session = lt.session({
    "listen_interfaces": "127.0.0.1:" + port, "enable_dht": False, "enable_lsd": False, "enable_upnp": False,
    "enable_natpmp": False, "allow_multiple_connections_per_ip": True, "enable_outgoing_utp": False,
    "enable_incoming_utp": False, "send_buffer_watermark": 8 << 20, "max_out_request_queue": 1500,
    "hashing_threads": 2, "aio_threads": 4, "alert_mask": 0,
})
"""


class Libtorrent(Cleanup):
    """Two libtorrent sessions, in processes of their own, unencrypted; timed from adding the torrent on."""

    def __init__(self, scratch: Path, python: Path) -> None:
        super().__init__()
        self._scratch = scratch
        self._python = str(python)

    def __enter__(self) -> Self:
        """Nothing runs between two rounds."""
        self._scratch.mkdir()
        return self

    def carry(self, source: Path, target: Path) -> float:
        """Hash and seed, then time the fetch."""
        torrent = self._scratch / f"{source.name}.torrent"
        ports = [str(port) for port in free_ports(2)]
        seed, fetch = (text.replace("__SESSION__", LIBTORRENT_SESSION) for text in (LIBTORRENT_SEED, LIBTORRENT_FETCH))
        log = self._scratch / "log"
        seeder = self.run(self._python, "-c", seed, str(source), str(torrent), ports[0], log=log)
        try:
            until("libtorrent seeds", torrent.exists, PATIENCE_S)
            argv = [self._python, "-c", fetch, str(torrent), str(target), ports[1], ports[0]]
            done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=PATIENCE_S)
            return float(done.stdout)
        finally:
            end(seeder)


class Syncthing(Cleanup):
    """Two instances, connected; the second one's folder is paused until *go*, when the first has hashed everything."""

    FOLDER: Final = "bench"

    def __init__(self, scratch: Path) -> None:
        super().__init__()
        self._scratch = scratch
        self._homes = [scratch / "a", scratch / "b"]
        ports = free_ports(4)
        self._gui, self._listen = ports[:2], ports[2:]
        self._keys: list[str] = []
        self._ids: list[str] = []

    def __enter__(self) -> Self:
        """Make two homes, start both, and let them know each other."""
        self._scratch.mkdir()
        for home, gui, listen in zip(self._homes, self._gui, self._listen, strict=True):
            argv = ["syncthing", "generate", f"--home={home}", "--no-default-folder", "--skip-port-probing"]
            subprocess.run(argv, check=True, capture_output=True)
            self._configure(home / "config.xml", gui, listen)
        for home in self._homes:
            words = ("serve", f"--home={home}", "--no-browser", "--no-restart", "--no-upgrade")
            self.run("syncthing", *words, log=self._scratch / "log")
        for at in (0, 1):
            until("syncthing serves", lambda at=at: self._serves(at), 60)  # type: ignore[misc]
        for at in (0, 1):
            other = 1 - at
            address = [f"tcp://127.0.0.1:{self._listen[other]}"]
            self._ask(at, "POST", "config/devices", {"deviceID": self._ids[other], "addresses": address})
        until("syncthing is connected", self._is_connected, 60)
        return self

    def _configure(self, path: Path, gui: int, listen: int) -> None:
        tree = ET.parse(path)  # written by syncthing just now
        root = tree.getroot()
        wanted = {"listenAddress": f"tcp://127.0.0.1:{listen}", "urAccepted": "-1", "setLowPriority": "false"}
        wanted |= dict.fromkeys(
            ("globalAnnounceEnabled", "localAnnounceEnabled", "relaysEnabled", "natEnabled"), "false"
        )
        wanted |= {"crashReportingEnabled": "false", "startBrowser": "false", "reconnectionIntervalS": "1"}
        options = root.find("options")
        assert options is not None
        for name, value in wanted.items():
            element = options.find(name)
            element = ET.SubElement(options, name) if element is None else element
            element.text = value
        address, key, device = root.find("gui/address"), root.find("gui/apikey"), root.find("device")
        assert address is not None
        assert key is not None
        assert device is not None
        address.text = f"127.0.0.1:{gui}"
        self._keys.append(str(key.text))
        self._ids.append(str(device.get("id")))
        tree.write(path)

    def _serves(self, at: int) -> bool:
        with suppress(OSError):
            return bool(self._ask(at, "GET", "system/ping"))
        return False

    def _is_connected(self) -> bool:
        return any(bool(one["connected"]) for one in self._ask(0, "GET", "system/connections")["connections"].values())

    def _ask(self, at: int, method: str, path: str, body: Any = None) -> Any:
        url = f"http://127.0.0.1:{self._gui[at]}/rest/{path}"
        data = None if body is None else json.dumps(body).encode()
        headers = {"X-API-Key": self._keys[at], "Content-Type": "application/json"}
        request = urllib.request.Request(url, data, headers, method=method)  # our own loopback
        with urllib.request.urlopen(request, timeout=30) as answer:
            said = answer.read()
        return json.loads(said) if said.strip() else None

    def carry(self, source: Path, target: Path) -> float:
        """Share a folder, wait until the source has hashed it and both agree, then let the other one pull."""
        for at, folder in enumerate((source, target)):
            body = {
                "id": source.name,
                "path": str(folder),
                "type": ("sendonly", "receiveonly")[at],
                "devices": [{"deviceID": one} for one in self._ids],
                "rescanIntervalS": 86400,
                "fsWatcherEnabled": False,
                "paused": at == 1,
            }
            self._ask(at, "POST", "config/folders", body)
        total = sum(path.stat().st_size for path in files_of(source))
        where = f"db/status?folder={source.name}"

        def status(at: int) -> dict[str, Any]:
            return dict(self._ask(at, "GET", where))

        until("syncthing has hashed", lambda: _is_idle(status(0), "localBytes", total), PATIENCE_S)
        pause(2)
        began = time.perf_counter()
        self._ask(1, "PATCH", f"config/folders/{source.name}", {"paused": False})
        sizes = {path.name: path.stat().st_size for path in files_of(source)}
        until_there(lambda: _stand(target, sizes))
        took = time.perf_counter() - began
        for at in (0, 1):
            self._ask(at, "DELETE", f"config/folders/{source.name}")
        return took


def _is_idle(status: dict[str, Any], field: str, total: int) -> bool:
    return status.get("state") == "idle" and int(status.get(field, 0)) >= total


def _stand(folder: Path, sizes: dict[str, int]) -> bool:
    """Files get their names when they are complete."""
    with os.scandir(folder) as entries:
        found = [entry.name for entry in entries if entry.name in sizes]
    return len(found) == len(sizes)


def known(scratch: Path, python: Path | None) -> Iterator[tuple[str, Carrier]]:
    """Yield the farm, and each peer that is installed."""
    yield "farm", FarmCarrier()
    for name, kind in (("rsync", Rsync), ("syncthing", Syncthing)):
        if shutil.which(name) is None:
            say(f"without {name}: it is not installed")
        else:
            yield name, kind(scratch / name)
    if python is not None:
        yield "libtorrent", Libtorrent(scratch / "libtorrent", python)
