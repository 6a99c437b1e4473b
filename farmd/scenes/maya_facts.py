"""Facts about the render of a Maya scene, from its nodes; what Maya leaves out is filled in.

Maya writes only what differs from its defaults: no `.fs` means frame 1, no `.ren` means Maya's own renderer, and
without `.an yes` a batch render makes one picture, of the frame that was current when the scene was saved.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from farmd.scenes.content import Camera, Facts, Layer, Remark
from farmd.scenes.maya_nodes import (
    ARNOLD_FORMATS,
    ARNOLD_SETTINGS,
    FRAMES_PER_SECOND,
    IMAGE_FORMATS,
    SAMPLING,
)
from farmd.scenes.maya_scene import Node

if TYPE_CHECKING:
    from farmd.scenes.content import Reference
    from farmd.scenes.maya_scene import MayaScene

_BLANK = Node("", "")
_OVERRIDES = ("absOverride", "absUniqueOverride", "relOverride", "relUniqueOverride")
_OVERRIDDEN = frozenset(
    {"startFrame", "endFrame", "byFrameStep", "width", "height", "imageFormat", "imageFilePrefix", "currentRenderer"}
    | {"animation", "renderable"}
)
_PROJECT = re.compile(r"((?:[A-Za-z]:)?[\\/]?[^\\/].*?)//")

Setting = str | int | float | bool


def facts_of(scene: MayaScene, references: tuple[Reference, ...]) -> Facts:
    """Compose the facts."""
    render, time = _only(scene, "defaultRenderGlobals"), _only(scene, "time1")
    size = _only(scene, "defaultResolution")
    animation = render.switch("an", "animation", default=False)
    now = time.number(1, "o", "outTime")
    renderer = render.value("ren", "currentRenderer") or "mayaSoftware"
    return Facts(
        application="maya",
        version=_version(scene),
        plugins={name: version for name, version in scene.requires.items() if name != "maya"},
        renderer=renderer,
        start=render.number(1, "fs", "startFrame") if animation else now,
        end=render.number(10, "ef", "endFrame") if animation else now,
        step=render.number(1, "bfs", "byFrameStep") if animation else 1,
        animation=animation,
        fps=_fps(scene.time_unit),
        width=int(size.number(960, "w", "width")),
        height=int(size.number(540, "h", "height")),
        image_format=_image_format(scene, render, renderer),
        image_prefix=render.value("ifp", "imageFilePrefix") or "",
        cameras=_cameras(scene),
        layers=_layers(scene),
        sampling=_sampling(scene),
        settings=_settings(scene, render, renderer),
        project=_project(references),
    )


def layer_remarks(scene: MayaScene) -> tuple[Remark, ...]:
    """Tell that layers change what the facts say."""
    changed = {node.value("atr", "attribute") for node in scene.of_kind(*_OVERRIDES)}
    names = sorted(name for name in changed if name in _OVERRIDDEN)
    if not names:
        return ()
    return (
        Remark("layer_overrides", f"render layers change {', '.join(names)}: layers differ from what is said here"),
    )


def _only(scene: MayaScene, name: str) -> Node:
    return scene.nodes.get(name, _BLANK)


def _version(scene: MayaScene) -> str:
    said = [scene.info.get("version", ""), scene.requires.get("maya", "")]
    found = [number[0] for text in said if (number := re.match(r"\d+(?:\.\d+)*", text))]
    return found[0] if found else ""


def _fps(unit: str) -> float:
    if unit in FRAMES_PER_SECOND:
        return FRAMES_PER_SECOND[unit]
    found = re.fullmatch(r"(\d+(?:\.\d+)?)fps", unit)
    return float(found[1]) if found else 0


def _image_format(scene: MayaScene, render: Node, renderer: str) -> str:
    driver = _only(scene, "defaultArnoldDriver")
    if renderer == "arnold":
        said = driver.value("ai_translator", "aiTranslator") or "exr"
        return ARNOLD_FORMATS.get(said, said)
    number = int(render.number(7, "outf", "imageFormat"))
    return IMAGE_FORMATS.get(number) or render.value("imfkey", "imfPluginKey") or ""


def _cameras(scene: MayaScene) -> tuple[Camera, ...]:
    found = scene.of_kind("camera", "stereoRigCamera")
    shown = [node.parent.rpartition("|")[2] or node.name for node in found]
    twice = {name for name, count in Counter(shown).items() if count > 1}
    return tuple(
        Camera(node.parent if name in twice and node.parent else name, node.switch("rnd", "renderable", default=True))
        for node, name in zip(found, shown, strict=True)
    )


def _layers(scene: MayaScene) -> tuple[Layer, ...]:
    by_setup = {f"rs_{node.name}": node.name for node in scene.of_kind("renderSetupLayer")}
    return tuple(
        Layer(by_setup.get(node.name, node.name), node.switch("rndr", "renderable", default=True))
        for node in scene.of_kind("renderLayer")
        # those of imported scenes are left over: one scene renders one layer of everything
        if node.name == "defaultRenderLayer" or not node.switch("g", "global", default=False)
    )


def _sampling(scene: MayaScene) -> dict[str, int]:
    options = scene.nodes.get("defaultArnoldRenderOptions")
    if options is None:
        return {}
    return {purpose: int(options.number(default, *names)) for purpose, (names, default) in SAMPLING.items()}


def _settings(scene: MayaScene, render: Node, renderer: str) -> dict[str, Setting]:
    found: dict[str, Setting] = {
        "renumber_frames": render.switch("me", "modifyExtension", default=False),
        "frame_padding": int(render.number(1, "ep", "extensionPadding")),
    }
    if renderer == "mayaSoftware":
        found["motion_blur"] = render.switch("mb", "motionBlur", default=False)
    if not render.switch("an", "animation", default=False):
        found["range_start"] = render.number(1, "fs", "startFrame")
        found["range_end"] = render.number(10, "ef", "endFrame")
    for name, codes in (("before_render_mel", ("pram", "preMel")), ("after_render_mel", ("poam", "postMel"))):
        if script := render.value(*codes):
            found[name] = script
    return found | _arnold(scene) | _colour(scene)


def _arnold(scene: MayaScene) -> dict[str, Setting]:
    options = scene.nodes.get("defaultArnoldRenderOptions")
    if options is None:
        return {}
    found: dict[str, Setting] = {}
    for name, (codes, default) in ARNOLD_SETTINGS.items():
        if isinstance(default, bool):
            found[name] = options.switch(*codes, default=default)
        else:
            found[name] = int(options.number(default, *codes))
    driver = _only(scene, "defaultArnoldDriver")
    found["tiled"] = driver.switch("exr_tiled", "exrTiled", "tiled", default=True)
    if path := options.value("tspath", "texture_searchpath"):
        found["texture_search_path"] = path
    if path := options.value("pspath", "procedural_searchpath"):
        found["procedural_search_path"] = path
    return found


def _colour(scene: MayaScene) -> dict[str, Setting]:
    node = _only(scene, "defaultColorMgtGlobals")
    said = {
        "ocio_config": node.value("cfp", "configFilePath"),
        "rendering_space": node.value("wsn", "workingSpaceName"),
        "view": node.value("vtn", "viewTransformName"),
    }
    return {name: value for name, value in said.items() if value}


def _project(references: tuple[Reference, ...]) -> str:
    """Find the project: Maya marks paths inside of it with two slashes behind its folder."""
    marked = Counter(found[1] for one in references if (found := _PROJECT.match(one.written)))
    return marked.most_common(1)[0][0] if marked else ""
