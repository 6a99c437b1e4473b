"""What all tests share: which of them can run here, how long each may take, how hard hypothesis tries.

A test that needs a program carries its marker and is skipped where the program is missing, except
where `FARMD_TEST_REQUIRE` names the marker (comma-separated, as CI does): there it fails, since a
skip that nobody reads hides a broken farm.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

E2E = Path(__file__).with_name("e2e")
SIMULATED = Path(__file__).with_name("sim")
"""Its tests share nothing and take long, so parallel workers divide them; those of other files stay together."""

# Seconds a test may take when it has no `timeout` mark of its own; all others have the 20 s of pyproject.toml.
TIME_LIMITS_S = {"e2e": 120, "slow": 300}

NEEDS: dict[str, tuple[str, Callable[[], bool]]] = {
    "blender": ("the program blender", lambda: shutil.which("blender") is not None),
    "povray": ("the program povray", lambda: shutil.which("povray") is not None),
    "mitsuba": ("the package mitsuba (extra demo)", lambda: importlib.util.find_spec("mitsuba") is not None),
    "browser": ("the program chromium", lambda: shutil.which("chromium") is not None),
    "root": ("to run as root", lambda: os.geteuid() == 0),
}

# No deadline: two busy cores make any single example slow. In CI the examples are the same each
# time, so that a red run is about the change and can be repeated; at a desk they are new each time.
hypothesis.settings.register_profile("desk", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "desk")


@pytest.hookimpl(tryfirst=True)  # before -m chooses by the marks that are set here
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in tests/e2e, give long tests their time, skip what cannot run here."""
    absent = {marker: text for marker, (text, is_there) in NEEDS.items() if not is_there()}
    required = set(filter(None, os.environ.get("FARMD_TEST_REQUIRE", "").split(",")))
    for item in items:
        if item.path.is_relative_to(E2E):
            item.add_marker("e2e")
        _limit_time(item)
        if not item.path.is_relative_to(SIMULATED):
            item.add_marker(pytest.mark.xdist_group(item.path.name))
        for marker, text in absent.items():
            if item.get_closest_marker(marker) and marker not in required:
                item.add_marker(pytest.mark.skip(reason=f"needs {text}"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test whose program is missing where it was promised."""
    for marker, (text, is_there) in NEEDS.items():
        if item.get_closest_marker(marker) and not is_there():
            pytest.fail(f"needs {text}, and FARMD_TEST_REQUIRE promises it", pytrace=False)


def _limit_time(item: pytest.Item) -> None:
    if item.get_closest_marker("timeout"):
        return
    limits = [limit for marker, limit in TIME_LIMITS_S.items() if item.get_closest_marker(marker)]
    if limits:
        item.add_marker(pytest.mark.timeout(max(limits)))
