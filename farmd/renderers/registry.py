"""Which renderers this node has.

The registry finds renderers (built in, and from the entry point group `farmd.renderers`), remembers what a probe found
for as long as the program on disk is the same, and opens the work of one attempt (`farmd.renderers.work`).

Called by the daemon (facts, at start) and by the runner (`open`). Must never start a render.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections import OrderedDict, deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from farmd.renderers import RenderTask
from farmd.renderers.work import Work
from protocol.bodies import RendererFact
from protocol.errors import NotFound, UsageError
from protocol.templates import render_template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from farmd.renderers import Inspected, Promise, Renderer
    from farmd.renderers.work import Room
    from protocol.ids import JobId
    from protocol.jobspec import JobSpec
    from protocol.pathrules import PathMap

ENTRY_POINTS: Final = "farmd.renderers"
BUILT_IN: Final = {
    "blender": "farmd.renderers.blender:Blender",
    "command": "farmd.renderers.command:AnyCommand",
    "mitsuba": "farmd.renderers.mitsuba:Mitsuba",
    "povray": "farmd.renderers.povray:Povray",
}
REMEMBERED_JOBS: Final = 256
REMEMBERED_FRAMES: Final = 32


class Registry:
    """The renderers of this node."""

    def __init__(
        self,
        renderers: Iterable[Renderer],
        *,
        inspect: Callable[[Sequence[Promise], Sequence[float]], Inspected],
        cache: Path | None = None,
    ) -> None:
        """Take the renderers.

        Args:
            renderers: Later ones replace earlier ones of the same name.
            inspect: How outputs are checked (`farmd.renderers.images.inspect`).
            cache: File that remembers probes; None = probe each time.
        """
        self._renderers = {renderer.name: renderer for renderer in renderers}
        self._inspect = inspect
        self._cache = cache
        self._facts: dict[str, RendererFact] = {}
        self.broken: dict[str, str] = {}
        """Renderers of other packages that could not be loaded, and why."""
        self._luminances: OrderedDict[JobId, deque[float]] = OrderedDict()

    @property
    def names(self) -> tuple[str, ...]:
        """Renderers that are known here, installed or not."""
        return tuple(sorted(self._renderers))

    def probe(self) -> tuple[RendererFact, ...]:
        """Find out what is installed, in name order; starts programs, so call it off the event loop."""
        remembered = _read_cache(self._cache)
        cache: dict[str, _Remembered] = {}
        for name, renderer in sorted(self._renderers.items()):
            mark = _mark_of(renderer.executable())
            known = remembered.get(name)
            fact = known.fact if known is not None and mark and known.mark == mark else renderer.probe()
            if fact is not None:
                self._facts[name] = fact
                cache[name] = _Remembered(mark, fact)
            else:
                self._facts.pop(name, None)
        if cache != remembered:
            _write_cache(self._cache, cache)
        return tuple(self._facts.values())

    def promises(self, spec: JobSpec) -> bool:
        """Tell whether each frame of this job must leave a file."""
        renderer = self._renderers.get(spec.renderer)
        return bool(spec.output_name or (renderer is not None and renderer.default_output))

    def open(self, job: JobId, spec: JobSpec, frames: tuple[int, ...], room: Room) -> Work:
        """Plan one attempt.

        Raises:
            UserError: It cannot be started here: no such renderer, a wrong parameter, a scene for another version.
        """
        renderer = self._renderers.get(spec.renderer)
        if renderer is None:
            raise NotFound(
                f"no renderer {spec.renderer!r} on this node",
                f"it has: {', '.join(sorted(self._renderers))}",
                f"install a package with an entry point in {ENTRY_POINTS}",
            )
        outputs = _outputs_of(renderer, spec, frames, room.output_dir)
        for folder in {path.parent for path in outputs}:
            folder.mkdir(parents=True, exist_ok=True)
        task = RenderTask(
            scene=room.checkout / spec.scene if spec.scene else room.checkout,
            checkout=room.checkout,
            frames=frames,
            outputs=outputs,
            output_dir=room.output_dir,
            scratch=room.scratch,
            threads=room.cores,
            gpus=room.gpus,
            params=_mapped(spec.params, room.paths),
            template=spec.command or "",
            installed=self._facts.get(spec.renderer),
            paths=room.paths,
        )
        return Work(renderer, task, self._inspect, self._neighbours(job))

    def _neighbours(self, job: JobId) -> deque[float]:
        luminances = self._luminances.setdefault(job, deque(maxlen=REMEMBERED_FRAMES))
        self._luminances.move_to_end(job)
        if len(self._luminances) > REMEMBERED_JOBS:
            self._luminances.popitem(last=False)
        return luminances


def find_renderers(
    *, inspect: Callable[[Sequence[Promise], Sequence[float]], Inspected], cache: Path | None
) -> Registry:
    """Load the built-in renderers and those of other packages, which may replace built-in ones.

    Args:
        inspect: How outputs are checked (`farmd.renderers.images.inspect`).
        cache: File that remembers probes.
    """
    found: list[Renderer] = []
    broken: dict[str, str] = {}
    places = [*BUILT_IN.items(), *(_places_outside() if is_named_by_a_package(sys.path) else ())]
    for name, place in places:
        module, _, attribute = place.partition(":")
        try:
            renderer: Renderer = getattr(importlib.import_module(module), attribute)()
        except (ImportError, AttributeError, TypeError) as error:
            broken[name] = f"{place}: {error}"
        else:
            found.append(renderer)
    registry = Registry(found, inspect=inspect, cache=cache)
    registry.broken = broken
    return registry


def is_named_by_a_package(folders: Iterable[str]) -> bool:
    """Tell whether an installed package may bring renderers.

    Mostly none does, and `importlib.metadata`, which would say so too, takes 3 MiB of the daemon for ever.
    """
    for folder in folders:
        for file in Path(folder).glob("*-info/entry_points.txt"):
            with suppress(OSError):
                if ENTRY_POINTS.encode() in file.read_bytes():
                    return True
    return False


def _places_outside() -> list[tuple[str, str]]:
    import importlib.metadata

    return [(point.name, point.value) for point in importlib.metadata.entry_points(group=ENTRY_POINTS)]


def _outputs_of(renderer: Renderer, spec: JobSpec, frames: tuple[int, ...], folder: Path) -> tuple[Path, ...]:
    template = spec.output_name or renderer.default_output
    if not template:
        return ()
    span = {"start": frames[0], "end": frames[-1]}
    names = [render_template(template, {**spec.params, **span, "frame": frame}) for frame in frames]
    if renderer.default_output and len(set(names)) < len(names):
        raise UsageError(
            f"the frames of a task would overwrite one another in {names[0]}",
            f"output_name {template!r} is the same for several frames",
            "put {frame} into it",
        )
    return tuple(folder / name for name in names)


def _mapped(params: Mapping[str, str], paths: PathMap | None) -> Mapping[str, str]:
    """Let params that are paths of the artist's machine name the same files here; all others stay as they are."""
    if paths is None or not params:
        return params
    return {name: paths.find(value, os.path.exists) or value for name, value in params.items()}


class _Remembered(NamedTuple):
    """A probe and the state of the program that it was made of."""

    mark: str
    fact: RendererFact


def _mark_of(program: Path | None) -> str:
    try:
        state = program.stat() if program is not None else None
    except OSError:
        return ""
    return "" if state is None else f"{program}|{state.st_mtime_ns}|{state.st_size}"


def _read_cache(file: Path | None) -> dict[str, _Remembered]:
    if file is None:
        return {}
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
        return {
            name: _Remembered(mark, RendererFact(name, version, tuple(features)))
            for name, (mark, version, features) in plain.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write_cache(file: Path | None, cache: Mapping[str, _Remembered]) -> None:
    """Write what was found; without the file the next start only takes a second longer."""
    if file is None:
        return
    plain = {name: (item.mark, item.fact.version, item.fact.features) for name, item in cache.items()}
    fresh = file.with_suffix(".new")
    try:
        fresh.write_text(json.dumps(plain, indent=1), encoding="utf-8")
        fresh.replace(file)
    except OSError:
        fresh.unlink(missing_ok=True)
