"""A daemon as its clients see it: a ROUTER that answers from a table."""

from __future__ import annotations

import threading
from collections.abc import Callable

import zmq

from protocol.api import Request, Response, pack_response, unpack_request

Answerer = Callable[[Request], list[Response]]


class Daemon:
    """Answers requests on a socket from a thread of its own, as a daemon would."""

    def __init__(self, endpoint: str, answerer: Answerer, secret_key: bytes = b"") -> None:
        self.heard: list[Request] = []
        self._answerer = answerer
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.LINGER, 0)
        if secret_key:
            self._router.setsockopt(zmq.CURVE_SERVER, 1)
            self._router.setsockopt(zmq.CURVE_SECRETKEY, secret_key)
        self._router.bind(endpoint)
        bound = self._router.getsockopt(zmq.LAST_ENDPOINT)
        assert isinstance(bound, bytes)
        self.address = bound.decode().removeprefix("tcp://")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            if not self._router.poll(20):
                continue
            *envelope, data = self._router.recv_multipart()
            request = unpack_request(data)
            self.heard.append(request)
            for response in self._answerer(request):
                self._router.send_multipart([*envelope, pack_response(response)])

    def close(self) -> None:
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join()
        self._router.close()
        self._context.term()
