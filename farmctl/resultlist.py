"""All results of a job, asked for in pages: one answer holds 4 MiB, which some ten thousand files fill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from farmctl.output import View


def all_results(call: Callable[..., Any], job: str, frames: str = "") -> View:
    """Return what `result.list` tells of the done frames of a job; each output once, in the order of its tasks.

    Args:
        call: Asks the node.
        job: Its id.
        frames: Which of them; empty = all.

    Raises:
        UserError: What the node says, or that it does not answer.
    """
    which = {"job": job} | ({"frames": frames} if frames else {})
    document: View = call("result.list", **which, offset=0)
    outputs, following = list(document["outputs"]), document.get("next")
    while following is not None:
        page: View = call("result.list", **which, offset=following)
        outputs += page["outputs"]
        following = page.get("next")
    return document | {"outputs": outputs, "next": None}
