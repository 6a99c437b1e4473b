"""What a job may ask for, beyond what types say: ranges, lengths, forms, paths and templates.

Called by the specification when one is made. Each check raises UsageError with the name of the field.
"""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING, Final

from protocol.errors import PeerError, UsageError
from protocol.ids import BlobAddress, JobId, pack_job
from protocol.templates import render_template

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed import DataclassInstance

MAX_PARAMS: Final = 64
MAX_AFTER: Final = 64
MAX_PATH_RULES: Final = 256
MAX_FOREIGN_BYTES: Final = 64 << 10
MAX_LABELS: Final = 32
MAX_LABEL_CHARS: Final = 200
MAX_MANIFEST_BYTES: Final = 128 << 20
"""A list of files is no larger."""
_COMMAND_SAMPLE: Final[dict[str, str | int]] = {
    "scene": "scene",
    "output": "output",
    "frame": 1,
    "start": 1,
    "end": 1,
    "threads": 1,
}
"""The placeholders of a command besides the params, with values of the right kind."""
_NAME_SAMPLE: Final[dict[str, str | int]] = {"frame": 1, "start": 1, "end": 1}

_YEAR_S = 31_536_000
_INT_RANGES: Final = {
    "submitted_at_ms": (0, 2**48 - 1),
    "chunk": (1, 1_000_000),
    "priority": (0, 100),
    "ram_bytes": (0, 1 << 50),
    "vram_bytes": (0, 1 << 50),
    "cores": (0, 4096),
    "gpus": (0, 64),
    "retries": (0, 100),
    "frame_timeout_s": (0, _YEAR_S),
    "job_timeout_s": (0, _YEAR_S),
    "silence_s": (0, _YEAR_S),
}
_MAX_CHARS: Final = {
    "name": 200,
    "owner": 200,
    "submitted_by": 200,
    "label": 200,
    "project": 200,
    "renderer_version": 64,
    "scene": 4096,
    "scene_path": 4096,
    "output_name": 1024,
    "output_dir": 4096,
    "command": 8192,
}
_PATTERNS: Final = {
    "name": (re.compile(r".*\S.*", re.DOTALL), "it is empty"),
    "owner": (re.compile(r".*\S.*", re.DOTALL), "it is empty"),
    "renderer": (re.compile(r"[a-z][a-z0-9_.-]{0,63}"), "a renderer's name is small letters, digits, '_', '.' and '-'"),
    "submit_node": (re.compile(r"[0-9a-f]{16}"), "a node id is 16 small hexadecimal digits"),
    "output_dir": (re.compile(r"(/|[A-Za-z]:[\\/]|\\\\).*", re.DOTALL), "it is not an absolute path"),
}
_ABSOLUTE = re.compile(r"(/|[A-Za-z]:([\\/]|$)|\\\\).*", re.DOTALL)
_HALF = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair."""
_PARAM_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LABEL_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def refusal(name: str, why: str, hint: str = "") -> UsageError:
    """Say that a field cannot be accepted."""
    return UsageError(
        f"the job's field {name!r} cannot be accepted", why, hint or f"correct {name!r}, then submit again"
    )


def check_fields(part: DataclassInstance) -> None:
    """Check ranges, lengths and forms by the tables above."""
    for name in (item.name for item in fields(part)):
        value = getattr(part, name)
        if name in _INT_RANGES:
            low, high = _INT_RANGES[name]
            if not low <= value <= high:
                raise refusal(name, f"{value} is not between {low} and {high}")
        if isinstance(value, str):
            _check_text(name, value, _MAX_CHARS.get(name))
            pattern, why = _PATTERNS.get(name, (None, ""))
            if pattern and not pattern.fullmatch(value):
                raise refusal(name, why)


def _check_text(name: str, value: str, max_chars: int | None) -> None:
    if max_chars is not None and len(value) > max_chars:
        raise refusal(name, f"{len(value)} characters are more than {max_chars}")
    # not letter by letter: each change of a job checks all of up to 512 KB anew
    if "\0" in value or (not value.isascii() and _HALF.search(value)):
        raise refusal(name, "it holds a NUL character or is not valid UTF-8", "rename the file, or write it anew")


def check_command(command: str, params: Mapping[str, str]) -> None:
    """Refuse a command that cannot be split or filled in."""
    import shlex  # most jobs have no command

    render_template(command, _COMMAND_SAMPLE | dict(params))
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise refusal("command", str(error).lower(), "close the quote, then submit again") from error
    if not words:
        raise refusal("command", "there is no program to start", "give the job a command")


def check_output_name(template: str, params: Mapping[str, str]) -> None:
    """Refuse a template whose outputs would lie somewhere else."""
    check_inner_path("output_name", render_template(template, _NAME_SAMPLE | dict(params)))


def check_params(params: Mapping[str, str]) -> None:
    """Refuse names that mean something else, and what is too much."""
    if len(params) > MAX_PARAMS:
        raise refusal("params", f"{len(params)} entries are more than {MAX_PARAMS}")
    for name, value in params.items():
        if not _PARAM_NAME.fullmatch(name) or name in _COMMAND_SAMPLE:
            raise refusal("params", f"{name[:64]!r} is no name for a param, or has a meaning of its own")
        _check_text(f"params.{name}", value, 4096)


def check_labels(labels: Mapping[str, str]) -> None:
    """Refuse what is no name of a label, and what is too much."""
    if len(labels) > MAX_LABELS:
        raise refusal("labels", f"{len(labels)} are more than {MAX_LABELS}")
    for name, value in labels.items():
        if not _LABEL_NAME.fullmatch(name):
            raise refusal("labels", f"{name[:64]!r} is no name for a label", "small letters, digits, '_' and '-'")
        _check_text(f"labels.{name}", value, MAX_LABEL_CHARS)


def check_after(after: tuple[JobId, ...]) -> None:
    """Refuse what names no job, or one twice."""
    if len(after) > MAX_AFTER or len(set(after)) != len(after):
        raise refusal("after", f"it names more than {MAX_AFTER} jobs, or one twice")
    for job in after:
        try:
            pack_job(job)
        except PeerError as error:
            raise refusal("after", str(error), "ids of jobs: farmctl job list -o name") from error


def check_path_rules(rules: tuple[tuple[str, str], ...]) -> None:
    """Refuse rules for no prefix, two for one, and those that lead nowhere."""
    if len(rules) > MAX_PATH_RULES or len({written for written, _ in rules}) != len(rules):
        raise refusal("path_rules", f"it holds more than {MAX_PATH_RULES} rules, or two for one prefix")
    for written, becomes in rules:
        for side in (written, becomes):
            _check_text("path_rules", side, 4096)
        if not written:
            raise refusal("path_rules", "a rule is for no prefix", "write them as Y:/show=/mnt/show")
        if not _ABSOLUTE.fullmatch(becomes):
            raise refusal("path_rules", f"{becomes[:80]!r} is not an absolute path", "write Y:/show=/mnt/show")


def check_inner_path(name: str, path: str) -> None:
    """Refuse a path that is not plain and relative."""
    if "\\" in path:
        raise refusal(name, "it holds a backslash", "write it with slashes")
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise refusal(name, f"{path[:80]!r} is not a plain relative path", "leave a leading slash, '.' and '..' out")


def is_manifest_address(address: BlobAddress) -> bool:
    """Tell whether a list of files may have this address."""
    return 0 <= address.xxh64 < 1 << 64 and 0 <= address.size <= MAX_MANIFEST_BYTES and len(address.md5) == 16
