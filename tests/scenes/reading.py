"""A reader that reads what a test wrote: scenes of any application without the application."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from farmd.scenes.analyse import Wishes, analyse
from farmd.scenes.content import Content, Facts, Reference, Role, Spread

if TYPE_CHECKING:
    from pathlib import Path

    from farmd.scenes.report import Missing, Report
    from farmd.scenes.rules import Rule


@dataclass
class FakeReader:
    """Knows the contents of scenes by their names; any other scene is empty."""

    application: str = "maya"
    contents: dict[str, Content] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)

    def __call__(self, scene: Path) -> Content:
        self.read.append(scene.name)
        return self.contents.get(scene.name, Content(Facts(self.application)))

    def put(self, name: str, *references: Reference, **facts: object) -> None:
        self.contents[name] = Content(Facts(self.application, **facts), references)  # type: ignore[arg-type]  # a test's own


def texture(written: str, node: str = "file1", spread: Spread = Spread.ONE, **more: object) -> Reference:
    return Reference(node, "fileTextureName", written, Role.TEXTURE, spread, **more)  # type: ignore[arg-type]  # the same


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def report_of(scene: Path, reader: FakeReader, **wishes: object) -> Report:
    touch(scene.parent, scene.name)
    given: dict[str, object] = {"environment": {}, "read": reader} | wishes
    return analyse(scene, wishes=Wishes(**given))  # type: ignore[arg-type]  # a test's own


def report_on(scene: Path, *references: Reference, application: str = "maya", **wishes: object) -> Report:
    """Analyse a scene that has these references."""
    reader = FakeReader(application)
    reader.put(scene.name, *references)
    return report_of(scene, reader, **wishes)


def found_in(report: Report, folder: Path) -> list[str]:
    """List what was found, without the definition of Maya's project, which always is."""
    return [str(one.path.relative_to(folder)) for one in report.found if one.path.name != "workspace.mel"]


def only(report: Report) -> Missing:
    (missing,) = report.missing
    return missing


def rule(missing: Missing) -> Rule:
    assert missing.repair is not None, missing
    return missing.repair.written, missing.repair.becomes
