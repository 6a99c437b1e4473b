"""Whatever the OpenAPI document allows, and much that it does not, is answered as the document says, and never by a 5xx."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from tests.e2e.farm import Farm, until
from tests.e2e.webdoor import add_door, command_task, md5_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.webdoor import Caller

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what schemathesis itself imports
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.core.result import Ok
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

EXAMPLES = 8
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
"""The others compare with ideas of their own: that every refused value is named in a schema, say."""


KNOWN: dict[str, str] = {"node": "a", "frame": "2", "md5": md5_of(b"some")}
"""Parameters of paths that lead to something; without them nearly all answers would be that nothing is there."""


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with Farm(tmp_path_factory.mktemp("web") / "farm") as farm:
        door = add_door(farm, "a")
        farm.start("a")
        made = door.wait().user("anna", "wrangler")
        with_things(made, door.member.data_dir)
        yield made
        assert requests.get(f"{door.url}/health", timeout=10).status_code == 200
        assert door.member.status()["node_name"] == "a"


def with_things(caller: Caller, folder: Path) -> None:
    """See to it that there is something to find: a job with a result, and a file."""
    job = caller.post("/api/task/create", command_task("cp /etc/hostname {output}", "1-3"))["job"]
    until(lambda: caller.get(f"/api/v1/jobs/{job}")["state"] == "completed", "there is a job")
    KNOWN.update(job=job, id=job)
    path = folder / "some.bin"
    path.write_bytes(b"some")
    assert caller.put(path).status_code == 201
    assert caller.get(f"/api/files/{md5_of(b'some')}")["complete"] is True


def operations(caller: Caller) -> dict[str, Any]:
    schema = schemathesis.openapi.from_url(f"{caller.door.url}/openapi.json")
    good = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    return {operation.label: operation for operation in good}


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_whatever_is_asked_nothing_is_answered_with_a_server_error(caller: Caller, mode: GenerationMode) -> None:
    asked: dict[str, int] = {}
    known = operations(caller)
    assert len(known) > 30
    for label, operation in known.items():
        try:
            asked[label] = ask_all(caller, operation.as_strategy(generation_mode=mode))
            if mode is GenerationMode.POSITIVE and "{" in label:
                there = {name: KNOWN[name] for name in re.findall(r"{(\w+)}", label)}
                ask_all(caller, operation.as_strategy(path_parameters=there))
        except Unsatisfiable:  # without parameters nothing can be said wrongly
            assert mode is GenerationMode.NEGATIVE, label
    assert len(asked) > 25
    assert sum(asked.values()) > 100


def ask_all(caller: Caller, cases: st.SearchStrategy[Any]) -> int:
    count = 0

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=cases)
    def ask(case: Any) -> None:
        nonlocal count
        count += 1
        headers = {"Authorization": f"Bearer {caller.token}"}
        if isinstance(case.query, dict) and isinstance(case.query.get("wait_s"), float | int):
            case.query["wait_s"] = min(case.query["wait_s"], 0.2)  # what is allowed may last half a minute
        case.call_and_validate(headers=headers, checks=CHECKS, session=caller.session, timeout=30)

    ask()
    return count
