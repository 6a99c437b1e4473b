"""The job specification: what was asked for, written once where it was submitted and never changed.

Invariant: a `JobSpec` that exists is valid, whoever made it: ranges, lengths, frames, paths and templates are checked
at construction. From a peer it comes as a msgpack map of field names without the defaults, read strictly and without
pydantic (it would cost the daemon 12 MB); unknown fields are left out, since the bytes themselves are what is stored and
relayed. What a person or a program writes is read by `jobform`.

Called by submission, the folds of jobs and the renderers. It must never touch a file: paths are only looked at.
"""

from __future__ import annotations

from protocol.jobspec.checks import (
    MAX_AFTER,
    MAX_FOREIGN_BYTES,
    MAX_LABEL_CHARS,
    MAX_LABELS,
    MAX_MANIFEST_BYTES,
    MAX_PARAMS,
    MAX_PATH_RULES,
    refusal,
)
from protocol.jobspec.packing import (
    MAX_SPEC_BYTES,
    spec_from_bytes,
    spec_to_bytes,
)
from protocol.jobspec.spec import (
    BUILT_IN_RENDERERS,
    DeliverBy,
    GateMode,
    GateSpec,
    JobSpec,
    Limits,
    PartitionPolicy,
    Requirements,
)

__all__ = [
    "BUILT_IN_RENDERERS",
    "MAX_AFTER",
    "MAX_FOREIGN_BYTES",
    "MAX_LABELS",
    "MAX_LABEL_CHARS",
    "MAX_MANIFEST_BYTES",
    "MAX_PARAMS",
    "MAX_PATH_RULES",
    "MAX_SPEC_BYTES",
    "DeliverBy",
    "GateMode",
    "GateSpec",
    "JobSpec",
    "Limits",
    "PartitionPolicy",
    "Requirements",
    "refusal",
    "spec_from_bytes",
    "spec_to_bytes",
]
