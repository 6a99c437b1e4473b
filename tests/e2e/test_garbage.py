"""Ten thousand pieces of garbage at every door of a running daemon: dropped, counted, and nothing lost."""

from __future__ import annotations

from itertools import chain
from random import Random
from typing import TYPE_CHECKING

from tests.e2e import garbage
from tests.e2e.farm import Farm, until

if TYPE_CHECKING:
    from pathlib import Path

SEED = 20_261_121
WORK = ("--command", "true", "--frames", "1-20")


def test_daemon_lives_through_ten_thousand_random_and_changed_messages(farm: Farm, tmp_path: Path) -> None:
    a, b, c = farm.start("a", "b", "c")
    rng = Random(SEED)
    done = a.submit(*WORK)
    until(lambda: a.state(done) == "completed", "a job is done before")
    paused = a.submit("--command", "sleep 60", "--frames", "1-10", "--gate", "off")
    a.control(paused, "pause", now=True)
    server_key = a.ask("node.key", address=a.address)["public_key"]
    c.stop()  # its keys are trusted; it is silent while we speak in its name
    with Farm(tmp_path / "other") as other:
        stranger = other.add("stranger")
        thrown = chain(
            garbage.at_port(rng, a.address, 2500),
            garbage.at_unix_socket(rng, a.data_dir, 500),
            garbage.as_client(rng, a.data_dir, 3000),
            garbage.as_peer(rng, stranger.data_dir, server_key, a.address, 1000),
            garbage.as_peer(rng, c.data_dir, server_key, a.address, 3000),
        )
        assert sum(1 for _ in thrown) == 10_000

    for member in (a, b):
        assert member.is_running, member.printed()
    farm.settle(60)
    told = [event for event in a.events() if event["what"] in ("bug", "replica-conflict")]
    assert told == []
    assert "Traceback" not in a.printed()
    assert "dropped message" in a.printed(), "a stranger's garbage is counted and named"
    assert any(event["what"] == "peer-error" and event["node_name"] == "c" for event in a.events()), "a member's, too"

    assert [(m.state(done), m.job(done)["done"]) for m in (a, b)] == [("completed", 20)] * 2
    after = b.submit(*WORK)
    until(lambda: a.state(after) == "completed", "work goes on")
    c.start()
    farm.settle(60)
    assert [m.state(paused) for m in farm] == ["paused"] * 3
    assert [m.stop() for m in farm] == [0, 0, 0]
    farm.checked()
