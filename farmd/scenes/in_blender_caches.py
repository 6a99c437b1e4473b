"""Loaded inside Blender by `in_blender_files`: where simulations and modifiers keep what they have computed.

A simulation that is baked has its frames in a folder or in the scene; one that is not is marked `unbaked`, for every
machine that renders a part of the frames would run it anew. Standard library and bpy only.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from farmd.scenes.in_blender_names import Record, escaped, name_of, origin_of
else:
    from in_blender_names import escaped, name_of, origin_of


def modifiers() -> Iterator[Record]:
    """List caches of modifiers."""
    for item in bpy.data.objects:
        origin = {"node": name_of(item, "objects"), "role": "cache", **origin_of(item)}
        for modifier in item.modifiers:
            record = {**origin, "used": bool(modifier.show_render)}
            prefix = f'modifiers["{escaped(modifier)}"]'
            reader = MODIFIERS.get(modifier.type)
            for found in reader(modifier) if reader else ():
                yield {**record, **found, "attribute": f"{prefix}.{found['attribute']}"}
        for index, system in enumerate(item.particle_systems):
            moves = system.settings.type == "EMITTER" or system.use_hair_dynamics
            for found in point_cache(system) if moves else ():
                yield {**origin, **found, "attribute": f"particle_systems[{index}].{found['attribute']}"}


def rigid_bodies() -> Iterator[Record]:
    """List caches of rigid bodies."""
    for scene in bpy.data.scenes:
        for found in point_cache(scene.rigidbody_world) if scene.rigidbody_world else ():
            record = {"node": name_of(scene, "scenes"), "role": "cache", **origin_of(scene), **found}
            yield {**record, "attribute": f"rigidbody_world.{found['attribute']}"}


def point_cache(owner: Any) -> Iterator[Record]:
    """Find where a simulation keeps its frames: in a folder, in the scene, or nowhere yet."""
    cache = owner.point_cache
    if cache.use_external:
        yield {"attribute": "point_cache.filepath", "written": cache.filepath, "spread": "folder"}
        return
    if cache.filepath:
        yield {"attribute": "point_cache.filepath", "written": cache.filepath, "used": False}
    if not cache.is_baked:
        yield {"attribute": "point_cache", "unbaked": True}
    elif cache.use_disk_cache:
        folder = f"//blendcache_{Path(bpy.data.filepath).stem}"
        yield {"attribute": "point_cache", "written": folder, "spread": "folder"}


def dynamic_paint(modifier: Any) -> Iterator[Record]:
    """Find the caches of painted surfaces."""
    surfaces = modifier.canvas_settings.canvas_surfaces if modifier.canvas_settings else ()
    for surface in surfaces:
        for found in point_cache(surface) if surface.is_cache_user else ():
            name = f'canvas_settings.canvas_surfaces["{escaped(surface)}"]'
            yield {**found, "attribute": f"{name}.{found['attribute']}"}


def fluid(modifier: Any) -> Iterator[Record]:
    """Find the cache of a fluid domain; its folder is always written, also before anything is in it."""
    domain = getattr(modifier, "domain_settings", None)
    if domain is None or modifier.fluid_type != "DOMAIN":
        return
    record = {"attribute": "domain_settings.cache_directory", "written": domain.cache_directory, "spread": "folder"}
    yield record if domain.has_cache_baked_any else {**record, "unbaked": True}


def ocean(modifier: Any) -> Iterator[Record]:
    """Find the baked frames of an ocean."""
    if modifier.is_cached:
        yield {"attribute": "filepath", "written": modifier.filepath, "spread": "folder"}


def mesh_cache(modifier: Any) -> Iterator[Record]:
    """Find an .mdd or .pc2 file."""
    yield {"attribute": "filepath", "written": modifier.filepath}


def multires(modifier: Any) -> Iterator[Record]:
    """Find displacements that are kept outside the scene."""
    if modifier.is_external:
        yield {"attribute": "filepath", "written": modifier.filepath}


def geometry_nodes(modifier: Any) -> Iterator[Record]:
    """Find bakes of simulations in nodes, which name a folder once they are baked."""
    for index, bake in enumerate(getattr(modifier, "bakes", ())):
        target = getattr(bake, "bake_target", "DISK")
        target = getattr(modifier, "bake_target", "DISK") if target == "INHERIT" else target
        own = bake.use_custom_path
        written = bake.directory if own else modifier.bake_directory
        if written and target == "DISK":
            attribute = f"bakes[{index}].directory" if own else "bake_directory"
            yield {"attribute": attribute, "written": written, "spread": "folder"}


MODIFIERS: dict[str, Callable[[Any], Iterator[Record]]] = {
    "CLOTH": point_cache,
    "SOFT_BODY": point_cache,
    "DYNAMIC_PAINT": dynamic_paint,
    "FLUID": fluid,
    "OCEAN": ocean,
    "MESH_CACHE": mesh_cache,
    "MULTIRES": multires,
    "NODES": geometry_nodes,
}
