"""The pictures of one job: which are known, and which are to be asked for.

A picture belongs to one result: when its frame renders again, or was rendered by another try, the old one is dropped,
since a person decides by what is shown. What could not be had is asked for again after a while. Besides the test frames
only those that were looked at last are kept, each of them a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tui.widgets.pictures import Shown

if TYPE_CHECKING:
    from collections.abc import Collection

    from tui.looks import Runs

KEPT: Final = 20
"""Pictures that are kept besides those on the screen."""
AGAIN_S: Final = 10.0
ASKING: Final = "asking …"


class Gallery:
    """Pictures by frame."""

    def __init__(self) -> None:
        self._shown: dict[int, Shown] = {}
        self._results: dict[int, Any] = {}
        self._asked_at: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._shown)

    def show(self, frame: int, words: list[Runs], result: Any) -> Shown:
        """Return the picture of a frame as it is known.

        Args:
            frame: Its number.
            words: Lines below it.
            result: Anything that is the same as long as its result is; None while it has none.
        """
        shown = self._shown.pop(frame, None) or Shown(frame, words)
        self._shown[frame] = shown  # the one that was looked at last is the last
        shown.words = words
        if self._results.get(frame) != result:
            self._results[frame] = result
            self._asked_at.pop(frame, None)
            shown.data, shown.note = None, ""
        return shown

    def lacks(self, frame: int, now: float) -> bool:
        """Tell whether the picture of a frame is to be asked for."""
        shown = self._shown.get(frame)
        if shown is None or shown.data is not None or self._results.get(frame) is None:
            return False
        return now - self._asked_at.get(frame, float("-inf")) >= AGAIN_S

    def asks(self, frame: int, now: float) -> Any:
        """Note that a picture is asked for now; returns of which result it will be."""
        self._asked_at[frame] = now
        self._shown[frame].note = ASKING
        return self._results.get(frame)

    def came(self, frame: int, result: Any, data: bytes | None, note: str) -> None:
        """Take an answer; one that is of an older result, or of a frame that nobody looks at any more, is dropped."""
        shown = self._shown.get(frame)
        if shown is not None and self._results.get(frame) == result:
            shown.data, shown.note = data, note

    def forget(self, on_screen: Collection[int]) -> None:
        """Drop what was not looked at lately."""
        others = [frame for frame in self._shown if frame not in on_screen]
        for frame in others[: max(0, len(others) - KEPT)]:
            for known in (self._shown, self._results, self._asked_at):
                known.pop(frame, None)
