"""Messages to bytes and back: msgpack arrays, strict, with limits before anything is built.

Frame = msgpack array [version, tag, field, field, …]. Messages that carry file contents are
two frames: the first as above with an empty `data`, the second the data as it is, so that a megabyte is copied neither
here nor there. A decoder is compiled once per NamedTuple class from its
annotations. Surplus fields at the end are ignored and missing ones take their defaults, so that versions N and N-1
understand each other. Whatever is wrong with received bytes is a `PeerError`, never anything else.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, Union, cast, get_args, get_origin, get_type_hints

import msgpack

from protocol.errors import InvariantBroken, PeerError, VersionError
from protocol.messages import TAGS, Message, PackIs, PieceIs
from protocol.plaindata import unpack

if TYPE_CHECKING:
    from collections.abc import Callable

OLDEST_VERSION = 1
NEWEST_VERSION = 1
MAX_MESSAGE_BYTES = 4 << 20
"""Largest frame accepted from an admitted node."""
MAX_JOIN_BYTES = 64 << 10
"""Largest frame accepted from an unknown key."""

_TAG_OF = {cls: tag for tag, cls in TAGS.items()}


def negotiate(oldest: int, newest: int) -> int:
    """Choose the highest protocol version that both sides speak.

    Raises:
        VersionError: There is none.
    """
    common = min(newest, NEWEST_VERSION)
    if common < max(oldest, OLDEST_VERSION):
        raise VersionError(f"peer speaks versions {oldest}–{newest}, this node {OLDEST_VERSION}–{NEWEST_VERSION}")
    return common


def encode(message: Message) -> bytes:
    """Pack a message into one frame.

    Raises:
        InvariantBroken: Our own message does not fit the limits.
    """
    frame: bytes = msgpack.packb((NEWEST_VERSION, _TAG_OF[type(message)], *message))
    if len(frame) > MAX_MESSAGE_BYTES:
        raise InvariantBroken(f"{type(message).__name__} of {len(frame)} bytes is over the limit")
    return frame


def decode(frame: bytes, limit: int = MAX_MESSAGE_BYTES) -> Message:
    """Unpack one frame, strictly.

    Raises:
        PeerError: The bytes are no message of a version that we speak.
    """
    if len(frame) > limit:
        raise PeerError(f"message of {len(frame)} bytes is over the limit of {limit}")
    fields = unpack(frame)
    if type(fields) is not list or len(fields) < 2:
        raise PeerError("message is not an array of version, tag, fields")
    version, tag = fields[0], fields[1]
    if type(version) is not int or not OLDEST_VERSION <= version <= NEWEST_VERSION:
        raise VersionError(f"message of version {version!r}")
    cls = TAGS.get(tag) if type(tag) is int else None
    if cls is None:
        raise PeerError(f"message with unknown tag {tag!r}")
    message: Message = decoder_of(cls)(fields[2:])
    return message


def encode_bulk(message: PieceIs | PackIs) -> tuple[bytes, bytes]:
    """Pack a message that carries file contents into its two frames.

    Raises:
        InvariantBroken: Our own message does not fit the limits.
    """
    if len(message.data) > MAX_MESSAGE_BYTES:
        raise InvariantBroken(f"{type(message).__name__} of {len(message.data)} bytes is over the limit")
    return encode(message._replace(data=b"")), message.data


def decode_bulk(head: bytes, data: memoryview | bytes) -> Message:
    """Unpack the two frames of a message that carries file contents; its `data` is what was given, not a copy.

    Raises:
        PeerError: The bytes are no such message.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise PeerError(f"message of {len(data)} bytes is over the limit of {MAX_MESSAGE_BYTES}")
    message = decode(head)
    if not isinstance(message, PieceIs | PackIs):
        raise PeerError(f"{type(message).__name__} in two frames")
    return message._replace(data=cast("bytes", data))  # whoever takes it takes any buffer


_DECODERS: dict[Any, Any] = {}


def decoder_of(annotation: Any) -> Callable[[Any], Any]:
    """Return the strict decoder of one annotation, compiled at the first call.

    Supported: int, float, str, bytes, bool, NewTypes of them, NamedTuple classes, `X | None`,
    `tuple[X, ...]`, `tuple[X, Y]`, `dict[str, X]`.
    """
    decoder: Callable[[Any], Any] | None = _DECODERS.get(annotation)
    if decoder is None:
        decoder = _DECODERS[annotation] = _compile(annotation)
    return decoder


def _compile(annotation: Any) -> Callable[[Any], Any]:
    if hasattr(annotation, "__supertype__"):
        return decoder_of(annotation.__supertype__)
    if annotation in (int, str, bytes, bool):
        return _exactly(annotation)
    if annotation is float:
        return _number
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return _optional(decoder_of(next(arg for arg in args if arg is not type(None))))
    if origin is tuple:
        return _sequence(decoder_of(args[0])) if args[-1] is Ellipsis else _fixed(tuple(map(decoder_of, args)))
    if origin is dict:
        return _mapping(decoder_of(args[1]))
    if isinstance(annotation, type) and issubclass(annotation, tuple):
        return _named(annotation)
    raise InvariantBroken(f"no decoder for {annotation!r}")


def _exactly(kind: type) -> Callable[[Any], Any]:
    def decode_scalar(value: Any) -> Any:
        if type(value) is not kind:
            raise PeerError(f"expected {kind.__name__}, got {type(value).__name__}")
        return value

    return decode_scalar


def _number(value: Any) -> float:
    if type(value) is int or type(value) is float:
        return float(value)
    raise PeerError(f"expected a number, got {type(value).__name__}")


def _optional(inner: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else inner(value)


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise PeerError(f"expected an array, got {type(value).__name__}")
    return value


def _sequence(inner: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: tuple([inner(item) for item in _list(value)])


def _fixed(inners: tuple[Callable[[Any], Any], ...]) -> Callable[[Any], Any]:
    def decode_fixed(value: Any) -> Any:
        if len(_list(value)) != len(inners):
            raise PeerError(f"expected {len(inners)} elements, got {len(value)}")
        return tuple([inner(item) for inner, item in zip(inners, value, strict=True)])

    return decode_fixed


def _mapping(inner: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decode_mapping(value: Any) -> Any:
        if type(value) is not dict or not all(type(key) is str for key in value):
            raise PeerError("expected a map with text keys")
        return {key: inner(item) for key, item in value.items()}

    return decode_mapping


def _named(cls: type) -> Callable[[Any], Any]:
    hints = get_type_hints(cls)
    inners = [decoder_of(hints[name]) for name in cls._fields]  # type: ignore[attr-defined]  # a NamedTuple class
    required = len(inners) - len(cls._field_defaults)  # type: ignore[attr-defined]  # a NamedTuple class
    kinds = tuple(_kind_of(hints[name]) for name in cls._fields)  # type: ignore[attr-defined]  # a NamedTuple class
    nested = tuple((at, inner) for at, (inner, kind) in enumerate(zip(inners, kinds, strict=True)) if kind is list)

    made = tuple.__new__  # the constructor takes twice as long

    def decode_named(value: Any) -> Any:
        if type(value) is list and tuple(map(type, value)) == kinds:  # nearly always: all types checked in one go
            if not nested:
                return made(cls, value)
            fields = value.copy()
            for at, inner in nested:
                fields[at] = inner(fields[at])
            return made(cls, fields)
        if len(_list(value)) < required:
            raise PeerError(f"{cls.__name__} needs {required} fields, got {len(value)}")
        return cls(*[inner(item) for inner, item in zip(inners, value, strict=False)])

    return decode_named


def _kind_of(annotation: Any) -> Any:
    """The one type that a value of this annotation has when it comes out of msgpack; None if there are several."""
    annotation = getattr(annotation, "__supertype__", annotation)
    if annotation in (int, str, bytes, bool):
        return annotation
    is_sequence = get_origin(annotation) is tuple or (isinstance(annotation, type) and issubclass(annotation, tuple))
    return list if is_sequence else None
