"""A fork never falls into the middle of an import of ours."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from farmd.board import forking

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]
SLOW_IMPORT = """
import os, sys, threading
sys.path.insert(0, sys.argv[1])
from farmd.board.forking import importing
begun = threading.Event()
sys.modules["begun"] = begun

def load():
    with importing():
        import slow

thread = threading.Thread(target=load)
thread.start()
begun.wait()
child = os.fork()
if child == 0:
    import slow
    os._exit(0 if slow.whole == 1 else 1)
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_fork_waits_for_an_import_of_a_thread(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import sys, threading\nsys.modules['begun'].set()\nthreading.Event().wait(0.5)\nwhole = 1\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", SLOW_IMPORT, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=15,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.stdout.strip(), done.stderr) == ("0", "")


def test_fork_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "_WAIT_S", 0.2)
    over = threading.Event()
    held = threading.Event()

    def hold() -> None:
        with forking.importing():
            held.set()
            over.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(5)
    before = time.monotonic()
    forking._gate.close()
    forking._gate.open()
    assert time.monotonic() - before < 5
    over.set()
    thread.join()
    with forking.importing():
        assert forking._gate.lock.locked()
