"""The line in which a person types: a filter, a command, what to look for. One at a time; esc leaves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult


class _Line(Input):
    """The input itself; tab completes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", show=False),
        Binding("up", "recall(1)", show=False),
        Binding("down", "recall(-1)", show=False),
    ]

    def action_complete(self) -> None:
        """Complete what is typed."""
        prompt = self.parent
        assert isinstance(prompt, Prompt)
        prompt.complete()

    def action_recall(self, back: int) -> None:
        """Bring an earlier line back."""
        prompt = self.parent
        assert isinstance(prompt, Prompt)
        prompt.recall(back)


class Prompt(Horizontal):
    """Asks for a line."""

    class Changed(Message):
        """Something was typed."""

        def __init__(self, kind: str, text: str) -> None:
            super().__init__()
            self.kind = kind
            self.text = text

    class Entered(Changed):
        """The line is done."""

    def __init__(self) -> None:
        super().__init__(id="prompt")
        self.kind = ""
        self._complete: Callable[[str], list[str]] | None = None
        self._earlier: dict[str, list[str]] = {}
        self._recalled = 0
        self._offered: list[str] = []

    def compose(self) -> ComposeResult:
        """Make label and input."""
        yield Static(id="prompt-label", markup=False)
        yield _Line(id="prompt-line", compact=True, select_on_focus=False)

    @property
    def line(self) -> Input:
        """The input."""
        return self.query_one("#prompt-line", Input)

    @property
    def is_open(self) -> bool:
        """Tell whether a line is being typed."""
        return self.screen.has_class("prompting")

    def ask(self, kind: str, label: str, text: str = "", complete: Callable[[str], list[str]] | None = None) -> None:
        """Open the line.

        Args:
            kind: Told back with what is typed.
            label: Stands in front.
            text: What is there already.
            complete: Gives whole lines that what is typed could become.
        """
        self.kind, self._complete = kind, complete
        self._recalled, self._offered = 0, []
        self.query_one("#prompt-label", Static).update(label)
        self.screen.add_class("prompting")
        with self.prevent(Input.Changed):
            self.line.value = text
        self.line.cursor_position = len(text)
        # At once, and shown by more than a class, which counts only with the next drawing: what is typed or pasted right
        # behind the key that opens the line must not be taken for keys of the screen.
        self.display = True
        self.screen.set_focus(self.line)

    def close(self) -> None:
        """Leave the line."""
        self.screen.remove_class("prompting")
        self.display = False
        if self.line.has_focus:
            self.screen.set_focus(None)

    def complete(self) -> None:
        """Put in what the begin can only become; on another tab the next of several."""
        if self._complete is None:
            return
        value = self.line.value
        if value in self._offered and len(self._offered) > 1:
            self._set(self._offered[(self._offered.index(value) + 1) % len(self._offered)])
            return
        self._offered = self._complete(value)
        if self._offered:
            self._set(self._offered[0])

    def recall(self, back: int) -> None:
        """Bring an earlier line of this kind back."""
        earlier = self._earlier.get(self.kind, [])
        self._recalled = max(0, min(self._recalled + back, len(earlier)))
        self._set(earlier[-self._recalled] if self._recalled else "")

    def _set(self, text: str) -> None:
        self.line.value = text
        self.line.cursor_position = len(text)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Tell what is typed."""
        event.stop()
        if self.is_open:
            self.post_message(self.Changed(self.kind, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Tell that the line is done."""
        event.stop()
        earlier = self._earlier.setdefault(self.kind, [])
        if event.value and event.value not in earlier[-1:]:
            earlier.append(event.value)
        self.close()
        self.post_message(self.Entered(self.kind, event.value))
