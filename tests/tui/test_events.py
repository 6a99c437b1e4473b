"""The event log on the screen: whatever was missed is read, however much it is."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.tui.conftest import dashboard
from tests.tui.recorded import EVENTS, RecordedSource, farm
from tui.asking import EVENTS_PAGE


def test_more_than_a_page_that_was_missed_is_read_to_the_newest_line() -> None:
    last = 3

    def events(after: int | None, limit: int) -> dict[str, Any]:
        numbers = range(max(0, last - limit) + 1, last + 1) if after is None else range(after + 1, last + 1)[:limit]
        return {"events": [EVENTS[0] | {"id": number, "text": f"note {number}"} for number in numbers], "last": last}

    async def story() -> None:
        nonlocal last
        source = RecordedSource(events=events)
        async with dashboard((120, 40), source=source) as session:
            await session.press("4")
            await session.shows("note 3")
            last = 3 * EVENTS_PAGE
            source.tell_changes(farm=farm(notes=last))
            await session.shows(f"note {last}")
            assert len(session.app.console_model.event_rows) == last
            assert session.app.console_model.events.cursor == last

    asyncio.run(story())
