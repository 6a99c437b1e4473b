"""Plain data out of msgpack, with limits before anything is built.

What `protocol.codec` turns into messages and `protocol.api` into requests and responses. Apart from the codec, because
that brings every message of the nodes with it, and a client that asks one question needs none of them.
"""

from __future__ import annotations

from typing import Any

import msgpack

from protocol.errors import PeerError

MAX_ITEMS = 200_000
"""Longest array, in elements."""


def unpack(data: bytes) -> Any:
    """Unpack msgpack with limits.

    Raises:
        PeerError: Not msgpack, or an array, map or string in it is too long.
    """
    most = min(MAX_ITEMS, len(data))  # msgpack allocates what a header claims before it sees the elements
    try:
        return msgpack.unpackb(data, raw=False, strict_map_key=False, max_array_len=most, max_map_len=most)
    except (ValueError, msgpack.UnpackException, RecursionError, TypeError, OverflowError) as error:
        raise PeerError(f"not msgpack: {error}") from error
