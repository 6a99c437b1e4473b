"""What an imported job keeps of its files, packed into its specification: so that any machine can write them back.

Compressed JSON, since a list of textures says the same folder a thousand times. What is too large for a specification,
which every machine keeps in memory, is left out from the largest and least telling on, and the importer says so.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any, Final

from protocol.errors import PeerError
from protocol.jobspec import MAX_FOREIGN_BYTES

if TYPE_CHECKING:
    from farmd.scenes.renderbus.plain import Document

_FORMAT: Final = "renderbus.v1"
_MOST_BYTES: Final = 64 << 20
_PLACES: Final = "places"
"""Rules by which files were found: prefix as written, prefix here."""
_LEAVE_OUT: Final = ("asset", "upload", "tips")
"""The first two can be written anew from the files of the job."""


def pack_kept(documents: Document) -> tuple[bytes, tuple[str, ...]]:
    """Pack documents, as many as there is room for.

    Returns:
        The bytes, empty if even the task has no room; and the names of what was left out.
    """
    kept = dict(documents)
    left_out: list[str] = []
    for name in (*_LEAVE_OUT, "task", _PLACES):
        packed = zlib.compress(json.dumps({"format": _FORMAT} | kept, separators=(",", ":")).encode(), 9)
        if len(packed) <= MAX_FOREIGN_BYTES:
            return packed, tuple(left_out)
        if kept.pop(name, None) is not None:
            left_out.append(name)
    return b"", tuple(left_out)


def unpack_kept(foreign: bytes) -> Document:
    """Unpack what `pack_kept` packed; nothing if there is nothing, or something of another importer.

    Raises:
        PeerError: It is damaged, or would be too large.
    """
    if not foreign:
        return {}
    reader = zlib.decompressobj()
    try:
        plain = reader.decompress(foreign, _MOST_BYTES)
        found: Any = json.loads(plain)
    except (zlib.error, ValueError, RecursionError) as error:
        raise PeerError(f"what the job kept of its files cannot be read: {error}") from error
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        return {}
    kept = {name: found[name] for name in (*_LEAVE_OUT, "task", _PLACES) if name in found}
    if not all(isinstance(value, dict) for name, value in kept.items() if name != _PLACES):
        raise PeerError("what the job kept of its files is no documents")
    if not _are_rules(kept.get(_PLACES, [])):
        raise PeerError("what the job kept of its places is no list of rules")
    return kept


def _are_rules(found: object) -> bool:
    return isinstance(found, list) and all(
        isinstance(rule, list) and [type(side) for side in rule] == [str, str] for rule in found
    )
