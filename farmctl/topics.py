"""What `farmctl help TOPIC` says: the things that many commands share and none can explain in its own help.

Texts whose facts stand in a table are made from it. Loaded by the command `help` alone, and by the docs generator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Topic(NamedTuple):
    """One topic: its line in the list, and what makes its text."""

    line: str
    text: Callable[[], str]


_FRAMES: Final = """\
A range names frames: single ones, from-to, from-to with a step, and what is left out.

  1-100            all from 1 to 100
  1-100x5          1, 6, 11, ... 96
  1,5-7,20         1, 5, 6, 7 and 20
  1-10,^5          1 to 10 without 5
  -5--1            negative frames

Ranges are given to submit --frames, job retry --frames, job download --frames and task retry.
Other ways of writing them are read with submit --dialect; each is refused where it could mean two things.

Test frames (submit --test-frames) are ranges of the same kind, the words first, middle and last,
every:N, or bisect:N. One outside of the job's range is rendered as well.

A chunk (submit --chunk 10) is rendered in one go, as one task. A task is shown by its number or by
a frame of it: farmctl task show JOB 12."""

_OUTPUT: Final = """\
Data goes to stdout, everything else (notes, progress, errors) to stderr: 2>/dev/null | jq . always works.

  -o table         columns for people; what a narrow terminal has no room for is left out
  -o wide          all columns
  -o json          the whole document, with "schema": its name; --json is the same
  -o jsonl         a line for each row, for long lists and for things that are watched
  -o name          bare ids; -q prints them too, and nothing else but errors
  -o csv           raw fields for spreadsheets

Schemas only ever grow. farmctl schema lists them, farmctl schema farm.job.v1 prints one as JSON Schema.

Colour stands beside a glyph and a word, never alone. It is used on a terminal only, not with NO_COLOR
or TERM=dumb; --color always and --color never say it once and for all.

Progress (--progress, FARM_PROGRESS): auto draws a bar on a terminal and prints a line per change
elsewhere; tty, plain and none choose one."""

_GATE: Final = """\
Test frames render before the rest, each as a task of its own on different machines. What comes out is
checked: the files exist, decode, have the right size, are not black.

  --gate auto      all good: the rest renders by itself; one bad: the job stops (the default)
  --gate hold      all good: the job waits until somebody approves or rejects it
  --gate off       no test frames

  farmctl job show JOB              how the test frames came out, time and memory of each
  farmctl task thumbnail JOB 12     a small view of one, from whichever machine has it
  farmctl job approve JOB           let the rest render; from any machine
  farmctl job reject JOB --why ...  stop it; a retry of its test frames opens it again

farmctl job wait goes on waiting at the gate and says so; with --stop-at-gate it leaves with exit code 9."""

_PATHS: Final = r"""
Scenes name files as they were called where they were saved. A path rule says what a prefix of whole
folders is elsewhere; every machine applies it while it renders, and no scene is changed.

  farmctl path add 'Y:\show' /mnt/show                  for the whole farm
  farmctl path add 'Y:\show' /Volumes/show --platform darwin
  farmctl path test 'Y:\show\tex\a.png'                 which rule, and what becomes of it
  farmctl submit shot.ma --map Y:/show=/mnt/show        for this job alone

Of several rules the longest prefix counts. Windows prefixes compare without case, with either slash.
farmctl scene analyse FILE says which files a scene needs and which of them are not found; with
--repair, what could be read instead."""


def _filters() -> str:
    from protocol.filters import JOB_FIELDS, NODE_FIELDS, TASK_FIELDS

    def known(title: str, fields: dict[str, str]) -> list[str]:
        return [f"{title}:", *(f"  {kind:<10}{names}" for kind, names in fields.items())]

    tables = []
    for title, of in (("jobs", JOB_FIELDS), ("machines", NODE_FIELDS), ("tasks", TASK_FIELDS)):
        kinds: dict[str, list[str]] = {}
        for name, field in of.known.items():
            kinds.setdefault(field.kind.value, []).append(name)
        tables += ["", *known(title, {kind: ", ".join(names) for kind, names in kinds.items()})]
    return "\n".join([_FILTERS, *tables])


_FILTERS: Final = """\
--filter chooses rows by what they show. Tests are joined by commas, and all must hold.

  state=failed|cancelled     one of several words; != none of them
  state=pending              all states that cards count as pending; so running
  owner=me                   whose account runs this command
  name~shot_*                a pattern of shells, without case; no wildcard: anywhere in it; !~ not so
  age>2h, ended<30m          since submission, since the end: s, m, h, d, w
  failed>0, priority>=80     numbers
  ram>=64G, memory>8G        sizes
  label.shot=s010            a label of a job, by its name

Lists show what is kept; commands that change something change it: farmctl job retry --filter
'state=failed,owner=me,age<1d'. Try it out with --dry-run. Quote filters: < > | mean something to shells."""


def _exit_codes() -> str:
    from protocol.exitcodes import MEANINGS

    rows = [f"  {code.value:>3}  {meaning}" for code, meaning in MEANINGS.items()]
    return "\n".join(
        [
            "How a command ended. A number keeps its meaning for ever, and no option changes it.",
            "",
            *rows,
            "",
            "Of several things that were asked for, the first that did not succeed decides.",
            "While waiting, the end of the job beats the end of the time.",
        ]
    )


def _environment() -> str:
    from farmctl.settings import VARIABLES

    rows = [f"  {name:<20}{meaning}" for name, meaning in VARIABLES.items()]
    return "\n".join(
        [
            "Flags beat the environment, which beats .farm.toml in this folder or one above it, which beats the",
            "user's file, which beats /etc/farm/config.toml. farmctl config show --origin tells what came from where.",
            "",
            *rows,
        ]
    )


TOPICS: Final[dict[str, Topic]] = {
    "frames": Topic("How ranges of frames are written.", lambda: _FRAMES),
    "filters": Topic("Choose jobs, machines and tasks by what they show.", _filters),
    "output": Topic("Tables, JSON, colour, progress.", lambda: _OUTPUT),
    "exit-codes": Topic("What each number means.", _exit_codes),
    "gate": Topic("Test frames, and who decides.", lambda: _GATE),
    "paths": Topic("Files that are called otherwise on other machines.", lambda: _PATHS.strip("\n")),
    "environment": Topic("Variables and files that are read.", _environment),
}
