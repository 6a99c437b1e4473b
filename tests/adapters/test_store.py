from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack
import pytest

from farmd.adapters import store as store_package
from farmd.adapters.store import SqliteStore, StoreFailed, StoreFull, check
from farmd.adapters.store import file as store_file
from farmd.adapters.store import sqlite as store_sqlite
from farmd.core.effects import Note, Save
from protocol.clock import hlc_of
from protocol.errors import InvariantBroken, UserError
from protocol.records import Kind, Rec, row_hash

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from farmd.adapters.store import Loaded

ORIGIN = (1 << 63) - 1
YEAR_6000_MS = 127_173_801_600_000


def rec(pk: bytes, seq: int = 1, *, body: bytes = b"body", kind: int = Kind.ATTEMPT, ver: int = 1) -> Rec:
    return Rec(kind, pk, ver, hlc_of(YEAR_6000_MS, 0xFFFF), ORIGIN, seq, 0, body)


def save(*rows: Rec, **other: Any) -> Save:
    return Save(rows, ((ORIGIN, max(row.seq for row in rows)),) if rows else (), **other)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


async def load(data_dir: Path) -> Loaded:
    async with SqliteStore(data_dir) as store:
        return await store.open()


async def write(data_dir: Path, *batches: list[Save], notes: tuple[Note, ...] = ()) -> None:
    async with SqliteStore(data_dir) as store:
        await store.open()
        for batch in batches:
            await store.commit(batch, notes)


def note(text: str, at_ms: int = 1_000) -> Note:
    return Note(at_ms, "test", text, "node", "job", "anna", 7)


# -- what is written is there


def test_new_directory_is_empty_and_clean(tmp_path: Path) -> None:
    loaded = run(load(tmp_path / "new" / "data"))
    assert (loaded.rows, loaded.vector, loaded.meta, loaded.notes) == ([], {}, {}, ())


def test_everything_saved_comes_back_after_a_restart(tmp_path: Path) -> None:
    rows = [rec(b"b", 2), rec(b"a", 1), rec(b"", 3, kind=Kind.FARM), rec(b"a", 4, kind=999, body=b"\xff\0")]
    meta = (("term", 7), ("vote", None), ("leader", [1, "n"]), ("big", 2**64 - 1))
    run(write(tmp_path, [save(*rows, meta=meta)]))
    loaded = run(load(tmp_path))
    assert loaded.rows == sorted(rows)
    assert all(type(row) is Rec for row in loaded.rows)
    assert loaded.vector == {ORIGIN: 4}
    assert loaded.meta == dict(meta)
    assert loaded.notes == ()


def test_later_saves_of_a_batch_win_over_earlier_ones(tmp_path: Path) -> None:
    batch = [
        save(rec(b"kept", 1), rec(b"gone", 2), meta=(("term", 1),)),
        save(rec(b"kept", 3, ver=2), dropped=((Kind.ATTEMPT, b"gone"),), meta=(("term", 2),)),
        save(dropped=((Kind.ATTEMPT, b"back"),)),
        save(rec(b"back", 4)),
    ]
    run(write(tmp_path, batch))
    loaded = run(load(tmp_path))
    assert loaded.rows == [rec(b"back", 4), rec(b"kept", 3, ver=2)]
    assert (loaded.vector, loaded.meta) == ({ORIGIN: 4}, {"term": 2})


def test_batch_equals_its_saves_one_by_one(tmp_path: Path) -> None:
    batch = [save(rec(bytes([n % 3]), n, ver=n)) for n in range(1, 9)] + [save(dropped=((Kind.ATTEMPT, b"\1"),))]
    run(write(tmp_path / "one", batch))
    run(write(tmp_path / "many", *[[part] for part in batch]))
    assert run(load(tmp_path / "one")) == run(load(tmp_path / "many"))


def test_newer_version_replaces_and_dropped_row_is_gone(tmp_path: Path) -> None:
    run(write(tmp_path, [save(rec(b"a", 1), rec(b"b", 2))], [save(rec(b"a", 3), dropped=((Kind.ATTEMPT, b"b"),))]))
    assert run(load(tmp_path)).rows == [rec(b"a", 3)]


def test_empty_commit_writes_nothing(tmp_path: Path) -> None:
    run(write(tmp_path, [], [Save()]))
    assert run(load(tmp_path)).rows == []


def test_file_is_written_with_full_sync_in_wal_mode(tmp_path: Path) -> None:
    (tmp_path / store_sqlite.FILE_NAME).touch()
    ledger, _ = store_file.begin(tmp_path / store_sqlite.FILE_NAME, unclean=False)
    with closing(ledger):
        assert ledger.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert ledger.execute("PRAGMA synchronous").fetchone() == (2,)
        assert ledger.execute("PRAGMA wal_autocheckpoint").fetchone() == (4000,)


# -- the event log


def test_notes_are_read_from_a_number_on_or_from_the_end(tmp_path: Path) -> None:
    async def story() -> tuple[list[tuple[int, Note]], ...]:
        async with SqliteStore(tmp_path) as store:
            await store.open()
            await store.commit([], [note(str(n)) for n in range(1, 6)])
            return await store.notes(2), await store.notes(2, 0), await store.notes(10, 4), await store.notes(10, 5)

    last, first, rest, none = run(story())
    assert last == [(4, note("4")), (5, note("5"))]
    assert first == [(1, note("1")), (2, note("2"))]
    assert rest == [(5, note("5"))]
    assert none == []


def test_event_log_keeps_the_newest_lines_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_sqlite, "NOTES_KEPT", 10)
    monkeypatch.setattr(store_sqlite, "TRIM_EVERY", 5)

    async def story() -> list[tuple[int, Note]]:
        async with SqliteStore(tmp_path) as store:
            await store.open()
            for n in range(1, 101):
                await store.commit([], [note(str(n))])
            return await store.notes(1000)

    lines = run(story())
    assert len(lines) == 10
    assert lines[-1] == (100, note("100"))


def test_event_log_forgets_lines_older_than_90_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_sqlite, "TRIM_EVERY", 1)
    day_ms = 86_400_000

    async def story() -> list[tuple[int, Note]]:
        async with SqliteStore(tmp_path) as store:
            await store.open()
            for day in (0, 10, 95):
                await store.commit([], [note(str(day), day * day_ms)])
            return await store.notes(10)

    assert [line.text for _, line in run(story())] == ["10", "95"]


def test_clock_that_is_years_ahead_for_a_while_does_not_empty_the_event_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_sqlite, "TRIM_EVERY", 10)

    async def story() -> int:
        async with SqliteStore(tmp_path) as store:
            await store.open()
            for n in range(100):
                await store.commit([], [note(str(n), 1_000 + n)])
            for n in range(20):
                await store.commit([], [note(str(n), 10 * store_sqlite.NOTES_KEPT_MS + n)])
            return len(await store.notes(1000))

    assert run(story()) > 70


def test_event_log_of_lives_that_are_short_is_trimmed_too(tmp_path: Path) -> None:
    async def story() -> list[tuple[int, Note]]:
        for at_ms in (0, store_sqlite.NOTES_KEPT_MS, 2 * store_sqlite.NOTES_KEPT_MS):
            async with SqliteStore(tmp_path) as store:
                await store.open()
                await store.commit([], [note(str(at_ms), at_ms + 5)])
        async with SqliteStore(tmp_path) as store:
            await store.open()
            return await store.notes(1000)

    assert len(run(story())) == 2


# -- one at a time, and only what we understand


def test_second_daemon_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with SqliteStore(tmp_path) as first:
            await first.open()
            async with SqliteStore(tmp_path) as second:
                with pytest.raises(UserError, match="in use") as caught:
                    await second.open()
            assert str(os.getpid()) in caught.value.why
            assert caught.value.hint
            await first.commit([save(rec(b"a"))])  # the refused one has taken nothing away

    run(story())
    assert run(load(tmp_path)).notes == ()


def test_directory_of_a_newer_farmd_is_refused_and_not_touched(tmp_path: Path) -> None:
    run(write(tmp_path, [save(rec(b"a"))]))
    path = tmp_path / store_sqlite.FILE_NAME
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(UserError, match="newer farmd") as caught:
        run(load(tmp_path))
    assert (caught.value.code, "99" in caught.value.why, "2" in caught.value.why) == (1, True, True)
    assert path.read_bytes() == before
    with pytest.raises(UserError, match="newer farmd"):
        run(load(tmp_path))  # the lock was let go of
    with pytest.raises(UserError, match="newer farmd"):
        check(tmp_path)


def test_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot use the data directory"):
        run(load(tmp_path / "file" / "data"))


def test_migrations_run_in_order_once_each(tmp_path: Path) -> None:
    (tmp_path / "002_b.sql").write_text("INSERT INTO t VALUES (2);")
    (tmp_path / "001_a.sql").write_text("CREATE TABLE t (n); INSERT INTO t VALUES (1);")
    with closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as connection:
        store_file.migrate(connection, tmp_path)
        store_file.migrate(connection, tmp_path)
        assert connection.execute("SELECT n FROM t").fetchall() == [(1,), (2,)]
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)


def test_migration_that_fails_half_way_leaves_nothing_of_itself(tmp_path: Path) -> None:
    (tmp_path / "001_a.sql").write_text("CREATE TABLE t (n);")
    (tmp_path / "002_b.sql").write_text("INSERT INTO t VALUES (2); INSERT INTO nowhere VALUES (1);")
    with closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError):
            store_file.migrate(connection, tmp_path)
        assert connection.execute("SELECT n FROM t").fetchall() == []
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)


def test_exported_names_are_exactly_these() -> None:
    opened = {"EventFilter", "Loaded", "SqliteStore", "StoreFailed", "StoreFull", "Verdict", "check"}
    assert set(store_package.__all__) == opened | {"count_rows", "out_of_use", "read_rows", "remove", "was_corrupt"}


# -- who may read it


def modes(data_dir: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in data_dir.glob("rec.*") if "running" not in path.name}


@pytest.fixture
def open_umask() -> Iterator[None]:
    """New files can be read by everybody, as where a daemon is started by hand."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_store_and_the_files_beside_it_can_be_read_by_their_owner_alone(tmp_path: Path) -> None:
    async def scene() -> dict[str, int]:
        async with SqliteStore(tmp_path) as store:
            await store.open()
            await store.commit([save(rec(b"hook"))])
            return modes(tmp_path)

    assert run(scene()) == {"rec.db": 0o600, "rec.db-wal": 0o600, "rec.db-shm": 0o600}


@pytest.mark.usefixtures("open_umask")
def test_store_that_others_could_read_is_closed_to_them_when_it_is_opened(tmp_path: Path) -> None:
    run(write(tmp_path, [save(rec(b"hook"))]))
    for name in ("rec.db", "rec.corrupt-7"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o644)
    run(load(tmp_path))
    assert modes(tmp_path) == {"rec.db": 0o600, "rec.corrupt-7": 0o600}


def test_file_set_aside_that_is_somebody_elses_keeps_no_store_from_being_opened(tmp_path: Path) -> None:
    run(write(tmp_path, [save(rec(b"hook"))]))
    theirs = tmp_path / "rec.corrupt-7.bak"
    theirs.symlink_to("/proc/self/status")
    with pytest.raises(PermissionError):
        theirs.chmod(0o600)  # not even by root
    assert [row.pk for row in run(load(tmp_path)).rows] == [b"hook"]


@pytest.mark.usefixtures("open_umask")
def test_store_begun_anew_after_a_corrupt_one_is_private_like_it(tmp_path: Path) -> None:
    (tmp_path / "rec.db").write_bytes(b"no database " * 1000)
    run(load(tmp_path))
    assert len(modes(tmp_path)) == 2
    assert set(modes(tmp_path).values()) == {0o600}


# -- when the disk is bad


def test_corrupt_file_is_set_aside_and_its_facts_are_told(tmp_path: Path) -> None:
    rows = [rec(n.to_bytes(4, "big"), n + 1, body=bytes(500)) for n in range(500)]
    run(write(tmp_path, [save(*rows, meta=(("term", 41),))]))
    path = tmp_path / store_sqlite.FILE_NAME
    with path.open("r+b") as file:  # a page in the middle: rows, not facts
        file.seek(path.stat().st_size // 2 & ~4095)
        file.write(b"\xde\xad" * 2048)
    (tmp_path / "rec.db-running").touch()
    loaded = run(load(tmp_path))
    assert (loaded.rows, loaded.vector, loaded.meta) == ([], {}, {})
    assert loaded.salvaged == {"term": 41}
    assert [line.what for line in loaded.notes] == ["store.unclean", "store.corrupt"]
    assert [aside for aside in tmp_path.glob("rec.corrupt-*") if b"\xde\xad" * 2048 in aside.read_bytes()]
    run(write(tmp_path, [save(rec(b"new"))]))
    assert run(load(tmp_path)).rows == [rec(b"new")]


def test_file_that_is_no_database_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / store_sqlite.FILE_NAME).write_bytes(b"no database at all" * 1000)
    loaded = run(load(tmp_path))
    assert [line.what for line in loaded.notes] == ["store.corrupt"]
    assert loaded.salvaged == {}


def test_number_that_does_not_fit_is_our_bug_and_writes_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with SqliteStore(tmp_path) as store:
            await store.open()
            with pytest.raises(InvariantBroken):
                await store.commit([save(rec(b"good"), rec(b"bad")._replace(hlc=1 << 63))])
            await store.commit([save(rec(b"after"))])

    run(story())
    assert run(load(tmp_path)).rows == [rec(b"after")]


def test_error_inside_a_transaction_rolls_all_of_it_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with SqliteStore(tmp_path) as store:
            await store.open()
            bad: Any = Note(1, "what", None)  # type: ignore[arg-type]  # violates NOT NULL, after the rows
            with pytest.raises(StoreFailed, match="NOT NULL"):
                await store.commit([save(rec(b"a"))], [bad])
            await store.commit([save(rec(b"b"))])

    run(story())
    assert run(load(tmp_path)).rows == [rec(b"b")]


def test_commit_when_closed_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        store = SqliteStore(tmp_path)
        await store.open()
        await store.close()
        await store.close()
        with pytest.raises(StoreFailed, match="not open"):
            await store.commit([save(rec(b"a"))])

    run(story())


async def fill(store: SqliteStore) -> int:
    """Commit until the disk is full; return the number of the last commit that was acknowledged."""
    for n in range(2, 1000):
        try:
            await store.commit([save(rec(n.to_bytes(4, "big"), n, body=bytes(20_000)), meta=(("n", n),))])
        except StoreFull:
            return n - 1
    raise AssertionError("the disk never became full")


@pytest.mark.root
def test_full_disk_is_told_and_over_when_there_is_room(small_disk: Path) -> None:
    filler = small_disk / "filler"

    async def story() -> int:
        async with SqliteStore(small_disk / "data") as store:
            await store.open()
            await store.commit([save(rec(b"first", 1))])
            filler.write_bytes(bytes(1_000_000))
            acknowledged = await fill(store)
            with pytest.raises(StoreFull):
                await store.commit([save(rec(b"still full", 5000, body=bytes(400_000)))])
            filler.unlink()
            await store.commit([save(rec(b"last", acknowledged + 1), meta=(("n", acknowledged + 1),))])
            return acknowledged + 1

    last = run(story())
    loaded = run(load(small_disk / "data"))
    assert sorted(row.seq for row in loaded.rows) == list(range(1, last + 1))
    assert (loaded.vector, loaded.meta) == ({ORIGIN: last}, {"n": last})
    assert last > 10


# -- when the process dies

WRITER = """
import asyncio, sys
from pathlib import Path
from farmd.adapters.store import SqliteStore
from farmd.core.effects import Note, Save
from protocol.records import Rec

async def main():
    async with SqliteStore(Path(sys.argv[1])) as store:
        loaded = await store.open()
        n = loaded.meta.get("n", 0)
        print("open", n, *[line.what for line in loaded.notes], flush=True)
        while True:
            n += 1
            rows = tuple(Rec(7, f"{n}/{k}".encode(), 1, n, 5, 3 * n + k - 2, 0, bytes(50 * k)) for k in range(3))
            await store.commit([Save(rows, ((5, 3 * n),), (), (("n", n),))], [Note(n, "n", str(n))])
            print(n, flush=True)

asyncio.run(main())
"""


def kill_while_writing(data_dir: Path, acknowledgements: int) -> tuple[list[str], int]:
    """Start a writer, let it commit at least so often, kill it; return its greeting and its last acknowledgement."""
    command = [sys.executable, "-c", WRITER, str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as writer:
        assert writer.stdout is not None
        greeting = writer.stdout.readline().decode().split()
        for _ in range(acknowledgements):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().decode()
        complete = rest[: rest.rfind("\n")].split() if "\n" in rest else []
        writer.wait()
    return greeting, int(complete[-1]) if complete else int(greeting[1]) + acknowledgements


def read_what_a_killed_writer_left(data_dir: Path) -> int:
    """Look without opening the store, so that the next writer still finds it as it was left; return the last commit."""
    with closing(sqlite3.connect(f"file:{data_dir / store_sqlite.FILE_NAME}?mode=ro", uri=True)) as connection:
        ((n,),) = connection.execute("SELECT value FROM meta").fetchall()
        last = int(msgpack.unpackb(n))
        assert connection.execute("SELECT seq FROM rec ORDER BY seq").fetchall() == [(k + 1,) for k in range(3 * last)]
        assert connection.execute("SELECT origin, seq FROM vector").fetchall() == [(5, 3 * last)]
        assert connection.execute("SELECT max(at_ms), count(*) FROM note").fetchall() == [(last, last)]
    return last


def test_killed_writer_has_kept_every_commit_that_it_acknowledged_and_no_half_ones(tmp_path: Path) -> None:
    found = 0
    for round_, count in enumerate((1, 7, 60, 100, 400, 777)):
        greeting, acknowledged = kill_while_writing(tmp_path, count)
        assert greeting == ["open", str(found), *(["store.unclean"] if round_ else [])]
        found = read_what_a_killed_writer_left(tmp_path)
        assert acknowledged <= found <= acknowledged + 1  # at most the one commit in flight
    assert run(load(tmp_path)).meta == {"n": found}
    assert check(tmp_path).problems == ()


def test_process_whose_main_coroutine_raises_ends_and_has_kept_its_commits(tmp_path: Path) -> None:
    program = WRITER.replace("while True:", "if True:").replace("async with SqliteStore(Path(sys.argv[1])) as store:", (
        "store = SqliteStore(Path(sys.argv[1]))\n    if True:"
    )).replace("print(n, flush=True)", "raise SystemExit('broken')")  # fmt: skip
    command = [sys.executable, "-W", "ignore", "-c", program, str(tmp_path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, timeout=15, check=False)
    assert b"broken" in done.stderr
    assert run(load(tmp_path)).meta == {"n": 1}


# -- check


def test_check_of_a_sound_store_finds_nothing_and_tells_its_digest(tmp_path: Path) -> None:
    rows = [rec(b"a", 1), rec(b"b", 2)]
    run(write(tmp_path, [save(*rows)]))
    verdict = check(tmp_path)
    assert verdict.problems == ()
    assert (verdict.rows, verdict.vector) == (2, {ORIGIN: 2})
    assert verdict.digest == row_hash(rows[0]) ^ row_hash(rows[1])


def test_check_reads_a_store_that_is_in_use_and_one_that_was_killed(tmp_path: Path) -> None:
    async def story() -> int:
        async with SqliteStore(tmp_path) as store:
            await store.open()
            await store.commit([save(rec(b"a"))])
            return check(tmp_path).rows

    assert run(story()) == 1
    kill_while_writing(tmp_path, 3)
    assert check(tmp_path).rows >= 10


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (Save((rec(b"a", 2),), ((ORIGIN, 1),)), "vector entry is 1"),
        (Save((rec(b"a", 1),)), "vector entry is None"),
        (Save((rec(b"a", 1), rec(b"b", 1)), ((ORIGIN, 1),)), "names 2 rows"),
    ],
)
def test_check_finds_a_broken_invariant(tmp_path: Path, bad: Save, told: str) -> None:
    run(write(tmp_path, [bad]))
    (problem,) = check(tmp_path).problems
    assert told in problem


def test_check_of_an_empty_directory_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no store"):
        check(tmp_path)


def test_store_that_another_boot_left_open_says_so_until_the_core_has_taken_note(tmp_path: Path) -> None:
    def left_by(boot: str, *, close: bool = False, write: bool = True) -> bool:
        async def scene() -> bool:
            store = SqliteStore(tmp_path, boot)
            loaded = await store.open()
            if write:
                await store.commit([Save(meta=(("epoch", 1),))])
            mark = (tmp_path / f"{store_sqlite.FILE_NAME}-running").read_text()
            await store.close()
            if not close:
                (tmp_path / f"{store_sqlite.FILE_NAME}-running").write_text(mark)
            return loaded.power_cut

        return asyncio.run(scene())

    assert not left_by("one")
    assert not left_by("one"), "the same boot: only the process had gone"
    assert left_by("two", write=False)
    assert left_by("two"), "nothing had been written in between"
    assert not left_by("two", close=True)
    assert not left_by("three")
