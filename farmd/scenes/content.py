"""What a reader finds in one scene file: facts about the render, and references to other files as they are written.

Written by the readers (`maya_ascii`, `maya_binary`, `blend`, `xgen`, …), read by `resolve` and `analyse`. Nothing here
has looked at a disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Role(StrEnum):
    """What a file is to the scene; decides where it is looked for and what its absence means."""

    SCENE = "scene"
    """A further scene that is read as well: a reference, a linked library."""
    TEXTURE = "texture"
    CACHE = "cache"
    """Geometry, volumes, simulations, stand-ins: Alembic, OpenVDB, GPU caches, .ass."""
    GROOM = "groom"
    """XGen: palettes, collections, guides, maps."""
    COLOUR = "colour"
    """OCIO configurations and what they name."""
    FONT = "font"
    SOUND = "sound"
    """Heard by nobody in a render: its absence is told, and stops nothing."""
    CLIP = "clip"
    """Movie clips and image planes."""
    OTHER = "other"


class Spread(StrEnum):
    """How one written path stands for several files."""

    ONE = "one"
    UDIM = "udim"
    """`<UDIM>` (1001 + u + 10 v), `<UVTILE>` (u1_v1), `u<U>_v<V>` from 0, `u<u>_v<v>` from 1."""
    FRAMES = "frames"
    """`####`, `%04d`, `<f>`, `<frame>`: one file per frame."""
    FOLDER = "folder"
    """Everything below a folder."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One place in a scene that names a file.

    Attributes:
        node: Which node, datablock or statement names it, with its namespace.
        attribute: Which of its attributes, as the application calls it: "fileTextureName", "filepath".
        written: The path, character by character as it stands in the scene.
        role: What the file is to the scene.
        spread: How the path stands for several files.
        variables: What `${NAME}` in it means, as far as the scene itself says (XGen's PROJECT, DESC, FXMODULE).
        base: Folder that a relative path starts from, if it is not the scene's or the project's.
        frames: First and last number of the files that a sequence may ask for, where the scene says so. Blender writes
            one member of a sequence ("//smoke_0017.vdb"), whose last number then stands for all of these.
        by: The scene file that names it, absolute, if it is not the scene that was read: what a linked library brings
            along, which reading that library finds again.
        shipped: The application brings a file of this name along, so its absence here is no lack.
    """

    node: str
    attribute: str
    written: str
    role: Role = Role.OTHER
    spread: Spread = Spread.ONE
    variables: Mapping[str, str] = field(default_factory=dict)
    base: str = ""
    frames: tuple[int, int] | None = None
    by: str = ""
    shipped: bool = False


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera. `renderable`: rendered by default (Maya: its own flag, per layer; Blender: the active one)."""

    name: str
    renderable: bool = False


@dataclass(frozen=True, slots=True)
class Layer:
    """A render layer, view layer or scene of its own. `renderable`: switched on."""

    name: str
    renderable: bool = True


@dataclass(frozen=True, slots=True)
class Facts:
    """What a scene says about its render; defaults of the application filled in where files leave them out.

    Attributes:
        application: "maya" | "blender" | "houdini" | "mitsuba" | "povray" | "usd".
        version: Of the application that saved it: "2022", "3.4.1"; "" = not said.
        plugins: Plug-ins that it requires: name -> version, "" where none is said.
        renderer: As the application names it: "arnold", "CYCLES", "mayaSoftware".
        start: First frame; frames may have fractions.
        end: Last frame.
        step: Every so many.
        animation: False: one frame (`start`) is rendered by default.
        fps: Frames a second; 0 = not said.
        width: Pixels, scaled by the percentage that the scene gives.
        height: Pixels.
        image_format: "exr", "png", …; "" = not said.
        image_prefix: Path prefix or template of images; "" = not said.
        cameras: All that could render.
        layers: All of them.
        sampling: Samples by what they are for: "camera", "diffuse", "specular", "sss", "transmission", "volume".
        settings: Everything else that a wrangler may want to see: "motion_blur", "auto_tx", "tiled", "threads", …
        project: Folder that the scene names as its project; "" = not said.
    """

    application: str
    version: str = ""
    plugins: Mapping[str, str] = field(default_factory=dict)
    renderer: str = ""
    start: float = 1
    end: float = 1
    step: float = 1
    animation: bool = False
    fps: float = 0
    width: int = 0
    height: int = 0
    image_format: str = ""
    image_prefix: str = ""
    cameras: tuple[Camera, ...] = ()
    layers: tuple[Layer, ...] = ()
    sampling: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    project: str = ""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something in the scene that a person should know: a stable code, and a sentence."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Content:
    """All of one scene file.

    Attributes:
        facts: About the render.
        references: In the order of the file.
        remarks: What was left out or not understood.
    """

    facts: Facts
    references: tuple[Reference, ...] = ()
    remarks: tuple[Remark, ...] = ()


class Reader(Protocol):
    """Reads one format."""

    def __call__(self, scene: Path) -> Content:
        """Read a scene.

        Raises:
            UserError: It cannot be read, is damaged, or is none of this format.
        """
        ...
