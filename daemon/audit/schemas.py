"""The closed list of record kinds and what `data` of each may hold, as JSON Schema (2020-12, the part in `shape.py`).

`data` holds no personal value: numbers, figures, codes, ids and digests only; personal values are committed to in `com`
and lie, sealed, outside the log. Required keys are those without which a record proves nothing; known keys are typed;
further keys are allowed, so that a later version may say more.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from daemon.audit.shape import Check, compile_schema

Schema: TypeAlias = Mapping[str, Any]

TEXT: Schema = {"type": "string", "maxLength": 1024}
WORD: Schema = {"type": "string", "maxLength": 128, "pattern": r"^[^\x00-\x1f\x7f]+$"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "integer", "minimum": 1}
ANY_INT: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
DAY: Schema = {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
INSTANT: Schema = {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$"}
DECIMAL: Schema = {"type": "string", "pattern": r"^-?[0-9]{1,30}(\.[0-9]{1,20})?$"}
HASH: Schema = {"type": "string", "pattern": r"^[0-9a-f]{64}$"}
HEX: Schema = {"type": "string", "pattern": r"^[0-9a-f]{8,128}$"}


def one_of(*words: str) -> Schema:
    return {"type": "string", "enum": sorted(words)}


def each(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def shape(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object with required and optional known keys; others are allowed."""
    return {"type": "object", "required": sorted(required), "properties": {**required, **(optional or {})}}


COUNTS = shape({}, dict.fromkeys(("notify", "no_match", "suppressed", "held", "indeterminate"), COUNT))
SHEET = shape({"rule": WORD, "sha256": HASH}, {"file": WORD, "lines": COUNT, "counts": COUNTS, "verdict": WORD})
ERASED_SHEET = shape(
    {"rule": WORD, "sha256": HASH}, {"file": WORD, "run": NUMBER, "business_date": DAY, "keep_days": COUNT}
)
REASON: Mapping[str, Schema] = {"reason": TEXT, "by": WORD}

POLL = shape(
    {"feed": WORD, "due": INSTANT, "run": NUMBER, "state": WORD},
    {
        "business_date": DAY, "basis": WORD, "rows": COUNT, "rejects": COUNT, "facts": COUNT, "other": COUNT,
        "source_count": COUNT, "started": INSTANT, "sheets": each(SHEET), "reason": TEXT, "complete": FLAG,
    },
)  # fmt: skip
NOTICE = shape(
    {"notice": HEX},
    {
        "change": WORD, "subject": NUMBER, "stage": WORD, "level": WORD, "episode": WORD, "run": NUMBER, "feed": WORD,
        "due": INSTANT, "not_before": INSTANT, "deadline": INSTANT, "revision": COUNT, "stands": WORD, "reason": TEXT,
        "terms": HASH, "business_date": DAY, "late": FLAG, "marks": each(WORD),
        "contacts": each(WORD), "call": WORD, "messages": each(HEX),
    },
)  # fmt: skip
MESSAGE = shape(
    {"message": HEX, "state": WORD},
    {
        "notice": HEX, "channel": WORD, "generation": NUMBER, "contact": WORD, "address": COUNT, "fence": COUNT,
        "reason": TEXT, "from": WORD, "attempts": COUNT, "overlap": FLAG, "messages": each(HEX),
    },
)  # fmt: skip
ATTEMPT = shape(
    {"message": HEX, "n": NUMBER},
    {
        "notice": HEX, "gateway": WORD, "channel": WORD, "dialect": WORD, "generation": NUMBER, "fence": COUNT,
        "request": HASH, "verdict": WORD, "code": WORD, "gateway_id": WORD, "revision": COUNT, "repeat": FLAG,
        "retry_after": COUNT, "as_of": INSTANT,
    },
)  # fmt: skip
RECEIPT = shape(
    {"gateway": WORD, "state": WORD},
    {"message": HEX, "code": WORD, "raw": HASH, "at": INSTANT, "orphan": FLAG, "contradiction": FLAG, "from": WORD},
)
OUTCOME = shape(
    {"notice": HEX, "outcome": WORD},
    {"served_as_agreed": one_of("yes", "no", "unknown"), "message": HEX, "reason": TEXT, "final": INSTANT},
)
EPISODE = shape(
    {"episode": WORD, "change": WORD},
    {"subject": NUMBER, "basis": WORD, "level": WORD, "opened": DAY, "n": NUMBER, "reason": TEXT},
)
TASK = shape(
    {"task": WORD, "change": WORD},
    {"notice": HEX, "kind": WORD, "due": INSTANT, "result": WORD, "recording": HASH, **REASON},
)
SET_CHANGE = shape(
    {"digest": HASH},
    {
        "previous": HASH, "signed": FLAG, "mode": one_of("signed", "unsigned", "emergency"), "version": NUMBER,
        "until": INSTANT, "principal": WORD, "principals": each(WORD), "key": TEXT, "statement": HASH, "purpose": WORD,
        "effective": INSTANT, "effective_on": DAY, "expires": DAY, "accepted": each(TEXT), "starts": each(WORD), **REASON,
    },
)  # fmt: skip
KEY_CHANGE = shape(
    {"key": HEX},
    {
        "purpose": WORD, "alg": WORD, "version": COUNT, "previous": HEX, "vkey": TEXT, "count": COUNT,
        "clients": COUNT, "values": COUNT, **REASON,
    },
)  # fmt: skip
HEAD = shape({"origin": WORD, "size": COUNT, "root": HASH}, {"witness": WORD, "closed": FLAG})

SCHEMAS: Mapping[str, Schema] = MappingProxyType(
    {
        "poll": POLL,
        "notice": NOTICE,
        "message": MESSAGE,
        "attempt": ATTEMPT,
        "receipt": RECEIPT,
        "uplink": shape({"gateway": WORD}, {"raw": HASH, "matched": FLAG, "message": HEX, "keyword": WORD}),
        "outcome": OUTCOME,
        "episode": EPISODE,
        "task": TASK,
        "release": shape({"by": WORD, "reason": TEXT}, {"hold": WORD, "counts": COUNTS, "notice": HEX, "gone": FLAG}),
        "silence": shape({"by": WORD, "reason": TEXT}, {"until": INSTANT, "ended": FLAG, "rules": each(WORD)}),
        "consent": shape({"category": WORD, "given": FLAG}, {"channel": WORD, "source": WORD, "by": WORD}),
        "page": shape({"page": WORD, "change": one_of("acknowledged")}, REASON),
        "alias": shape(
            {"change": one_of("proposed", "confirmed", "made")},
            {"pairs": COUNT, "list": HEX, "subject": NUMBER, "kind": WORD, "instead": NUMBER, **REASON},
        ),
        "contact": shape({"change": WORD}, {"contact": WORD, "channel": WORD, "source": WORD, "by": WORD}),
        "rules.activated": SET_CHANGE,
        "rules.stopped": shape({"rule": WORD}, {"digest": HASH, **REASON}),
        "rules.proposed": SET_CHANGE,
        "rules.signed": SET_CHANGE,
        "rules.started": shape({"rule": WORD}, {"until": INSTANT, **REASON}),
        "rules.signers": shape({"version": NUMBER, "sha256": HASH}, {"principals": each(WORD), **REASON}),
        "key.created": KEY_CHANGE,
        "key.rotated": KEY_CHANGE,
        "key.destroyed": KEY_CHANGE,
        "key.check": shape({"keys": each(HEX)}, {"result": WORD}),
        "erase.restricted": shape({}, {"until": DAY, "change": WORD, **REASON}),
        "erase.shredded": shape({}, {"entries": COUNT, "waiver": HASH, **REASON}),
        "erase.sheets": shape({"sheets": each(ERASED_SHEET)}, REASON),
        "access": shape({"by": WORD, "reason": TEXT}, {"what": WORD, "fields": each(WORD), "count": COUNT}),
        "export": shape({"by": WORD}, {"what": WORD, "sha256": HASH, "size": COUNT, "reason": TEXT}),
        "config": shape({"digest": HASH}, {"previous": HASH, "changed": each(WORD), "by": WORD}),
        "clock": shape({"step_us": ANY_INT}, {"believed": FLAG, **REASON}),
        "head": HEAD,
        "start": shape({"version": WORD}, {"boot": WORD, "role": WORD, "pid": NUMBER, "digest": HASH}),
        "stop": shape({}, {"boot": WORD, "role": WORD, "reason": TEXT, "exit": COUNT}),
        "heartbeat": shape({}, {"boot": WORD, "queued": COUNT, "lag_us": COUNT, "clock_offset_us": ANY_INT}),
    }
)
KINDS: frozenset[str] = frozenset(SCHEMAS)
CHECKS: Mapping[str, Check] = MappingProxyType({kind: compile_schema(schema) for kind, schema in SCHEMAS.items()})


def documents() -> dict[str, dict[str, Any]]:
    """Kind -> a whole JSON Schema document of its `data`, for an export and for validators that are not ours."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {kind: {"$schema": dialect, "title": f"data of {kind}", **schema} for kind, schema in SCHEMAS.items()}
