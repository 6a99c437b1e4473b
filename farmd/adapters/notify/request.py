"""One request to an address: signed, over http or https, without following where it leads.

A redirect is an error that names where it leads: what a hook is sent may be secret, so it goes nowhere but to the
address that an admin wrote down. Proxies are those of the daemon's environment. Runs in the thread of an `Attempt`.

Signature: `X-Farm-Signature: sha256=` and the HMAC-SHA256 (RFC 2104) of the body by the hook's secret, in hex.
"""

from __future__ import annotations

import hmac
import http.client
import urllib.error
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from farmd.adapters.notify.attempt import MAX_TOLD, told
from protocol.hooks import body_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from farmd.adapters.notify.attempt import Attempt
    from protocol.bodies import HookBody


def send(attempt: Attempt, hook: HookBody, notice: Mapping[str, Any], version: str) -> str:
    """Send a notice and say what was wrong, or nothing.

    Args:
        attempt: Makes the connections.
        hook: Whom to tell.
        notice: What is told.
        version: Of this program, for the header User-Agent.
    """
    try:
        request = _request(hook, notice, version)
        with _opener(attempt).open(request, timeout=attempt.limit_s) as answer:
            status = answer.status
    except urllib.error.HTTPError as error:
        with error:
            return _refusal(error)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return told(error)
    return "" if 200 <= status < 300 else f"it answers {status}"


def _request(hook: HookBody, notice: Mapping[str, Any], version: str) -> urllib.request.Request:
    body = body_for(hook.style, notice)
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": f"farmd/{version}",
        "X-Farm-Notice": str(notice["id"]),
        "X-Farm-Event": str(notice["event"]),
    }
    if hook.secret:
        headers["X-Farm-Signature"] = "sha256=" + hmac.digest(hook.secret.encode(), body, "sha256").hex()
    return urllib.request.Request(hook.target, body, headers, method="POST")  # noqa: S310  # only http(s) is opened


def _refusal(error: urllib.error.HTTPError) -> str:
    where = error.headers.get("Location") if 300 <= error.code < 400 else None
    if where is not None:
        return f"it answers {error.code} and leads to {where[:200]}: name that address itself"
    with suppress(OSError, http.client.HTTPException):
        said = error.read(MAX_TOLD).decode(errors="replace").strip().partition("\n")[0]
        return f"it answers {error.code} {error.reason}" + (f": {said}" if said.isprintable() and said else "")
    return f"it answers {error.code} {error.reason}"


def _opener(attempt: Attempt) -> urllib.request.OpenerDirector:
    """Make an opener that speaks http and https, follows no redirect, and connects as a try does."""
    director = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _Http(attempt),
        _Https(attempt),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        director.add_handler(handler)
    return director


class _Http(urllib.request.HTTPHandler):
    def __init__(self, attempt: Attempt) -> None:
        super().__init__()
        self._attempt = attempt

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        def connection(host: str, **args: Any) -> http.client.HTTPConnection:
            return _of(self._attempt, http.client.HTTPConnection(host, **args))

        return self.do_open(connection, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, attempt: Attempt) -> None:
        super().__init__()
        self._attempt = attempt

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        def connection(host: str, **args: Any) -> http.client.HTTPConnection:
            return _of(self._attempt, http.client.HTTPSConnection(host, **args))

        return self.do_open(connection, req)


def _of(attempt: Attempt, connection: http.client.HTTPConnection) -> http.client.HTTPConnection:
    """Have a try make a connection."""
    # The one place where a socket is known before anything is said or encrypted; it has had no other name for ten years.
    connection._create_connection = attempt.connect  # type: ignore[attr-defined]  # noqa: SLF001
    return connection
