"""What rendering cost: the price of an hour of a machine, an attempt's share of it, and the sums of a job.

Theory. Each machine has a price of an hour, or none; it is set for one machine or for all of one configuration of
hardware. An attempt is charged for the largest share that it takes of any one thing its machine offers (cores, memory,
GPUs, slots), since that is what it keeps others from using: the *dominant share* of Ghodsi et al., "Dominant Resource
Fairness" (2011), section 4. The node that runs it writes the price of that share into the attempt row as it starts, so
a price that is changed later changes nothing that was rendered before, and the sums are a fold over attempt rows alone.

Money is counted in whole millionths, rounded down for each attempt: sums do not depend on the order of rows. Whose
money it is nobody says: a farm has one currency. Time is summed by the day (UTC) on which an attempt ended, by the wall
clock of its node, so that "since when" costs what the days cost.

Called by `farmd.core.job`, `worker`, `registry` and the views. Decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from protocol.human import format_size
from protocol.states import AttemptState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from farmd.core.attempts import Attempt
    from farmd.core.capacity import Claim
    from protocol.bodies import NodeBody

MILLIONTHS = 1_000_000
"""Of one unit of the farm's currency."""
MAX_PRICE = 1_000_000 * MILLIONTHS
FREE = -1
"""What stands in the row of an attempt that costs nothing; a 0 there says that its machine had no price."""
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
GIB = 1 << 30


def hardware_of(body: NodeBody) -> str:
    """Name a configuration of hardware: machines of one name share a price."""
    models = [gpu.model for gpu in body.gpus]
    gpus = [f"{models.count(model)}x {model}" for model in dict.fromkeys(models)]
    ram = format_size(round(body.ram_bytes / GIB) * GIB)
    return ", ".join([f"{body.cores} cores", f"{ram} RAM", *gpus])


def price_of_share(price: int | None, claim: Claim, body: NodeBody) -> int:
    """Return, as it stands in a row, what an hour of a claim costs on a machine of which an hour costs `price`."""
    if price is None:
        return 0
    parts = (
        (claim.cores, body.cores),
        (claim.ram_bytes, body.ram_bytes),
        (len(claim.gpus), len(body.gpus)),
        (1, body.slots),
    )
    return min(price, max(price * taken // offered if offered > 0 else 0 for taken, offered in parts)) or FREE


class Sum(NamedTuple):
    """What some attempts took together.

    Attributes:
        cost: In millionths.
        wasted: Share of the cost of attempts that failed or were stopped.
        time_ms: How long they took.
        unpriced_ms: Share of that time on machines without a price.
    """

    cost: int = 0
    wasted: int = 0
    time_ms: int = 0
    unpriced_ms: int = 0

    def plus(self, other: Sum) -> Sum:
        """Add two sums."""
        return Sum(*[ours + theirs for ours, theirs in zip(self, other, strict=True)])


class Costs:
    """What the ended attempts of one job cost, by the day on which they ended.

    Kept in plain numbers: it is fed by every row of an attempt, a million of them at a start.
    """

    __slots__ = ("_days",)

    def __init__(self) -> None:
        self._days: dict[int, list[int]] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Costs) and self._days == other._days

    __hash__ = None  # type: ignore[assignment]  # it changes

    def replace(self, old: Attempt | None, new: Attempt) -> None:
        """Take a new version of an attempt in place of the old one."""
        if old is not None:
            self._add(old, -1)
        self._add(new, 1)

    def _add(self, attempt: Attempt, sign: int) -> None:
        """Add or take away what one attempt cost; while it runs that is not known."""
        if attempt.state == AttemptState.RUNNING or not attempt.started_ms:
            return
        number = attempt.ended_ms // DAY_MS
        day = self._days.setdefault(number, [0, 0, 0, 0])
        time_ms = max(0, attempt.ended_ms - attempt.started_ms)
        price = min(max(0, attempt.price), MAX_PRICE)
        cost = price * time_ms // HOUR_MS
        day[0] += sign * cost
        day[1] += 0 if attempt.state == AttemptState.DONE else sign * cost
        day[2] += sign * time_ms
        day[3] += 0 if price or attempt.price == FREE else sign * time_ms
        if not any(day):
            del self._days[number]

    @property
    def total(self) -> Sum:
        """Of all of them."""
        return self.since(0)

    @property
    def days(self) -> dict[int, Sum]:
        """By the number of the day since 1970 (UTC)."""
        return {number: Sum(*day) for number, day in self._days.items()}

    def since(self, wall_ms: int) -> Sum:
        """Sum up the attempts that ended on the day of an instant, or later."""
        first = wall_ms // DAY_MS
        return sum_of(Sum(*day) for number, day in self._days.items() if number >= first)


def sum_of(parts: Iterable[Sum]) -> Sum:
    """Add sums."""
    total = Sum()
    for part in parts:
        total = total.plus(part)
    return total
