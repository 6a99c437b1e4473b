"""What the demo shows, in order: machines find each other, a scene goes in, a machine is killed, nothing is lost.

It asks the farm as any client does, and any machine that answers will do. Lines go to standard output as they happen.
"""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from protocol.errors import UserError
from protocol.frames import parse_frames
from protocol.states import JOB_TERMINAL, JobState
from scripts.demo_farm import sea
from scripts.demo_farm.pictures import contact_sheet
from scripts.demo_farm.scenes import Scene, make_scene

if TYPE_CHECKING:
    from farmctl.demo.farm import DemoFarm, Machine

NAMES: Final = ("anna", "bert", "cleo")
JOB_TIMEOUT_S: Final = 300.0
AWAY_S: Final = 2.0
"""How long the killed machine stays away at least."""
KILL_AT: Final = 0.3
"""Share of the frames that are done when the leader is killed, if it renders then."""
KILL_ANY_AT: Final = 0.5
"""From here on any machine that renders is as good."""
_BAR: Final = 24

Task = dict[str, Any]


class Wish(NamedTuple):
    """What shall be rendered, how many frames of it, and where the pictures go."""

    renderer: str
    frames: int
    output: Path


class Story:
    """One showing."""

    def __init__(self, farm: DemoFarm, wish: Wish) -> None:
        self._farm = farm
        self._wish = wish
        self._since = time.monotonic()
        self._told: set[int] = set()
        self._started: set[int] = set()
        self._killed: Machine | None = None
        self._killed_at = 0.0
        self._killed_leader = False
        self._is_back = False

    def tell(self) -> dict[str, Any]:
        """Show everything; returns what `--headless` prints.

        Raises:
            UserError: Something did not go as it should.
        """
        with ThreadPoolExecutor(1) as pool:
            making = pool.submit(make_scene, self._wish.renderer, self._farm.folder / "scene", self._wish.frames)
            self._gather()
            scene = making.result()
        job = self._submit(scene)
        view = self._follow(job)
        images = self._collect(job, view)
        sheet = contact_sheet(images, self._wish.output / "contact-sheet.png")
        seconds = round(time.monotonic() - self._since, 1)
        self._sum_up(job, seconds)
        return {
            "nodes": len(NAMES),
            "frames": len(images),
            "renderer": scene.renderer,
            "seconds": seconds,
            "images": [str(image) for image in images],
            "contact_sheet": sheet,
        }

    def say(self, word: str, text: str) -> None:
        """Print one line of the story."""
        click.echo(f"{time.monotonic() - self._since:5.1f} s  {word:<9}  {text}")

    # -- the farm -------------------------------------------------------------------------------------------------

    def _gather(self) -> None:
        farm = self._farm
        click.echo("A render farm of three machines, all of them here; no server, nothing shared, all encrypted.\n")
        first = farm.found(NAMES[0])
        self.say("init", f"{first.name} founds the farm, and listens at {first.address}")
        farm.wait_for("the first daemon", lambda: farm.ask("farm.status"))
        token = farm.invitation()
        self.say("invite", f"{token[:28]}…  (a token for other machines; good for 7 days)")
        for name in NAMES[1:]:
            machine = farm.add(name, token)
            self.say("join", f"{name} joins with it, and listens at {machine.address}")
        status = farm.wait_for("that all machines find each other", self._all_are_here)
        self.say("leader", f"{status['leader_name']}, elected in term {status['term']}; it hands out the frames")

    def _all_are_here(self) -> dict[str, Any] | None:
        status = self._farm.ask("farm.status")
        here = [node for node in (status or {}).get("nodes", []) if node["state"] in ("idle", "busy")]
        return status if len(here) == len(NAMES) and status["leader"] else None

    # -- the job --------------------------------------------------------------------------------------------------

    def _submit(self, scene: Scene) -> str:
        for old in self._images():
            old.unlink(missing_ok=True)
        words = [str(scene.file), "--renderer", scene.renderer, "--frames", f"1-{self._wish.frames}"]
        words += ["--chunk", str(scene.chunk), "--output", str(self._wish.output)]
        words += ["--output-name", "sea.{frame:04d}.png"]
        for folder in scene.inputs:
            words += ["--input", str(folder)]
        job = self._farm.command("farmctl", "--node", str(self._farm.machines[0].data_dir), "submit", "-q", *words)
        width, height = sea.SIZE
        size = f"{width}x{height}"
        self.say("submit", f"{scene.file.name}: {self._wish.frames} frames of {size}, {self._version(scene.renderer)}")
        return job.strip()

    def _version(self, renderer: str) -> str:
        nodes = (self._farm.ask("node.list") or {}).get("nodes", [])
        facts = {fact["name"]: fact["version"] for node in nodes for fact in node["renderers"]}
        return f"{renderer} {facts.get(renderer, '')}".strip()

    def _follow(self, job: str) -> dict[str, Any]:
        """Watch the job to its end, and kill a machine on the way."""
        farm, version = self._farm, -1
        until = time.monotonic() + JOB_TIMEOUT_S
        while time.monotonic() < until:
            answer = farm.ask("job.watch", job=job, since=version, timeout_s=0.5)
            page = farm.ask("task.list", job=job)
            if answer is None or page is None:
                farm.wait_for("that a machine answers", lambda: farm.ask("farm.status"))
                continue
            version, view = answer["version"], answer["job"]
            self._tell_tasks(page["tasks"], view)
            if JobState(view["state"]) in JOB_TERMINAL:
                self._bring_back()
                return self._judge(view)
            self._disturb(page["tasks"], view)
        raise UserError("the job took too long", f"more than {JOB_TIMEOUT_S:.0f} s", "try again on an idle machine")

    def _tell_tasks(self, tasks: list[Task], view: dict[str, Any]) -> None:
        for task in tasks:
            if task["state"] == "done" and task["index"] not in self._told:
                self._told.add(task["index"])
                kind = "test" if task["test"] else "frame"
                took = f"{task['seconds']:.1f} s" if task["seconds"] else ""
                bar = ("█" * round(_BAR * len(self._frames_told(tasks)) / view["total"])).ljust(_BAR, "░")
                done = f"{bar} {len(self._frames_told(tasks)):>3}/{view['total']}"
                self.say(kind, f"{task['frames']:<7} rendered by {task['node_name']:<5} {took:>7}   {done}")

    def _frames_told(self, tasks: list[Task]) -> list[int]:
        return [frame for task in tasks if task["index"] in self._told for frame in parse_frames(task["frames"])]

    # -- the accident ---------------------------------------------------------------------------------------------

    def _disturb(self, tasks: list[Task], view: dict[str, Any]) -> None:
        if self._killed is None and view["done"] >= KILL_AT * view["total"]:
            self._kill_one(tasks, any_will_do=view["done"] >= KILL_ANY_AT * view["total"])
        elif self._killed is not None and time.monotonic() - self._killed_at >= AWAY_S:
            self._bring_back()

    def _kill_one(self, tasks: list[Task], *, any_will_do: bool) -> None:
        """Kill the leader while it renders; it is the machine that other farms could not lose."""
        status = self._farm.ask("farm.status")
        running = {task["node_name"]: task["frames"] for task in tasks if task["state"] == "running"}
        leader = (status or {}).get("leader_name")
        busy = [machine for machine in self._farm.machines if machine.name in running]
        busy.sort(key=lambda machine: machine.name != leader)
        if not busy or (busy[0].name != leader and not any_will_do):
            return
        victim = busy[0]
        self._farm.kill(victim)
        self._killed, self._killed_at, self._killed_leader = victim, time.monotonic(), victim.name == leader
        title = ", the leader," if self._killed_leader else ""
        self.say("KILL -9", f"{victim.name}{title} in the middle of frame {running[victim.name]}")

    def _bring_back(self) -> None:
        if self._killed is None or self._is_back:
            return
        status = self._farm.ask("farm.status")
        if status and status["leader_name"] not in (None, self._killed.name):
            away = time.monotonic() - self._killed_at
            if self._killed_leader:
                self.say("leader", f"{status['leader_name']} since term {status['term']}: the others elected it")
            self._farm.restart(self._killed)
            self._is_back = True
            self.say("restart", f"{self._killed.name}, after {away:.1f} s")

    # -- the end --------------------------------------------------------------------------------------------------

    def _judge(self, view: dict[str, Any]) -> dict[str, Any]:
        if view["state"] != JobState.COMPLETED:
            page = self._farm.ask("task.list", job=view["id"], state="failed")
            said = [task.get("text") or task.get("cause") or "" for task in (page or {}).get("tasks", [])]
            raise UserError(
                f"the job ended as {view['state']}",
                (said[0] if said else view.get("why_stopped")) or "it gives no reason",
                "scripts/demo --renderer mitsuba" if self._wish.renderer == "blender" else "scripts/demo --keep",
            )
        return view

    def _collect(self, job: str, view: dict[str, Any]) -> list[Path]:
        """Wait until every picture stands in the output folder."""

        def arrived() -> bool:
            seen = self._farm.ask("job.show", job=job) or {"delivered": 0, "safe": 0}
            done = view["done_tasks"]
            return seen["delivered"] >= done and seen["safe"] >= done and all(map(Path.is_file, images))

        images = self._images()
        self._farm.wait_for("the delivery of the pictures", arrived)
        return images

    def _images(self) -> list[Path]:
        return [self._wish.output / f"sea.{frame:04d}.png" for frame in range(1, self._wish.frames + 1)]

    def _sum_up(self, job: str, seconds: float) -> None:
        tasks = (self._farm.ask("task.list", job=job) or {}).get("tasks", [])
        shares = Counter[str]()
        for task in tasks:
            shares[task["node_name"]] += len(parse_frames(task["frames"]))
        again = [task["frames"] for task in tasks if task["attempts"] > 1]
        by = ", ".join(f"{name} {shares[name]}" for name in NAMES)
        self.say("done", f"{sum(shares.values())} frames in {seconds:.0f} s ({by}); none is missing")
        if again:
            self.say("", f"rendered again, since the machine was killed over them: {', '.join(again)}")
        self.say("", "every picture was checked, and is stored on two machines")
