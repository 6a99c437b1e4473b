"""Files of a job on their way to a real daemon: odd names, links and holes, and a submission that was interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING

from tests.e2e.farm import FARMCTL, until
from tests.ingest.carrying import contents
from tests.ingest.test_names import ODD_NAMES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.farm import Farm

SMALL_FILES = 3_000


def test_odd_names_links_and_holes_are_laid_out_as_they_were(farm: Farm, tmp_path: Path) -> None:
    (a,) = farm.start("a")
    shot, library = tmp_path / "shot", tmp_path / "library"
    shot.mkdir()
    library.mkdir()
    for number, name in enumerate(ODD_NAMES):
        (shot / name).write_bytes(b"%d" % number)
    (library / "oak.png").write_bytes(b"oak")
    (shot / "wood").symlink_to(library)
    (shot / "empty").touch()
    with (shot / "cache.vdb").open("wb") as cache:
        cache.truncate(20 << 20)
    job = a.submit("--command", "true", "--frames", "1", "--input", str(shot))
    until(lambda: a.state(job) == "completed", "it ran in its checkout", 40)

    tree = a.data_dir / "checkouts" / job
    expected = contents(shot) | {b"wood/oak.png": b"oak"}
    assert contents(tree) == expected
    assert (tree / "cache.vdb").stat().st_blocks * 512 < 1 << 20
    assert not (a.data_dir / "blobs" / "unsettled").exists()


def test_submission_that_was_killed_sends_only_what_lacks_when_it_is_repeated(farm: Farm, tmp_path: Path) -> None:
    (a,) = farm.start("a")
    shot = tmp_path / "shot"
    shot.mkdir()
    for number in range(SMALL_FILES):
        (shot / f"{number}.png").write_bytes(os.urandom(50_000))
    words = ("submit", "--command", "true", "--frames", "1", "--input", str(shot), "-o", "json")
    environ = farm.environ | {"FARM_NODE": str(a.data_dir)}
    with subprocess.Popen(
        [*FARMCTL, *words], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as first:
        until(lambda: len(list((a.data_dir / "blobs" / "blobs").glob("*/*"))) > 50, "some files are there", 20)
        first.send_signal(signal.SIGKILL)

    told = json.loads(a.ctl(*words).stdout)
    assert told["total_bytes"] == SMALL_FILES * 50_000
    assert 0 < told["sent_bytes"] <= told["total_bytes"] - 50 * 50_000
    assert told["sent_bytes"] % 50_000 == 0
    until(lambda: a.state(told["job"]) == "completed", "it ran", 40)
