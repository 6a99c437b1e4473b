"""A door for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.web.serving import Served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path) as door:
        yield door
