from __future__ import annotations

import errno
import hashlib
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import xxhash

from farmd.adapters.blobs import PIECE_BYTES, BlobsFailed, BlobStore, DiskFull, Held, How, Wrote, piece_count, syncing
from farmd.adapters.blobs import store as blobs_store
from farmd.ingest.hashing import hash_file
from protocol.errors import UserError
from protocol.ids import BlobAddress

if TYPE_CHECKING:
    from pathlib import Path

MASK = (1 << 64) - 1
PRIME_1, PRIME_2 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F


def address_of(data: bytes) -> BlobAddress:
    return BlobAddress(xxhash.xxh64_intdigest(data), len(data), hashlib.md5(data).digest())


def pieces_of(data: bytes) -> list[bytes]:
    return [data[start : start + PIECE_BYTES] for start in range(0, len(data), PIECE_BYTES)]


def put_piece(store: BlobStore, data: bytes, index: int) -> Wrote:
    piece = pieces_of(data)[index]
    return store.write_piece(address_of(data), index, xxhash.xxh64_intdigest(piece), piece)


def put(store: BlobStore, data: bytes, *, durable: bool = True) -> BlobAddress:
    for index in range(piece_count(len(data))):
        put_piece(store, data, index)
    assert store.confirm(address_of(data), durable=durable)
    return address_of(data)


def content(store: BlobStore, address: BlobAddress) -> bytes | None:
    path = store.path(address)
    return None if path is None else path.read_bytes()


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> BlobStore:
    return BlobStore(root)


BIG = random.Random(1).randbytes(3 * PIECE_BYTES + 1234)


# -- one xxHash64, two contents


def rotated(value: int, by: int) -> int:
    return (value << by | value >> (64 - by)) & MASK


def lane(state: int, word: int) -> int:
    return rotated((state + word * PRIME_2) & MASK, 31) * PRIME_1 & MASK


def two_contents_of_one_xxhash64() -> tuple[bytes, bytes]:
    """Make two contents of equal size that xxHash64 cannot tell apart.

    Each 8-byte word of a 32-byte stripe goes through its own lane: state = rol31(state + word * P2) * P1. With other
    words in the first stripe, the second stripe's word that leads back to the same state is
    word + (state - other state) / P2, all modulo 2^64.
    """
    start = (PRIME_1 + PRIME_2) & MASK  # of the first lane, seed 0
    first, second, other_first = 0x0123456789ABCDEF, 0xFEDCBA9876543210, 0x1111111111111111
    back = lane(start, first) - lane(start, other_first)
    other_second = (second + back * pow(PRIME_2, -1, 1 << 64)) & MASK
    rest = bytes(range(24))
    return (
        first.to_bytes(8, "little") + rest + second.to_bytes(8, "little") + rest,
        other_first.to_bytes(8, "little") + rest + other_second.to_bytes(8, "little") + rest,
    )


def test_two_contents_of_one_xxhash64_and_size_both_live(store: BlobStore, tmp_path: Path) -> None:
    one, other = two_contents_of_one_xxhash64()
    assert one != other
    assert address_of(one)[:2] == address_of(other)[:2]

    put(store, one)
    assert store.missing([address_of(other)]) == ((address_of(other), ()),)
    (tmp_path / "other").write_bytes(other)
    assert store.adopt(tmp_path / "other", How.COPY) == address_of(other)

    assert store.held == Held(2, len(one) + len(other))
    assert sorted(store.candidates(*address_of(one)[:2])) == sorted([address_of(one), address_of(other)])
    assert (content(store, address_of(one)), content(store, address_of(other))) == (one, other)
    piece = store.read_piece(address_of(one), 0)
    assert piece is not None
    assert piece[1] == one
    store.remove(address_of(one))
    assert content(store, address_of(other)) == other


def test_content_of_the_right_xxhash64_but_another_md5_is_not_confirmed(store: BlobStore) -> None:
    one, other = two_contents_of_one_xxhash64()
    assert store.write_piece(address_of(one), 0, xxhash.xxh64_intdigest(other), other) is Wrote.LAST
    assert not store.confirm(address_of(one))
    assert store.path(address_of(one)) is None
    put(store, one)  # a second try starts from nothing


# -- pieces


@pytest.mark.parametrize("size", [1, 50_000, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
def test_blob_of_any_size_goes_in_and_out_by_pieces(store: BlobStore, root: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    address = put(store, data)
    assert content(store, address) == data
    assert b"".join(piece[1] for i in range(9) if (piece := store.read_piece(address, i))) == data
    assert store.missing([address]) == ()
    assert store.held == Held(1, size)
    assert len(files_below(root)) == 1
    path = store.path(address)
    assert path is not None
    assert path.stat().st_mode & 0o777 == 0o444


def test_empty_blob_is_never_missing(store: BlobStore) -> None:
    assert store.missing([address_of(b"")]) == ()
    assert content(store, address_of(b"")) == b""
    assert store.read_piece(address_of(b""), 0) is None
    assert store.verify(address_of(b""))


def test_empty_blob_of_a_wrong_hash_is_never_there(store: BlobStore) -> None:
    wrong = BlobAddress(1, 0, bytes(16))
    assert store.missing([wrong]) == ((wrong, ()),)
    assert not store.confirm(wrong)


def test_pieces_in_any_order_tell_the_last_one(store: BlobStore) -> None:
    assert put_piece(store, BIG, 3) is Wrote.STORED
    assert put_piece(store, BIG, 1) is Wrote.STORED
    assert put_piece(store, BIG, 1) is Wrote.STORED
    assert store.missing([address_of(BIG)]) == ((address_of(BIG), (1, 3)),)
    assert put_piece(store, BIG, 0) is Wrote.STORED
    assert put_piece(store, BIG, 2) is Wrote.LAST
    assert store.confirm(address_of(BIG))
    assert put_piece(store, BIG, 2) is Wrote.HELD
    assert content(store, address_of(BIG)) == BIG


def test_piece_of_a_part_is_shared_before_the_rest_is_here(store: BlobStore) -> None:
    put_piece(store, BIG, 1)
    assert store.read_piece(address_of(BIG), 1) == (xxhash.xxh64_intdigest(pieces_of(BIG)[1]), pieces_of(BIG)[1])
    assert store.read_piece(address_of(BIG), 0) is None


@pytest.mark.parametrize(
    ("index", "xxh64", "data"),
    [
        (0, 1, BIG[:PIECE_BYTES]),
        (0, xxhash.xxh64_intdigest(b"short"), b"short"),
        (3, xxhash.xxh64_intdigest(BIG[:PIECE_BYTES]), BIG[:PIECE_BYTES]),
        (4, xxhash.xxh64_intdigest(b""), b""),
        (-1, xxhash.xxh64_intdigest(BIG[:PIECE_BYTES]), BIG[:PIECE_BYTES]),
    ],
)
def test_piece_that_does_not_fit_is_dropped(store: BlobStore, index: int, xxh64: int, data: bytes) -> None:
    assert store.write_piece(address_of(BIG), index, xxh64, data) is Wrote.CORRUPT
    assert store.missing([address_of(BIG)]) == ((address_of(BIG), ()),)


def test_blob_with_missing_pieces_cannot_be_confirmed(store: BlobStore) -> None:
    put_piece(store, BIG, 0)
    with pytest.raises(BlobsFailed, match="missing"):
        store.confirm(address_of(BIG))


def test_pieces_survive_a_restart(root: Path) -> None:
    put_piece(BlobStore(root), BIG, 2)
    put_piece(BlobStore(root), BIG, 0)
    assert BlobStore(root).missing([address_of(BIG)]) == ((address_of(BIG), (0, 2)),)


def test_piece_that_a_power_cut_has_taken_is_not_claimed(root: Path) -> None:
    store = BlobStore(root)
    put_piece(store, BIG, 0)
    put_piece(store, BIG, 1)
    with (root / "parts" / f"{address_of(BIG)}.part").open("r+b") as part:  # the map was written back, the data not
        part.seek(PIECE_BYTES)
        part.write(bytes(PIECE_BYTES))
    assert BlobStore(root).missing([address_of(BIG)]) == ((address_of(BIG), (0,)),)


def test_part_whose_map_is_torn_keeps_what_it_can_prove(root: Path) -> None:
    store = BlobStore(root)
    put_piece(store, BIG, 0)
    put_piece(store, BIG, 1)
    os.truncate(root / "parts" / f"{address_of(BIG)}.map", 13)
    assert BlobStore(root).missing([address_of(BIG)]) == ((address_of(BIG), (0,)),)


@pytest.mark.parametrize("data", [BIG, b"one piece"])
def test_full_part_that_a_crash_left_unconfirmed_is_confirmed_when_asked_for(root: Path, data: bytes) -> None:
    store = BlobStore(root)
    for index in range(piece_count(len(data))):
        put_piece(store, data, index)
    restarted = BlobStore(root)
    assert restarted.missing([address_of(data)]) == ()
    assert content(restarted, address_of(data)) == data


def test_start_empties_tmp_and_keeps_parts(root: Path) -> None:
    store = BlobStore(root)
    put_piece(store, BIG, 0)
    (root / "tmp" / "7").write_bytes(b"half a copy")
    (root / "parts" / "orphan.map").write_bytes(b"")
    BlobStore(root)
    assert files_below(root) == [f"parts/{address_of(BIG)}.map", f"parts/{address_of(BIG)}.part"]


def test_question_about_many_blobs_keeps_nothing_in_memory(store: BlobStore) -> None:
    store.missing([BlobAddress(n, 5, bytes(16)) for n in range(1000)])
    assert store._begun.open == {}


def test_many_threads_writing_one_blob_make_one_blob(store: BlobStore) -> None:
    order = [index for index in range(4) for _ in range(4)]
    random.Random(3).shuffle(order)
    with ThreadPoolExecutor(8) as pool:
        wrote = list(pool.map(lambda index: put_piece(store, BIG, index), order))
    assert wrote.count(Wrote.LAST) == 1
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: store.confirm(address_of(BIG)), range(8)))
    assert content(store, address_of(BIG)) == BIG
    assert (store.held, store._begun.open) == (Held(1, len(BIG)), {})


def test_many_threads_taking_in_the_same_content_keep_it_once(store: BlobStore, tmp_path: Path) -> None:
    start = threading.Barrier(6)

    def take_in(number: int) -> BlobAddress:
        path = tmp_path / str(number)
        path.write_bytes(b"same")
        start.wait()
        return store.adopt(path, list(How)[number % 3])

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(take_in, range(6))) == {address_of(b"same")}
    assert store.held == Held(1, 4)


# -- whole files


@pytest.mark.parametrize("how", How)
@pytest.mark.parametrize("size", [0, 10, PIECE_BYTES + 5])
def test_file_is_taken_in(store: BlobStore, root: Path, tmp_path: Path, how: How, size: int) -> None:
    source = tmp_path / "render.exr"
    data = random.Random(size).randbytes(size)
    source.write_bytes(data)
    address = store.adopt(source, how)
    assert address == address_of(data)
    assert content(store, address) == data
    assert source.exists() == (how is not How.MOVE)
    assert len(files_below(root)) == 1
    if how is not How.MOVE:
        source.write_bytes(b"the artist goes on")
        assert content(store, address) == data


def test_file_that_is_here_already_is_not_kept_twice(store: BlobStore, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"same")
        store.adopt(tmp_path / name, How.MOVE)
    assert store.held == Held(1, 4)
    assert not (tmp_path / "b").exists()


def test_moved_file_with_a_second_name_is_copied_so_that_nobody_can_write_into_the_store(
    store: BlobStore, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"first")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    address = store.adopt(tmp_path / "a", How.MOVE)
    (tmp_path / "b").write_bytes(b"other")
    assert content(store, address) == b"first"


def test_link_folder_and_missing_file_are_not_taken_in(store: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    for name in ("link", "none", "."):
        with pytest.raises(BlobsFailed):
            store.adopt(tmp_path / name, How.MOVE)
    assert store.held == Held(0, 0)


def test_size_is_counted_again_at_start(root: Path) -> None:
    store = BlobStore(root)
    put(store, b"abc")
    put(store, BIG)
    store.remove(put(store, b"gone"))
    assert BlobStore(root).held == store.held == Held(2, 3 + len(BIG))
    assert set(store.addresses()) == {address_of(b"abc"), address_of(BIG)}


def test_removing_a_part_starts_it_from_nothing(store: BlobStore, root: Path) -> None:
    put_piece(store, BIG, 0)
    store.remove(address_of(BIG))
    assert store.missing([address_of(BIG)]) == ((address_of(BIG), ()),)
    assert files_below(root) == []


# -- rot


def spoil(store: BlobStore, address: BlobAddress, data: bytes) -> None:
    path = store.path(address)
    assert path is not None
    path.chmod(0o644)
    path.write_bytes(data)


def test_rotten_blob_is_set_aside_by_verify(store: BlobStore, root: Path) -> None:
    address = put(store, b"good content")
    assert store.verify(address)
    spoil(store, address, b"evil content")
    assert not store.verify(address)
    assert store.missing([address]) == ((address, ()),)
    assert store.held == Held(0, 0)
    assert [path.read_bytes() for path in (root / "aside").iterdir()] == [b"evil content"]


def test_truncated_blob_is_noticed_at_once(store: BlobStore) -> None:
    address = put(store, b"good content")
    spoil(store, address, b"good")
    assert store.path(address) is None
    assert store.held == Held(0, 0)


def test_only_the_last_few_wrong_files_are_kept(store: BlobStore, root: Path) -> None:
    for n in range(10):
        address = put(store, b"content %d" % n)
        spoil(store, address, b"CONTENT %d" % n)
        store.verify(address)
    assert {path.read_bytes() for path in (root / "aside").iterdir()} == {b"CONTENT %d" % n for n in range(6, 10)}


def test_unsettled_blob_that_a_power_cut_has_spoilt_is_found_at_start(root: Path) -> None:
    store = BlobStore(root)
    good, bad = put(store, b"good", durable=False), put(store, b"evil", durable=False)
    spoil(store, bad, b"\0\0\0\0")
    restarted = BlobStore(root)
    assert restarted.missing([good, bad]) == ((bad, ()),)
    assert restarted.held == Held(1, 4)
    assert not (root / "unsettled").exists()


def test_settled_blob_is_not_hashed_again_at_start(root: Path) -> None:
    store = BlobStore(root)
    put(store, b"good", durable=False)
    assert (root / "unsettled").exists()
    store.settle()
    store.settle()
    assert not (root / "unsettled").exists()


# -- uploads


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, 2 * PIECE_BYTES + 77])
@pytest.mark.parametrize("step", [1 << 16, PIECE_BYTES + 3, 1 << 30])
def test_upload_takes_bytes_in_steps_of_any_size(store: BlobStore, size: int, step: int) -> None:
    data = random.Random(size).randbytes(size)
    upload = store.begin(address_of(data))
    for start in range(0, size, step):
        upload.append(upload.offset, data[start : start + step])
    assert upload.finish()
    assert content(store, address_of(data)) == data


def test_upload_goes_on_after_a_restart_from_its_last_whole_piece(root: Path) -> None:
    BlobStore(root).begin(address_of(BIG)).append(0, BIG[: 2 * PIECE_BYTES + 500])
    store = BlobStore(root)
    upload = store.begin(address_of(BIG))
    assert upload.offset == 2 * PIECE_BYTES
    upload.append(upload.offset, BIG[upload.offset :])
    assert upload.finish()
    assert content(store, address_of(BIG)) == BIG


def test_upload_of_what_is_here_needs_no_bytes(store: BlobStore) -> None:
    upload = store.begin(put(store, b"here"))
    assert upload.offset == 4
    assert upload.finish()


def test_upload_with_a_hole_or_too_many_bytes_or_too_few_is_refused(store: BlobStore) -> None:
    upload = store.begin(address_of(b"12345"))
    with pytest.raises(UserError):
        upload.append(1, b"1")
    with pytest.raises(UserError):
        upload.append(0, b"123456")
    upload.append(0, b"1")
    with pytest.raises(UserError, match="not complete"):
        upload.finish()


def test_upload_of_something_else_is_set_aside(store: BlobStore) -> None:
    upload = store.begin(address_of(b"promised"))
    upload.append(0, b"delivers")
    assert not upload.finish()
    assert store.path(address_of(b"promised")) is None
    assert store.begin(address_of(b"promised")).offset == 0


# -- a full disk


@pytest.mark.root
def test_piece_that_finds_no_room_is_not_claimed_and_may_come_again(small_disk: Path) -> None:
    store = BlobStore(small_disk / "store")
    filler = small_disk / "filler"
    filler.write_bytes(bytes(700_000))
    put_piece(store, BIG, 0)
    with pytest.raises(DiskFull):
        put_piece(store, BIG, 1)
    assert store.missing([address_of(BIG)]) == ((address_of(BIG), (0,)),)
    assert BlobStore(small_disk / "store").missing([address_of(BIG)]) == ((address_of(BIG), (0,)),)
    filler.unlink()
    data = BIG[: PIECE_BYTES // 2]
    assert content(store, put(store, data)) == data


@pytest.mark.root
@pytest.mark.parametrize("how", How)
def test_file_that_finds_no_room_leaves_nothing_behind(small_disk: Path, tmp_path: Path, how: How) -> None:
    store = BlobStore(small_disk / "store")
    source = tmp_path / "big"
    source.write_bytes(BIG)
    with pytest.raises(DiskFull):
        store.adopt(source, how)
    assert source.read_bytes() == BIG
    assert files_below(small_disk) == []
    assert store.held == Held(0, 0)


@pytest.mark.root
def test_file_is_moved_in_from_another_file_system(small_disk: Path, tmp_path: Path) -> None:
    store = BlobStore(small_disk / "store")
    source = tmp_path / "output"
    source.write_bytes(b"small enough")
    assert content(store, store.adopt(source, How.MOVE)) == b"small enough"
    assert not source.exists()


def test_store_in_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BlobsFailed, match="cannot open the content store"):
        BlobStore(tmp_path / "file")


def test_store_and_client_agree_on_addresses(store: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(BIG)
    assert store.adopt(tmp_path / "file", How.COPY) == hash_file(tmp_path / "file").address
    assert address_of(b"") == blobs_store.EMPTY


def test_pack_stores_what_is_what_it_is_called_and_names_what_is_not(store: BlobStore, root: Path) -> None:
    contents = [b"one", b"", b"three" * 1000]
    wrong = address_of(b"four")
    addresses = [*map(address_of, contents), wrong]

    pack = store.write_pack(addresses, b"".join(contents) + b"fowr")

    assert pack == (addresses[:3], [wrong], [])
    assert [content(store, address) for address in addresses] == [*contents, None]
    assert store.held.blobs == 3
    assert files_below(root / "tmp") == []
    assert all((root / "blobs" / name).stat().st_mode & 0o222 == 0 for name in files_below(root / "blobs"))


def test_pack_is_read_without_what_is_not_here_and_what_was_cut_short_is_set_aside(store: BlobStore) -> None:
    whole, cut, absent = put(store, b"whole"), put(store, b"cut short"), address_of(b"absent")
    path = store.path(cut)
    assert path is not None
    path.chmod(0o644)
    path.write_bytes(b"cut")

    assert store.read_pack([whole, absent, cut]) == ([whole], b"whole")
    assert store.path(cut) is None


def test_blob_of_a_pack_that_is_here_already_is_stored_once_and_its_part_is_gone(store: BlobStore, root: Path) -> None:
    data = b"a small file"
    put_piece(store, data, 0)
    assert files_below(root / "parts") != []

    for _ in range(2):
        assert store.write_pack([address_of(data)], data).stored == [address_of(data)]

    assert files_below(root / "parts") == []
    assert store.held.blobs == 1


def test_whole_that_was_hashed_while_its_pieces_came_in_any_order_is_what_it_is_called(store: BlobStore) -> None:
    data = random.Random(5).randbytes(5 * PIECE_BYTES + 17)
    for index in (1, 0, 4, 5, 2, 3):
        put_piece(store, data, index)
        store.follow(address_of(data))
    assert store.confirm(address_of(data))
    assert content(store, address_of(data)) == data


def test_whole_with_a_piece_of_right_hash_and_wrong_place_is_refused_though_hashed_on_the_way(store: BlobStore) -> None:
    data = random.Random(6).randbytes(3 * PIECE_BYTES)
    swapped = data[PIECE_BYTES : 2 * PIECE_BYTES] + data[:PIECE_BYTES] + data[2 * PIECE_BYTES :]
    for index, piece in enumerate(pieces_of(swapped)):
        store.write_piece(address_of(data), index, xxhash.xxh64_intdigest(piece), piece)
        store.follow(address_of(data))
    assert not store.confirm(address_of(data))
    assert put(store, data) == address_of(data), "the next try begins anew"


def test_part_that_was_hashed_half_goes_on_after_a_restart(store: BlobStore, root: Path) -> None:
    data = random.Random(7).randbytes(4 * PIECE_BYTES)
    for index in (0, 1, 3):
        put_piece(store, data, index)
        store.follow(address_of(data))
    again = BlobStore(root)
    assert again.missing([address_of(data)]) == ((address_of(data), (0, 1, 3)),)
    put_piece(again, data, 2)
    assert again.confirm(address_of(data))


def test_who_settles_while_another_one_does_waits_for_it(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, b"fetched", durable=False)
    begun, go_on = threading.Event(), threading.Event()
    synced: list[Path] = []
    after: list[int] = []
    sync = syncing.sync

    def slow_sync(path: Path) -> None:
        begun.set()
        assert go_on.wait(10)
        sync(path)
        synced.append(path)

    monkeypatch.setattr(syncing, "sync", slow_sync)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(store.settle)
        assert begun.wait(10)
        second = pool.submit(store.settle)
        second.add_done_callback(lambda _: after.append(len(synced)))
        assert not second.done()
        go_on.set()
        first.result()
        second.result()
    assert after == [2], "the file and its folder"


def test_what_of_a_pack_cannot_get_its_name_is_refused_and_the_rest_is_stored(store: BlobStore, root: Path) -> None:
    contents = [b"one", b"two", b"three"]
    addresses = [address_of(data) for data in contents]
    (root / "blobs" / str(addresses[1])[:2]).write_bytes(b"no folder")
    pack = store.write_pack(addresses, b"".join(contents))
    assert (pack.stored, pack.corrupt, pack.failed) == ([addresses[0], addresses[2]], [], [addresses[1]])
    assert [content(store, address) for address in addresses] == [b"one", None, b"three"]
    assert store.held == Held(2, 8)
    assert files_below(root / "tmp") == []


def test_pack_on_a_disk_that_turned_read_only_is_refused_and_what_was_here_is_stored(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = [b"here before", b"new"]
    here, new = [address_of(data) for data in contents]
    put(store, contents[0])

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    for name in ("rename", "unlink"):
        monkeypatch.setattr(os, name, refuse)
    assert store.write_pack([here, new], b"".join(contents)) == ([here], [], [new])
    assert (content(store, here), content(store, new)) == (contents[0], None)
    assert store.held.blobs == 1


def test_blob_whose_leftovers_cannot_be_deleted_is_complete(
    store: BlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = b"a small file"
    put_piece(store, small, 0)
    for index in range(piece_count(len(BIG))):
        put_piece(store, BIG, index)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "unlink", refuse)
    assert store.write_pack([address_of(small)], small) == ([address_of(small)], [], [])
    assert store.confirm(address_of(BIG))
    monkeypatch.undo()
    assert files_below(root / "parts") != []
    assert [content(store, address_of(data)) for data in (small, BIG)] == [small, BIG]
    assert BlobStore(root).missing(map(address_of, (small, BIG))) == ()


def test_files_here_and_not_here_in_turn_are_told_apart(store: BlobStore, root: Path) -> None:
    contents = [bytes([number]) * 10 for number in range(8)]
    addresses = [address_of(data) for data in contents]
    store.write_pack(addresses[::2], b"".join(contents[::2]))
    cut = root / "blobs" / str(addresses[4])[:2] / str(addresses[4])
    cut.chmod(0o644)
    cut.write_bytes(b"short")
    assert [address for address, _ in store.missing(addresses)] == [
        addresses[number] for number in range(8) if number % 2 or number == 4
    ]
