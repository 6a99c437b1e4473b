"""Jobs that write the same files: found when the second one is submitted, so that its owner can still change a name.

A warning and no refusal: who submits a corrected scene anew means the same files, and `ExistingFile` sees to it that
nothing is lost. Folders are compared as they are written; two names of one shared drive are not recognised.

Called by `farmd.core.door`. Costs one comparison a job, and more only for jobs of the same folder.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from protocol.errors import UserError
from protocol.states import JobState
from protocol.templates import render_template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from farmd.core.job import Job
    from protocol.ids import JobId
    from protocol.jobspec import JobSpec

NAMED = 3
"""So many jobs are named at most."""
FRAMES_COMPARED = 2_000
"""Of names that differ in more than the frame, so many of each job are written out and compared."""


def clashing_jobs(jobs: Iterable[Job], spec: JobSpec, state_of: Callable[[JobId], JobState]) -> list[Job]:
    """List the newest jobs whose results have the same names in the same folder; cancelled ones are left out.

    Args:
        jobs: All that there are.
        spec: Of the job to come.
        state_of: Where a job stands.
    """
    folder = _folder(spec)
    if not folder:
        return []
    # Lengths first: most of thousands of jobs are of other folders, and a client waits for this in the event loop.
    alike = range(len(folder), len(folder) + 3)
    near = [job for job in jobs if len(job.spec.output_dir or "") in alike and _folder(job.spec) == folder]
    near.sort(key=_id, reverse=True)
    found = (job for job in near if state_of(job.id) is not JobState.CANCELLED and same_files(job.spec, spec))
    return list(islice(found, NAMED))


def same_files(one: JobSpec, other: JobSpec) -> bool:
    """Tell whether two jobs of one folder write a file of the same name, as far as their specifications say it."""
    if one.output_name is None or other.output_name is None:
        # What a renderer calls its files by itself is known to the renderer alone.
        alike = one.output_name is other.output_name and one.renderer == other.renderer and one.leaves_outputs
        return alike and _share_frames(one, other)
    if (one.output_name, one.params) == (other.output_name, other.params) and "{frame" in one.output_name:
        return _share_frames(one, other)
    names = dict.fromkeys(_names(one))
    return any(name in names for name in _names(other))


def _share_frames(one: JobSpec, other: JobSpec) -> bool:
    frames = one.frame_set()
    return len(frames - other.frame_set()) < len(frames)


def _names(spec: JobSpec) -> Iterator[str]:
    frames = islice(spec.frame_set(), FRAMES_COMPARED)
    try:
        for frame in frames:
            yield render_template(spec.output_name or "", {"start": frame, "end": frame, **spec.params, "frame": frame})
    except UserError:
        return


def _folder(spec: JobSpec) -> str:
    return (spec.output_dir or "").replace("\\", "/").rstrip("/")


def _id(job: Job) -> JobId:
    return job.id
