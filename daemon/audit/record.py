"""A record: one thing that happened, as the bytes that become a leaf of the log.

The bytes are canonical JSON: RFC 8785 restricted to the part where it equals
`json.dumps(sort_keys=True, ensure_ascii=False, separators=(",", ":"))`, in UTF-8: ASCII keys, no floats, integers
below 2^53 either way, money and ratios as decimal strings, no lone surrogates; at most 16,384 bytes. An example::

    {"actor":"sys:duenotice/0.1.0","card":"ipo/payment","cause":"01J…","client":1041,"com":{"card.text":"<64 hex>"},
     "data":{"message":"<hex>","n":1},"id":"01J…","kind":"attempt","node":"n1","rule":"ipo-payment","set":"<64 hex>",
     "t":"2024-02-01T00:00:00.123456Z","v":1}

Keys, omitted where there is nothing to say: `v` = 1 · `id` (26 Crockford base-32 characters or 32 hexadecimal ones) ·
`cause` the id of the record that led to this one, earlier in the log · `t` UTC with microseconds · `node` which
process · `kind` of the closed list, `data` by the kind's schema (`schemas.py`) · `actor` who: `sys:…`, `person:…`,
`gateway:…` · `client` the client's internal number · `rule` name, `set` digest of the rule set, `card` name · `com`
path -> commitment.

A record has no position: the publisher gives it its index. It holds no ciphertext and no personal value, only
commitments, `com[path]` = hex HMAC-SHA256 under the client's commitment key, so the log outlives a shredded client.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import orjson

from daemon.audit.schemas import CHECKS, KINDS
from daemon.security.envelope import hmac_id

MAX_BYTES = 16_384
MAX_DEPTH = 16
SAFE_INT = 2**53 - 1
_TO_CROCKFORD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789ABCDEFGHJKMNPQRSTVWXYZ")

_ID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}|[0-9a-f]{32}").fullmatch
_HASH = re.compile(r"[0-9a-f]{64}").fullmatch
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z").fullmatch
_NAME = re.compile(r"[^\x00-\x20\x7f-\xa0\ud800-\udfff]{1,128}").fullmatch
_REQUIRED = ("v", "id", "t", "node", "kind", "actor", "data")
_KEYS = frozenset({*_REQUIRED, "cause", "client", "rule", "set", "card", "com"})


@dataclass(frozen=True, slots=True)
class Record:
    """A record as a value. `t` is aware; `rule_set` is the leaf key `set`."""

    id: str
    t: datetime
    node: str
    kind: str
    actor: str
    data: Mapping[str, Any] = field(default_factory=dict)
    cause: str | None = None
    client: int | None = None
    rule: str | None = None
    rule_set: str | None = None
    card: str | None = None
    com: Mapping[str, str] | None = None


def encode(record: Record) -> bytes:
    """The leaf bytes. Raises ValueError when the record breaks the format: nothing unreadable is ever written."""
    leaf: dict[str, Any] = {"v": 1, "t": format_time(record.t), "set": record.rule_set}
    for key in ("id", "cause", "node", "kind", "actor", "client", "rule", "card", "data", "com"):
        leaf[key] = getattr(record, key)
    leaf = {key: value for key, value in leaf.items() if value is not None}
    leaf["data"] = dict(record.data)
    if record.com is not None:
        leaf["com"] = dict(record.com)
    raw = _canonical(leaf)
    try:
        check_leaf(leaf, raw)
    except ValueError:
        check_leaf(_plain(leaf), raw)
    return raw


def decode(raw: bytes) -> Record:
    """The record of leaf bytes. Raises ValueError for anything that `encode` would not have written, byte for byte."""
    leaf = parse(raw)
    optional = {key: leaf.get(key) for key in ("cause", "client", "rule", "card", "com")}
    return Record(
        id=leaf["id"],
        t=parse_time(leaf["t"]),
        node=leaf["node"],
        kind=leaf["kind"],
        actor=leaf["actor"],
        data=leaf["data"],
        rule_set=leaf.get("set"),
        **optional,
    )


def parse(raw: bytes) -> dict[str, Any]:
    """The checked leaf as a mapping, the fast way for a verifier. Raises ValueError."""
    if len(raw) > MAX_BYTES:
        raise ValueError(f"record of {len(raw)} bytes, expected at most {MAX_BYTES}")
    leaf = orjson.loads(raw)
    if type(leaf) is not dict:
        raise ValueError(f"record: found {type(leaf).__name__}, expected an object")
    try:
        again = orjson.dumps(leaf, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER)
    except orjson.JSONEncodeError as reason:
        raise ValueError(f"record: not in the canonical form ({reason})") from None
    if again != raw:
        raise ValueError("record: its bytes are not the canonical form of what they say")
    check_leaf(leaf, raw)
    return leaf


def check_leaf(leaf: dict[str, Any], raw: bytes) -> None:
    """Keys, types and the kind's schema. Raises ValueError: key, found, expected."""
    if len(raw) > MAX_BYTES:
        raise ValueError(f"record of {len(raw)} bytes, expected at most {MAX_BYTES}")
    if not leaf.keys() <= _KEYS:
        raise ValueError(f"record: unknown key {min(leaf.keys() - _KEYS)!r}, allowed {', '.join(sorted(_KEYS))}")
    for key in _REQUIRED:
        if key not in leaf:
            raise ValueError(f"record: {key} is missing")
    _check_scalars(leaf)
    kind = leaf["kind"]
    if type(kind) is not str or kind not in KINDS:
        raise ValueError(f"record: kind {kind!r:.80} is not one of the closed list")
    if wrong := CHECKS[kind](leaf["data"]):
        raise ValueError(f"record of kind {kind}: data{wrong}")
    _check_plain(leaf["data"], MAX_DEPTH)


def _check_scalars(leaf: dict[str, Any]) -> None:
    if type(leaf["v"]) is not int or leaf["v"] != 1:
        raise ValueError(f"record: v {leaf['v']!r:.80}, expected 1")
    if not is_id(leaf["id"]):
        raise ValueError(f"record: id {leaf['id']!r:.80}, expected 26 base-32 or 32 hexadecimal characters")
    if "cause" in leaf and not is_id(leaf["cause"]):
        raise ValueError(f"record: cause {leaf['cause']!r:.80}, expected the id of a record")
    if leaf.get("cause") == leaf["id"]:
        raise ValueError(f"record {leaf['id']}: names itself as its cause")
    parse_time(leaf["t"])
    for key in ("node", "actor", "rule", "card"):
        if key in leaf and (type(leaf[key]) is not str or not _NAME(leaf[key])):
            raise ValueError(f"record: {key} {leaf[key]!r:.80}, expected 1 to 128 characters without blanks")
    if "client" in leaf and (type(leaf["client"]) is not int or not 0 < leaf["client"] <= SAFE_INT):
        raise ValueError(f"record: client {leaf['client']!r:.80}, expected a positive number")
    if "set" in leaf and (type(leaf["set"]) is not str or not _HASH(leaf["set"])):
        raise ValueError(f"record: set {leaf['set']!r:.80}, expected 64 hexadecimal digits")
    if "com" in leaf:
        _check_commitments(leaf["com"])


def _check_commitments(com: Any) -> None:
    if type(com) is not dict:
        raise ValueError(f"record: com is {type(com).__name__}, expected an object")
    for path, value in com.items():
        if not path.isascii() or type(value) is not str or not _HASH(value):
            raise ValueError(f"record: com[{path!r:.80}], expected an ASCII path and 64 hexadecimal digits")


def _check_plain(value: Any, depth: int) -> None:
    """Only objects with ASCII keys, arrays, text, booleans, null and safe integers. Raises ValueError."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return
    if kind is int:
        if not -SAFE_INT <= value <= SAFE_INT:
            raise ValueError(f"record: integer {value} is not below 2^53; larger figures are decimal strings")
        return
    if depth == 0 or (kind is not dict and kind is not list):
        raise ValueError(f"record: {kind.__name__} on level {MAX_DEPTH - depth}: floats and deeper levels are refused")
    if kind is dict:
        for key in value:
            if not key.isascii():
                raise ValueError(f"record: key {key!r:.80}, expected ASCII")
        value = value.values()
    for part in value:
        _check_plain(part, depth - 1)


def _canonical(leaf: Mapping[str, Any]) -> bytes:
    """Canonical bytes; refuses whatever a plain JSON encoder would convert (dates, enums, subclasses, other keys)."""
    options = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
    strict = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS
    try:
        return orjson.dumps(leaf, option=options | strict)
    except orjson.JSONEncodeError as reason:
        raise ValueError(f"record: {reason}") from None


def _plain(value: Any) -> Any:
    """Tuples and text enumerations as the arrays and text that they are written as."""
    if isinstance(value, StrEnum):
        return value.value
    if type(value) is dict:
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def is_id(value: Any) -> bool:
    """Whether `value` has the form of a record's id."""
    return type(value) is str and _ID(value) is not None


def format_time(moment: datetime) -> str:
    """`2024-02-01T00:00:00.123456Z`. Raises ValueError for a moment without a zone."""
    if moment.tzinfo is None:
        raise ValueError(f"record: time {moment.isoformat()} has no zone, expected an aware one")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_time(text: Any) -> datetime:
    """The inverse of `format_time`; that form only. Raises ValueError."""
    if type(text) is not str or not _TIME(text):
        raise ValueError(f"record: time {text!r:.80}, expected YYYY-MM-DDThh:mm:ss.ffffffZ")
    return datetime.fromisoformat(text)


def new_id(random_bytes: bytes, t_micros: int) -> str:
    """A record's id: 56 bits of microseconds since the epoch, then 72 given random bits, as 26 Crockford characters.

    Sorts by time. The same arguments give the same id. Raises ValueError for other than 9 bytes or an impossible time.
    """
    if len(random_bytes) != 9 or not 0 <= t_micros < 1 << 56:
        raise ValueError(f"record id: {len(random_bytes)} random bytes and {t_micros} µs, expected 9 and 0 to 2^56")
    number = t_micros << 72 | int.from_bytes(random_bytes, "big")
    # 26 characters are 130 bits: two zeros, then the number; base 32 works on whole bytes, so 6 bits follow it.
    return base64.b32encode((number << 6).to_bytes(17, "big"))[:26].translate(_TO_CROCKFORD).decode("ascii")


def commit(commitment_key: bytes, record_id: str, path: str, value: str | bytes) -> str:
    """The commitment `com[path]`: hex HMAC-SHA256 under the client's commitment key of id, path and value, each behind
    its length in 4 bytes (`security.envelope.encode_parts`). Text is UTF-8; other values are written as text first."""
    return hmac_id(commitment_key, record_id, path, value).hex()
