"""Fixtures of the tests with real daemons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.farm import Farm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    with Farm(tmp_path / "farm") as founded:
        yield founded
