"""The codec: every message there and back, N-1 and N+1, and nothing but `PeerError` whatever the bytes."""

from __future__ import annotations

import types
from random import Random
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import bodies, codec
from protocol.bodies import AttemptBody, ControlBody, OutputFact, pack_body, unpack_body
from protocol.codec import (
    MAX_JOIN_BYTES,
    MAX_MESSAGE_BYTES,
    decode,
    decode_bulk,
    decoder_of,
    encode,
    encode_bulk,
    negotiate,
)
from protocol.errors import FarmError, InvariantBroken, PeerError, VersionError
from protocol.ids import BlobAddress, NodeId
from protocol.messages import TAGS, Hello, Message, PackIs, PieceIs, Ping, Push, PushAck, Span

ALL = list(TAGS.values())
BODIES = [
    cls
    for cls in vars(bodies).values()
    if isinstance(cls, type) and issubclass(cls, tuple) and cls.__module__ == bodies.__name__
]
INTS = st.integers(-(1 << 63), (1 << 64) - 1)
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    int: INTS,
    str: st.text(max_size=8),
    bytes: st.binary(max_size=12),
    bool: st.booleans(),
    float: st.floats(allow_nan=False),
}


def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for everything that an annotation of a message allows."""
    annotation = getattr(annotation, "__supertype__", annotation)
    if annotation in SCALARS:
        return SCALARS[annotation]
    args = get_args(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return st.one_of(*[st.none() if arg is type(None) else values_of(arg) for arg in args])
    if get_origin(annotation) is tuple and args[-1] is Ellipsis:
        return st.lists(values_of(args[0]), max_size=3).map(tuple)
    if get_origin(annotation) is tuple:
        return st.tuples(*map(values_of, args))
    if get_origin(annotation) is dict:
        return st.dictionaries(st.text(max_size=4), values_of(args[1]), max_size=3)
    hints = get_type_hints(annotation)
    return st.builds(annotation, *[values_of(hints[name]) for name in annotation._fields])


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
@settings(max_examples=25)
@given(data=st.data())
def test_message_there_and_back(cls: type[Message], data: st.DataObject) -> None:
    message = data.draw(values_of(cls))
    back = decode(encode(message))
    assert back == message
    assert type(back) is cls


@pytest.mark.parametrize("cls", [PieceIs, PackIs], ids=lambda cls: cls.__name__)
@settings(max_examples=25)
@given(data=st.data())
def test_file_contents_there_and_back_in_a_frame_of_their_own(cls: type[Message], data: st.DataObject) -> None:
    message = data.draw(values_of(cls))
    head, contents = encode_bulk(message)
    back = decode_bulk(head, memoryview(contents))
    assert back == message
    assert type(back) is cls
    assert contents is message.data, "not copied"


def test_second_frame_behind_a_message_that_has_none_is_refused() -> None:
    with pytest.raises(PeerError, match="Ping in two frames"):
        decode_bulk(encode(Ping(1)), b"data")
    with pytest.raises(PeerError, match="over the limit"):
        decode_bulk(encode(Ping(1)), bytes(MAX_MESSAGE_BYTES + 1))


@pytest.mark.parametrize("cls", BODIES, ids=lambda cls: cls.__name__)
@settings(max_examples=25)
@given(data=st.data())
def test_body_there_and_back(cls: type, data: st.DataObject) -> None:
    body = data.draw(values_of(cls))
    assert unpack_body(cls, pack_body(body)) == body


def test_every_message_has_one_tag() -> None:
    assert len(set(ALL)) == len(ALL)
    assert set(ALL) == set(get_args(Message))


def test_wire_numbers_are_for_ever() -> None:
    frozen = {1: "Ping", 10: "Push", 16: "DeltaPart", 40: "Grant", 53: "PieceIs", 60: "Hello", 62: "JoinReply"}
    assert {tag: TAGS[tag].__name__ for tag in frozen} == frozen
    assert encode(PushAck(((1, 2),))) == bytes.fromhex("93010b91920102")


# -- versions --------------------------------------------------------------------------------------------------------


def frame(*fields: object) -> bytes:
    packed: bytes = msgpack.packb(fields)
    return packed


def test_surplus_fields_of_a_newer_version_are_ignored() -> None:
    assert decode(frame(1, 11, [[1, 2]], "new", {"x": 1})) == PushAck(((1, 2),))
    row = [3, b"k", 1, 1, 1, 1, 0, b"", "surplus"]
    assert isinstance(decode(frame(1, 10, [[1, 0, 1, [row], "surplus"]])), Push)


def test_missing_fields_of_an_older_version_take_their_defaults() -> None:
    assert decode(frame(1, 1, 7)) == Ping(7)
    with pytest.raises(PeerError):
        decode(frame(1, 1))


def test_body_grows_only_at_the_end() -> None:
    assert unpack_body(ControlBody, msgpack.packb([1, "anna"])) == ControlBody(1, "anna")
    assert unpack_body(ControlBody, msgpack.packb([1, "anna", "", 0, [], "", 0, "new"])) == ControlBody(1, "anna")
    with pytest.raises(PeerError):
        unpack_body(AttemptBody, msgpack.packb(["x"]))


@pytest.mark.parametrize("version", [0, 2, -1, "1", None, True, 1.0])
def test_frame_of_another_version_is_refused(version: object) -> None:
    with pytest.raises(VersionError):
        decode(frame(version, 1, 7))


@pytest.mark.parametrize(
    ("ours", "theirs", "common"),
    [((1, 1), (1, 1), 1), ((1, 2), (1, 1), 1), ((1, 2), (2, 9), 2), ((2, 3), (1, 2), 2), ((1, 5), (2, 4), 4)],
)
def test_highest_common_version_is_chosen(
    ours: tuple[int, int], theirs: tuple[int, int], common: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec, "OLDEST_VERSION", ours[0])
    monkeypatch.setattr(codec, "NEWEST_VERSION", ours[1])
    assert negotiate(*theirs) == common


@pytest.mark.parametrize(("ours", "theirs"), [((1, 1), (2, 3)), ((3, 4), (1, 2)), ((1, 1), (1, 0)), ((1, 1), (5, 2))])
def test_no_common_version_is_an_error(
    ours: tuple[int, int], theirs: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec, "OLDEST_VERSION", ours[0])
    monkeypatch.setattr(codec, "NEWEST_VERSION", ours[1])
    with pytest.raises(VersionError):
        negotiate(*theirs)


# -- limits ------------------------------------------------------------------------------------------------------------


def test_frame_over_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(PeerError, match="over the limit"):
        decode(b"\xc1" * (MAX_JOIN_BYTES + 1), MAX_JOIN_BYTES)
    with pytest.raises(PeerError, match="over the limit"):
        decode(b"\xc1" * (MAX_MESSAGE_BYTES + 1))


def test_own_message_over_the_limit_is_our_bug() -> None:
    with pytest.raises(InvariantBroken):
        encode(Hello(1, 1, "x" * (MAX_MESSAGE_BYTES + 1), 1, ""))


def test_array_over_the_limit_is_refused() -> None:
    with pytest.raises(PeerError):
        decode(frame(1, 11, [[1, 1]] * 200_001))


class Unsupported(NamedTuple):
    """An annotation that the codec does not know."""

    value: complex


def test_annotation_without_a_decoder_is_our_bug() -> None:
    with pytest.raises(InvariantBroken):
        decoder_of(Unsupported)


# -- hostile bytes -------------------------------------------------------------------------------------------------------


def read(data: bytes) -> bool:
    """Decode; returns whether it was a message. Anything but a PeerError goes through to the test."""
    try:
        decode(data)
    except PeerError:
        return False
    return True


def test_ten_thousand_random_frames_raise_nothing_but_peer_error() -> None:
    rng = Random(20)
    for _ in range(10_000):
        read(rng.randbytes(rng.randrange(40)))
        read(bytes((0x90 + rng.randrange(2, 9), 1, rng.choice(list(TAGS)))) + rng.randbytes(rng.randrange(30)))


def mutated(data: bytes, rng: Random) -> bytes:
    """Flip, cut, double or insert at random places."""
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(4):
            case 0 if at < len(changed):
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                del changed[at:]
            case 2:
                changed[at:at] = rng.randbytes(rng.randrange(1, 5))
            case _:
                changed[at:at] = changed[at : at + 9]
    return bytes(changed)


def test_ten_thousand_mutated_frames_raise_nothing_but_peer_error() -> None:
    rng = Random(21)
    samples = [encode(sample_of(cls)) for cls in ALL]
    outcomes = [read(mutated(rng.choice(samples), rng)) for _ in range(10_000)]
    assert 100 < sum(outcomes) < 9_900, "both outcomes are tried"


def sample_of(annotation: Any) -> Any:
    """Return one small value of an annotation, with one element in every sequence."""
    annotation = getattr(annotation, "__supertype__", annotation)
    plain: dict[Any, Any] = {int: 300, str: "text", bytes: b"bytes", bool: True, float: 0.5}
    if annotation in plain:
        return plain[annotation]
    args = get_args(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return sample_of(args[0])
    if get_origin(annotation) is tuple:
        return tuple(sample_of(arg) for arg in args if arg is not Ellipsis)
    hints = get_type_hints(annotation)
    return annotation(*[sample_of(hints[name]) for name in annotation._fields])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x93\x01",
        b"\x80",
        frame(1),
        frame(1, 999),
        frame(1, [1]),
        frame(1, True, 7),
        frame(1, 1, True),
        frame(1, 1, 7.0),
        frame(1, 1, "7"),
        frame(1, 11, {}),
        frame(1, 11, [[1, 2, 3]]),
        frame(1, 11, [[1]]),
        frame(1, 11, [5]),
        frame(1, 1, 7) + b"\x00",
        b"\x93\x01\x01\xa1\xff",
        b"\x93\x01\x01" + b"\x91" * 2000,
        b"\x93\x01\x01\x81\x90\x01",
        b"\xdd\xff\xff\xff\xff",
        b"\x93\x01\x01\xc7\x01\x05\x00",
        b"\x93\x01\x01\xd6\xff\x00\x00\x00\x00",
        b"\x93\x01\x01\xc7\x0c\xff" + b"\xff" * 12,
    ],
)
def test_crafted_frame_is_refused(data: bytes) -> None:
    assert not read(data)


def test_peer_errors_are_farm_errors() -> None:
    assert issubclass(VersionError, PeerError)
    assert issubclass(PeerError, FarmError)


def test_span_of_rows_decodes_to_the_classes_it_was_made_of() -> None:
    push = sample_of(Push)
    back = decode(encode(push))
    assert isinstance(back, Push)
    assert isinstance(back.spans[0], Span)
    assert back.spans[0].rows[0].pk == b"bytes"


def test_outputs_of_older_and_newer_nodes_are_read_by_each_other() -> None:
    blob, small = BlobAddress(1, 2, b"m" * 16), BlobAddress(3, 4, b"n" * 16)
    without = msgpack.packb(["aa" * 8, 1, 0, 2, 0, 5, 6, 0, 7, [["f.png", list(blob)]], "", ""])
    assert unpack_body(AttemptBody, without).outputs == (OutputFact("f.png", blob),)
    body = AttemptBody(NodeId("aa" * 8), 1, 0, 2, outputs=(OutputFact("f.png", blob, small),))
    assert unpack_body(AttemptBody, pack_body(body)) == body

    class OutputBefore(NamedTuple):
        name: str
        blob: BlobAddress

    packed = msgpack.unpackb(pack_body(body))[9][0]
    assert decoder_of(OutputBefore)(packed) == OutputBefore("f.png", blob)
