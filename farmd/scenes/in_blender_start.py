"""Runs inside Blender before it opens the scene: has the scripts that read it called as soon as it is open.

    blender --background --factory-startup --disable-autoexec … --python in_blender_start.py SCENE -- FOLDER

Between reading a file and anything else Blender calls `load_post`; the very next thing is to evaluate the scene, and
that must not happen. It would run simulations and drivers, take long, and write caches of simulations into the artist's
folder. So when the answers are written the scene is emptied, in memory, and Blender goes on to say what it missed (the
render engine of the scene, for one) and ends by itself.
"""

from __future__ import annotations

import os
import runpy
import sys
import traceback
from pathlib import Path

import bpy

READERS = ("in_blender.py", "in_blender_files.py")
SCRIPT_EXIT = 9


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]  # bpy is not annotated
def read_and_empty(*_: object) -> None:
    """Run the readers on the scene that was just opened, and leave nothing of it to be evaluated."""
    try:
        for reader in READERS:
            runpy.run_path(str(Path(__file__).with_name(reader)), run_name="__main__")
        bpy.data.batch_remove(bpy.data.objects[:])
    except Exception:  # noqa: BLE001 - else Blender would go on with the scene
        traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(SCRIPT_EXIT)


sys.dont_write_bytecode = True  # the folder belongs to the installation
sys.path.append(str(Path(__file__).parent))  # at the end: no name in it shall hide one of Blender's own
bpy.app.handlers.load_post.append(read_and_empty)
