"""A network of our own for real daemons: one namespace for each node, one that routes between them, cut at will.

    n1 -- 10.213.1.2/30 -- router -- 10.213.2.2/30 -- n2

A node is cut off by two rules in the *router*, which then drops every packet from and to it without a word: to both
sides it looks like a cable that was pulled at a switch, not like a host that refuses. Connections that stood stand
still; after healing they go on or time out by themselves. Nothing is changed outside of the namespaces made here.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from contextlib import suppress
from typing import Self

import pytest

_numbers = itertools.count(1)


class Network:
    """A router and the nodes on it; to be used as `with`."""

    def __init__(self) -> None:
        self._title = f"farmd{os.getpid()}x{next(_numbers)}"
        self._spaces: list[str] = []
        self._hosts: dict[str, int] = {}
        self._cut: list[str] = []
        self._router = ""

    def __enter__(self) -> Self:
        if shutil.which("ip") is None:
            pytest.skip("needs the program ip (Debian package iproute2)")
        try:
            self._router = self._space("router")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"may not make network namespaces here: {error.stderr.strip()}")
        _ip("netns", "exec", self._router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        return self

    def __exit__(self, *_: object) -> None:
        for space in self._spaces:
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "del", space)

    def _space(self, name: str) -> str:
        space = f"{self._title}-{name}"
        _ip("netns", "add", space)
        self._spaces.append(space)
        _ip("-n", space, "link", "set", "lo", "up")
        return space

    def plug_in(self, name: str) -> str:
        """Connect a new host to the router and return its address."""
        number = len(self._hosts) + 1
        self._hosts[name] = number
        space, port = self._space(name), f"p{number}"
        _ip("-n", self._router, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space)
        for where, device, host in ((self._router, port, 1), (space, "eth0", 2)):
            _ip("-n", where, "addr", "add", f"10.213.{number}.{host}/30", "dev", device)
            _ip("-n", where, "link", "set", device, "up")
        _ip("-n", space, "route", "add", "default", "via", f"10.213.{number}.1")
        return self.address(name)

    def address(self, name: str) -> str:
        """Return the address of a host."""
        return f"10.213.{self._hosts[name]}.2"

    def prefix(self, name: str) -> tuple[str, ...]:
        """Return the words that run a command on a host."""
        return ("ip", "netns", "exec", f"{self._title}-{name}")

    def cut(self, name: str) -> None:
        """Drop all that goes to or comes from a host."""
        self._rule("add", name)
        self._cut.append(name)

    def heal(self) -> None:
        """Let everything through again."""
        for name in self._cut:
            self._rule("del", name)
        self._cut.clear()

    def _rule(self, verb: str, name: str) -> None:
        for direction in ("from", "to"):
            _ip("-n", self._router, "rule", verb, direction, self.address(name), "blackhole")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=20)
