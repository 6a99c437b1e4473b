"""The outcome of an analysis: what a scene depends on, what of it is there, what is missing and how to repair that.

Made by `analyse`, turned into asset.json by `document`, read by `farmctl scene analyse` and `farmctl submit`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from farmd.scenes.content import Role, Spread

if TYPE_CHECKING:
    from pathlib import Path

    from farmd.scenes.content import Facts, Remark


class Why(StrEnum):
    """Why a file is missing."""

    ABSENT = "absent"
    """The folder is there, the file is not."""
    NO_FOLDER = "no_folder"
    CASE = "case"
    """It is there in other letters: found by Windows and macOS, not by Linux."""
    DRIVE = "drive"
    """A drive letter or network share that this machine does not have."""
    VARIABLE = "variable"
    """`${NAME}` that nothing here gives a meaning to."""
    NO_MATCH = "no_match"
    """A pattern (UDIM, frames) that no file matches."""
    UNREADABLE = "unreadable"
    NOT_A_FILE = "not_a_file"
    EMPTY = "empty"
    """The scene names no file at all where it needs one."""


class Means(StrEnum):
    """How a repair finds a missing file."""

    CASE = "case"
    SLASHES = "slashes"
    PREFIX = "prefix"
    """Another drive letter or folder in front: found under a folder that holds other files of the scene."""
    BESIDE = "beside"
    """A file of the same name beside the scene, or below its folder."""
    VARIABLE = "variable"
    """A variable expanded from the scene's project."""
    RULE = "rule"
    """A path rule of the farm."""


@dataclass(frozen=True, slots=True)
class Repair:
    """A proposal: read `found` instead of what is written. Applied as a path rule, never by changing the scene.

    Attributes:
        means: How it was found.
        found: The file here (for a pattern: the first match).
        written: Prefix of the written path that the rule replaces.
        becomes: What it is replaced by.
    """

    means: Means
    found: Path
    written: str
    becomes: str


@dataclass(frozen=True, slots=True)
class Found:
    """A file that the scene depends on.

    Attributes:
        path: Here; absolute.
        size_bytes: Of it.
        mtime_ns: Of it.
        written: As the scene writes it; the first of several places that name the same file.
        node: That names it.
        attribute: That names it.
        role: What it is to the scene.
        by: The scene file that names it: the scene itself, or one that it refers to.
    """

    path: Path
    size_bytes: int
    mtime_ns: int
    written: str
    node: str
    attribute: str
    role: Role
    by: Path


@dataclass(frozen=True, slots=True)
class Missing:
    """A file that the scene names and that is not here.

    Attributes:
        written: As the scene writes it.
        looked_for: Where it was looked for first, here.
        why: The reason.
        text: The reason as a sentence: "no drive Y: on this machine".
        node: That names it.
        attribute: That names it.
        role: What it is to the scene.
        by: The scene file that names it.
        spread: How the written path stands for several files.
        repair: What could be read instead, if anything was found.
    """

    written: str
    looked_for: str
    why: Why
    text: str
    node: str
    attribute: str
    role: Role
    by: Path
    spread: Spread = Spread.ONE
    repair: Repair | None = None

    @property
    def stops(self) -> bool:
        """Whether a render without it would be wrong."""
        return self.role is not Role.SOUND


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is known of a scene and its files.

    Attributes:
        scene: The file; absolute.
        size_bytes: Of it.
        mtime_ns: Of it.
        facts: What it says about its render.
        found: Files it depends on, each once, the scene itself not among them; sorted by path.
        missing: Places that name a file which is not here, in the order of the scene.
        remarks: Everything else that a person should know.
    """

    scene: Path
    size_bytes: int
    mtime_ns: int
    facts: Facts
    found: tuple[Found, ...] = ()
    missing: tuple[Missing, ...] = ()
    remarks: tuple[Remark, ...] = ()

    @property
    def asset_bytes(self) -> int:
        """All files that it depends on, added up."""
        return sum(one.size_bytes for one in self.found)

    @property
    def stopping(self) -> tuple[Missing, ...]:
        """What is missing and would make a render wrong."""
        return tuple(one for one in self.missing if one.stops)
