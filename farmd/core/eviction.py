"""Rounds that drop the least recently used blobs of a store that is too full.

A round is one pass over the store, oldest use first, in pages of `PAGE`; nothing of it is kept while the node rests. It
goes through three stages, and stops dropping as soon as enough has gone:

    cache      what no job needs
    pledged    what the anchors of the jobs keep too, after each has given its word (`farmd.core.pledges`)
    last       what is delivered and perhaps nowhere else in the farm

Before anything is dropped the survey of claims is complete, so that a job that came a moment ago keeps its files; and
what this node has said to hold it takes back in the same turn, hence before the store hears of it. The store drops a
blob only if nobody has used it since it was listed, and answers with what has gone.

Invariant: one question to the store is open at a time. Called by `farmd.core.node`. Who needs what is judged by
`farmd.core.evictable`, how much has to go by `farmd.core.quota`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from farmd.core.beat import next_beat
from farmd.core.effects import EvictBlobs, ListBlobs
from farmd.core.evictable import Verdict
from farmd.core.keeping import Keeping
from protocol.human import counted, format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from farmd.core.events import BlobsEvicted, BlobsListed, HeldBlob, ManifestRead
    from farmd.core.evictable import Evictable
    from farmd.core.keeping import Words
    from farmd.core.pledges import Pledges
    from farmd.core.quota import Quota
    from farmd.core.survey import Survey
    from farmd.core.turn import Turn
    from protocol.ids import NodeId
    from protocol.messages import PledgeIs, Wanted

PAGE = 500
FIRST_S = 5.0
"""From the start of the daemon to its first round, while peers tell what it may have forgotten."""
PERIOD_S = 3_600.0
"""Between two rounds that nothing asked for: they count what could be dropped."""
RETRY_S = 60.0
"""Pause after a round that could not drop enough."""
SOON_S = 5.0
"""The same where what could go was used a moment ago."""


class _Phase(Enum):
    REST = "rest"
    LISTING = "waits for a page of the store"
    SURVEY = "looks who needs what"
    DROPPING = "waits until blobs are gone"
    ASKING = "waits for the word of anchors"


class _Stage(Enum):
    CACHE = "cache"
    PLEDGED = "pledged"
    LAST = "last"


class Eviction:
    """Rounds through the store; one at a time."""

    def __init__(
        self,
        *,
        quota: Quota,
        evictable: Evictable,
        survey: Survey,
        pledges: Pledges,
        words: Words,
        is_ready: Callable[[], bool],
    ) -> None:
        """Prepare; `is_ready()` says whether the farm has confirmed what this node knows."""
        self._quota = quota
        self._evictable = evictable
        self._survey = survey
        self._pledges = pledges
        self._words = words
        self._is_ready = is_ready
        self._phase, self._stage = _Phase.REST, _Stage.CACHE
        self._round = 0
        self._page: tuple[HeldBlob, ...] = ()
        self._next, self._more = 0, False
        self._keeping = Keeping()
        self._freed_bytes = self._freed = 0
        self._dropping: tuple[HeldBlob, ...] = ()
        self._at: float | None = None
        self._not_before = 0.0

    def begin_life(self, turn: Turn) -> None:
        """Plan the first round."""
        self._not_before = turn.now.mono + FIRST_S
        self._at = self._not_before if self._quota.limit_bytes else None

    # -- when ---------------------------------------------------------------------------------------------------------

    def review(self, turn: Turn) -> None:
        """The store was measured: begin a round if it is too full."""
        quota = self._quota
        if not quota.cache_excess_bytes():
            if quota.fault:
                quota.fault = ""
                turn.note("store-has-room", f"the store holds {format_size(quota.used_bytes)} and may take more")
        elif self._phase is _Phase.REST and (self._at is None or self._at > self._not_before):
            self._at = max(turn.now.mono, self._not_before)

    def hurry(self, turn: Turn) -> None:
        """Something is needed no more: do not wait as long as after a round that found nothing."""
        self._not_before = min(self._not_before, turn.now.mono + SOON_S)

    def next_deadline(self) -> float | None:
        """When the round goes on, or the next one begins."""
        return self._pledges.until if self._phase is _Phase.ASKING else self._at

    def on_timer(self, turn: Turn) -> None:
        """Begin a round, go on with the survey, or do without the word of who does not answer."""
        if self._phase is _Phase.ASKING and turn.now.mono >= self._pledges.until:
            self._end_asking(turn)
        if self._at is None or turn.now.mono < self._at:
            return
        self._at = None
        if self._phase is _Phase.REST:
            self._begin(turn)
        elif self._phase is _Phase.SURVEY:
            self._go_on(turn)

    def _begin(self, turn: Turn) -> None:
        if not self._is_ready():
            self._at = turn.now.mono + RETRY_S
            return
        self._round += 1
        self._stage, self._keeping = _Stage.CACHE, Keeping()
        self._freed_bytes = self._freed = self._next = 0
        self._survey.begin()
        self._list(turn)

    def _list(self, turn: Turn) -> None:
        self._phase = _Phase.LISTING
        turn.effects.append(ListBlobs(self._round, self._next, PAGE))

    # -- what the store says --------------------------------------------------------------------------------------

    def on_listed(self, turn: Turn, event: BlobsListed) -> None:
        """Take a page of the store."""
        if self._phase is not _Phase.LISTING or event.ask != self._round:
            return
        self._page, self._more = event.blobs, event.more
        self._next += len(event.blobs)
        self._look(turn)

    def on_manifest(self, turn: Turn, event: ManifestRead) -> None:
        """Take the files of a job, if the survey waits for them."""
        if self._survey.on_manifest(event) and self._phase is _Phase.SURVEY:
            self._at = turn.now.mono

    def on_evicted(self, turn: Turn, event: BlobsEvicted) -> None:
        """What was to go has gone, but for what was used meanwhile."""
        if self._phase is not _Phase.DROPPING or event.ask != self._round:
            return
        size_bytes = sum([blob.size for blob in event.gone])
        self._freed += len(event.gone)
        self._freed_bytes += size_bytes
        self._quota.freed(size_bytes)
        if self._stage is _Stage.PLEDGED and event.gone:
            self._quota.cramp(turn.now.mono)
        self._advance(turn)

    # -- the way through a round --------------------------------------------------------------------------------------

    def _look(self, turn: Turn) -> None:
        """See to it that the survey is complete; it goes on with the stage then."""
        self._phase, self._at = _Phase.SURVEY, turn.now.mono

    def _go_on(self, turn: Turn) -> None:
        if not self._survey.step(turn):
            self._at = None if self._survey.is_reading else turn.now.mono
            return
        for job_id in self._survey.unread:
            self._words.take_back_files(turn, job_id)
        self._survey.unread.clear()
        if self._stage is _Stage.CACHE:
            self._drop(turn, self._sort(turn))
        elif self._stage is _Stage.PLEDGED:
            self._drop(turn, self._still(turn, self._keeping.pledged(), Verdict.PLEDGE))
        else:
            self._drop(turn, self._still(turn, self._keeping.last, Verdict.LAST))

    def _sort(self, turn: Turn) -> list[HeldBlob]:
        """Judge a page: return what goes, and remember what may go later."""
        goes: list[HeldBlob] = []
        goal = self._quota.cache_excess_bytes()
        for held in self._page:
            claims = self._survey.of(held.blob)
            verdict = self._evictable.verdict(held, claims, turn.now)
            if verdict is Verdict.FREE and goal > 0:
                goal -= held.blob.size
                goes.append(held)
            else:
                self._keeping.add(held, claims, verdict)
        self._page = ()
        return goes

    def _still(self, turn: Turn, found: Iterable[HeldBlob], verdict: Verdict) -> list[HeldBlob]:
        """Return what is judged as before and has to go."""
        goes: list[HeldBlob] = []
        goal = self._quota.needed_excess_bytes()
        for held in found:
            judged = self._evictable.verdict(held, self._survey.of(held.blob), turn.now)
            if goal > 0 and judged <= verdict:
                goal -= held.blob.size
                goes.append(held)
        return goes

    def _drop(self, turn: Turn, goes: list[HeldBlob]) -> None:
        """Take words back and have the store drop what they were about."""
        if not goes:
            self._advance(turn)
            return
        for held in goes:
            self._words.take_back(turn, self._survey.of(held.blob))
        self._words.write(turn)
        self._phase = _Phase.DROPPING
        turn.effects.append(EvictBlobs(self._round, tuple(goes)))

    def _advance(self, turn: Turn) -> None:
        """Go on with the next page, or the next stage."""
        if self._stage is _Stage.CACHE and self._more:
            self._list(turn)
        elif self._stage is _Stage.CACHE:
            self._stage = _Stage.PLEDGED
            self._ask(turn)
        elif self._stage is _Stage.PLEDGED:
            self._stage = _Stage.LAST
            self._look(turn)
        else:
            self._end(turn)

    def _ask(self, turn: Turn) -> None:
        wanted: dict[NodeId, list[Wanted]] = {}
        if self._quota.needed_excess_bytes():
            wanted = self._keeping.questions(self._evictable, self._pledges.is_alive, turn.now)
        if not wanted:
            self._advance(turn)
            return
        self._phase, self._at = _Phase.ASKING, None
        self._pledges.ask(turn, wanted)

    def on_pledge(self, turn: Turn, sender: NodeId, message: PledgeIs) -> None:
        """An anchor has given its word, or not."""
        for blob in self._pledges.on_is(sender, message):
            self._keeping.promise(blob, sender)
        if self._phase is _Phase.ASKING and not self._pledges.is_waiting:
            self._end_asking(turn)

    def _end_asking(self, turn: Turn) -> None:
        self._pledges.give_up()
        self._look(turn)

    def _end(self, turn: Turn) -> None:
        """Say what was done, and what could not be."""
        quota, keeping = self._quota, self._keeping
        quota.evictable_bytes = keeping.evictable_bytes
        if self._freed:
            turn.note(
                "store-dropped", f"{counted(self._freed, 'file')}, {format_size(self._freed_bytes)}, left the store"
            )
        is_stuck = quota.is_over or (quota.is_low and not self._freed)
        waits = is_stuck and keeping.soon_bytes >= quota.cache_excess_bytes()
        fault = quota.complaint(keeping.reasons()) if is_stuck and not waits else ""
        if fault and not quota.fault:
            turn.note("store-full", fault)
        quota.fault = fault
        self._survey.drop()
        self._keeping, self._phase = Keeping(), _Phase.REST
        pause_s = SOON_S if waits else RETRY_S
        self._not_before = turn.now.mono + (pause_s if is_stuck else 0.0)
        self._at = next_beat(self._not_before, PERIOD_S) if quota.limit_bytes else None
