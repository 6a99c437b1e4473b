"""Specifications as bytes and back: a map of field names without the defaults, read strictly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import cache, partial
from typing import Any, Final, get_type_hints

import msgpack

from protocol.codec import decoder_of
from protocol.errors import PeerError, UsageError
from protocol.jobspec.spec import JobSpec
from protocol.plaindata import unpack

MAX_SPEC_BYTES: Final = 512 << 10


def spec_to_bytes(spec: JobSpec) -> bytes:
    """Pack a specification: equal specifications give equal bytes.

    Raises:
        UsageError: It is larger than `MAX_SPEC_BYTES`.
    """
    packed: bytes = msgpack.packb(_without_defaults(spec))
    if len(packed) > MAX_SPEC_BYTES:
        raise UsageError("the job is too large", f"over {MAX_SPEC_BYTES} bytes", "use simpler frame ranges or params")
    return packed


def _without_defaults(part: Any) -> dict[str, Any]:
    plain = {}
    for item in fields(part):
        value = getattr(part, item.name)
        if value == (item.default if item.default_factory is MISSING else item.default_factory()):
            continue
        if is_dataclass(value):
            value = _without_defaults(value)
        plain[item.name] = dict(sorted(value.items())) if isinstance(value, dict) else value
    return plain


def spec_from_bytes(data: bytes) -> JobSpec:
    """Read a packed specification strictly; fields of a newer version are left out.

    Raises:
        PeerError: The bytes are no valid specification.
    """
    if len(data) > MAX_SPEC_BYTES:
        raise PeerError(f"job specification of {len(data)} bytes is over the limit")
    spec: JobSpec = _struct(JobSpec, unpack(data))
    return spec


def _struct(cls: Any, plain: object) -> Any:
    if not isinstance(plain, dict):
        raise PeerError(f"{cls.__name__} is not a map")
    values = {}
    for name, decoder in _decoders(cls).items():
        if name in plain:
            try:
                values[name] = decoder(plain[name])
            except PeerError as error:
                raise PeerError(f"{cls.__name__}.{name}: {error}") from error
    try:
        return cls(**values)
    except TypeError as error:  # a required field is missing; types were checked above
        raise PeerError(f"{cls.__name__}: {error}") from error
    except UsageError as error:
        raise PeerError(f"{cls.__name__}: {error.what}: {error.why}") from error


@cache
def _decoders(cls: Any) -> dict[str, Callable[[Any], Any]]:
    return {name: _decoder(hint) for name, hint in get_type_hints(cls).items()}


def _decoder(hint: Any) -> Callable[[Any], Any]:
    if isinstance(hint, type) and is_dataclass(hint):
        return partial(_struct, hint)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return partial(_member, hint)
    return decoder_of(hint)


def _member(cls: type[StrEnum], plain: object) -> StrEnum:
    if not isinstance(plain, str) or plain not in tuple(cls):
        raise PeerError(f"no such {cls.__name__}: {str(plain)[:40]!r}")
    return cls(plain)
