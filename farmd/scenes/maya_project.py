"""Maya's project: the folder that relative paths of a Maya scene start from, and its rules for kinds of files.

A project is a folder with a `workspace.mel`, in which `workspace -fr "sourceImages" "sourceimages";` says where images
are. Read as text: nothing in it is run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from farmd.scenes.content import Role

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DEFINITION: Final = "workspace.mel"
_RULE: Final = re.compile(r'workspace\s+-(?:fr|fileRule)\s+"([^"]+)"\s+"([^"]*)"')
_MOST_BYTES: Final = 1 << 20
_USUAL: Final = {"sourceimages": "sourceimages", "scene": "scenes", "sound": "sound", "clips": "clips"}
"""Folders of a new project; a `workspace.mel` names them all, but may be gone."""
_RULES_OF: Final = {
    Role.TEXTURE: ("sourceimages", "images", "3dpainttextures"),
    Role.CLIP: ("sourceimages", "images", "movie", "clips"),
    Role.CACHE: ("alembiccache", "alembic", "filecache", "diskcache", "fluidcache", "particles", "scene"),
    Role.SCENE: ("scene", "mayaascii", "mayabinary"),
    Role.SOUND: ("sound", "audio"),
}


@dataclass(frozen=True, slots=True)
class Project:
    """A project of Maya.

    Attributes:
        folder: Of it; absolute.
        rules: Kind of file, in small letters -> folder, relative to the project or absolute.
    """

    folder: Path
    rules: Mapping[str, str] = field(default_factory=dict)

    def folders_for(self, role: Role) -> list[Path]:
        """List where files of a kind are looked for, after the project's own folder."""
        rules = {**_USUAL, **self.rules}
        return [self.folder / rules[name] for name in _RULES_OF.get(role, ()) if rules.get(name)]


def project_at(folder: Path) -> Project | None:
    """Read the project of a folder; None if the folder is not there."""
    if not folder.is_dir():
        return None
    try:
        with (folder / DEFINITION).open(encoding="utf-8", errors="replace") as file:
            text = file.read(_MOST_BYTES)
    except OSError:
        text = ""
    return Project(folder, {name.lower(): place for name, place in _RULE.findall(text)})


def project_above(scene: Path) -> Project | None:
    """Find the nearest project that a scene lies in."""
    for folder in scene.parents:
        if (folder / DEFINITION).is_file():
            return project_at(folder)
    return None
