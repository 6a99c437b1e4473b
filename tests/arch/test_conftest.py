"""The marks that tests/conftest.py understands: a missing program skips at a desk and fails in CI."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # each test is a pytest of its own

ROOT = Path(__file__).parents[2]
ASKS_FOR_BLENDER = "import pytest\n\n@pytest.mark.blender\ndef test_frame() -> None: ...\n"
SAYS_ITS_LIMIT = """import pytest

@pytest.mark.{mark}
def test_limit(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("timeout").args == ({limit},)
"""


def run_pytest(folder: Path, source: str, **environ: str) -> str:
    """Run one test file elsewhere, under our configuration and conftest, where no program is found."""
    (folder / "test_it.py").write_text(source)
    options = shlex.join(
        ["-c", f"{ROOT}/pyproject.toml", f"--rootdir={folder}", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "test_it.py"],
        cwd=folder,
        env={
            "PYTHONPATH": str(ROOT),
            "HOME": os.environ.get("HOME", "/"),
            "PATH": str(folder),
            "PYTEST_ADDOPTS": options,
            **environ,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=15,
    )
    return done.stdout.splitlines()[-1] if done.stdout else done.stderr


def test_missing_program_skips(tmp_path: Path) -> None:
    assert "1 skipped" in run_pytest(tmp_path, ASKS_FOR_BLENDER)


def test_missing_program_that_was_promised_fails(tmp_path: Path) -> None:
    assert "1 error" in run_pytest(tmp_path, ASKS_FOR_BLENDER, FARMD_TEST_REQUIRE="root,blender")


def test_slow_tests_have_more_time(tmp_path: Path) -> None:
    assert "1 passed" in run_pytest(tmp_path, SAYS_ITS_LIMIT.format(mark="slow", limit=300))


def test_a_limit_of_its_own_is_kept(tmp_path: Path) -> None:
    assert "1 passed" in run_pytest(tmp_path, SAYS_ITS_LIMIT.format(mark="timeout(7)\n@pytest.mark.slow", limit=7))


def test_unknown_mark_is_an_error(tmp_path: Path) -> None:
    assert "1 error" in run_pytest(tmp_path, SAYS_ITS_LIMIT.format(mark="quick", limit=1))


def test_warning_is_an_error(tmp_path: Path) -> None:
    assert "1 failed" in run_pytest(tmp_path, "import warnings\n\ndef test_it() -> None:\n    warnings.warn('old')\n")
