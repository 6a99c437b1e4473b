"""What lies over a screen: a sheet with words (help, why), and a question before something is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input

from tui.looks import Run, Runs, text_of
from tui.widgets.painting import RunBox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult


class Sheet(ModalScreen[None]):
    """Lines to read; scrolls where they are many."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark,w,f1", "dismiss(None)", show=False),
        Binding("j,down", "scroll(1)", show=False),
        Binding("k,up", "scroll(-1)", show=False),
        Binding("pagedown,space", "scroll(10)", show=False),
        Binding("pageup", "scroll(-10)", show=False),
        Binding("c,y", "copy", show=False),
    ]
    AUTO_FOCUS = ""

    def __init__(self, title: str, lines: Sequence[Runs]) -> None:
        super().__init__()
        self._title = title
        self._lines = list(lines)

    def compose(self) -> ComposeResult:
        """Make the sheet."""
        with VerticalScroll(id="sheet", can_focus=False) as sheet:
            sheet.border_title = self._title
            sheet.border_subtitle = "esc closes"
            yield RunBox(self._lines, id="sheet-lines")

    def on_mount(self) -> None:
        """Show what was told while the sheet was being made."""
        self.tell(self._lines)

    def tell(self, lines: Sequence[Runs]) -> None:
        """Show other lines."""
        self._lines = list(lines)
        for box in self.query("#sheet-lines").results(RunBox):
            box.show(self._lines)

    def action_scroll(self, lines: int) -> None:
        """Scroll."""
        self.query_one("#sheet", VerticalScroll).scroll_relative(y=lines, animate=False)

    def action_copy(self) -> None:
        """Copy all of it."""
        self.app.copy_to_clipboard("\n".join(text_of(line).rstrip() for line in self._lines))


class Question(ModalScreen[str | None]):
    """Asks before something happens; answers the reason (or nothing at all), or None: leave it.

    With a reason to type, enter means yes. Where something else must be typed, enter means yes after exactly that. In
    all other cases only `y` does: whatever else is pressed changes nothing.

    Args:
        question: What shall happen?
        loses: What will be lost.
        wants_why: Ask for a reason.
        why: A reason that was given already.
        must_type: What has to be typed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "no", show=False, priority=True)]
    AUTO_FOCUS = ""

    def __init__(self, question: str, loses: str, *, wants_why: bool, why: str = "", must_type: str = "") -> None:
        super().__init__()
        self._question = question
        self._loses = loses
        self._why = why
        self._must_type = must_type
        self._types = wants_why or bool(must_type)

    def compose(self) -> ComposeResult:
        """Make the box."""
        with Vertical(id="question") as box:
            box.border_title = "sure?"
            yield RunBox([(Run(self._question, "strong"),), (), *_wrapped(self._loses)], id="question-lines")
            if self._types:
                wanted = f"type {self._must_type}" if self._must_type else "why? others read this (may stay empty)"
                yield Input(self._why, placeholder=wanted, id="question-typed", compact=True, select_on_focus=False)
            yield RunBox([(), self._keys()], id="question-keys")

    def _keys(self) -> Runs:
        if not self._types:
            return (Run("y", "strong"), Run(" yes   ", "muted"), Run("N", "strong"), Run(" no: any other key", "muted"))
        first = (Run("type ", "muted"), Run(self._must_type, "strong"), Run(", then ", "muted"))
        rest = (Run("enter", "strong"), Run(" yes   ", "muted"), Run("esc", "strong"), Run(" no", "muted"))
        return (*first, *rest) if self._must_type else rest

    def on_mount(self) -> None:
        """Let it be typed at once."""
        if self._types:
            self.query_one("#question-typed", Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the reason, or compare what had to be typed."""
        event.stop()
        typed = event.value.strip()
        if not self._must_type:
            self.dismiss(typed)
        else:
            self.dismiss("" if typed == self._must_type else None)

    def action_no(self) -> None:
        """Leave it."""
        self.dismiss(None)

    def on_key(self, event: Any) -> None:
        """Take y for yes, all else for no."""
        if self._types:
            return
        event.stop()
        event.prevent_default()
        self.dismiss("" if event.key in ("y", "Y") else None)


def _wrapped(text: str, width: int = 58) -> list[Runs]:
    import textwrap

    return [(Run(line, "muted"),) for line in textwrap.wrap(text, width)]
