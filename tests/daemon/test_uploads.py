"""What clients bring: many small files in one message, and nothing accepted before it is durable."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from farmd.adapters.blobs import BlobStore, syncing
from farmd.adapters.client_door import GO_ON
from farmd.core.events import ClientAsked
from farmd.daemon import uploads as uploads_module
from farmd.daemon.uploads import Uploads
from farmd.ingest.hashing import address_of_bytes
from protocol.errors import UsageError, UserError

if TYPE_CHECKING:
    from pathlib import Path

CONTENTS = [b"file %d" % number for number in range(syncing.MANY + 8)]


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "store")


@pytest.fixture
def uploads(store: BlobStore) -> Uploads:
    return Uploads(store, lambda: "")


def ask(uploads: Uploads, op: str, **args: Any) -> Any:
    async def asked() -> Any:
        return await uploads.handlers[op](ClientAsked(1, op, args, "ada@ws07"))

    return asyncio.run(asked())


def put_small(uploads: Uploads, contents: list[bytes]) -> Any:
    names = [str(address_of_bytes(content)) for content in contents]
    return ask(uploads, "blob.put_small", blobs=names, data=b"".join(contents))


def is_settled(store: BlobStore, tmp_path: Path) -> bool:
    assert store.is_settled is not (tmp_path / "store" / "unsettled").exists()
    return store.is_settled


@pytest.mark.parametrize("has_syncfs", [True, False])
def test_small_files_are_durable_when_the_core_hears_of_their_job(
    uploads: Uploads, store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_syncfs: bool
) -> None:
    one_by_one: list[Path] = []
    monkeypatch.setattr(syncing, "sync", one_by_one.append)
    if not has_syncfs:
        monkeypatch.setattr(syncing, "_sync_file_system", lambda descriptor: False)
    assert put_small(uploads, CONTENTS) == {"changed": []}
    assert store.held.blobs == len(CONTENTS)
    assert not is_settled(store, tmp_path)
    assert ask(uploads, "job.submit") is GO_ON
    assert is_settled(store, tmp_path)
    files = {path for path in one_by_one if path.is_file()}
    assert files == (set() if has_syncfs else {store.path(address_of_bytes(content)) for content in CONTENTS})
    assert BlobStore(tmp_path / "store").held.blobs == len(CONTENTS)


def test_large_file_is_durable_when_the_core_hears_of_its_job(
    uploads: Uploads, store: BlobStore, tmp_path: Path
) -> None:
    data = os.urandom((1 << 20) + 1)
    name = str(address_of_bytes(data))
    assert not ask(uploads, "blob.put", blob=name, offset=0, data=data[: 1 << 20])["complete"]
    assert ask(uploads, "blob.put", blob=name, offset=1 << 20, data=data[1 << 20 :])["complete"]
    assert not is_settled(store, tmp_path)
    assert ask(uploads, "job.submit") is GO_ON
    assert is_settled(store, tmp_path)


def test_job_is_not_accepted_if_its_files_cannot_be_made_durable_and_the_next_start_looks_at_them(
    uploads: Uploads, store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_small(uploads, CONTENTS)

    def broken(descriptor: int) -> bool:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(syncing, "_sync_file_system", broken)
        with pytest.raises(UserError, match="cannot keep the files"):
            ask(uploads, "job.submit")
    assert not is_settled(store, tmp_path)
    ask(uploads, "job.submit")  # the kernel has told of it once; now all seems well
    assert not is_settled(store, tmp_path)
    victim = store.path(address_of_bytes(CONTENTS[3]))
    assert victim is not None
    victim.chmod(0o644)
    victim.write_bytes(b"fil\0 3")
    again = BlobStore(tmp_path / "store")
    assert again.path(address_of_bytes(CONTENTS[3])) is None
    assert again.held.blobs == len(CONTENTS) - 1
    assert is_settled(again, tmp_path)


def test_much_that_came_is_made_durable_before_more_comes(
    uploads: Uploads, store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads_module, "UNSETTLED_BYTES", 10)
    put_small(uploads, [b"0123456789"])
    assert not is_settled(store, tmp_path)
    put_small(uploads, [b"!"])
    assert is_settled(store, tmp_path)


def test_file_that_changed_is_named_and_the_others_are_kept(uploads: Uploads, store: BlobStore) -> None:
    good, bad = address_of_bytes(b"good"), address_of_bytes(b"bad")
    answer = ask(uploads, "blob.put_small", blobs=[str(good), str(bad)], data=b"goodBAD")
    assert answer == {"changed": [str(bad)]}
    assert store.path(good) is not None
    assert store.path(bad) is None


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"blobs": ["x"], "data": b""},
        {"blobs": [str(address_of_bytes(b"good"))], "data": b"goo"},
        {"blobs": [str(address_of_bytes(b"good"))], "data": b"good!"},
        {"blobs": str(address_of_bytes(b"good")), "data": b"good"},
        {"blobs": [str(address_of_bytes(bytes(4 << 20)))], "data": bytes(4 << 20)},
    ],
    ids=["nothing", "no name", "too little", "too much", "no list", "too large"],
)
def test_message_that_does_not_add_up_is_refused(uploads: Uploads, store: BlobStore, args: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ask(uploads, "blob.put_small", **args)
    assert store.held.blobs == 0


def test_full_disk_refuses_small_files(store: BlobStore) -> None:
    uploads = Uploads(store, lambda: "3 % of the disk are free")
    with pytest.raises(UserError, match="takes no more data"):
        put_small(uploads, [b"x"])
