"""Pages about states, failures, reasons, exit codes, frame ranges, messages and records."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, get_type_hints

from protocol import bodies, errors, exitcodes, frames, messages, reasons, records, states
from scripts.reference_pages.markdown import code, diagram, first_paragraph, member_docs, page, table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from enum import Enum


def pages() -> dict[str, str]:
    """Draw these pages, by file name."""
    return {
        "states.md": _states(),
        "failures.md": _failures(),
        "reasons.md": _reasons(),
        "exit-codes.md": _exit_codes(),
        "frame-ranges.md": _frame_ranges(),
        "records.md": _records(),
        "messages.md": _messages(),
    }


def _looks(looks: Mapping[Any, states.Look]) -> str:
    rows = [(look.glyph, code(states.word_of(state)), look.group.value, look.meaning) for state, look in looks.items()]
    return table(("glyph", "state", "group", "meaning"), rows)


def _states() -> str:
    colours = [(group.value, colour) for group, colour in states.GROUP_COLOURS.items()]
    return page(
        "States",
        "States of jobs and tasks are read off the records each time, and never stored. The arrows name the one cause of"
        " each move; a machine that catches up after an absence may see several at once.",
        "## Job",
        _looks(states.JOB_LOOKS),
        diagram(states.job_diagram()),
        "## Task",
        "A task is one frame, or the chunk of frames that is rendered in one go.",
        _looks(states.TASK_LOOKS),
        diagram(states.task_diagram()),
        "## Attempt",
        "One try of one task on one machine.",
        _looks(states.ATTEMPT_LOOKS),
        diagram(states.attempt_diagram()),
        "## Machine",
        _looks(states.NODE_LOOKS),
        "## Groups",
        "Every state is in one of four groups, which have a colour each.",
        table(("group", "colour"), colours),
    )


def _failures() -> str:
    rows = [
        (
            code(states.word_of(cause)),
            rule.meaning,
            "yes" if rule.counts else "no",
            "yes" if rule.blames_node else "no",
            "at once" if rule.bars_node else "after three" if rule.blames_node else "no",
            rule.remedy,
        )
        for cause, rule in states.FAILURE_RULES.items()
    ]
    return page(
        "Failures",
        "Why an attempt ended without a result. A failure that counts uses up one of the task's retries; one that blames"
        " the machine makes a machine that fails on two jobs in a row count as sick. After three of these a job avoids the"
        " machine for five hours, unless there is no other. A missing feature is no fault of the machine, but the job"
        " gets nothing more from it until a person retries; when that is so for every machine that fits, those that are"
        " off included, the job fails.",
        table(("class", "what happened", "counts", "blames the machine", "avoided", "what follows"), rows),
    )


def _reasons() -> str:
    rows = [
        (words.glyph, code(name.value), words.text, words.hint + (f"; or: {words.next}" if words.next else ""))
        for name, words in reasons.REASON_WORDS.items()
    ]
    return page(
        "Reasons",
        "The answers of `farmctl why`: one for every task that waits. Scripts read the code (`farmctl why JOB -o json`);"
        " what stands in braces is filled in.",
        table(("glyph", "code", "text", "what to try"), rows),
    )


def _exit_codes() -> str:
    classes = [cls for cls in vars(errors).values() if inspect.isclass(cls) and "code" in vars(cls)]
    codes = {vars(cls)["code"]: cls.__name__ for cls in classes}
    ends = [(code(state.value), end.value) for state, end in exitcodes.JOB_END_CODES.items()]
    return page(
        "Exit codes",
        "How a command of `farmctl` ended. No option changes a number's meaning.",
        exitcodes.exit_code_table(),
        "Waiting for a job (`farmctl job wait`, `farmctl submit --wait`) ends with:",
        table(("the job ended as", "exit code"), ends),
        "In Python, the client library raises the same as exceptions:",
        table(
            ("exception", "exit code"), [(code(f"protocol.errors.{name}"), number) for number, name in codes.items()]
        ),
    )


def _frame_ranges() -> str:
    rows = [
        (code(dialect.value), "  ".join(map(code, re.split(r"  +(?!\()| {2,}", frames.example_of(dialect)))))
        for dialect in frames.Dialect
    ]
    return page(
        "Frame ranges",
        "A range is read in one dialect, `farm` unless `--dialect` names another; what a dialect does not know is refused,"
        " never guessed. Frames and ranges are separated by commas.",
        table(("dialect", "written like"), rows),
        "Test frames (`--test-frames`) are `first`, `middle`, `last` and ranges of the farm's dialect in any mixture,"
        " `every:N`, or `bisect:N`. A test frame outside of the job's range is rendered as well.",
        table(
            ("limit", "value"),
            [
                ("frames of a job", f"{frames.MAX_FRAMES:,}"),
                ("largest frame number", f"{frames.MAX_FRAME:,}"),
                ("runs that the frames fall into", f"{frames.MAX_RUNS:,}"),
                ("test frames", f"{frames.MAX_TEST_FRAMES:,}"),
            ],
        ),
    )


def _numbers(cls: type[Enum], head: str) -> str:
    docs = member_docs(cls)
    rows = [(member.value, code(member.name), docs.get(member.name, "")) for member in cls]
    return table(("number", head, "meaning"), rows)


def _records() -> str:
    bodies_of = [
        bodies.FarmBody, bodies.KeyBody, bodies.NodeBody, bodies.ControlBody, bodies.AttemptBody, bodies.HoldingBody,
    ]  # fmt: skip
    return page(
        "Records",
        "Everything durable that machines share is a row of one table, written by one machine. Numbers are for ever; rows"
        " of a kind that a machine does not know are passed on as they are.",
        "## Kinds",
        _numbers(records.Kind, "kind"),
        "## Ranks",
        "The rank comes before everything else when two versions of a row are compared.",
        _numbers(records.Rank, "rank"),
        "## Registers of a job",
        _numbers(records.JobField, "field"),
        "## Registers of a machine",
        _numbers(records.NodeField, "field"),
        "## What a machine holds",
        _numbers(records.HoldingWhat, "what"),
        "## Bodies",
        "Fields of the body, in order; new ones are added at the end.",
        *(_fields(cls) for cls in bodies_of),
    )


def _fields(cls: type) -> str:
    return f"**{cls.__name__}** {first_paragraph(cls)}\n\n" + ", ".join(map(code, get_type_hints(cls)))


def _messages() -> str:
    rows = [
        (tag, code(cls.__name__), ", ".join(map(code, cls._fields)), first_paragraph(cls))
        for tag, cls in messages.TAGS.items()
    ]
    return page(
        "Messages",
        "What daemons say to one another: msgpack arrays, `[tag, field, …]`. Fields are only ever added at the end. The"
        " sender is never a field: it is the key that the connection proved.",
        table(("tag", "message", "fields", "meaning"), rows),
        "## Why a grant is refused",
        table(("number", "reason"), [(refusal.value, code(refusal.name.lower())) for refusal in messages.Refusal]),
    )
