"""Thumbnails on their way: asked for by the runner, drawn, stored, and named beside their output."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

import pytest

from farmd.adapters.blobs import BlobStore
from farmd.adapters.thumbnails import MAX_BYTES, Thumbnails
from farmd.daemon.pictures import StoredThumbnails
from protocol.errors import FarmError
from tests.adapters.runnerkit import Kit, spec_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from protocol.ids import BlobAddress

Image = pytest.importorskip("PIL.Image")


class Counted:
    """Counts what the runner asks of the real thing."""

    def __init__(self, inner: StoredThumbnails) -> None:
        self.inner = inner
        self.asked: list[str] = []
        self.made: list[str] = []

    def wants(self, path: Path) -> bool:
        self.asked.append(path.name)
        return self.inner.wants(path)

    def make(self, paths: Sequence[Path]) -> list[BlobAddress | None]:
        self.made += [path.name for path in paths]
        return self.inner.make(paths)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


@pytest.fixture
def counted(store: BlobStore) -> Counted:
    return Counted(StoredThumbnails(Thumbnails(), store))


def command(script: str, **given: Any) -> Any:
    return spec_of(command="/bin/sh -c {script}", params={"script": script}, **given)


def test_each_finished_frame_names_its_thumbnail(tmp_path: Path, store: BlobStore, counted: Counted) -> None:
    kit = Kit(tmp_path, thumbnails=counted)
    for frame, colour in ((1, (200, 0, 0)), (2, (0, 200, 0))):
        Image.new("RGB", (1280, 720), colour).save(kit.checkout_dir / f"in{frame}.png")
    script = "for f in 1 2; do cp in$f.png $FARM_OUTPUT/000$f.png; cp in$f.png $FARM_OUTPUT/pass$f.png; done"
    spec = command(f"{script}; : {{start}}", output_name="{frame:04d}.png", chunk=2)

    async def scenario() -> None:
        event = await kit.run(spec, (1, 2))
        assert event.cause == 0, event.text
        assert [output.name for output in event.outputs] == ["0001.png", "0002.png", "pass1.png", "pass2.png"]
        small = [output.thumbnail for output in event.outputs]
        assert small[2:] == [None, None]
        for blob, reddish in zip(small[:2], (True, False), strict=True):
            assert blob is not None
            path = store.path(blob)
            assert path is not None
            assert path.stat().st_size == blob.size <= MAX_BYTES
            with Image.open(io.BytesIO(path.read_bytes())) as image:
                red, green, _ = image.getpixel((5, 5))
                assert (red > green) is reddish

    asyncio.run(scenario())
    assert counted.made == ["0001.png", "0002.png"]


def test_a_frame_without_outputs_asks_for_nothing(tmp_path: Path, counted: Counted) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path, thumbnails=counted)
        assert (await kit.run(spec_of(command="/bin/true"))).cause == 0
        assert (await kit.run(command("echo x > $FARM_OUTPUT/a.txt", output_name="a.txt"), n=2)).cause == 0

    asyncio.run(scenario())
    assert counted.asked == ["a.txt"]
    assert counted.made == []


def test_a_thumbnail_that_cannot_be_stored_costs_the_frame_nothing(
    tmp_path: Path, store: BlobStore, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(address: BlobAddress) -> None:
        raise FarmError("no space left on device")

    monkeypatch.setattr(store, "begin", full)
    kit = Kit(tmp_path, thumbnails=counted)
    Image.new("RGB", (64, 36)).save(kit.checkout_dir / "in.png")

    async def scenario() -> None:
        event = await kit.run(command("cp in.png $FARM_OUTPUT/a.png", output_name="a.png"))
        assert (event.cause, event.outputs[0].thumbnail) == (0, None)

    asyncio.run(scenario())


def test_equal_thumbnails_are_stored_once(tmp_path: Path, store: BlobStore) -> None:
    maker = StoredThumbnails(Thumbnails(), store)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (64, 36), (1, 2, 3)).save(tmp_path / name)
    first, second = maker.make([tmp_path / "a.png", tmp_path / "b.png"])
    assert first is not None
    assert first == second == maker.make([tmp_path / "a.png"])[0]
    assert store.held.blobs == 1
