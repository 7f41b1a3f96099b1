"""No phone, name or account of the sample stands in anything that the daemon writes: as UTF-8, GBK, base64 or hex.

Searched are the database file and its write-ahead log, every value of every table, the sheets opened (Parquet as it is, and as
text), log and screen of a demo at DEBUG, configuration, trail, heads, and exports. The carrier's own files, which stand for
the operator's, and the sample back office are not ours.
"""

from __future__ import annotations

import base64
import shutil
import tarfile
from pathlib import Path

import duckdb
import pytest

from tests.acceptance.needles import Form, forms, personal, search
from tests.acceptance.played import WHO, Played
from tests.acceptance.test_rows import RULE_OF, polls_of

FOREIGN = ("carrier.sqlite", "carrier.sqlite-wal", "carrier.sqlite-shm", "carrier.log")
"""Written by the stand-in carrier, a process that stands for the operator's."""


@pytest.fixture(scope="module")
def needles(demo: Played) -> dict[bytes, Form]:
    with demo.counter() as db:
        found = personal(db)
    assert {kind: len(values) > 500 for kind, values in found.items()} == {"phone": True, "name": True, "account": True}
    assert all(phone.startswith("10") for phone in found["phone"])
    return forms(value for values in found.values() for value in values)


def ours(folder: Path) -> list[Path]:
    """Every file of a demo's folder that the daemon writes."""
    files = [
        path for path in folder.rglob("*") if path.is_file() and "backoffice" not in path.relative_to(folder).parts
    ]
    return [path for path in files if path.name not in FOREIGN]


def test_nothing_personal_stands_in_any_file_of_the_daemon(
    demo: Played, needles: dict[bytes, Form], tmp_path: Path
) -> None:
    files = ours(demo.folder)
    names = {path.name for path in files}
    assert {"duenotice.db", "checkpoint", "heads.db", "duenotice.yaml", "keys.json"} <= names
    assert any(path.suffix == ".sheet" for path in files)
    assert search(needles, files, tmp_path) == []


def test_nothing_personal_stands_in_the_write_ahead_log(
    demo: Played, needles: dict[bytes, Form], tmp_path: Path
) -> None:
    logs = sorted(demo.copies.iterdir())
    assert logs, "the demo left no copy of its write-ahead log"
    assert sum(path.stat().st_size for path in logs) > 1_000_000
    assert search(needles, logs, tmp_path) == []


def test_nothing_personal_stands_in_a_value_that_spans_pages(
    demo: Played, needles: dict[bytes, Form], tmp_path: Path
) -> None:
    """A long value lies in pieces in the file; here each is whole."""
    values = tmp_path / "values"
    with demo.store() as db, values.open("wb") as out:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in db.execute(f"SELECT * FROM {table}"):
                out.writelines(v if isinstance(v, bytes) else str(v).encode() for v in row if v is not None)
                out.write(b"\n")
    assert values.stat().st_size > 1_000_000
    assert search(needles, [values], tmp_path) == []


def test_nothing_personal_stands_in_the_log_or_on_the_screen(
    demo: Played, needles: dict[bytes, Form], tmp_path: Path
) -> None:
    assert '"level":"info"' in demo.log.read_text()
    assert "****" in demo.screen.read_text(), "the screen shows a card, its recipient masked"
    assert search(needles, [demo.log, demo.screen], tmp_path) == []


def test_nothing_personal_stands_in_an_opened_sheet(
    changed: Played, needles: dict[bytes, Form], tmp_path: Path
) -> None:
    opened = []
    for poll in polls_of(changed):
        if poll.feed in RULE_OF:
            sheet, text = tmp_path / f"{poll.id}.parquet", tmp_path / f"{poll.id}.csv"
            argv = ("report", "sheet", "--poll", str(poll.id), "--rule", RULE_OF[poll.feed], "--out", str(sheet))
            changed.run(*argv, *WHO)
            duckdb.execute(f"COPY (SELECT * FROM read_parquet('{sheet}')) TO '{text}' (HEADER)")
            opened += [sheet, text]
    assert len(opened) >= 12
    assert search(needles, opened, tmp_path) == []


def test_nothing_personal_stands_in_exports(changed: Played, needles: dict[bytes, Form], tmp_path: Path) -> None:
    whole, packed = tmp_path / "export", tmp_path / "export.tar"
    changed.run("audit", "export", str(whole), *WHO)
    changed.run("audit", "export", str(packed), *WHO)
    listed = tmp_path / "records.json"
    listed.write_text(changed.run("audit", "show", "--limit", "100000", "--json"))
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    files = [path for folder in (whole, tmp_path / "unpacked") for path in folder.rglob("*") if path.is_file()]
    assert search(needles, [*files, packed, listed], tmp_path) == []


@pytest.mark.parametrize("kind", ["phone", "name", "account"])
def test_the_search_finds_what_is_planted(demo: Played, needles: dict[bytes, Form], tmp_path: Path, kind: str) -> None:
    with demo.counter() as db:
        value = min(personal(db)[kind], key=lambda one: (len(one), one))
    database = tmp_path / "copy.db"
    shutil.copy(demo.folder / "state" / "duenotice.db", database)
    places = {}
    with database.open("r+b") as file:
        for at, one in enumerate(planted(value), 100):
            places[file.seek(at * 10_007)] = one
            file.write(b"\0" + one + b"\0")
    found = search(needles, [database], tmp_path)
    for place, one in places.items():
        near = [line for line in found if repr(value) in line and 0 < int(line.split(":")[1]) - place <= 8]
        assert near, (value, one)


def planted(value: str) -> list[bytes]:
    """All forms of a value, each in the middle of something else."""
    found = []
    for coding in ("utf-8", "gb18030"):
        raw = value.encode(coding)
        found += [raw, raw.hex().encode(), raw.hex().upper().encode()]
        found += [encode(bytes(lead) + raw + b"\xff") for lead in range(4) for encode in CODERS]
    return found


CODERS = (base64.b64encode, base64.urlsafe_b64encode)
