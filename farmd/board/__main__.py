"""`python -m farmd.board`: a board in a process of its own, empty for other programs to join, or with a demonstration.

What `farmctl board serve` and `farmctl board demo` become.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import warnings

from farmd.board import DEFAULT_HOST, DEFAULT_PORT, get_task_board, start_server
from farmd.board.demo import TASKS, Demo, play
from protocol.errors import UserError

_over = threading.Event()


def main(words: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    asked = _parser().parse_args(words)
    warnings.simplefilter("always", UserWarning)
    warnings.showwarning = _warn
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _over.set())
    try:
        (_demo if asked.what == "demo" else _serve)(asked)
    except UserError as error:
        parts = (("error: ", error.what), ("  why: ", error.why), ("  try: ", error.hint))
        _tell("\n".join(head + text for head, text in parts if text))
        return error.code
    return 0


def _demo(asked: argparse.Namespace) -> None:
    presence = start_server(asked.host, asked.port)
    demo = Demo(get_task_board(), asked.tasks, seed=asked.seed, speed=asked.speed)
    _say(presence.url)
    _tell(f"{asked.tasks} simulated tasks; end with Ctrl-C")
    play(demo, _over.wait)
    if not _over.is_set():
        _tell("all tasks have ended; the board stays until Ctrl-C")
    _over.wait()
    presence.close()


def _serve(asked: argparse.Namespace) -> None:
    presence = start_server(asked.host, asked.port)
    if not presence.is_server:
        url = presence.url
        presence.close()
        raise UserError(f"a board is at {url} already", "one of your programs serves it", "open that one, or --port 0")
    _say(presence.url)
    _tell("programs of this user that start a board on this port join it; end with Ctrl-C")
    _over.wait()
    presence.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m farmd.board", description="A task board in the browser.")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--host", default=DEFAULT_HOST, help="address to listen on (%(default)s)")
    shared.add_argument("--port", type=int, default=DEFAULT_PORT, help="TCP port, 0 = any (%(default)s)")
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("serve", parents=[shared], help="an empty board, for programs to join")
    demo = commands.add_parser("demo", parents=[shared], help="a board with simulated tasks")
    demo.add_argument("--tasks", type=int, default=TASKS, help="how many (%(default)s)")
    demo.add_argument("--seed", type=int, default=TASKS, help="for the same story again (%(default)s)")
    demo.add_argument("--speed", type=float, default=1.0, help="2 = twice as fast")
    return parser


def _say(url: str) -> None:
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    _tell(f"warning: {message}")


if __name__ == "__main__":
    sys.exit(main())
