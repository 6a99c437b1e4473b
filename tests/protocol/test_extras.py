"""What is missing is installed from where the program came: a clone, a repository, an index."""

from __future__ import annotations

import json
from importlib import metadata

import pytest

from protocol.extras import how_to_install


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        ({"url": "file:///home/anna/farmd", "dir_info": {}}, "pip install '/home/anna/farmd[web]'"),
        ({"url": "file:///home/a%20b/farmd", "dir_info": {"editable": True}}, "pip install '/home/a b/farmd[web]'"),
        (
            {"url": "https://example.org/farmd.git", "vcs_info": {"vcs": "git", "commit_id": "0"}},
            "pip install 'farmd[web] @ git+https://example.org/farmd.git'",
        ),
        (
            {"url": "https://example.org/farmd.whl", "archive_info": {}},
            "pip install 'farmd[web] @ https://example.org/farmd.whl'",
        ),
        (None, "pip install 'farmd[web]'"),
        ("junk", "pip install 'farmd[web]'"),
    ],
)
def test_extra_is_installed_from_where_the_program_came(
    origin: object, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = json.dumps(origin) if origin is not None else None
    monkeypatch.setattr(metadata.PathDistribution, "read_text", lambda _self, _name: noted)
    assert how_to_install("web") == command
