"""Bring a job's specification and list of files here, and write them as documents of another service.

Nothing is replaced unless it is asked for: folders of such files are edited by hand. All are looked at before the first
is written, and each appears complete or not at all.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from farmd.ingest.manifest import decode_manifest
from farmd.scenes.renderbus.back import documents_of
from farmd.scenes.renderbus.lists import File
from farmd.scenes.renderbus.plain import print_document
from protocol.api import MAX_CHUNK_BYTES
from protocol.errors import NotFound, PeerError, UserError
from protocol.ids import JobId, task_id_of
from protocol.jobspec import JobSpec, spec_from_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from farmctl.context import Session
    from farmd.scenes.renderbus.plain import Document

_DRIVE_CHARS: Final = 3


def read_job(session: Session, job: str) -> dict[str, Document]:
    """Return a job as the documents of a task.

    Raises:
        UserError: The node does not know it, lacks its list of files, or the service has no words for it.
    """
    spec = spec_from_bytes(session.call("job.spec", job=job)["spec"])
    view = session.call("job.show", job=job)
    if isinstance(view.get("priority"), int):
        spec = _with_priority(spec, view["priority"])
    try:
        return documents_of(spec, task_id_of(JobId(job)), _files(session, spec))
    except PeerError as error:
        raise UserError("the job cannot be exported", str(error), "compare: farmctl --version") from error


def _with_priority(spec: JobSpec, priority: int) -> JobSpec:
    """Take the priority that the job has now: it can be changed after submission."""
    from dataclasses import replace

    return replace(spec, priority=priority)


def _files(session: Session, spec: JobSpec) -> tuple[File, ...]:
    if spec.manifest is None:
        return ()
    try:
        data = _blob(session, str(spec.manifest), spec.manifest.size)
    except NotFound as error:
        hint = f"ask a machine that has its files: --node, for example {spec.submit_node}"
        raise NotFound("the list of the job's files is not on this node", error.why, hint) from error
    manifest = decode_manifest(data)
    return tuple(
        File(
            local=_local(manifest.root, entry.path),
            size_bytes=entry.size,
            mtime_ms=entry.mtime_ms,
            md5=entry.md5.hex(),
            xxh64=entry.xxh64,
        )
        for entry in manifest.entries
    )


def _local(root: str, path: str) -> str:
    """Say where a file of a manifest lies on the artist's machine."""
    drive = path[1:_DRIVE_CHARS] == ":/"
    return path if drive else f"{root.rstrip('/')}/{path}"


def _blob(session: Session, name: str, size: int) -> bytes:
    parts: list[bytes] = []
    offset = 0
    while offset < size:
        data: bytes = session.call("blob.get", blob=name, offset=offset, limit=MAX_CHUNK_BYTES)["data"]
        if not data:
            break
        parts.append(data)
        offset += len(data)
    return b"".join(parts)


def write_documents(folder: Path, documents: Mapping[str, Document], *, force: bool) -> tuple[Path, ...]:
    """Write documents into a folder.

    Args:
        folder: Exists.
        documents: By their names without ending.
        force: Replace what is there.

    Raises:
        UserError: One is there already and says something else.
    """
    contents = {folder / f"{name}.json": print_document(document) for name, document in documents.items()}
    other = [path for path, data in contents.items() if path.exists() and _content(path) != data]
    if other and not force:
        named = ", ".join(path.name for path in other)
        raise UserError(
            f"{named} would be replaced", f"{folder} holds them with other content", "name another folder, or --force"
        )
    for path, data in contents.items():
        _write(path, data)
    return tuple(contents)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None  # a folder, or something unreadable: not what would be written


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.farmd-tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}", str(error.strerror), "check the permissions of the folder") from error
