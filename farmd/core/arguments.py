"""What a client's request carries, read strictly: texts, numbers, and the job, task or node that a person means.

Called by the machines behind `farmd.core.door`. Changes nothing; what cannot be read is an error of three lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.errors import NotFound, UsageError
from protocol.ids import task_id_of

if TYPE_CHECKING:
    from farmd.core.events import ClientAsked
    from farmd.core.job import Job
    from farmd.core.node import Node
    from protocol.ids import NodeId, TaskIndex

MAX_WHY_CHARS = 400


def text_of(event: ClientAsked, name: str, default: str | None = None) -> str:
    """Read a text; one without a default must be there and not be empty.

    Raises:
        UsageError: It is missing, or no text.
    """
    value = event.args.get(name)
    if isinstance(value, str) and (value or default is not None):
        return value or (default or "")
    if default is None or value is not None:
        raise UsageError(f"the request {event.op} needs a text {name!r}", f"it carries {value!r}", "")
    return default


def number_of(event: ClientAsked, name: str, default: int) -> int:
    """Read a whole number of at most 62 bits.

    Raises:
        UsageError: It is none.
    """
    value = event.args.get(name)
    if value is None:
        return default
    if type(value) is not int or not -(1 << 62) < value < 1 << 62:
        raise UsageError(f"the request {event.op} needs a whole number {name!r}", f"it carries {value!r}", "")
    return value


def seconds_of(event: ClientAsked, name: str, most: float) -> float:
    """Read a duration and cut it to 0..`most`, which is also its default.

    Raises:
        UsageError: It is no finite number.
    """
    value = event.args.get(name)
    if value is None:
        return most
    if type(value) not in (int, float) or not value < float("inf"):
        raise UsageError(f"the request {event.op} needs a number of seconds {name!r}", f"it carries {value!r}", "")
    return float(max(0, min(value, most)))


def why_of(event: ClientAsked) -> str:
    """Read the reason of an order, which may be missing; what is too long is cut off."""
    why = event.args.get("why")
    return why[:MAX_WHY_CHARS] if isinstance(why, str) else ""


def find_node(node: Node, text: str) -> NodeId:
    """Find the node that a person means.

    Raises:
        NotFound: None, or more than one.
    """
    found = node.registry.find(text)
    if len(found) == 1:
        return found[0]
    several = ", ".join(f"{other} ({node.registry.name_of(other)})" for other in found[:4])
    why = f"it could be {several}" if found else "neither a name nor an id of a node"
    raise NotFound(f"no single node is called {text!r}", why, "farmctl node list")


def job_of(node: Node, event: ClientAsked) -> Job:
    """Find the job that a request names.

    Raises:
        NotFound: See `find_job`.
    """
    return find_job(node, text_of(event, "job"))


def find_job(node: Node, text: str) -> Job:
    """Find the job that a person means: by id, by its exact name or nine digits, or by a unique part of its id.

    Raises:
        NotFound: No job, or more than one, is meant.
    """
    exact = [job for job in node.jobs if job.id == text]
    digits = len(text) == 9 and text.isdecimal()
    named = exact or [job for job in node.jobs if job.spec.name == text or (digits and task_id_of(job.id) == text)]
    found = named or [job for job in node.jobs if len(text) >= 3 and text in job.id]
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound(f"no job is called {text!r}", "neither an id, nor part of one, nor a name", "farmctl job list")
    ids = ", ".join(job.id for job in found[:5])
    raise NotFound(f"{text!r} means {len(found)} jobs", ids, "name one by its id")


def task_of(job: Job, frame: int) -> TaskIndex:
    """Find the task that renders a frame.

    Raises:
        NotFound: The job has no such frame.
    """
    task = job.plan.task_of_frame(frame)
    if task is None:
        raise NotFound(f"job {job.id} has no frame {frame}", f"its frames are {job.spec.frames or '1'}")
    return task
