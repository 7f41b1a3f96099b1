"""`rules simulate`, `rules diff` and `rules replay` on a small installation that has lived through 2024-02-01."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from python_calamine import CalamineWorkbook

from daemon.cli import main
from daemon.report.diff import digest_of
from daemon.rules.load import load, read_folder
from daemon.store import rulesets
from daemon.store.engine import FILE_NAME
from tests.builders_day import DAY, Place, at, install, live

PAYMENT, MARGIN = "ipo/payment", "margin/maintenance"
WHO = ("--by", "zhang", "--reason", "review")
ATTENTION = ("rules/parameters/margin.yaml", "value: 1.70,", "value: 1.90,")
CARD = ("templates/margin/maintenance.card.yaml", "title: 维持担保比例关注提示", "title: 维持担保比例请关注")
ONE_DAY = ("--days", str(DAY))


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The installation after its day; only read. Its contracts leave the attention line to the firm."""
    place = install(tmp_path_factory.mktemp("day") / "installation", clients=100, days=[DAY])
    with sqlite3.connect(place.folder / "backoffice" / "counter.sqlite") as counter:
        counter.execute("UPDATE margin_contract SET line_attention = NULL")
    live(place, DAY)
    return place


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs a command on an installation, in English."""

    def command(place: Place, *argv: str) -> tuple[int, str]:
        code = main(["--config", str(place.config), "--lang", "en", *argv])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return command


def candidate(place: Place, folder: Path, *changes: tuple[str, str, str]) -> str:
    """The rules of an installation, changed, in a folder of their own."""
    for name in ("rules", "templates"):
        shutil.copytree(place.folder / name, folder / name)
    for name, old, new in changes:
        change(folder, name, old, new)
    return str(folder)


def change(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


def clients_told(place: Place) -> set[str]:
    with sqlite3.connect(place.folder / "backoffice" / "counter.sqlite") as counter:
        return {row[0] for row in counter.execute("SELECT client_id FROM client")}


def test_a_higher_line_adds_clients_and_the_result_is_bound_by_its_digest(
    lived: Place, tmp_path: Path, run: Any
) -> None:
    folder = candidate(lived, tmp_path / "new", ATTENTION)
    before = hashlib.sha256((lived.folder / "state" / FILE_NAME).read_bytes()).hexdigest()
    out = {kind: tmp_path / f"diff.{kind}" for kind in ("json", "xlsx", "html")}
    files = [part for kind, path in out.items() for part in (f"--{kind}", str(path))]
    code, shown = run(lived, "rules", "diff", "--candidate", folder, *ONE_DAY, "--rule", MARGIN, *files)
    assert code == 0, shown
    assert hashlib.sha256((lived.folder / "state" / FILE_NAME).read_bytes()).hexdigest() == before
    found = json.loads(out["json"].read_text())
    assert found["digest"] == digest_of(found)
    assert found["digest"] in shown
    assert found["clients"]["added"]
    assert not found["clients"]["removed"]
    assert [one["path"] for one in found["files"]] == ["rules/parameters/margin.yaml"]
    assert {one["from"] for one in found["used"]["after"]} == {"sheets"}
    assert found["after"]["rule_set"] == load(read_folder(Path(folder))).required().digest
    book = CalamineWorkbook.from_path(str(out["xlsx"]))
    assert book.get_sheet_by_name("report").to_python()[1] == [found["digest"]]
    rows = book.get_sheet_by_name("client by client").to_python()
    added = {row["client"] for row in found["clients"]["added"]}
    assert {int(float(str(row[2]))) for row in rows[1:] if row[0] == "added"} == added
    page = out["html"].read_text()
    assert found["digest"] in page
    assert "尾号****" in page
    everything = shown + out["json"].read_text() + page
    assert not [name for name in clients_told(lived) if name in everything]


def test_a_card_in_other_words_tells_the_same_clients_differently(lived: Place, tmp_path: Path, run: Any) -> None:
    folder = candidate(lived, tmp_path / "new", CARD)
    code, shown = run(lived, "rules", "diff", "--candidate", folder, *ONE_DAY, "--rule", MARGIN, "--json", "-")
    assert code == 0
    found = json.loads(shown)
    assert not found["clients"]["added"] + found["clients"]["removed"]
    assert found["clients"]["differently"]
    assert all(row["words_only"] for row in found["clients"]["differently"])
    titles = {(one["before"]["title"], one["after"]["title"]) for one in found["samples"]}
    assert titles == {("维持担保比例关注提示", "维持担保比例请关注")}


@pytest.mark.slow
def test_the_same_set_of_all_rules_makes_no_difference(lived: Place, tmp_path: Path, run: Any) -> None:
    folder = candidate(lived, tmp_path / "new")
    code, shown = run(lived, "rules", "diff", "--candidate", folder, *ONE_DAY, "--json", "-")
    found = json.loads(shown)
    assert code == 0
    assert not any(found["clients"].values())
    assert found["before"] == found["after"]
    assert {one["rule"] for one in found["counts"]} >= {PAYMENT, MARGIN}


def test_what_no_sheet_holds_is_read_from_the_sources_and_it_says_why(lived: Place, tmp_path: Path, run: Any) -> None:
    also = (
        "rules/margin/maintenance.yaml",
        "no_debt: debts == 0",
        "no_debt: debts == 0\n  richer: cash_asset > 1000000000000",
    )
    folder = candidate(lived, tmp_path / "new", also)
    out = tmp_path / "simulated.json"
    code, shown = run(lived, "rules", "simulate", "--candidate", folder, *ONE_DAY, "--rule", MARGIN, "--out", str(out))
    assert code == 0, shown
    found = json.loads(out.read_text())
    assert found["digest"] == digest_of(found)
    assert {one["from"] for one in found["used"]} == {"sources"}
    assert {one["why"] for one in found["used"]} == {
        "the sheets do not hold cash_asset, which margin/maintenance reads"
    }
    assert sum(one["notify"] for one in found["counts"]) > 0


@pytest.mark.slow
def test_sheets_and_sources_decide_alike(lived: Place, tmp_path: Path, run: Any) -> None:
    """Every rule of the day, stages with conditions and all: what the sheets say is what the sources say."""
    folder = candidate(lived, tmp_path / "new", ATTENTION)
    bare = lived.copy(tmp_path / "bare")
    shutil.rmtree(bare.folder / "state" / "sheets")
    told = []
    for place in (lived, bare):
        out = place.folder / "simulated.json"
        code, shown = run(place, "rules", "simulate", "--candidate", folder, *ONE_DAY, "--out", str(out))
        assert code == 0, shown
        found = json.loads(out.read_text())
        names = ("rule", "client", "occurrence", "stage", "day", "told_at", "deadline")
        told.append(({tuple(n[k] for k in names) for n in found["notices"]}, found["buckets"]))
        out.unlink()
    assert told[0] == told[1]
    assert {one[0] for one in told[0][0]} >= {PAYMENT, MARGIN}


def test_names_are_shown_to_a_named_person_alone_who_is_recorded(lived: Place, tmp_path: Path, run: Any) -> None:
    place = lived.copy(tmp_path / "copy")
    folder = candidate(lived, tmp_path / "new", ATTENTION)
    argv = ("rules", "diff", "--candidate", folder, *ONE_DAY, "--rule", MARGIN)
    for wrong in (("--reveal",), WHO):
        assert run(place, *argv, *wrong)[0] == 2
    code, shown = run(place, *argv, "--reveal", *WHO)
    assert code == 0
    assert [name for name in clients_told(place) if name in shown]
    records = json.loads(run(place, "audit", "show", "--kind", "access", "--json")[1])
    assert "zhang" in json.dumps(records)
    assert "rules diff" in json.dumps(records)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--days", "2024-02-02..2024-02-01"), "days in order"),
        (("--days", str(DAY), "--rule", "margin/nothing"), "in none of the rule sets"),
        (("--days", str(DAY), "--against", "0123456789"), "found 0 kept rule sets"),
        (("--days", "yesterday"), "expected a date"),
    ],
)
def test_wrong_use_is_said(lived: Place, run: Any, argv: tuple[str, ...], said: str) -> None:
    code, shown = run(lived, "rules", "diff", "--candidate", str(lived.folder), *argv)
    assert code == 2
    assert said in shown


def test_a_result_replaces_no_file(lived: Place, tmp_path: Path, run: Any) -> None:
    out = tmp_path / "there.json"
    out.write_text("kept")
    code, _ = run(lived, "rules", "simulate", "--candidate", str(lived.folder), *ONE_DAY, "--out", str(out))
    assert (code, out.read_text()) == (2, "kept")


def activate(place: Place) -> None:
    """Make the folder's rules the active set."""
    made = load(read_folder(place.folder)).required()
    store = place.store()
    try:
        with store.write() as tx:
            rulesets.keep(tx, made.digest, made.files, now=at(DAY, "23:30"))
            assert rulesets.activate(tx, made.digest, actor="person:test", now=at(DAY, "23:30"))
    finally:
        store.close()


def test_two_later_versions_change_no_line_of_a_replay(lived: Place, tmp_path: Path, run: Any) -> None:
    place = lived.copy(tmp_path / "copy")
    earlier = json.loads(run(place, "rules", "replay", "--day", str(DAY), "--json")[1])
    change(place.folder, *ATTENTION)
    activate(place)
    change(place.folder, "rules/margin/maintenance.yaml", "when: ratio < line_warning", "when: ratio <= line_warning")
    change(place.folder, *CARD)
    activate(place)
    code, shown = run(place, "rules", "replay", "--day", str(DAY), "--json")
    later = json.loads(shown)
    assert code == 0
    assert later == earlier
    assert not later["differences"]
    lines = {rule["rule"]: rule["lines"] for rule in later["rules"]}
    assert min(lines[PAYMENT], lines[MARGIN]) > 0


def opened(place: Place, folder: Path, run: Any) -> Path:
    """A clear copy of the last day-end sheet of the margin rule."""
    store = place.store()
    try:
        from daemon.report import queries

        with store.read() as tx:
            poll = [one for one in queries.polls_of(tx, DAY) if one.feed == "margin_day_end"][-1]
    finally:
        store.close()
    out = folder / "opened.parquet"
    code, shown = run(place, "report", "sheet", "--poll", str(poll.id), "--rule", MARGIN, "--out", str(out), *WHO)
    assert code == 0, shown
    return out


def altered(path: Path, column: str, value: object, where: Callable[[dict[str, Any]], bool]) -> str:
    """Alter one operand of the first line that fits; its subject."""
    table = pq.read_table(path)
    lines = table.to_pylist()
    at_ = next(i for i, line in enumerate(lines) if where(line))
    lines[at_][column] = value
    pq.write_table(pa.Table.from_pylist(lines, schema=table.schema), path)
    return str(lines[at_]["subject"])


def test_an_opened_sheet_as_it_was_is_decided_again(lived: Place, tmp_path: Path, run: Any) -> None:
    place = lived.copy(tmp_path / "copy")
    code, shown = run(place, "rules", "replay", "--sheet", str(opened(place, tmp_path, run)))
    assert code == 0, shown
    assert "all identical" in shown


def test_an_operand_changed_in_an_opened_sheet_is_found_by_hash_and_where_it_decides_by_replay(
    lived: Place, tmp_path: Path, run: Any
) -> None:
    place = lived.copy(tmp_path / "copy")
    copy = opened(place, tmp_path, run)
    ratio = pq.read_schema(copy).field("op_counter_ratio").type
    value = pa.scalar("9.000000").cast(ratio).as_py() if pa.types.is_decimal(ratio) else "9"
    subject = altered(copy, "op_counter_ratio", value, lambda line: line["bucket"] == "notify")
    code, shown = run(place, "rules", "replay", "--sheet", str(copy))
    assert code == 1
    assert "expected SHA-256" in shown
    assert f"subject {subject}: bucket: recorded notify, found no_match" in shown


def test_an_operand_that_decides_nothing_there_is_found_by_its_hash(lived: Place, tmp_path: Path, run: Any) -> None:
    place = lived.copy(tmp_path / "copy")
    copy = opened(place, tmp_path, run)
    altered(copy, "op_topup_from", "notice_date", lambda line: line["bucket"] == "no_match" and line["op_topup_from"])
    code, shown = run(place, "rules", "replay", "--sheet", str(copy))
    assert code == 1
    assert "expected SHA-256" in shown
    assert "subject" not in shown


def test_what_is_no_sheet_is_said(lived: Place, tmp_path: Path, run: Any) -> None:
    place = tmp_path / "other.parquet"
    place.write_bytes(b"not a sheet")
    code, shown = run(lived, "rules", "replay", "--sheet", str(place))
    assert code == 1
    assert "expected an opened copy of a sheet" in shown
    assert run(lived, "rules", "replay", "--sheet", str(tmp_path / "none"))[0] == 2


@pytest.mark.parametrize("harm", ["gone", "cut"])
def test_a_sheet_that_cannot_be_read_is_a_finding(lived: Place, tmp_path: Path, run: Any, harm: str) -> None:
    place = lived.copy(tmp_path / "copy")
    sheet = sorted((place.folder / "state" / "sheets").rglob("*margin*.sheet"))[0]
    if harm == "gone":
        sheet.unlink()
    else:
        sheet.write_bytes(sheet.read_bytes()[:-1])
    code, shown = run(place, "rules", "replay", "--day", str(DAY))
    assert code == 1
    assert sheet.name in shown
    assert "1 different" in shown


def test_a_day_that_cannot_be_decided_is_a_finding_that_says_why(lived: Place, tmp_path: Path, run: Any) -> None:
    place = lived.copy(tmp_path / "copy")
    shutil.rmtree(place.folder / "state" / "sheets")
    sources = place.folder / "config" / "sources.yaml"
    sources.write_text("".join(line for line in sources.read_text().splitlines(True) if "clearing" not in line))
    argv = ("--candidate", str(place.folder), *ONE_DAY, "--rule", PAYMENT)
    code, shown = run(place, "rules", "simulate", *argv)
    assert code == 1
    assert "NOTHING" in shown
    assert "source clearing is not configured" in shown
    assert "FileNotFoundError" in shown
