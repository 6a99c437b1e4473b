"""Tasks as the service documents them, made anew for each test."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


def layer(**common: Any) -> Document:
    return {
        "renderable": "1",
        "env": {},
        "is_default_camera": "1",
        "option": "",
        "common": {
            "image_format": "exr",
            "start": "1",
            "end": "10",
            "by_frame": "1",
            "frames": "1-10[1]",
            "width": "960",
            "height": "540",
            "image_file_prefix": "",
            "all_camera": ["perspShape", "shotShape"],
            "render_camera": ["shotShape"],
            "animation": "True",
            "renderer": "arnold",
            "renumber_frames": "False",
        }
        | common,
    }


def maya_task(**info: Any) -> Document:
    return {
        "task_info": {
            "enable_layered": "1",
            "cg_id": "2000",
            "ram": "64",
            "os_name": "0",
            "render_layer_type": "0",
            "is_distribute_render": "0",
            "input_cg_file": "D:/show/sc01/fire.ma",
            "input_project_path": "",
            "job_stop_time": "0",
            "task_stop_time": "0",
            "time_out": "43200",
            "user_id": 10000031,
            "pre_frames": "000",
            "platform": "2",
            "is_picture": "0",
            "project_id": "3316",
            "project_name": "dragon",
            "channel": "4",
            "tiles_type": "block",
            "tiles": "1",
            "distribute_render_node": "3",
            "frames_per_task": "1",
            "stop_after_test": "2",
            "task_id": "439800123",
            "hardwareConfigIds": ["34", "35"],
            "shareMainCapital": 0,
        }
        | info,
        "software_config": {"cg_version": "2022", "cg_name": "Maya", "plugins": {}},
        "scene_info_render": {"defaultRenderLayer": layer()},
        "additional_info": {"studio": "north", "balance": 12.5},
    }


def blender_task(scene: str = "/home/ada/fire.blend", frames: str = "1-100[1]", **info: Any) -> Document:
    task = maya_task(**{"cg_id": "2007", "input_cg_file": scene, "ram": "0"} | info)
    task["software_config"] = {"cg_name": "Blender", "cg_version": "3.4", "plugins": {}}
    task["scene_info_render"] = {
        "common": {"frames": frames, "width": "1024", "scene_name": ["Scene"], "Render_Format": "OPEN_EXR"}
    }
    return task


def upload_of(scene: str, *assets: str, md5: str = "") -> Document:
    def row(local: str) -> Document:
        return {"local": local, "server": "/" + local.replace(":", "").lstrip("/")}

    return {"scene": [row(scene) | {"hash": md5}], "asset": [*map(row, assets), row(scene)]}
