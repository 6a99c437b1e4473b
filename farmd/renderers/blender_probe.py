"""Runs inside Blender once per installation: says what this build can do, as one line of JSON.

A distribution's Blender may lack OpenImageDenoise, OSL, USD or Alembic, and a headless machine may have no engine that
the artist's has; the scheduler must know before it grants, not after a thousand failed frames.
"""

from __future__ import annotations

import json
import sys

import bpy

ENGINES = {
    "CYCLES": "cycles",
    "BLENDER_EEVEE": "eevee",
    "BLENDER_EEVEE_NEXT": "eevee",
    "BLENDER_WORKBENCH": "workbench",
}
BUILD_OPTIONS = {"cycles_osl": "osl", "usd": "usd", "alembic": "alembic", "openvdb": "openvdb"}
GPU_KINDS = {"CUDA": "cuda", "OPTIX": "optix", "HIP": "hip", "ONEAPI": "oneapi"}


def engines() -> list[str]:
    """Try each engine: the list of names that RNA gives holds only add-ons."""
    found = []
    for engine, feature in ENGINES.items():
        try:
            bpy.context.scene.render.engine = engine
        except TypeError:
            continue
        found.append(feature)
    return found


def cycles_features() -> list[str]:
    """Ask the renderer's own module for its denoiser and for the GPUs that it sees."""
    try:
        import _cycles  # type: ignore[import-not-found]  # exists inside Blender alone
    except ImportError:
        return []
    found = ["oidn"] if _cycles.with_openimagedenoise else []
    for kind, feature in GPU_KINDS.items():
        try:
            devices = _cycles.available_devices(kind)
        except ValueError:
            continue
        if any(device[1] == kind for device in devices):
            found.append(feature)
    return found


def main() -> None:
    """Print version and features."""
    options = bpy.app.build_options
    built = [feature for option, feature in BUILD_OPTIONS.items() if getattr(options, option, False)]
    facts = {
        "version": ".".join(map(str, bpy.app.version)),
        "features": sorted({*engines(), *cycles_features(), *built}),
    }
    sys.stdout.write(f"@farmd probe {json.dumps(facts)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
