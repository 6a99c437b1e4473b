"""Runs searches of logs, each in a process (`search`), and ends those that nobody waits for or that never end.

Says why there is no answer: only a search that ran out of time is told to try a simpler pattern. Called by `seeking`, on
threads of the daemon.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Final

from farmd.adapters.joblog.search import Found, Question

PATIENCE_S: Final = 3.0
"""So much longer than its budget a search may take before it is killed: a pattern that never ends."""
_ROOT: Final = Path(__file__).resolve().parents[3]
_PROGRAM: Final = (sys.executable, "-S", "-P", "-c", "from farmd.adapters.joblog.search import main; main()")
_SAID_LETTERS: Final = 200
_TOO_LONG: Final = "the pattern takes too long: try a simpler one"
_SLOW: Final = "the search takes too long: that machine may be busy, try again"


class Searches:
    """The searches that run.

    Args:
        program: What answers one question; its words.
    """

    def __init__(self, program: tuple[str, ...] = _PROGRAM) -> None:
        self._program = program
        self._running: dict[int, subprocess.Popen[bytes] | None] = {}
        self._left: set[int] = set()
        self._lock = Lock()

    def ask(self, ask: int, question: Question) -> Found:
        """Answer a question; `fault` says why there is no answer.

        Args:
            ask: Names the question, for `leave`.
            question: What is searched for, and where.
        """
        with self._lock:
            self._running[ask] = None
        try:
            return self._answer(ask, question)
        except OSError as error:
            return Found(fault=f"no search could be started: {error.strerror}")
        finally:
            with self._lock:
                del self._running[ask]
                self._left.discard(ask)

    def leave(self, ask: int) -> None:
        """Nobody waits for this answer any more: end its search."""
        with self._lock:
            if ask not in self._running:
                return
            self._left.add(ask)
            process = self._running[ask]
        if process is not None:
            process.kill()

    def _answer(self, ask: int, question: Question) -> Found:
        process = self._started(ask)
        try:
            out, said = process.communicate(json.dumps(asdict(question)).encode(), question.budget_s + PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return Found(fault=_slow(question))
        if process.returncode:
            return Found(fault=self._why(ask, question, process.returncode, said))
        found = Found(**json.loads(out))
        found.lines = [
            (at, to, text, cut, tuple((begin, end) for begin, end in spans), match)
            for at, to, text, cut, spans, match in found.lines
        ]
        return found

    def _started(self, ask: int) -> subprocess.Popen[bytes]:
        env = {**os.environ, "PYTHONPATH": str(_ROOT)}
        process = subprocess.Popen(
            self._program, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        with self._lock:
            self._running[ask] = process
            left = ask in self._left
        if left:
            process.kill()
        return process

    def _why(self, ask: int, question: Question, code: int, said: bytes) -> str:
        """Say why a search ended without an answer."""
        if ask in self._left:
            return "nobody waits for it"
        if code == -signal.SIGXCPU:
            return _slow(question)
        how = f"was ended by {signal.Signals(-code).name}" if -code in set(signal.Signals) else f"ended with {code}"
        lines = said.decode(errors="replace").strip().splitlines()
        return f"the search {how}" + (f": {lines[-1][:_SAID_LETTERS]}" if lines else "")


def _slow(question: Question) -> str:
    """Say that a search takes too long; who asked for errors gave no pattern that could be simpler."""
    return _SLOW if question.words else _TOO_LONG
