"""A job as people and programs write it: a mapping as in a job file or a request.

Sizes, durations and frames may be written in words, and every refusal names the field and what was probably meant. Only
here is pydantic imported, and only when something is read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from protocol.errors import PeerError, UsageError
from protocol.frames import FrameSet, parse_frames, test_frame_choice
from protocol.human import nearest_word, parse_duration, parse_size
from protocol.ids import parse_blob_address
from protocol.jobspec import GateMode, GateSpec, JobSpec, Limits, Requirements, refusal

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

_PARTS: Final[dict[str, type[Any]]] = {"requirements": Requirements, "gate": GateSpec, "limits": Limits}


def spec_from_user(given: Mapping[str, object]) -> JobSpec:
    """Read a specification as a person writes it.

    Args:
        given: Fields of `JobSpec`. Sizes and durations may be texts ("8G", "2h"), `gate.test_frames` a choice such as
            "first,last" (the default is "first,middle,last"), and the manifest its printed address.

    Raises:
        UsageError: A field is unknown, missing or wrong.
    """
    from pydantic import ValidationError

    _refuse_unknown(given)
    try:
        return _adapter().validate_python(_spelled_out(given))
    except ValidationError as error:
        raise _as_usage(error) from error


def spec_json_schema() -> dict[str, Any]:
    """Describe what `spec_from_user` accepts as a JSON schema."""
    schema = _adapter().json_schema()
    schema["$defs"].pop("BlobAddress", None)
    schema["properties"]["manifest"] = {"type": ["string", "null"], "default": None}
    for part in (schema, *(schema["$defs"][cls.__name__] for cls in _PARTS.values())):
        part["additionalProperties"] = False
        for name, entry in part["properties"].items():
            if name.endswith(("_bytes", "_s")):
                entry["type"] = ["integer", "string"]
    schema["$defs"]["GateSpec"]["properties"]["test_frames"]["type"] = ["array", "string"]
    return schema


@cache
def _adapter() -> TypeAdapter[JobSpec]:
    from pydantic import TypeAdapter

    return TypeAdapter(JobSpec)


def _refuse_unknown(given: Mapping[str, object]) -> None:
    places = {"": [item.name for item in fields(JobSpec)]}
    places |= {f"{part}.": [item.name for item in fields(cls)] for part, cls in _PARTS.items()}
    for key, value in given.items():
        if key not in places[""]:
            raise _unknown("", key, places)
        for name in value if key in _PARTS and isinstance(value, Mapping) else ():
            if name not in places[f"{key}."]:
                raise _unknown(f"{key}.", name, places)


def _unknown(place: str, name: object, places: Mapping[str, list[str]]) -> UsageError:
    """Name the field that was meant: the same name elsewhere, else the nearest one, first where it was written."""
    elsewhere = [there + str(name) for there, names in places.items() if name in names]
    nearest = (there + meant for there in (place, *places) if (meant := nearest_word(str(name), places[there])))
    meant = next(chain(elsewhere, nearest), None)
    hint = f"did you mean {meant!r}?" if meant else f"fields are: {', '.join(places[place])}"
    return UsageError(f"a job has no field {(place + str(name))[:80]!r}", "the name is not known", hint)


def _spelled_out(given: Mapping[str, object]) -> dict[str, object]:
    """Turn words into the values that the fields hold; what is of a wrong type is left for pydantic to refuse."""
    plain: dict[str, object] = dict(given)
    for part in _PARTS:
        inner = plain.get(part)
        if isinstance(inner, Mapping):
            plain[part] = {name: _number_of(name, value) for name, value in inner.items()}
    if isinstance(frames := plain.get("frames", ""), str):
        canonical = parse_frames(frames) if frames.strip() else parse_frames("1")
        plain["frames"] = str(canonical) if frames.strip() else ""
        plain["gate"] = _gate_of(plain.get("gate", {}), canonical)
    if isinstance(manifest := plain.get("manifest"), str):
        try:
            plain["manifest"] = parse_blob_address(manifest)
        except PeerError as error:
            raise refusal("manifest", str(error), "an address is xxHash64, size and MD5, joined by '-'") from error
    return plain


def _number_of(name: object, value: object) -> object:
    if isinstance(value, str) and isinstance(name, str):
        if name.endswith("_bytes"):
            return parse_size(value)
        if name.endswith("_s"):
            return math.ceil(parse_duration(value))
    return value


def _gate_of(gate: object, frames: FrameSet) -> object:
    if not isinstance(gate, Mapping):
        return gate
    choice = gate.get("test_frames", "")
    if gate.get("mode") == GateMode.OFF and not choice:
        return gate
    return {**gate, "test_frames": test_frame_choice(choice, frames) if isinstance(choice, str) else choice}


def _as_usage(error: ValidationError) -> UsageError:
    first = error.errors(include_url=False)[0]
    path = ".".join(map(str, first["loc"])) or "job"
    if first["type"] == "missing":
        return UsageError(f"the job's field {path!r} is missing", "it has no default", f"give {path!r} a value")
    return refusal(path, first["msg"][:1].lower() + first["msg"][1:])
