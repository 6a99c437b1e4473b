"""One report of a scene and everything that it leads to: further scenes, files that are here, files that are missing.

Scenes are read breadth first and each once, so circles of references end. Repairs are looked for when everything that
is found is known, since a rule must not take a found file away. A scene that cannot be read is an error; one that it
refers to is a remark, for the render may do without. Called by `farmctl scene analyse`, `farmctl submit` and the HTTP
door.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from farmd.scenes.content import Reference, Remark, Role, Spread
from farmd.scenes.folders import Folders
from farmd.scenes.maya_project import DEFINITION, Project, project_above, project_at
from farmd.scenes.nearby import Nearby
from farmd.scenes.readers import format_of, read_scene
from farmd.scenes.repair import Lack, Repairs
from farmd.scenes.report import Found, Missing, Report, Why
from farmd.scenes.resolve import LITERAL, MOST_FILES, Place, resolve
from farmd.scenes.rules import Rule, applied, rules_of
from protocol.errors import NotFound, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from farmd.scenes.content import Content, Facts

MAX_DEPTH: Final = 32
"""Scenes in scenes in scenes; deeper is told, not read."""
_ROUNDS: Final = 8
"""A repaired reference may bring a scene with further lacks; so often it is asked for repairs again."""
_TOLD_EVERY: Final = 256


class _Task(NamedTuple):
    scene: Path
    depth: int
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Wishes:
    """How an analysis goes about it.

    Attributes:
        rules: Path rules of the farm: proposed where a file is missing.
        applied: Path rules in force: every written path goes through them first.
        variables: What variables mean whatever a scene says: parameters of the job.
        environment: What variables mean where a scene says nothing; None takes that of this process.
        read: Reads one scene.
        progress: Told now and then: so many files looked at, and the name of the scene that names them.
    """

    rules: Sequence[Rule] = ()
    applied: Sequence[Rule] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] | None = None
    read: Callable[[Path], Content] = read_scene
    progress: Callable[[int, str], None] = lambda _count, _name: None


def analyse(
    scene: Path,
    *,
    rules: Sequence[Rule] = (),
    read: Callable[[Path], Content] = read_scene,
    wishes: Wishes | None = None,
) -> Report:
    """Find out what a scene depends on.

    Args:
        scene: The file.
        rules: Path rules of the farm: proposed where a file is missing.
        read: Reads one scene.
        wishes: Everything else; given `rules` and `read` go before.

    Raises:
        UserError: The scene cannot be read, or nothing here reads such scenes.
    """
    wishes = wishes or Wishes()
    wishes = replace(wishes, rules=rules or wishes.rules, read=wishes.read if read is read_scene else read)
    return _Analysis(Path(os.path.abspath(scene)), wishes).run()  # noqa: PTH100  # resolve() would follow links


def analyse_repaired(scene: Path, wishes: Wishes) -> tuple[Report, tuple[Rule, ...]]:
    """Find out what a scene depends on if every repair that is proposed is accepted.

    Returns:
        The report, in which repaired files are found, and the path rules that make it true.

    Raises:
        UserError: The scene cannot be read, or nothing here reads such scenes.
    """
    contents: dict[Path, Content] = {}
    read = wishes.read

    def read_once(path: Path) -> Content:
        if path not in contents:
            contents[path] = read(path)
        return contents[path]

    accepted: dict[str, str] = dict(wishes.applied)
    wishes = replace(wishes, read=read_once)
    report = analyse(scene, wishes=wishes)
    for _ in range(_ROUNDS):
        more = dict(rules_of(report.missing))
        if more.items() <= accepted.items():
            break
        accepted |= more
        report = analyse(scene, wishes=replace(wishes, applied=tuple(accepted.items())))
    return report, tuple(sorted(accepted.items(), key=lambda rule: (-len(rule[0]), rule)))


class _Analysis:
    """One run over one scene."""

    def __init__(self, scene: Path, wishes: Wishes) -> None:
        self._scene = scene
        self._wishes = wishes
        self._environment = os.environ if wishes.environment is None else wishes.environment
        self._folders = Folders()
        self._found: dict[Path, Found] = {}
        self._named: list[tuple[Reference, str, str]] = []
        self._missing: dict[tuple[Path, str, str, str], tuple[Missing, Lack]] = {}
        self._remarks: dict[Remark, None] = {}
        self._waiting = deque([_Task(scene, 0, {})])
        self._read: set[Path] = {scene}
        self._facts: Facts | None = None
        self._project: Project | None = None

    def run(self) -> Report:
        about = _stat(self._scene)
        while self._waiting:
            self._read_one(self._waiting.popleft())
        self._find_project()
        missing = self._repaired()
        found = tuple(self._found[path] for path in sorted(self._found) if path != self._scene)
        assert self._facts is not None
        remarks = tuple(self._remarks)
        return Report(self._scene, about.st_size, about.st_mtime_ns, self._facts, found, missing, remarks)

    def _read_one(self, task: _Task) -> None:
        try:
            content = self._wishes.read(task.scene)
        except UserError as error:
            if task.depth == 0:
                raise
            self._remark("unread", f"{task.scene}: {error.what}: {error.why}")
            return
        if self._facts is None:
            self._facts, self._project = content.facts, _project_of(content.facts, self._scene)
        for remark in content.remarks:
            self._remark(remark.code, f"{task.scene.name}: {remark.text}" if task.depth else remark.text)
        for reference in content.references:
            self._take(reference, task, content.facts)

    def _take(self, reference: Reference, task: _Task, facts: Facts) -> None:
        by = Path(reference.by) if reference.by else task.scene
        place = self._place(facts, by, task)
        asked = replace(reference, written=applied(reference.written, self._wishes.applied))
        resolved = resolve(asked, place, self._folders)
        if resolved.gaps:
            self._remark("gaps", f"{reference.written} ({reference.node}): the sequence lacks {resolved.gaps}")
        if reference.spread is Spread.FOLDER and len(resolved.files) >= MOST_FILES:
            self._remark(
                "folder_cut", f"{resolved.path} ({reference.node}): only its first {MOST_FILES} files are taken"
            )
        if not resolved.files:
            if not (reference.shipped and resolved.why in (Why.ABSENT, Why.NO_FOLDER)):
                self._lack(reference, by, Lack(reference, place, resolved))
            return
        self._named.append((reference, resolved.path, facts.application))
        for path in resolved.files:
            self._find(path, reference, by)
            if reference.role in (Role.SCENE, Role.GROOM):  # a groom's collection names files of its own
                self._follow(path, task, {**place.values, **reference.variables})

    def _place(self, facts: Facts, by: Path, task: _Task) -> Place:
        first = self._scene if facts.application in LITERAL else by  # these two know one folder only
        values = {**self._environment, **task.values}
        return Place(first.parent, facts.application, self._project, values, self._wishes.variables)

    def _find_project(self) -> None:
        """Take the definition of Maya's project along: without it relative paths mean nothing on another machine."""
        file = self._project.folder / DEFINITION if self._project is not None else None
        if file is not None and file.is_file():
            self._find(file, Reference("project", DEFINITION, str(file)), self._scene)

    def _find(self, path: Path, reference: Reference, by: Path) -> None:
        if path in self._found:
            return
        about = path.stat()
        node, attribute, role = reference.node, reference.attribute, reference.role
        self._found[path] = Found(path, about.st_size, about.st_mtime_ns, reference.written, node, attribute, role, by)
        if len(self._found) % _TOLD_EVERY == 0:
            self._wishes.progress(len(self._found), by.name)

    def _follow(self, path: Path, task: _Task, values: Mapping[str, str]) -> None:
        if path in self._read:
            return
        if format_of(path) is None:
            self._remark("not_followed", f"{path} is a scene that nothing here reads: what it needs is not known")
            return
        if task.depth == MAX_DEPTH:
            self._remark("too_deep", f"{path} is the {MAX_DEPTH + 1}th scene in a chain: it was not read")
            return
        self._read.add(path)
        self._waiting.append(_Task(path, task.depth + 1, values))

    def _lack(self, reference: Reference, by: Path, lack: Lack) -> None:
        assert lack.resolved.why is not None
        missing = Missing(
            written=reference.written,
            looked_for=lack.resolved.path,
            why=lack.resolved.why,
            text=lack.resolved.text,
            node=reference.node,
            attribute=reference.attribute,
            role=reference.role,
            by=by,
            spread=reference.spread,
        )
        self._missing.setdefault((by, reference.node, reference.attribute, reference.written), (missing, lack))

    def _repaired(self) -> tuple[Missing, ...]:
        """Look for repairs; nothing is searched when nothing is missing."""
        if not self._missing:
            return ()
        nearby = Nearby(self._scene, self._project.folder if self._project else None, self._folders)
        repairs = Repairs(self._folders, nearby, self._wishes.rules, self._wishes.applied)
        for reference, path, application in self._named:
            repairs.keep(reference, path, application)
        missing = tuple(replace(one, repair=repairs.propose(lack)) for one, lack in self._missing.values())
        for remark in (*repairs.remarks, *nearby.remarks):
            self._remark(remark.code, remark.text)
        return missing

    def _remark(self, code: str, text: str) -> None:
        self._remarks[Remark(code, text)] = None


def _project_of(facts: Facts, scene: Path) -> Project | None:
    """Find the project of a Maya scene: the one that it names, if that is here, else the nearest above it."""
    if facts.application != "maya":
        return None
    named = project_at(Path(facts.project)) if os.path.isabs(facts.project) else None  # noqa: PTH117  # not "Y:/x"
    return named or project_above(scene)


def _stat(scene: Path) -> os.stat_result:
    try:
        return scene.stat()
    except FileNotFoundError as error:
        raise NotFound(f"no scene {scene}", "there is no such file", "check the name and the folder") from error
    except OSError as error:
        raise UserError(f"cannot read {scene}", str(error.strerror), "check the permissions of the file") from error
