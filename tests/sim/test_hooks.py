"""Hooks in histories in which everything goes wrong: no invariant breaks, and every end of a job is told.

The same histories as elsewhere, with a hook that wants everything and a receiver that often fails: clocks that are an
hour off, lying disks, evictions, power cuts and divided farms included.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from protocol.hooks import JOB_EVENTS
from protocol.states import JOB_TERMINAL
from tests.sim.history import History

if TYPE_CHECKING:
    from tests.sim.world import Told

URL = "https://hooks.example.org/farm"
HOOK_AT_S = 2.5


class TellingHistory(History):
    """A history in which a hook was made before the first job."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.taken: dict[str, dict[str, None]] = {}
        self._moods = Random(f"{seed}/receiver")
        self.world.receive = self._receive

    def _receive(self, told: Told) -> tuple[str, float]:
        healed = self.loop.time() > 300
        if not healed and self._moods.random() < 0.3:
            return "503 Service Unavailable", self._moods.uniform(0.0, 5.0)
        job: dict[str, Any] = told.notice["job"] or {}
        if told.notice["alert"] is None:
            self.taken.setdefault(str(job.get("id")), {})[told.notice["event"]] = None
        return "", self._moods.uniform(0.0, 1.0)

    async def _live(self) -> None:
        self.loop.call_later(HOOK_AT_S, self._add_hook)
        await super()._live()

    def _add_hook(self) -> None:
        asked = {"kind": "url", "target": URL, "events": ["*"]}
        self.world.ask(self.world.machines[0], "hook.add", **asked)

    def untold(self) -> list[str]:
        """Name jobs that have ended and whose end nobody was told of."""
        found = []
        for machine in self.world.up()[:1]:
            for job in machine.node.jobs:
                state = machine.node.jobs.state_of(job.id)
                events = self.taken.get(job.id, {})
                if state in JOB_TERMINAL and f"job.{JOB_EVENTS[state]}" not in events:
                    found.append(f"{job.id} is {state}, told were {list(events)}")
        return found

    def _close(self) -> None:
        self.left = [] if self.report.broken else self.untold()
        super()._close()


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=pytest.mark.slow if seed != 1 else ()) for seed in range(14)]
)
@pytest.mark.timeout(120)
def test_histories_with_a_hook_keep_all_invariants_and_tell_every_end(seed: int) -> None:
    history = TellingHistory(seed)
    report = history.run()
    assert report.broken == ""
    assert history.world.notices
    assert history.left == []
