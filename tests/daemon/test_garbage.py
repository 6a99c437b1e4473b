"""What is loaded when a daemon begins is no longer looked through for garbage; what comes later still is."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import gc
import farmd.daemon.life
from farmd.daemon.garbage import keep_what_is_loaded

class Knot:
    def __init__(self):
        self.self = self

before = len(gc.get_objects())
keep_what_is_loaded()
looked_at = len(gc.get_objects())
for _ in range(50):
    Knot()
print(before, looked_at, gc.get_freeze_count(), gc.collect())
"""


def test_collector_passes_over_modules_and_finds_new_garbage() -> None:
    found = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True).stdout
    before, looked_at, frozen, collected = map(int, found.split())
    assert looked_at < before / 100
    assert frozen > before / 2
    assert collected >= 50
