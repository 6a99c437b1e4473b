"""From a reference, as it is written, to the files that it means on this machine, or to the reason why there are none.

A path is read as the application that renders the scene would read it here: Blender's `//`, Maya's project and its file
rules, Mitsuba's and POV-Ray's folders. The exact name comes first and is the only one that counts; a name in other
letters is a reason (`Why.CASE`), never a find. Proposals are `repair`'s. Called by `analyse`; changes nothing.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from farmd.scenes.content import Spread
from farmd.scenes.folders import Folders, Match
from farmd.scenes.report import Why
from farmd.scenes.written import Kind, expand, kind_of, pattern_of, slashed, with_tokens
from protocol.frames import FrameSet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from farmd.scenes.content import Reference
    from farmd.scenes.maya_project import Project

LITERAL: Final = frozenset({"mitsuba", "povray"})
"""Programs that take a backslash for a letter of the name where the system does."""
_NO_ENVIRONMENT: Final = frozenset({"blender", "povray"})
"""Programs that expand no variables in paths."""
_INNER_DRIVE: Final = re.compile(r"[\\/]([A-Za-z]:[\\/].*)", re.DOTALL)
"""A path of Windows that Blender took for a relative one when it was saved elsewhere: `//../Y:/show/a.png`."""
MOST_FILES: Final = 100_000
"""So many files of one folder are taken; who means more has named the wrong folder."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the paths of one scene file start from.

    Attributes:
        folder: For relative paths, and Blender's `//`; absolute.
        application: As in `Facts`.
        project: Maya's.
        values: What variables mean besides what a reference says itself: the environment.
        given: What they mean whatever the reference says: parameters of the job.
    """

    folder: Path
    application: str
    project: Project | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a reference leads to: files, or a reason.

    Attributes:
        files: Absolute; several for patterns and folders.
        path: Where they were found or looked for first; with its tokens.
        tried: Every place that was looked at.
        why: Set if there are no files.
        text: The reason as a sentence.
        gaps: Numbers that a sequence lacks of those that the scene asks for: "7-9,12", or "".
    """

    files: tuple[Path, ...] = ()
    path: str = ""
    tried: tuple[str, ...] = ()
    why: Why | None = None
    text: str = ""
    gaps: str = ""


def resolve(reference: Reference, place: Place, folders: Folders) -> Resolved:
    """Find the files of a reference."""
    if not reference.written.strip():
        return Resolved(why=Why.EMPTY, text="no file is named")
    text, unknown = expanded(reference, place)
    text = with_tokens(text, reference.spread)
    tried = tuple(candidates(text, reference, place))
    for path in tried:
        found = look(path, reference.spread, folders)
        if found is not None:
            return _wanted(Resolved(found.files, path, tried), reference)
    if unknown:
        names = " and ".join(f"${{{name}}}" for name in unknown)
        return Resolved((), text, tried, Why.VARIABLE, f"nothing here says what {names} means")
    return _reason(text, reference, tried, place, folders)


def _wanted(resolved: Resolved, reference: Reference) -> Resolved:
    """Leave out what a sequence has beyond the frames that the scene asks for, and name what it lacks of them."""
    pattern = pattern_of(Path(resolved.path).name)
    if reference.frames is None or reference.spread is not Spread.FRAMES or pattern is None:
        return resolved
    first, last = reference.frames
    numbers = {file: int(found[1]) for file in resolved.files if (found := pattern.names.fullmatch(file.name))}
    kept = tuple(file for file in resolved.files if first <= numbers.get(file, first) <= last)
    if not kept:
        said = f"no file of the sequence has a number from {first} to {last}"
        return Resolved((), resolved.path, resolved.tried, Why.NO_MATCH, said)
    lacking = set(range(first, min(last, first + MOST_FILES) + 1)) - set(numbers.values())
    return replace(resolved, files=kept, gaps=str(FrameSet.of(lacking)) if lacking else "")


def expanded(reference: Reference, place: Place) -> tuple[str, tuple[str, ...]]:
    """Put in what variables mean; returns the names that mean nothing here as well."""
    outside = {} if place.application in _NO_ENVIRONMENT else place.values
    return expand(reference.written, {**outside, **reference.variables, **place.given})


def look(path: str, spread: Spread, folders: Folders) -> Match | None:
    """Find what lies at an absolute path; readable files only."""
    if spread is Spread.FOLDER:
        files = tuple(_below(path))
        found = Match(path, files) if files else None
    else:
        found = folders.exact(path) or (folders.matching(path) if has_tokens(path) else None)
    return found if found is not None and all(map(_is_readable, found.files)) else None


def has_tokens(path: str) -> bool:
    """Tell whether a path stands for several."""
    return pattern_of(path) is not None


def candidates(text: str, reference: Reference, place: Place) -> Iterator[str]:
    """List where a path may lead, absolute, the most likely first, each once."""
    yield from dict.fromkeys(os.path.normpath(path) for path in _candidates(text, reference, place))


def _candidates(text: str, reference: Reference, place: Place) -> Iterator[str]:
    kind = kind_of(text, place.application)
    plain = text if place.application in LITERAL else text.replace("\\", "/")
    if kind is Kind.SCENE:
        yield str(place.folder / plain.lstrip("/"))
    elif kind is Kind.RELATIVE:
        yield from (str(folder / plain) for folder in _starts(reference, place))
    elif kind is Kind.DRIVE:
        yield from _on_a_drive(plain, place)
    else:
        yield slashed(plain)
    _, doubled, rest = plain[2:].partition("//")
    if doubled and place.application == "maya" and place.project is not None:
        yield str(place.project.folder / rest)  # Maya: what stands before // was the project where it was saved


def _on_a_drive(text: str, place: Place) -> Iterator[str]:
    if os.name == "nt":
        yield text
    elif place.application == "blender" and text[2:3] == "/":
        yield f"/{text[0].lower()}{text[2:]}"  # what Blender itself makes of it on Linux


def _starts(reference: Reference, place: Place) -> Iterator[Path]:
    """List the folders that a relative path may start from."""
    if reference.base:
        base, _ = expand(reference.base, {**place.values, **reference.variables})
        yield place.folder / base.replace("\\", "/")
    if place.application != "maya":
        yield place.folder
    if place.project is not None:
        yield place.project.folder
        yield from place.project.folders_for(reference.role)
    yield place.folder


def _below(path: str) -> Iterator[Path]:
    if not os.path.isdir(path):  # noqa: PTH112
        return
    count = 0
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            if count == MOST_FILES:
                return
            file = Path(folder, name)
            if file.is_file():
                count += 1
                yield file


def _is_readable(path: Path) -> bool:
    return os.access(path, os.R_OK)


def _reason(text: str, reference: Reference, tried: tuple[str, ...], place: Place, folders: Folders) -> Resolved:
    if not tried:
        return Resolved((), text, (), Why.DRIVE, f"there is no drive {text[:2].upper()} on this machine")
    spelled = [found.path for path in tried for found in folders.in_other_letters(path)]
    if spelled and reference.spread is not Spread.FOLDER:
        return Resolved((), tried[0], tried, Why.CASE, f"it is here in other letters: {' and '.join(spelled)}")
    why, said = next(filter(None, (_refused(path, reference.spread) for path in tried)), (None, ""))
    if why is None:
        why, said = _absent(tried[0], reference.spread)
        inner = _INNER_DRIVE.search(text)
        if why is Why.NO_FOLDER and inner is not None:
            text = inner[1]
        if why is Why.NO_FOLDER and kind_of(text, place.application) in (Kind.DRIVE, Kind.SHARE):
            why, said = Why.DRIVE, f"there is no {_outside(text)} on this machine"
    return Resolved((), tried[0], tried, why, said)


def _outside(text: str) -> str:
    parts = slashed(text).strip("/").split("/")
    return f"drive {text[:2].upper()}" if text[1:2] == ":" else f"share //{'/'.join(parts[:2])}"


def _refused(path: str, spread: Spread) -> tuple[Why, str] | None:
    """Say what is wrong with something that is there."""
    there = Path(path)
    if not os.path.exists(path):  # noqa: PTH110  # a path without rights is an answer, not an error
        return None
    if there.is_dir() != (spread is Spread.FOLDER):
        return Why.NOT_A_FILE, "a file stands where a folder is needed" if there.is_file() else "it is no file"
    if not _is_readable(there):
        return Why.UNREADABLE, "you may not read it"
    return (Why.NO_MATCH, "the folder is empty") if there.is_dir() else (Why.UNREADABLE, "it cannot be read")


def _absent(path: str, spread: Spread) -> tuple[Why, str]:
    folder = Path(path).parent
    while pattern_of(folder.name):
        folder = folder.parent
    if not folder.is_dir():
        gone = next(above for above in (folder, *folder.parents) if above.parent == above or above.parent.is_dir())
        return Why.NO_FOLDER, f"there is no folder {gone}"
    if has_tokens(path):
        return Why.NO_MATCH, f"no file in {folder} fits the pattern"
    return Why.ABSENT, f"it is not in {folder}" if spread is not Spread.FOLDER else f"there is no folder {path}"
