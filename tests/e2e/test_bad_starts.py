"""Daemons that cannot start say so in three lines, and the one that runs does not notice."""

from __future__ import annotations

import socket
import sqlite3
from typing import TYPE_CHECKING

from tests.e2e.farm import Farm, free_port

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess


def refused(farm: Farm, data_dir: Path, *words: str) -> CompletedProcess[str]:
    done = farm.farmd("run", "--no-mdns", "--data-dir", str(data_dir), *words)
    labels = [line.partition(":")[0].strip() for line in done.stderr.splitlines()]
    assert done.returncode not in (0, -6, -11), done.stderr
    assert labels[-3:] == ["error", "why", "try"], done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_port_in_use_is_refused_and_names_it(farm: Farm) -> None:
    (a,) = farm.start("a")
    second = farm.add("b")
    assert a.address in refused(farm, second.data_dir, "--listen", a.address).stderr
    with socket.socket() as other:
        port = free_port()
        other.bind(("127.0.0.1", port))
        other.listen()
        assert str(port) in refused(farm, second.data_dir, "--listen", f"127.0.0.1:{port}").stderr
    for nonsense in ("nonsense", "127.0.0.1:99999", "203.0.113.7:7000"):
        refused(farm, second.data_dir, "--listen", nonsense)
    assert a.alive() == {"a"}


def test_second_daemon_on_one_data_dir_is_refused_and_harms_nothing(farm: Farm) -> None:
    (a,) = farm.start("a")
    job = a.submit("--command", "sleep 600", "--frames", "1", "--gate", "off")
    refused(farm, a.data_dir, "--listen", f"127.0.0.1:{free_port()}")
    assert a.is_running
    assert a.ask("job.show", job=job)["id"] == job
    assert a.alive() == {"a"}


def test_data_dir_of_a_newer_version_is_refused_and_not_touched(farm: Farm) -> None:
    (a,) = farm.start("a")
    a.submit("--command", "true", "--frames", "1-3")
    a.stop()
    store = a.data_dir / "rec.db"
    with sqlite3.connect(store) as database:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        database.execute(f"PRAGMA user_version = {version + 7}")
        (before,) = database.execute("SELECT count(*) FROM rec").fetchone()
    database.close()

    said = refused(farm, a.data_dir, "--listen", a.address).stderr

    assert "newer" in said
    assert farm.farmd("--check", "--data-dir", str(a.data_dir)).returncode != 0
    with sqlite3.connect(store) as database:
        assert database.execute("SELECT count(*) FROM rec").fetchone() == (before,)
        database.execute(f"PRAGMA user_version = {version}")
    database.close()
    a.start()
    assert a.status()["jobs"]["total"] == 1
