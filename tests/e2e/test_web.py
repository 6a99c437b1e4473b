"""HTTP, as programs use it: a whole workflow with nothing but `requests`, and what must be refused on a real daemon."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median

import pytest
import requests
from PIL import Image

from tests.e2e.farm import ROOT, Farm, free_port, until
from tests.e2e.scenes import HEIGHT, WIDTH, make_blend
from tests.e2e.webdoor import Caller, Door, add_door, command_task, good, md5_of, refused, row_of, run_script


@pytest.fixture
def door(farm: Farm) -> Door:
    """One node that serves HTTP."""
    made = add_door(farm, "a")
    farm.start("a")
    return made.wait()


def wait_for(caller: Caller, task_id: str, status: str, within_s: float = 60.0) -> None:
    until(
        lambda: caller.get(f"/api/task/{task_id}/status")["status"] == status, f"task {task_id} is {status}", within_s
    )


@pytest.mark.blender
def test_a_scene_of_a_windows_machine_goes_through_the_whole_workflow_of_the_source(door: Door, tmp_path: Path) -> None:
    anna = door.user("anna")
    blend = make_blend(tmp_path / "shot.blend")
    local = "C:/Project/shots/shot.blend"
    row = row_of(local, blend.read_bytes())

    declared = anna.post("/api/scene/upload", {"files": [row], "scene_hash": row["hash"]})
    assert declared["scene"] == [{**row, "server": "/C/Project/shots/shot.blend"}]
    assert [one["hash"] for one in declared["lacking"]] == [row["hash"]]
    assert good(anna.put(blend))["complete"] is True
    assert anna.post("/api/scene/upload", {"files": [row], "scene_hash": row["hash"]})["lacking"] == []

    asset = anna.post("/api/scene/analyse", {"scene_file": local})
    assert (asset["scene_file"], asset["frames"], asset["width"]) == (local, "1-40[1]", WIDTH)
    assert asset["missing"] == {}

    task = {
        "task_info": {
            "input_cg_file": local,
            "cg_id": "2007",
            "frames_per_task": "2",
            "balance": "7.5",
            "mac": "00:1b",
        },
        "software_config": {"cg_name": "Blender", "cg_version": "", "plugins": {}},
        "scene_info_render": {"common": {"frames": "1-4[1]"}},
    }
    created = anna.post("/api/task/create", task)
    assert (len(created["task_id"]), created["status"]) == (9, "queued")
    task_id = created["task_id"]
    wait_for(anna, task_id, "completed", 100)

    status = anna.get(f"/api/task/{task_id}/status")
    assert (status["progress"], status["completed_frames"], status["failed_frames"]) == (100.0, [1, 2, 3, 4], [])
    frames = anna.get(f"/api/task/{task_id}/frames")["frames"]
    assert [(one["frame"], one["status"]) for one in frames] == [(number, "done") for number in (1, 2, 3, 4)]
    assert anna.get(f"/api/task/{task_id}")["task_info"]["balance"] == "7.5"
    for number in (1, 2, 3, 4):
        answer = anna.ask("GET", "/api/files/download", params={"task_id": task_id, "frame": number})
        assert answer.status_code == 200
        assert md5_of(answer.content) == answer.headers["ETag"].strip('"')
        with Image.open(io.BytesIO(answer.content)) as picture:
            assert picture.size == (WIDTH, HEIGHT)
    thumbnail = anna.ask("GET", f"/api/v1/jobs/{created['job']}/thumbnails/2")
    assert thumbnail.headers["Content-Type"] == "image/jpeg"
    assert "anna" in {event["actor"] for event in anna.get("/api/v1/events", job=created["job"])["events"]}


def test_a_job_reads_the_files_that_were_sent_and_its_log_is_read_by_lines(door: Door, tmp_path: Path) -> None:
    anna = door.user("anna")
    scene, texture = b"a scene", b"wood" * 700_000
    rows = [row_of("/home/anna/show/s.txt", scene), row_of("/home/anna/show/tex/wood.bin", texture)]
    lacking = anna.post("/api/scene/upload", {"files": rows, "scene_hash": rows[0]["hash"]})["lacking"]
    assert len(lacking) == 2
    for data in (scene, texture):
        path = tmp_path / md5_of(data)
        path.write_bytes(data)
        assert good(anna.put(path))["complete"] is True
    task = command_task("sh -c 'echo frame {frame}; cat tex/wood.bin > {output}'", "1-2")
    task |= {"scene_hash": rows[0]["hash"], "input_cg_file": "/home/anna/show/s.txt"}

    created = anna.post("/api/task/create", task)
    wait_for(anna, created["task_id"], "completed")

    answer = anna.ask("GET", "/api/files/download", params={"task_id": created["task_id"], "frame": 2})
    assert answer.content == texture
    rest = anna.ask("GET", "/api/files/download", params={"task_id": created["job"], "frame": 2},
                    headers={"Range": "bytes=2000000-"})  # fmt: skip
    assert (rest.status_code, rest.content) == (206, texture[2_000_000:])
    lines = anna.get(f"/api/v1/jobs/{created['job']}/log", frame=1)["lines"]
    assert "frame 1" in [line["text"] for line in lines]
    raw = anna.ask("GET", f"/api/v1/jobs/{created['job']}/log/raw", params={"frame": 1})
    assert b"frame 1" in raw.content
    assert anna.get(f"/api/v1/jobs/{created['job']}/logs", frame=1)["attempts"][0]["state"] == "done"


def test_a_job_waits_for_the_decision_that_is_given_over_http(door: Door) -> None:
    anna, ben = door.user("anna"), door.user("ben")
    body = {
        "name": "held", "renderer": "command", "command": "cp /etc/hostname {output}", "output_name": "f.{frame}.txt",
        "frames": "1-6", "gate": {"mode": "hold", "test_frames": [1, 6]},
    }  # fmt: skip
    job = anna.post("/api/v1/jobs", body)["job"]
    until(lambda: anna.get(f"/api/v1/jobs/{job}")["state"] == "awaiting_approval", "the test frames are done")

    told = refused(ben.ask("POST", f"/api/v1/jobs/{job}/approve", json={}), 403)
    assert "anna" in told["why"]
    assert anna.post(f"/api/v1/jobs/{job}/approve", {"why": "looks good"})["changed"] is True
    until(lambda: anna.get(f"/api/v1/jobs/{job}")["state"] == "completed", "the rest is done")
    events = [event for event in anna.get("/api/v1/events", job=job)["events"] if event["actor"] == "anna"]
    assert any("looks good" in f"{event['text']} {event.get('why', '')}" for event in events)


def test_stop_after_test_is_read_as_this_door_says(door: Door) -> None:
    anna = door.user("anna")
    gates = {}
    for said in ("1", "2", "0", None, "whatever"):
        task = command_task("true", "1-9") | ({} if said is None else {"stop_after_test": said})
        job = anna.post("/api/task/create", task | {"test_frames": "2,5"})["job"]
        gate = anna.get(f"/api/v1/jobs/{job}")["gate"]
        gates[said] = gate["mode"], [frame["frame"] for frame in gate["test_frames"]]
    assert gates.pop("1") == ("auto", [2, 5])
    assert list(gates.values()) == [("off", [])] * 4


def test_only_holders_of_good_tokens_with_the_right_role_are_served(door: Door) -> None:
    anna, vera = door.user("anna"), door.user("vera", "viewer")
    assert vera.get("/api/v1/users/me")["role"] == "viewer"
    assert vera.get("/api/v1/jobs")["jobs"] == anna.get("/api/v1/jobs")["jobs"] == []
    refused(vera.ask("POST", "/api/task/create", json=command_task("true", "1")), 403)
    refused(vera.ask("PUT", f"/api/files/{md5_of(b'x')}", data=b"x"), 403)
    refused(vera.ask("GET", f"/api/files/{md5_of(b'x')}"), 404)
    for headers in ({}, {"Authorization": "Bearer farm_wrong"}, {"Authorization": f"Basic {anna.token}"}):
        answer = requests.get(f"{door.url}/api/v1/jobs", headers=headers, timeout=20)
        assert refused(answer, 401)["code"] == "no_token"
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    wrong = [
        requests.get(f"{door.url}/api/v1/jobs", headers={"Authorization": f"Bearer farm_{n}"}, timeout=20).status_code
        for n in range(20)
    ]
    assert wrong[-1] == 429
    assert anna.get("/api/v1/jobs")["jobs"] == [], "whoever was let in before is not shut out by others"
    token = door.member.ask("user.show", name="anna")["user"]["tokens"][0]["id"]
    door.member.ask("user.revoke", name="anna", id=token)
    assert anna.ask("GET", "/api/v1/jobs").status_code in (401, 429)
    assert anna.token not in door.member.log.read_text()


def test_the_web_process_dies_and_is_started_again_while_the_farm_goes_on(door: Door, farm: Farm) -> None:
    anna = door.user("anna")
    pid = child_of(door.member.pid)
    os.kill(pid, signal.SIGKILL)
    assert door.member.status()["node_name"] == "a"
    until(lambda: child_of(door.member.pid) not in (0, pid), "another one runs")
    door.wait()
    assert anna.get("/api/v1/farm")["farm"] == "farm"
    child = child_of(door.member.pid)
    door.member.kill()
    until(lambda: not Path(f"/proc/{child}").exists(), "it ends with a daemon that was killed")
    door.member.start()
    door.wait()
    assert anna.get("/api/v1/users/me")["user"] == "anna"


def child_of(pid: int) -> int:
    """Return the web process of a daemon; 0 if there is none."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
        if b"\0web\0" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    return 0


@pytest.mark.povray
def test_a_scene_of_the_node_is_rendered_with_its_files_and_never_with_those_outside(
    farm: Farm, tmp_path: Path
) -> None:
    shows = tmp_path / "shows"
    (shows / "tex").mkdir(parents=True)
    with Image.new("RGB", (8, 8), "red") as picture:
        picture.save(shows / "tex" / "red.png")
    scene = shows / "ball.pov"
    scene.write_text(POV.format("tex/red.png"))
    door = add_door(farm, "a")
    farm.environ["FARM_WEB_SCENES"] = str(shows)
    farm.start("a")
    anna = door.wait().user("anna")

    asset = anna.post("/api/scene/analyse", {"scene_file": str(scene)})
    assert [line.split(" (mtime")[0] for line in asset["asset"]] == [str(shows / "tex" / "red.png")]
    created = anna.post("/api/task/create", pov_task(scene))
    wait_for(anna, created["task_id"], "completed")
    picture_is(anna.ask("GET", "/api/files/download", params={"task_id": created["task_id"], "frame": 2}).content)

    secret = door.member.data_dir / "identity.key"
    scene.write_text(POV.format(secret))
    told = refused(anna.ask("POST", "/api/task/create", json=pov_task(scene)), 409)
    assert [one["text"] for one in told["missing"]] == ["it is outside of the folders that are looked at here"]
    (shows / "tex" / "key.png").symlink_to(secret)
    scene.write_text(POV.format("tex/key.png"))
    refused(anna.ask("POST", "/api/task/create", json=pov_task(scene)), 409)
    refused(anna.ask("POST", "/api/task/create", json=pov_task(secret)), 403)


POV = """#version 3.7; global_settings {{ assumed_gamma 1.0 }}
camera {{ location <0, 0, -3> look_at 0 }} light_source {{ <2, 4, -3> 1 }}
sphere {{ <clock / 10, 0, 0>, 1 pigment {{ image_map {{ png "{}" }} }} }}
"""


def pov_task(scene: Path) -> dict[str, object]:
    own = {"renderer": "povray", "params": {"width": "64", "height": "36"}, "requirements.renderer_version": ""}
    task = {"cg_name": "Blender", "input_cg_file": str(scene), "frames": "1-2"}
    return task | {"additional_info": {"farmd": {"more": own}}}


def picture_is(data: bytes) -> None:
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == (64, 36)


def test_a_job_is_changed_archived_and_deleted_over_http(door: Door) -> None:
    anna = door.user("anna")
    body = {"name": "n", "renderer": "command", "command": "true", "frames": "1"}
    same = {good(anna.ask("POST", "/api/v1/jobs", json=body, headers={"Idempotency-Key": "n"}))["job"] for _ in "12"}
    (job,) = same
    assert [one["id"] for one in anna.get("/api/v1/jobs")["jobs"]] == [job], "however often it is asked for"
    edited = good(anna.ask("PATCH", f"/api/v1/jobs/{job}", json={"changes": {"priority": 80}, "why": "soon"}))
    assert [one["field"] for one in edited["changed"]] == ["priority"]
    until(lambda: anna.get(f"/api/v1/jobs/{job}")["state"] == "completed", "it is done")
    assert anna.get(f"/api/v1/jobs/{job}")["priority"] == 80
    assert anna.post(f"/api/v1/jobs/{job}/archive")["changed"] is True
    assert anna.post(f"/api/v1/jobs/{job}/archive")["changed"] is False
    assert [len(anna.get("/api/v1/jobs", archived=word)["jobs"]) for word in ("without", "only", "with")] == [0, 1, 1]
    assert good(anna.ask("DELETE", f"/api/v1/jobs/{job}"))["state"] == "deleted"
    until(lambda: anna.ask("GET", f"/api/v1/jobs/{job}").status_code == 404, "it is gone")
    wilma = door.user("wilma", "wrangler")
    assert wilma.post("/api/v1/nodes/a/hold", {"why": "maintenance"})["changed"] is True
    assert wilma.get("/api/v1/nodes/a")["state"] in ("held", "draining")
    assert wilma.post("/api/v1/nodes/a/release")["changed"] is True
    refused(anna.ask("POST", "/api/v1/nodes/a/hold", json={}), 403)


@pytest.mark.blender
@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="needs the programs curl and jq")
def test_the_howto_does_what_it_says_with_curl_alone(door: Door, tmp_path: Path) -> None:
    page = (ROOT / "docs/howto/use-http.md").read_text(encoding="utf-8")
    script = page.partition("## A job, with curl alone")[2].partition("```sh\n")[2].partition("```")[0]
    for written, here in (
        ("http://127.0.0.1:8766", door.url),
        ("1-100[1]", "1-3[1]"),
        ("1,50,100", "1,3"),
        ("frame=50", "frame=3"),
    ):
        assert written in script
        script = script.replace(written, here)
    before, after = script.split("# 5.")
    make_blend(tmp_path / "shot.blend")
    anna = door.user("anna")
    run_script(before + 'echo "$task" > task', tmp_path, anna)
    task = (tmp_path / "task").read_text().strip()
    wait_for(anna, task, "completed", 60)
    told = run_script(f"{before.splitlines()[0]}\nurl={door.url}\ntask={task}\n#{after}", tmp_path, anna)
    assert '"status":"completed"' in told
    picture = next(path for path in tmp_path.glob("*.png"))
    with Image.open(picture) as image:
        assert image.size == (WIDTH, HEIGHT)


def test_events_are_waited_for(door: Door) -> None:
    anna = door.user("anna")
    last = anna.get("/api/v1/events", limit=1)["last"]
    job = anna.post("/api/v1/jobs", {"name": "n", "renderer": "command", "command": "sleep 60", "frames": "1"})["job"]
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(anna.get, "/api/v1/events", after=last, wait_s=20, what="pause", job=job)
        until(lambda: anna.post(f"/api/v1/jobs/{job}/pause", {"why": "lunch"})["state"] == "paused", "it is paused")
        (event,) = waiting.result(30)["events"]
    assert (event["actor"], event["why"]) == ("anna", "lunch")
    assert time.monotonic() - began < 15
    assert anna.get("/api/v1/events", after=event["id"], wait_s=0.2, what="pause")["events"] == []
    refused(anna.ask("GET", "/api/v1/events", params={"wait_s": "1000"}), 422)


def test_the_board_is_served_by_the_same_process(farm: Farm) -> None:
    port = free_port()
    door = add_door(farm, "a", "--board", f"127.0.0.1:{port}")
    farm.start("a")
    door.wait()
    until(lambda: requests.get(f"http://127.0.0.1:{port}/", timeout=10).status_code == 200, "the board is there")
    anna = door.user("anna")
    anna.post("/api/v1/jobs", {"name": "seen", "renderer": "command", "command": "true", "frames": "1"})
    until(lambda: "seen" in requests.get(f"http://127.0.0.1:{port}/tasks", timeout=10).text, "it shows the job")
    assert child_of(door.member.pid)
    assert door.member.stop() == 0
    assert "Traceback" not in door.member.printed()


def test_the_daemon_answers_while_its_door_is_besieged(door: Door) -> None:
    anna = door.user("anna")
    head = f"PUT /api/files/{{:032x}} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {anna.token}\r\nContent-Length: "
    with ExitStack() as stack:
        for number in range(300):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", door.port)))
            with suppress(OSError):
                client.sendall(f"{head.format(number)}{10 << 30}\r\n\r\nabc".encode() if number % 2 else b"GET / HT")
        late: list[float] = []
        for _ in range(30):
            began = time.monotonic()
            assert door.member.status()["node_name"] == "a"
            late.append(time.monotonic() - began)
    assert median(late) < 0.5, late
    until(lambda: anna.ask("GET", "/api/v1/farm").status_code == 200, "honest ones are served again")
    assert child_of(door.member.pid)


def test_a_result_of_another_node_is_brought_and_one_of_a_node_that_is_off_is_named(farm: Farm) -> None:
    door = add_door(farm, "a")
    a, b = farm.start("a", "b")
    anna = door.wait().user("anna")
    a.ctl_json("node", "hold", "a")
    body = {
        "name": "far",
        "renderer": "command",
        "command": "cp /etc/hostname {output}",
        "output_name": "f.{frame}.txt",
    }
    job = anna.post("/api/v1/jobs", body | {"frames": "1"})["job"]
    until(lambda: anna.get(f"/api/v1/jobs/{job}")["state"] == "completed", "b rendered it")
    assert anna.get(f"/api/task/{job}/frames")["frames"][0]["node"] == "b"

    answer = anna.ask("GET", "/api/files/download", params={"task_id": job, "frame": 1})
    assert (answer.status_code, answer.content) == (200, Path("/etc/hostname").read_bytes())
    lines = anna.get(f"/api/v1/jobs/{job}/log", frame=1)["lines"]
    assert any("/etc/hostname" in line["text"] for line in lines)
    b.kill()
    until(lambda: anna.get("/api/v1/nodes/b")["state"] != "idle", "a knows that b is off", 60)
    away = anna.get(f"/api/v1/jobs/{job}/log", frame=1)["away"]
    assert away["node_name"] == "b"


def test_a_job_is_watched_and_the_farm_is_followed_without_polling(door: Door) -> None:
    anna = door.user("anna")
    first = anna.get("/api/v1/feed")
    assert (first["reset"], [node["name"] for node in first["nodes"]]) == (True, ["a"])
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(anna.get, "/api/v1/feed", life=first["life"], after=first["after"], wait_s=20)
        body = {"name": "seen", "renderer": "command", "command": "true", "frames": "1-3"}
        job = anna.post("/api/v1/jobs", body)["job"]
        answer = waiting.result(30)
    assert answer["reset"] is False
    shown = anna.get(f"/api/v1/jobs/{job}")
    looks = 0
    while shown["state"] != "completed":
        looks += 1
        assert looks < 20, shown
        shown = anna.get(f"/api/v1/jobs/{job}", since=shown["version"], wait_s=10)


def test_path_rules_of_the_farm_hold_for_scenes_of_the_node(farm: Farm, tmp_path: Path) -> None:
    shows = tmp_path / "shows"
    shows.mkdir()
    (shows / "red.png").write_bytes(b"red")
    (shows / "ball.pov").write_text(POV.format("Y:/tex/red.png"))
    door = add_door(farm, "a")
    farm.environ["FARM_WEB_SCENES"] = str(shows)
    farm.start("a")
    anna = door.wait().user("anna")
    scene = {"scene_file": str(shows / "ball.pov")}
    assert anna.post("/api/scene/analyse", scene)["asset_num"] == 0
    door.member.ask("path.add", written="Y:/tex", becomes=str(shows))
    assert anna.post("/api/scene/analyse", scene)["asset_num"] == 1
