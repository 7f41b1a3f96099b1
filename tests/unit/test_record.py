"""Records: the bytes, what is refused, ids and commitments."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.audit.order import causes_first
from daemon.audit.record import MAX_BYTES, SAFE_INT, Record, commit, decode, encode, new_id, parse
from daemon.audit.schemas import CHECKS, KINDS, SCHEMAS, documents
from daemon.audit.shape import compile_schema
from daemon.model.decisions import Bucket

ID = "0031MCSCD1ZZZW000000000000"
CAUSE = "ab" * 16
NOW = datetime(2024, 2, 1, 0, 0, 0, 123456, tzinfo=UTC)
GOLDEN = (
    '{"actor":"sys:duenotice/0.1.0","card":"ipo/payment","cause":"abababababababababababababababab","client":1041,'
    '"com":{"card.text":"' + "cd" * 32 + '"},"data":{"message":"00ff00ff","n":1,"note":"缴款\\u0001\x7f\\""},'
    '"id":"0031MCSCD1ZZZW000000000000","kind":"attempt","node":"n1","rule":"ipo-payment","set":"' + "ef" * 32 + '",'
    '"t":"2024-02-01T00:00:00.123456Z","v":1}'
).encode()


def record(**changes: Any) -> Record:
    given: dict[str, Any] = {"id": ID, "t": NOW, "node": "n1", "kind": "attempt", "actor": "sys:duenotice/0.1.0"}
    return Record(**(given | {"data": {"message": "00ff00ff", "n": 1}} | changes))


FULL = record(
    data={"message": "00ff00ff", "n": 1, "note": '缴款\x01\x7f"'},
    cause=CAUSE,
    client=1041,
    rule="ipo-payment",
    rule_set="ef" * 32,
    card="ipo/payment",
    com={"card.text": "cd" * 32},
)


def test_the_bytes_of_a_record_are_fixed_and_read_back() -> None:
    assert encode(FULL) == GOLDEN
    assert decode(GOLDEN) == FULL


def test_what_is_not_there_is_not_written() -> None:
    assert set(json.loads(encode(record()))) == {"v", "id", "t", "node", "kind", "actor", "data"}


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
KEY = st.text(st.characters(max_codepoint=127), min_size=1, max_size=6).filter(lambda key: key not in {"message", "n"})
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-SAFE_INT, SAFE_INT) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200)
@given(st.dictionaries(KEY, VALUE, max_size=4).map(lambda extra: {f"x{key}": part for key, part in extra.items()}))
def test_any_plain_data_is_written_as_the_standard_library_would(extra: dict[str, Any]) -> None:
    raw = encode(record(data={"message": "00ff00ff", "n": 1} | extra))
    leaf = json.loads(raw)
    assert raw == json.dumps(leaf, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    assert decode(raw).data == leaf["data"]
    assert encode(decode(raw)) == raw


@pytest.mark.parametrize(
    "value", [1.0, float("nan"), 2**53, -(2**60), 2**80, "\ud800", Decimal("1.5"), NOW, b"x", {1: "x"}, {"é": 1}]
)
def test_values_that_another_reader_could_read_otherwise_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="record"):
        encode(record(data={"message": "00ff00ff", "n": 1, "x": [value]}))


def test_enumerations_and_tuples_are_written_as_text_and_arrays() -> None:
    raw = encode(record(data={"message": "00ff00ff", "n": 1, "verdict": Bucket.HELD, "x": (1, 2)}))
    assert json.loads(raw)["data"] == {"message": "00ff00ff", "n": 1, "verdict": "held", "x": [1, 2]}


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "short"},
        {"id": ID.lower()},
        {"id": "8" + ID[1:]},
        {"id": ID.replace("M", "U")},
        {"cause": "x"},
        {"cause": ID},
        {"t": NOW.replace(tzinfo=None)},
        {"node": ""},
        {"actor": "two words"},
        {"rule": "line\nbreak"},
        {"card": "x" * 129},
        {"client": 0},
        {"client": True},
        {"client": 2**53},
        {"rule_set": "EF" * 32},
        {"com": {"path": "cd" * 31}},
        {"com": {"pfäd": "cd" * 32}},
        {"kind": "event"},
        {"kind": "rules.approved"},
        {"data": {"message": "00ff00ff"}},
        {"data": {"message": "not hex!", "n": 1}},
        {"data": {"message": "00ff00ff", "n": 0}},
        {"data": {"message": "00ff00ff", "n": True}},
        {"data": {"message": "00ff00ff", "n": 1, "gateway": 5}},
        {"data": {"message": "00ff00ff", "n": 1, "x": "y" * MAX_BYTES}},
    ],
)
def test_a_record_out_of_form_is_never_written(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="record"):
        encode(record(**changes))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"v":1', b'"v":2'),
        (b'"v":1', b'"v":1.0'),
        (b'"v":1', b'"v":true'),
        (b'"v":1}', b'"v":1} '),
        (b'"v":1}', b'"v":1}x'),
        (b'"v":1}', b'"v":1,"w":1}'),
        (b'"v":1}', b'"v":1,"v":1}'),
        (b'"n":1', b'"n": 1'),
        (b'"n":1', b'"n":1,"n":1'),
        (b'"n":1', b'"n":1.0'),
        (b'"n":1', b'"n":1e0'),
        (b'"n":1', b'"n":01'),
        (b'"n":1', b'"n":99999999999999999999'),
        (b'"n":1', b'"m":NaN,"n":1'),
        (b'"message"', b'"\\u006dessage"'),
        ("缴".encode(), b"\\u7f34"),
        ("缴".encode(), b"\\ud800"),
        ("缴".encode(), b"\xff"),
        ("缴".encode(), b"\xed\xa0\x80"),
        (b'"actor":"sys:duenotice/0.1.0","card":"ipo/payment"', b'"card":"ipo/payment","actor":"sys:duenotice/0.1.0"'),
        (b"00.123456Z", b"00.1234560Z"),
        (b"00.123456Z", b"00.123456+00:00"),
        (b"2024-02-01T", b"2024-02-30T"),
        (b"2024-02-01T", "２024-02-01T".encode()),
        (GOLDEN, b"[]"),
        (GOLDEN, b""),
        (GOLDEN, b"[" * 5000),
        (GOLDEN, b'{"a":' * 300 + b"1" + b"}" * 300),
        (GOLDEN, b"\xef\xbb\xbf" + GOLDEN),
    ],
)
def test_bytes_that_we_would_not_have_written_are_refused(old: bytes, new: bytes) -> None:
    assert old in GOLDEN
    with pytest.raises(ValueError):
        decode(GOLDEN.replace(old, new, 1))


def test_every_bit_flipped_in_a_record_gives_another_record_or_none() -> None:
    for position in range(len(GOLDEN) * 8):
        changed = bytearray(GOLDEN)
        changed[position // 8] ^= 1 << position % 8
        try:
            assert encode(decode(bytes(changed))) == bytes(changed)
        except ValueError:
            continue


def test_times_of_any_zone_are_written_in_utc() -> None:
    shanghai = NOW.astimezone(timezone(timedelta(hours=8)))
    assert encode(record(t=shanghai)) == encode(record(t=NOW))
    assert parse(encode(record(t=NOW.replace(microsecond=0))))["t"] == "2024-02-01T00:00:00.000000Z"


def test_an_id_is_fixed_by_its_arguments_and_sorts_by_time() -> None:
    assert new_id(bytes(range(9)), 1_706_745_600_123_456) == "06213ATDX2800020G30G2GC1R8"
    first = new_id(b"\xff" * 9, 1_706_745_600_123_456)
    second = new_id(b"\x00" * 9, 1_706_745_600_123_457)
    assert len(first) == 26
    assert first < second
    assert new_id(b"\xff" * 9, 1_706_745_600_123_456) == first


@given(st.integers(0, 2**56 - 1), st.binary(min_size=9, max_size=9))
def test_an_id_holds_time_and_randomness_whole(t: int, random: bytes) -> None:
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    number = 0
    for character in new_id(random, t):
        number = number * 32 + alphabet.index(character)
    assert number == t << 72 | int.from_bytes(random, "big")
    assert encode(record(id=new_id(random, t)))


@pytest.mark.parametrize(("random", "t"), [(b"short", 0), (bytes(9), -1), (bytes(9), 2**56)])
def test_an_id_needs_nine_random_bytes_and_a_possible_time(random: bytes, t: int) -> None:
    with pytest.raises(ValueError, match="record id"):
        new_id(random, t)


def test_a_commitment_is_an_hmac_that_anyone_can_recompute() -> None:
    key = b"k" * 32
    parts = [ID.encode(), b"card.text", "您中签了".encode()]
    message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    assert commit(key, ID, "card.text", "您中签了") == hmac.new(key, message, hashlib.sha256).hexdigest()
    assert commit(key, ID, "card.text", "您中签了".encode()) == commit(key, ID, "card.text", "您中签了")
    assert len({commit(k, i, p, "x") for k in (key, b"z" * 32) for i in (ID, CAUSE) for p in ("a", "b")}) == 8


BASE = {"poll", "notice", "message", "attempt", "receipt", "uplink", "outcome", "episode", "task", "release", "silence",
        "alias", "page", "consent", "contact",
        "access", "export", "config", "clock", "head", "start", "stop", "heartbeat"}  # fmt: skip


def test_the_list_of_kinds_is_closed() -> None:
    families = {kind.split(".")[0] for kind in KINDS}
    assert families == BASE | {"rules", "key", "erase"}
    assert {kind for kind in KINDS if "." not in kind} == BASE


def test_every_schema_is_good_json_schema() -> None:
    for document in documents().values():
        jsonschema.Draft202012Validator.check_schema(document)


SAMPLES = st.sampled_from(
    [0, 1, -1, True, None, "", "x", "00ff00ff", "ab" * 32, "2024-02-01", "2024-02-01T00:00:00.000000Z", "yes", [], {},
     ["x"], [{"rule": "r", "sha256": "ab" * 32}], {"notify": 1}, {"notify": -1}, "y" * 2000, 2**53 - 1, "x\n", "2024-02-01\n"]
)  # fmt: skip


@settings(max_examples=400)
@given(st.data())
def test_our_checker_agrees_with_a_json_schema_library(choice: st.DataObject) -> None:
    kind = choice.draw(st.sampled_from(sorted(KINDS)))
    keys = [*sorted(SCHEMAS[kind]["properties"]), "unknown"]
    value = choice.draw(st.dictionaries(st.sampled_from(keys), SAMPLES) | SAMPLES)
    outside = jsonschema.Draft202012Validator(documents()[kind])
    ours = CHECKS[kind](value) == ""
    # The library reads `$` as Python does, also before a last line break; ECMA 262 and ours do not.
    if "\n" not in json.dumps(value).replace("\\n", "\n"):
        assert ours == outside.is_valid(value)


@pytest.mark.parametrize(
    "schema",
    [{"type": "number"}, {}, {"type": "string", "format": "date"}, {"type": "object", "properties": {"a": {}}}],
)
def test_a_schema_never_promises_what_is_not_checked(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="supported part"):
        compile_schema(schema)


def rows(*pairs: tuple[int, int | None]) -> list[tuple[int, bytes]]:
    """(row, row of the cause) as rows of records."""
    ids = [new_id(bytes(9), number) for number in range(20)]
    return [(row, encode(record(id=ids[row], cause=None if why is None else ids[why]))) for row, why in pairs]


@pytest.mark.parametrize(
    ("pairs", "order"),
    [
        ([(1, None), (2, 1), (3, None)], [1, 2, 3]),
        ([(1, 3), (2, None), (3, None)], [3, 1, 2]),
        ([(1, 2), (2, 3), (3, 4), (4, None)], [4, 3, 2, 1]),
        ([(1, 9), (2, 9)], [1, 2]),
        ([], []),
    ],
)
def test_causes_come_first_and_the_rest_stays_in_order(pairs: list[tuple[int, int | None]], order: list[int]) -> None:
    assert causes_first(rows(*pairs)) == order


def test_circles_doubles_and_non_records_are_refused() -> None:
    with pytest.raises(ValueError, match="its own cause"):
        causes_first(rows((1, 2), (2, 3), (3, 1)))
    with pytest.raises(ValueError, match="too"):
        causes_first([*rows((1, None)), (2, rows((1, None))[0][1])])
    with pytest.raises(ValueError, match="row 7"):
        causes_first([(7, b"{}")])
