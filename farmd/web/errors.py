"""Errors as an HTTP client meets them: a status, and a JSON object of code, message, why and hint.

A refusal of the daemon keeps its three lines and its exit code (docs/reference/exit-codes), so that `curl` and `farmctl`
say the same. What a client did wrong is never a 5xx: those mean that the farm or this program is at fault.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import JSONResponse

from protocol.errors import UserError
from protocol.exitcodes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

STATUS_OF: Final[dict[int, int]] = {
    ExitCode.FAILED: 409,
    ExitCode.USAGE: 422,
    ExitCode.NOT_FOUND: 404,
    ExitCode.NOT_ALLOWED: 403,
    ExitCode.UNREACHABLE: 503,
    ExitCode.PARTIAL: 409,
}
"""Status of each exit code that an error of the daemon can have; any other is a conflict too."""
CODES: Final[dict[int, str]] = {
    400: "bad_request",
    401: "no_token",
    403: "not_allowed",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    409: "refused",
    411: "length_required",
    413: "too_large",
    415: "not_json",
    416: "out_of_range",
    422: "unusable",
    429: "too_many_tries",
    500: "bug",
    503: "unreachable",
}
"""The word in `code`, by status; scripts compare it."""


class Refusal(UserError):
    """A request that HTTP itself has a status for.

    Attributes:
        status: Of the answer.
        headers: Further ones.
        more: Further fields of the JSON object.
    """

    def __init__(
        self,
        status: int,
        what: str,
        why: str = "",
        hint: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(what, why, hint, code=_exit_code(status))
        self.status = status
        self.headers = dict(headers or {})
        self.more = dict(more or {})


def _exit_code(status: int) -> int:
    for code, known in STATUS_OF.items():
        if known == status:
            return int(code)
    if status == 401:
        return int(ExitCode.NOT_ALLOWED)
    return int(ExitCode.USAGE if status in (400, 411, 413, 415, 416) else ExitCode.FAILED)


def status_of(error: UserError) -> int:
    """Return the status of an error."""
    return error.status if isinstance(error, Refusal) else STATUS_OF.get(error.code, 409)


def error_document(error: UserError) -> dict[str, Any]:
    """Write an error as plain data."""
    status = status_of(error)
    more = error.more if isinstance(error, Refusal) else {}
    return more | {
        "code": CODES.get(status, "refused"),
        "message": _sound(error.what) or HTTPStatus(status).phrase,
        "why": _sound(error.why),
        "hint": _sound(error.hint),
        "exit_code": error.code,
    }


def _sound(text: str) -> str:
    """Return a text that JSON can carry: half of a surrogate pair, from a name that is no Unicode, is replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")


def error_response(error: UserError, *, close: bool = False) -> Response:
    """Answer with an error.

    Args:
        error: What went wrong.
        close: End the connection, since a body that nobody wants is still on its way.
    """
    headers = dict(error.headers) if isinstance(error, Refusal) else {}
    status = status_of(error)
    if status == 503 and not (isinstance(error, Refusal) and "may_be_done" in error.more):
        headers.setdefault("Retry-After", "2")
    if close:
        headers["Connection"] = "close"
    return JSONResponse(error_document(error), status, headers)
