"""The list of a job's files, fetched from the node as a blob and read here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmd.ingest.manifest import decode_manifest
from protocol.api import MAX_CHUNK_BYTES
from protocol.errors import NotFound, PeerError, UserError

if TYPE_CHECKING:
    from farmctl.context import Session
    from farmctl.output import View
    from farmd.ingest.manifest import Manifest


def with_files(session: Session, document: View) -> View:
    """Add what the files are, and their totals.

    Raises:
        UserError: The list is not on this node.
    """
    manifest = _read(session, document)
    if manifest is None:
        return document | {"count": 0, "bytes": 0, "files": []}
    files = [
        {
            "path": entry.path,
            "size": entry.size,
            "mtime_ms": entry.mtime_ms,
            "xxh64": str(entry.xxh64),
            "md5": entry.md5.hex(),
        }
        for entry in manifest.entries
    ]
    return document | _totals(manifest) | {"files": files}


def with_totals(session: Session, document: View) -> View:
    """Add how many files there are, if this node has the list: who holds them is known without it."""
    try:
        manifest = _read(session, document)
    except NotFound:
        return document
    return document | ({"count": 0, "bytes": 0} if manifest is None else _totals(manifest))


def _totals(manifest: Manifest) -> View:
    size = sum(entry.size for entry in manifest.entries)
    return {"root": manifest.root, "count": len(manifest.entries), "bytes": size}


def _read(session: Session, document: View) -> Manifest | None:
    name, size = document.get("manifest"), int(document.get("manifest_bytes") or 0)
    if name is None:
        return None
    data = bytearray()
    try:
        while len(data) < size:
            part: bytes = session.call("blob.get", blob=name, offset=len(data), limit=MAX_CHUNK_BYTES)["data"]
            if not part:
                break
            data += part
    except NotFound as error:
        raise NotFound("the list of the job's files is not on this node", error.why, _hint(document)) from error
    try:
        return decode_manifest(bytes(data))
    except PeerError as error:
        raise UserError("the list of the job's files cannot be read", str(error), "ask another node: --node") from error


def _hint(document: View) -> str:
    names = [str(one.get("name")) for one in document.get("holders") or [] if one.get("alive")]
    return f"ask a machine that has it: --node, for example {names[0]}" if names else "no machine that has it is on"
