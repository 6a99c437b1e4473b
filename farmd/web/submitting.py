"""Hands jobs to the farm, so that a client that got no answer can ask again.

Whoever is told 503 cannot know whether the job was made. A request that brings an `Idempotency-Key` (as in the draft of
the IETF's HTTPAPI group) has its job's id chosen here, kept before the daemon is asked, and used again when the same key
comes with the same request: then there is one job. Without a key nobody is told to send it again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, Final

from farmd.web.errors import Refusal
from protocol.errors import Unreachable
from protocol.jobspec import JobSpec, spec_to_bytes

if TYPE_CHECKING:
    from farmd.web.endpoints import Asked

SUBMIT_S: Final = 40.0
KEY_HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


async def submit(asked: Asked, spec: JobSpec) -> Any:
    """Hand a job to the farm.

    Raises:
        UserError: The daemon refuses it, or does not answer.
    """
    key = asked.request.headers.get(KEY_HEADER)
    chosen: dict[str, Any] = {} if key is None else {"job": await asyncio.to_thread(_job_of, asked, key)}
    packed = spec_to_bytes(spec)
    try:
        return await asked.call("job.submit", spec=packed, ack="peer", deliver=False, limit_s=SUBMIT_S, **chosen)
    except Unreachable as error:
        why = f"{error.what}: {error.why}".rstrip(": ")
        if key is not None:
            hint = f"send it here again with the same {KEY_HEADER}: there will be one job"
            raise Refusal(503, "no answer came: the job may have been made", why, hint) from error
        hint = f"look before you send it again: GET /api/v1/jobs?owner={spec.owner}; with an {KEY_HEADER} you need not"
        more = {"may_be_done": True}
        raise Refusal(503, "no answer came: the job may have been made", why, hint, more=more) from error


def _job_of(asked: Asked, key: str) -> str:
    """Return the id of the job that a request with a key makes.

    Raises:
        Refusal: It is no key, or came with another request before.
    """
    if not _KEY.fullmatch(key):
        why = "it has 1 to 255 visible characters of ASCII"
        raise Refusal(422, f"the {KEY_HEADER} cannot be read", why, "a random UUID serves well")
    written = json.dumps(asked.body.model_dump(mode="json", exclude_unset=True), sort_keys=True)
    request = hashlib.sha256(f"{asked.request.url.path}\n{written}".encode("utf-8", "surrogatepass")).hexdigest()
    return asked.parts.spool.job_of_key(asked.user, hashlib.sha256(key.encode()).hexdigest(), request)
