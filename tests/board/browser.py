"""A real Chromium without a window, driven through its DevTools protocol: what a person would do, and see.

A hundred lines instead of a browser-automation package of 165 MB: a page is opened, keys are pressed, expressions are
evaluated, pictures are taken, and every request is noted.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from websockets.sync.client import ClientConnection

START_S = 20.0
ANSWER_S = 10.0
KEY_CODES = {"Enter": 13, "Escape": 27, "ArrowDown": 40, "ArrowUp": 38}
OPTIONS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)


class Browser:
    """One Chromium with one page; use it as a context manager."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._number = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        profile = Path(self._stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
        program = shutil.which("chromium") or "chromium"
        self._process = subprocess.Popen(
            [program, *OPTIONS, *sandbox, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(profile)},
        )
        self._stack.callback(self._end)
        address = self._address(profile / "DevToolsActivePort")
        self._socket: ClientConnection = self._stack.enter_context(
            connect(address, max_size=64 << 20, compression=None, proxy=None)
        )
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    # -- what a person does ---------------------------------------------------------------------------------------

    def look(self, width: int, height: int, scheme: str = "light") -> None:
        """Take a window of this size, and a preference for light or dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, url: str) -> None:
        """Go to a page."""
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete'")

    def press(self, key: str) -> None:
        """Press a key."""
        text = {"text": key} if len(key) == 1 else {"windowsVirtualKeyCode": KEY_CODES[key]}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def write(self, text: str) -> None:
        """Write where the cursor is."""
        self.call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Click the middle of the first thing that the selector names."""
        place = self.see(
            f"(() => {{ const r = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    # -- what a person sees ---------------------------------------------------------------------------------------

    def see(self, expression: str) -> Any:
        """Evaluate an expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def text(self, selector: str) -> str:
        """Read what stands in the first thing that the selector names."""
        return str(self.see(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def wait_for(self, expression: str, *, within_s: float = ANSWER_S) -> Any:
        """Wait until an expression is true in the page; returns its value."""
        return until(lambda: self.see(expression), within_s, f"the page to show {expression}")

    def picture(self, path: Path) -> None:
        """Write what is in the window as a PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    # -- the wire -------------------------------------------------------------------------------------------------

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the page's DevTools."""
        return self._call(method, session=self._session, **params)

    def _call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        self._socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        while True:
            answer = json.loads(self._socket.recv(timeout=ANSWER_S))
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        match event:
            case {"method": "Network.requestWillBeSent", "params": {"request": {"url": url}}}:
                self.requests.append(url)
            case {"method": "Network.webSocketCreated", "params": {"url": url}}:
                self.requests.append(url)
            case {"method": "Runtime.exceptionThrown", "params": params}:
                self.complaints.append(str(params["exceptionDetails"]))
            case {"method": "Log.entryAdded", "params": {"entry": {"level": "error", "source": source, "text": text}}}:
                if source != "network":  # a server that is down is not an error of the page
                    self.complaints.append(text)

    def _address(self, file: Path) -> str:
        lines = until(lambda: file.exists() and file.read_text().split(), START_S, "chromium to start")
        return f"ws://127.0.0.1:{lines[0]}{lines[1]}"

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def until(fact: Callable[[], Any], within_s: float, what: str) -> Any:
    """Wait for a fact; returns it."""
    ends = time.monotonic() + within_s
    while not (found := fact()):
        assert time.monotonic() < ends, f"waited {within_s} s for {what}"
        time.sleep(0.03)  # noqa: TID251  # the pause between two looks
    return found
