"""What people and the farm have ordered for one job: its registers, the newest version of each.

A register is a control row: pause, cancel, priority, gate, give up, archive, one per retried run of tasks and one per
changed field. Which order wins is decided by its stamp alone. A REQUEUE register, whichever tasks it names, undoes the
registers GIVEN_UP and ARCHIVED as far as they are older.

Called by `farmd.core.job`. Never looks at tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.records import JobField, stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocol.bodies import ControlBody
    from protocol.records import Rec

_SUB_AT = 11
"""Where the part of a key begins that tells registers of one field apart."""


class Registers:
    """The registers of one job, by field and the rest of their key."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, bytes], tuple[Rec, ControlBody]] = {}
        self._retried_hlc: int | None = 0

    def put(self, rec: Rec, field: int, body: ControlBody) -> bytes | None:
        """Take a version of a register; the part of its key after the field, None if it is no news."""
        sub = rec.pk[_SUB_AT:]
        old = self._found.get((field, sub))
        if old is not None and stamp(old[0]) >= stamp(rec):
            return None
        self._found[field, sub] = (rec, body)
        if field == JobField.REQUEUE:
            self._retried_hlc = None
        return sub

    def rows(self) -> Iterator[Rec]:
        """Yield the rows of all registers."""
        return (rec for rec, _ in self._found.values())

    def of_field(self, field: JobField) -> list[tuple[bytes, tuple[Rec, ControlBody]]]:
        """List the registers of one field, each with the rest of its key, in the order of these."""
        return sorted((sub, found) for (known, sub), found in self._found.items() if known == field)

    def get(self, field: JobField, sub: bytes = b"") -> ControlBody | None:
        """Return a register, or None if nobody has set it."""
        found = self._found.get((field, sub))
        return found[1] if found is not None else None

    def hlc_of(self, field: JobField) -> int:
        """Return the stamp of when a register was set last, or 0."""
        found = self._found.get((field, b""))
        return found[0].hlc if found is not None else 0

    def value(self, field: JobField, default: int = 0) -> int:
        """Return what a register is set to."""
        body = self.get(field)
        return body.value if body is not None else default

    @property
    def retried_hlc(self) -> int:
        """When a person retried anything of the job last, or 0."""
        if self._retried_hlc is None:
            requeues = [rec.hlc for (field, _), (rec, _) in self._found.items() if field == JobField.REQUEUE]
            self._retried_hlc = max(requeues, default=0)
        return self._retried_hlc

    @property
    def archived(self) -> bool:
        """It was put away, and not retried since."""
        found = self._found.get((JobField.ARCHIVED, b""))
        return found is not None and found[1].value > 0 and found[0].hlc > self.retried_hlc

    @property
    def given_up(self) -> str:
        """Why no machine of the farm can render the job, found since it was last retried; else empty."""
        found = self._found.get((JobField.GIVEN_UP, b""))
        if found is None or not found[1].value or found[0].hlc <= self.retried_hlc:
            return ""
        return found[1].why or "a feature is missing"
