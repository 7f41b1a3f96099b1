"""Sheets read back as they were written, exactly; sealed on disk; readable by another Parquet reader."""

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.errors import SealBroken, StoreConflict
from daemon.model.decisions import GateResult
from daemon.model.kinds import PERSONAL_TYPES, Absence, Type, Value
from daemon.security.envelope import Alg, Key
from daemon.store.columns import SCALES
from daemon.store.sheetlines import Line, SheetFile
from daemon.store.sheets import GROUP_LINES, SheetReader, SheetWriter, sheet_path

KEY = Key(b"k" * 16, Alg.AES_256_GCM, b"s" * 32)
DAY = date(2024, 2, 1)
OF = {"run": 1, "rule": "margin/maintenance"}
TYPES = [t for t in Type if t not in PERSONAL_TYPES]
ALL = [(t.value, t) for t in TYPES]


def keys(id: bytes) -> Key:
    return {KEY.id: KEY}[id]


def write(folder: Path, lines: list[Line], operands=(), items=()) -> SheetFile:
    path = folder / "1-margin.sheet"
    writer = SheetWriter(path, operands, items, key=KEY, of=OF)
    for line in lines:
        writer.add(line)
    return writer.finish()


def read(file: SheetFile) -> SheetReader:
    return SheetReader.open(file.path, keys, file.sha256)


def line(subject: int = 1, **more) -> Line:
    return Line(**{"subject": subject, "client": subject, "business_date": DAY, "bucket": "no_match",
                   "reason": "condition", "operands": {}} | more)  # fmt: skip


numbers = st.decimals(allow_nan=False, allow_infinity=False, places=None).filter(lambda d: abs(d.adjusted()) < 60)
exact_numbers = st.integers(-(10**45), 10**45).map(lambda n: Decimal(n).scaleb(-25))
VALUES: dict[Type, st.SearchStrategy[Value]] = {
    Type.CODE: st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
    Type.ENUM: st.sampled_from(["normal", "frozen", ""]),
    Type.DATE: st.dates(),
    Type.TIME: st.times(),
    Type.DATETIME: st.datetimes(timezones=st.just(UTC)),
    Type.BOOL: st.booleans(),
} | dict.fromkeys(SCALES, st.one_of(numbers, exact_numbers, st.decimals("-1e9", "1e9", places=2)))


def any_value(type_: Type) -> st.SearchStrategy[Value]:
    return st.one_of(VALUES[type_], st.sampled_from(list(Absence)))


rows = st.fixed_dictionaries({name: any_value(type_) for name, type_ in ALL})
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
lines = st.builds(
    Line,
    subject=st.integers(1, 2**62),
    client=st.integers(1, 2**62),
    business_date=st.dates(),
    bucket=st.sampled_from(["notify", "no_match"]),
    reason=texts,
    operands=rows,
    level=texts,
    occurrence=texts,
    terms=texts,
    gate_inputs=texts,
    gates=st.lists(st.builds(GateResult, texts, texts, texts), max_size=2).map(tuple),
    marks=st.lists(texts, max_size=2).map(tuple),
    items=st.lists(rows, max_size=2).map(tuple),
    as_of=st.dictionaries(texts, st.datetimes(timezones=st.just(UTC)), max_size=2),
    rows=st.integers(0, 2**31 - 1),
    whole=st.booleans(),
    episode=st.none() | st.integers(1, 2**62),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(lines, max_size=5))
def test_every_value_and_absence_comes_back_exactly(given_lines: list[Line]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        reader = read(write(Path(folder), given_lines, ALL, ALL))
        assert list(reader.lines()) == sorted(given_lines, key=lambda x: x.subject)
        assert (reader.operands, reader.items, reader.of) == (tuple(ALL), tuple(ALL), OF)


def test_a_number_with_more_digits_than_its_column_is_kept_exactly(tmp_path: Path) -> None:
    ratio = Decimal("1.2999999999999999999999999999999999999999999999999")
    huge = Decimal("12345678901234567890123456789012345678901234.5")
    operands = {"ratio": ratio, "amount": huge}
    types = [("ratio", Type.RATIO), ("amount", Type.MONEY)]
    (found,) = read(write(tmp_path, [line(operands=operands)], types)).lines()
    assert found.operands == operands


def test_groups_are_sorted_and_a_subject_is_found_in_any(tmp_path: Path) -> None:
    count = GROUP_LINES + 10
    written = [line(count - n, operands={"n": Decimal(n)}) for n in range(count)] + [
        line(7, operands={"n": Decimal(-1)})
    ]
    reader = read(write(tmp_path, written, [("n", Type.QUANTITY)]))
    assert len(reader) == count + 1
    subjects = [x.subject for x in reader.lines()]
    assert subjects[:GROUP_LINES] == sorted(subjects[:GROUP_LINES])
    assert subjects[GROUP_LINES:] == sorted(subjects[GROUP_LINES:])
    assert sorted(x.operands["n"] for x in reader.find(7)) == [Decimal(-1), Decimal(count - 7)]
    assert reader.find(count + 5) == []


def test_a_poll_without_facts_has_a_sheet_without_lines(tmp_path: Path) -> None:
    file = write(tmp_path, [], ALL)
    assert file.lines == 0
    assert list(read(file).lines()) == []


def test_the_file_is_sealed_and_one_flipped_byte_is_found(tmp_path: Path) -> None:
    file = write(tmp_path, [line(operands={"status": "a-very-plain-code"})], [("status", Type.CODE)])
    raw = file.path.read_bytes()
    assert b"PAR1" not in raw
    assert b"a-very-plain-code" not in raw
    for place in (0, 30, 90, len(raw) - 1):
        file.path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        with pytest.raises(SealBroken):
            read(file)
    file.path.write_bytes(raw[:-40])
    with pytest.raises(SealBroken):
        read(file)
    file.path.write_bytes(raw)
    with pytest.raises(SealBroken, match="expected 00"):
        SheetReader.open(file.path, keys, "00" * 32)
    moved = file.path.rename(tmp_path / "2-margin.sheet")
    with pytest.raises(SealBroken):
        SheetReader.open(moved, keys, file.sha256)


def test_two_sheets_of_the_same_lines_have_different_hashes(tmp_path: Path) -> None:
    assert write(tmp_path / "a", [line()]).sha256 != write(tmp_path / "b", [line()]).sha256


def test_a_sheet_is_never_replaced(tmp_path: Path) -> None:
    write(tmp_path, [line()])
    with pytest.raises(StoreConflict, match="never replaced"):
        write(tmp_path, [line()])


def test_nothing_is_left_beside_a_finished_sheet(tmp_path: Path) -> None:
    file = write(tmp_path / "sheets" / "2024-02", [line()])
    assert [p.name for p in file.path.parent.iterdir()] == [file.path.name]
    assert file.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("type_", sorted(PERSONAL_TYPES))
def test_a_personal_operand_is_refused(tmp_path: Path, type_: Type) -> None:
    with pytest.raises(ValueError, match="personal"):
        write(tmp_path, [], [("who", type_)])
    with pytest.raises(ValueError, match="personal"):
        write(tmp_path, [], (), [("who", type_)])


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (Type.MONEY, 1.5),
        (Type.MONEY, 1),
        (Type.MONEY, Decimal("NaN")),
        (Type.MONEY, None),
        (Type.CODE, Decimal(1)),
        (Type.DATE, datetime(2024, 2, 1, tzinfo=UTC)),
        (Type.DATETIME, datetime(2024, 2, 1)),  # noqa: DTZ001
        (Type.DATETIME, DAY),
        (Type.BOOL, "yes"),
        (Type.TIME, "14:30"),
    ],
)
def test_a_value_of_another_type_is_refused(tmp_path: Path, type_: Type, value: object) -> None:
    with pytest.raises(ValueError, match="operand x"):
        write(tmp_path, [line(operands={"x": value})], [("x", type_)])


def test_a_line_without_an_operand_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ratio"):
        write(tmp_path, [line()], [("ratio", Type.RATIO)])


def test_another_reader_reads_the_clear_file(tmp_path: Path) -> None:
    operands = [
        ("ratio", Type.RATIO),
        ("status", Type.ENUM),
        ("since", Type.DATE),
        ("cured", Type.BOOL),
        ("t", Type.TIME),
    ]
    values = {"ratio": Decimal("1.3"), "status": "normal", "since": DAY, "cured": False, "t": time(14, 30)}
    written = [
        line(2, operands=values, bucket="notify", level="call", items=({"due": Decimal("12.50")},)),
        line(1, operands=values | {"ratio": Absence.EMPTY}, bucket="indeterminate"),
    ]
    clear = tmp_path / "clear.parquet"
    read(write(tmp_path, written, operands, [("due", Type.MONEY)])).write_clear(clear)
    assert clear.stat().st_mode & 0o777 == 0o600
    found = duckdb.sql(
        "SELECT subject, bucket, op_ratio, op_status, op_since, op_cured, op_t, absent, items "
        f"FROM '{clear}' ORDER BY subject"
    ).fetchall()
    assert found == [
        (1, "indeterminate", None, "normal", DAY, False, time(14, 30), '{"ratio":"empty"}', None),
        (2, "notify", Decimal("1.3"), "normal", DAY, False, time(14, 30), None, '[{"due":"12.5"}]'),
    ]
    with pytest.raises(FileExistsError):
        read(SheetFile(tmp_path / "1-margin.sheet", _sha(clear), 2, KEY.id)).write_clear(clear)


def _sha(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_sheets_place_names_month_run_and_rule(tmp_path: Path) -> None:
    assert sheet_path(tmp_path, "2024-02", 7, "ipo/payment") == tmp_path / "sheets/2024-02/7-ipo.payment.sheet"


def test_what_stands_more_than_once_is_told_by_occurrence_and_the_operands_named(tmp_path: Path) -> None:
    fund = [("fund", Type.CODE), ("share", Type.MONEY)]
    held = [
        line(1, operands={"fund": "A", "share": Decimal(1)}),
        line(1, operands={"fund": "A", "share": Decimal(2)}),
        line(1, operands={"fund": "B", "share": Decimal(1)}),
        line(2, operands={"fund": "A", "share": Decimal(1)}, occurrence="x"),
        line(2, operands={"fund": "A", "share": Decimal(1)}, occurrence="y"),
    ]
    reader = read(write(tmp_path, held, fund))
    assert reader.repeated(["fund"]) == [(1, 2)]
    assert reader.repeated([]) == [(1, 3)]
    assert reader.repeated(["fund", "share"]) == []


def test_fixed_columns_come_group_by_group_for_every_line(tmp_path: Path) -> None:
    reader = read(write(tmp_path, [line(n % 7 + 1, rows=n) for n in range(GROUP_LINES + 5)]))
    groups = list(reader.columns("subject", "rows"))
    assert [len(subjects) for subjects, _ in groups] == [GROUP_LINES, 5]
    assert sum(sum(rows) for _, rows in groups) == sum(range(GROUP_LINES + 5))
