"""The commands on a small installation that has lived through 2024-02-01: real issues, real closes, synthetic clients."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from python_calamine import CalamineWorkbook
from sqlalchemy import text

from daemon.app_parts import worlds_of
from daemon.cli import main
from daemon.report import queries
from daemon.report.funnel import funnel
from daemon.report.replay import open_sheet, replay
from daemon.store import gates_rows, pages, readings, worklist
from daemon.store.month_keys import key_by_id
from daemon.store.sheets import SheetWriter
from tests.builders_day import DAY, ROOT, Place, at, install, live

CLIENTS = 120
WHO = ("--by", "zhang", "--reason", "test")
PAYMENT, MARGIN = "ipo/payment", "margin/maintenance"


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The installation after its day; only read."""
    place = install(tmp_path_factory.mktemp("day") / "installation", clients=CLIENTS, days=[DAY])
    live(place, DAY)
    return place


@pytest.fixture
def changed(lived: Place, tmp_path: Path) -> Place:
    """A copy that a test may change."""
    return lived.copy(tmp_path / "installation")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs a command on an installation, in English."""

    def command(place: Place, *argv: str) -> tuple[int, str]:
        code = main(["--config", str(place.config), "--lang", "en", *argv])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return command


@pytest.fixture
def found(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """What a command lists, as JSON."""

    def command(place: Place, *argv: str) -> Any:
        main(["--config", str(place.config), *argv, "--json"])
        return json.loads(capsys.readouterr().out)

    return command


def _counter(place: Place, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(place.folder / "backoffice" / "counter.sqlite") as counter:
        return counter.execute(query).fetchall()


def _winner(place: Place) -> str:
    return str(_counter(place, "SELECT client_id FROM sh_allotment ORDER BY client_id LIMIT 1")[0][0])


def test_status_shows_the_day(lived: Place, found: Any, run: Any) -> None:
    shown = found(lived, "status", "--day", str(DAY))
    assert shown["rules"]["mode"] == "unsigned"
    assert {poll["state"] for poll in shown["polls"]} == {"ran"}
    by_rule = {one["rule"]: one for one in shown["funnel"]}
    assert by_rule[PAYMENT]["notify"] > 0
    assert by_rule[PAYMENT]["notices"] == sum(by_rule[PAYMENT]["outcomes"].values())
    code, out = run(lived, "status", "--day", str(DAY))
    assert code == 0
    assert "DEVELOPMENT MODE" in out
    assert PAYMENT in out


def test_status_without_a_day_takes_the_newest(lived: Place, found: Any) -> None:
    assert found(lived, "status")["day"] == str(DAY)


def test_the_funnel_is_reconciled_poll_by_poll(lived: Place) -> None:
    store = lived.store()
    try:
        counted = funnel(store, DAY)
    finally:
        store.close()
    assert {one.family for one in counted} == {"fund", "ipo", "margin"}
    for one in counted:
        assert one.polls
        assert all(poll.reconciled for poll in one.polls)
        assert one.facts == sum(one.buckets.values())


def test_a_day_is_decided_again_as_it_was(lived: Place, run: Any, found: Any) -> None:
    code, out = run(lived, "rules", "replay", "--day", str(DAY))
    assert code == 0
    assert "all identical" in out
    result = found(lived, "rules", "replay", "--day", str(DAY))
    lines = {rule["rule"]: rule["lines"] for rule in result["rules"]}
    assert min(lines[name] for name in ("fund/open_window", PAYMENT, MARGIN)) > 0
    assert sum(rule["notices"] for rule in result["rules"]) > 0
    assert sum(rule["asks"] for rule in result["rules"]) > 0


def test_a_day_without_polls_has_nothing_to_replay(lived: Place, run: Any) -> None:
    code, out = run(lived, "rules", "replay", "--day", "2024-02-02")
    assert (code, "nothing was decided" in out) == (0, True)


def test_a_line_that_says_otherwise_is_a_difference(changed: Place, run: Any) -> None:
    _forge_a_line(changed)
    code, out = run(changed, "rules", "replay", "--day", str(DAY))
    assert code == 1
    assert "bucket: recorded suppressed, found notify" in out


def _forge_a_line(place: Place) -> None:
    """Replace a sheet of the payment rule by one of which the first notify line says suppressed, hash and all."""
    store = place.store()
    try:
        with store.read() as tx:
            run, sheet = next(pair for pair in queries.runs_with_sheets(tx, DAY) if pair[1]["rule"] == PAYMENT)
            key = key_by_id(tx, bytes(sheet["key"]))
        reader = open_sheet(store, sheet)
        assert reader is not None
        lines = list(reader.lines())
        first = next(i for i, line in enumerate(lines) if line.bucket == "notify")
        lines[first] = replace(lines[first], bucket="suppressed", reason="gate:silence")
        path = store.folder / "sheets" / "forged.sheet"
        writer = SheetWriter(path, reader.operands, reader.items, key=key, of=reader.of)
        for line in lines:
            writer.add(line)
        made = writer.finish()
        with store.write() as tx:
            where = {"path": "sheets/forged.sheet", "sha256": made.sha256, "run": run["id"], "rule": PAYMENT}
            tx.execute(
                text("UPDATE sheets SET path = :path, sha256 = :sha256 WHERE run = :run AND rule = :rule"), where
            )
    finally:
        store.close()


def test_terms_that_a_notice_does_not_keep_are_a_difference(changed: Place) -> None:
    store = changed.store()
    try:
        with store.write() as tx:
            tx.execute(
                text("UPDATE notices SET terms = :terms WHERE rule = :rule"), {"terms": "0" * 64, "rule": PAYMENT}
            )
        result = replay(store, worlds_of(store, {}), DAY)
    finally:
        store.close()
    assert result.of(PAYMENT).different == result.of(PAYMENT).notices
    assert {difference.name for difference in result.differences} == {"terms"}
    assert result.of(MARGIN).different == 0


def test_later_rule_sets_change_no_replay(changed: Place, run: Any) -> None:
    parameters = changed.folder / "rules" / "parameters" / "margin.yaml"
    parameters.write_text(parameters.read_text().replace("value: 1.70", "value: 1.71"))
    store = changed.store()
    try:
        from daemon.rules.load import load, read_folder
        from daemon.store import rulesets

        made = load(read_folder(changed.folder))
        assert made.ruleset is not None, made.findings
        with store.write() as tx:
            rulesets.keep(tx, made.ruleset.digest, made.ruleset.files, now=at(DAY, "23:30"))
            rulesets.activate(tx, made.ruleset.digest, actor="person:test", now=at(DAY, "23:30"))
    finally:
        store.close()
    code, out = run(changed, "rules", "replay", "--day", str(DAY))
    assert code == 0, out


def test_a_client_told_is_explained_from_input_to_receipt(lived: Place, found: Any, run: Any) -> None:
    client = _winner(lived)
    shown = found(lived, "rules", "explain", "--client", client, "--day", str(DAY), "--rule", PAYMENT)
    assert shown["told"] is True
    first = shown["lines"][0]
    assert first["bucket"] == "notify"
    assert first["as_recorded"] is True
    assert first["cause"]["key"] == "when"
    assert first["operands"]["total_due"]
    assert [gate["gate"] for gate in first["gates"]][:2] == ["stopped", "source"]
    assert "payment_cutoff" in {p["name"] for p in first["parameters"]}
    assert [(one["rule"], one["code"], one["told"]) for one in shown["headlines"]] == [(PAYMENT, "told", True)]
    assert all(p["reference"] for p in first["parameters"])
    morning = next(notice for notice in shown["notices"] if notice["stage"] == "morning")
    sent = [message for message in morning["messages"] if message["attempts"]]
    assert sent
    assert all(attempt["verdict"] for message in sent for attempt in message["attempts"])
    code, out = run(lived, "rules", "explain", "--client", client, "--day", str(DAY))
    assert code == 0
    assert client in out
    assert "as recorded" in out
    assert "NOT as recorded" not in out


def test_a_contract_not_told_is_explained_by_its_first_condition(lived: Place, found: Any) -> None:
    query = """SELECT credit_account FROM margin_assets WHERE basis = 'day_end'
               AND CAST(per_assurescale_value AS REAL) > 300 ORDER BY credit_account LIMIT 1"""
    contract = str(_counter(lived, query)[0][0])
    shown = found(lived, "rules", "explain", "--client", contract, "--day", str(DAY), "--rule", MARGIN)
    assert shown["told"] is False
    assert {line["bucket"] for line in shown["lines"]} == {"no_match"}
    assert {line["cause"]["key"] for line in shown["lines"]} == {"levels.attention.when"}
    assert all(line["cause"]["trace"]["value"] is False for line in shown["lines"])


def test_a_client_without_a_line_is_shown_the_polls_that_saw_none(lived: Place, found: Any, run: Any) -> None:
    clients = [
        str(row[0]) for row in _counter(lived, "SELECT DISTINCT client_id FROM contact ORDER BY client_id LIMIT 40")
    ]
    argv = ("rules", "explain", "--day", str(DAY), "--rule", PAYMENT, "--client")
    client = next(one for one in clients if not found(lived, *argv, one)["lines"])
    shown = found(lived, *argv, client)
    assert isinstance(shown["client"], int)
    assert shown["told"] is False
    absences = [one for one in shown["absences"] if one["rule"] == PAYMENT]
    assert {one["why"] for one in absences} == {"no_line"}
    assert len({one["due"] for one in absences}) == len(absences) > 1
    code, out = run(lived, *argv, client)
    assert code == 0
    assert "no line of this client" in out
    assert f"{PAYMENT}  not told because not in the population" in out


def test_who_asked_about_a_client_is_recorded_before_it_is_shown(changed: Place, run: Any, found: Any) -> None:
    client = _winner(changed)
    assert run(changed, "rules", "explain", "--client", client, "--day", str(DAY), *WHO)[0] == 0
    newest = found(changed, "audit", "show", "--kind", "access", "--limit", "1")[0]
    assert (newest["actor"], newest["data"]["by"], newest["data"]["reason"]) == ("person:zhang", "zhang", "test")
    assert newest["client"] is not None
    assert client not in json.dumps(newest)


def test_a_day_is_proved_on_the_screen_as_a_workbook_and_as_a_page(
    changed: Place, run: Any, found: Any, tmp_path: Path
) -> None:
    argv = ("report", "completeness", "--day", str(DAY))
    code, out = run(changed, *argv)
    assert (code, "complete: every client in one bucket" in out) == (0, True)
    shown = found(changed, *argv, "--clients")
    assert shown["good"] is True
    for one in shown["populations"]:
        assert sum(one["buckets"].values()) == one["clients"] == len(one["bucket_of"])
    assert all(one["why"] == "" for one in shown["reconciled"])
    book, page = tmp_path / "proof.xlsx", tmp_path / "proof.html"
    assert run(changed, *argv, "--xlsx", str(book), "--html", str(page), "--clients")[0] == 0
    listed = CalamineWorkbook.from_path(book).get_sheet_by_name("all clients").to_python()
    assert len(listed) == 1 + sum(one["clients"] for one in shown["populations"])
    assert shown["head"]["root"] in page.read_text()
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert run(changed, *argv, "--html", str(page))[0] == 2


LOOKS = (
    ("status",),
    ("report", "completeness", "--day", str(DAY)),
    ("rules", "replay", "--day", str(DAY)),
    ("audit", "show"),
)


@pytest.mark.parametrize("argv", LOOKS)
def test_a_damaged_database_is_one_sentence_and_74(changed: Place, run: Any, argv: tuple[str, ...]) -> None:
    with sqlite3.connect(changed.folder / "state" / "duenotice.db") as db:
        for table in ("tasks", "runs", "records"):
            db.execute(f"DROP TABLE {table}")
    db.close()
    code, out = run(changed, *argv)
    assert code == 74
    assert "no such table" in out
    assert len(out.strip().splitlines()) == 1


@pytest.mark.parametrize("argv", LOOKS)
def test_a_folder_that_may_not_be_written_can_be_looked_at(changed: Place, run: Any, argv: tuple[str, ...]) -> None:
    state = changed.folder / "state"
    state.chmod(0o500)
    try:
        if os.access(state, os.W_OK):
            pytest.skip("this account may write everywhere")
        assert run(changed, *argv)[0] == 0
        client = _winner(changed)
        code, out = run(changed, "rules", "explain", "--client", client, "--day", str(DAY))
        assert (code, "must be recorded" in out) == (74, True)
    finally:
        state.chmod(0o700)


def test_a_row_taken_away_makes_the_proof_name_it(changed: Place, run: Any) -> None:
    with sqlite3.connect(changed.folder / "state" / "duenotice.db") as db:
        (id,) = db.execute("SELECT id FROM notices WHERE business_date = ? LIMIT 1", (str(DAY),)).fetchone()
        db.execute("DELETE FROM notices WHERE id = ?", (id,))
    db.close()
    code, out = run(changed, "report", "completeness", "--day", str(DAY))
    assert code == 1
    assert id in out
    assert "NOT complete" in out


def test_a_key_never_seen_is_said_to_be_unknown(lived: Place, run: Any) -> None:
    code, out = run(lived, "rules", "explain", "--client", "nobody", "--day", str(DAY))
    assert code == 1
    assert "no client or contract" in out


def test_nothing_personal_is_printed_but_what_the_caller_typed(lived: Place, run: Any) -> None:
    client = _winner(lived)
    name, mobile = _counter(lived, f"SELECT client_name, mobile FROM client WHERE client_id = '{client}'")[0]
    addresses = [a for (a,) in _counter(lived, f"SELECT address FROM contact WHERE client_id = '{client}'")]
    accounts = [a for (a,) in _counter(lived, f"SELECT stock_account FROM stock_account WHERE client_id = '{client}'")]
    _, out = run(lived, "rules", "explain", "--client", client, "--day", str(DAY), "--full")
    out += run(lived, "notices", "list")[1] + run(lived, "audit", "show")[1] + run(lived, "worklist", "list")[1]
    for personal in (name, mobile, *addresses, *accounts):
        assert str(personal) not in out


def test_notices_are_listed_and_shown(lived: Place, found: Any, run: Any) -> None:
    listed = found(lived, "notices", "list", "--day", str(DAY), "--rule", PAYMENT, "--state", "told")
    assert listed
    assert all(one["told_at"] for one in listed)
    code, out = run(lived, "notices", "show", listed[0]["id"][:12])
    assert code == 0
    assert listed[0]["id"][:16] in out
    assert run(lived, "notices", "show", "ffffffffffff")[0] == 2
    assert run(lived, "notices", "show", "")[0] == 2


def test_a_sheet_in_clear_is_read_by_other_tools_and_leaves_a_record(
    changed: Place, found: Any, run: Any, tmp_path: Path
) -> None:
    store = changed.store()
    try:
        with store.read() as tx:
            run_row, sheet = next(pair for pair in queries.runs_with_sheets(tx, DAY) if pair[1]["rule"] == PAYMENT)
            counts = readings.counts_of(tx, run_row["id"])[PAYMENT]
    finally:
        store.close()
    out = tmp_path / "sheet.parquet"
    argv = ("report", "sheet", "--poll", str(run_row["poll"]), "--rule", PAYMENT, "--out", str(out), *WHO)
    code, said = run(changed, *argv)
    assert code == 0
    assert sheet["sha256"] in said
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    rows = duckdb.sql(f"SELECT bucket, reason, count(*) FROM '{out}' GROUP BY ALL").fetchall()
    assert {(bucket, reason): n for bucket, reason, n in rows} == counts
    record = found(changed, "audit", "show", "--kind", "access")[0]
    assert record["actor"] == "person:zhang"
    assert record["data"]["count"] == sheet["lines"]
    assert run(changed, *argv)[0] == 2  # nothing is replaced
    assert (
        run(changed, "report", "sheet", "--poll", "99", "--rule", PAYMENT, "--out", str(tmp_path / "x"), *WHO)[0] == 2
    )


def test_the_live_trail_verifies_and_a_flipped_byte_is_named(changed: Place, run: Any, found: Any) -> None:
    code, out = run(changed, "audit", "verify")
    assert code == 0
    assert "completeness not proven" in out
    head = changed.folder / "seen"
    shutil.copy(changed.folder / "trail" / "checkpoint", head)
    assert found(changed, "audit", "verify", "--seen", str(head))["verdict"] == "complete"
    entries = next(
        path for path in sorted((changed.folder / "trail" / "tile" / "entries").rglob("*")) if path.is_file()
    )
    raw = bytearray(entries.read_bytes())
    raw[100] ^= 1
    entries.write_bytes(raw)
    report = found(changed, "audit", "verify")
    assert report["first_bad"] == 0
    assert run(changed, "audit", "verify")[0] == 1


def test_a_changed_sheet_is_found(changed: Place, run: Any) -> None:
    sheet = next((changed.folder / "state" / "sheets").rglob("*.sheet"))
    raw = bytearray(sheet.read_bytes())
    raw[-1] ^= 1
    sheet.write_bytes(raw)
    code, out = run(changed, "audit", "verify")
    assert code == 1
    assert "sheets" in out


@pytest.mark.parametrize("name", ["export", "export.tar"])
def test_an_export_stands_alone(changed: Place, run: Any, found: Any, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    code, said = run(changed, "audit", "export", str(out), *WHO)
    assert code == 0
    if name.endswith(".tar"):
        shutil.unpack_archive(out, tmp_path)
        out = tmp_path / "export"
    key = tmp_path / "key"
    key.write_text(next(line.strip() for line in said.splitlines() if "+" in line) + "\n")
    assert run(changed, "audit", "verify", str(out), "--key", str(key))[0] == 0
    assert run(changed, "audit", "verify", str(out))[0] == 2
    sums = subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=out, capture_output=True, check=False)
    assert sums.returncode == 0, sums.stderr
    assert found(changed, "audit", "show", "--kind", "export")[0]["data"]["what"] == "trail"
    assert run(changed, "audit", "export", str(out), *WHO)[0] == 2


def test_a_hold_is_released_with_the_counts_that_it_names(changed: Place, run: Any, found: Any) -> None:
    store = changed.store()
    try:
        with store.write() as tx:
            counts = {"notify": 1600, "vanished": 2}
            record = found(changed, "audit", "show", "--kind", "poll", "--limit", "1")[0]["id"]
            hold, _ = gates_rows.open_hold(
                tx, "allotments", PAYMENT, reason="too many", counts=counts, now=at(DAY, "07:30"), record=record
            )
    finally:
        store.close()
    code, out = run(changed, "status", "--day", str(DAY))
    assert code == 1
    assert "too many" in out
    assert run(changed, "notices", "release", "--hold", str(hold.id), *WHO)[0] == 2
    assert run(changed, "notices", "release", "--hold", str(hold.id), "--allow", "notify=1600", *WHO)[0] == 0
    assert run(changed, "notices", "release", "--hold", str(hold.id), "--allow", "seen", *WHO)[0] == 2
    store = changed.store()
    try:
        with store.read() as tx:
            newest = gates_rows.newest_hold(tx, "allotments", PAYMENT)
    finally:
        store.close()
    assert newest is not None
    assert (newest.open, newest.allowed, newest.gone) == (False, {"notify": 1600, "vanished": 0}, False)
    assert run(changed, "status", "--day", str(DAY))[0] == 0


def test_a_held_correction_is_released(changed: Place, run: Any, found: Any) -> None:
    open_ones = found(changed, "notices", "list", "--state", "open")
    chosen = open_ones[0]["id"]
    assert run(changed, "notices", "release", "--notice", chosen, *WHO)[0] == 2
    store = changed.store()
    try:
        with store.write() as tx:
            tx.execute(text("UPDATE notices SET held = 1 WHERE id = :id"), {"id": chosen})
    finally:
        store.close()
    assert [one["id"] for one in found(changed, "notices", "list", "--state", "held")] == [chosen]
    assert run(changed, "notices", "release", "--notice", chosen, *WHO)[0] == 0
    assert found(changed, "notices", "list", "--state", "held") == []
    assert found(changed, "audit", "show", "--kind", "release")[0]["actor"] == "person:zhang"


def test_releasing_a_client_who_is_not_held_does_nothing(changed: Place, run: Any) -> None:
    argv = ("notices", "release", "--client", _winner(changed), *WHO)
    assert run(changed, *argv)[0] == 2
    code, out = run(changed, *argv, "--rule", PAYMENT, "--day", str(DAY))
    assert (code, "nothing of this client is held" in out) == (1, True)


def test_the_worklist_is_listed_nearest_deadline_first(lived: Place, found: Any) -> None:
    tasks = found(lived, "worklist", "list")
    deadlines = [task["deadline"] for task in tasks if task["deadline"]]
    assert deadlines == sorted(deadlines)
    assert all(task["closed_at"] is None for task in tasks)


def test_a_task_is_taken_by_one_person_who_sees_whom_to_call_and_is_closed_once(
    changed: Place, run: Any, found: Any
) -> None:
    with closing(changed.store()) as store, store.write() as tx:
        row = queries.notices_of(tx, day=None, rule=PAYMENT, state="told", limit=1)[0]
        worklist.open_task(
            tx, "call", "no receipt", now=at(DAY, "09:00"), rule=PAYMENT, notice=row["id"], subject=row["subject"]
        )
    (task,) = [task for task in found(changed, "worklist", "list") if task["key"] == "call"]
    number = str(task["id"])
    shown = found(changed, "worklist", "take", number, *WHO)
    (phone,) = {contact["address"] for contact in shown["contacts"]}
    assert re.fullmatch(r"1\d{10}", phone) and "【示例证券】" in shown["text"]
    assert found(changed, "audit", "show", "--kind", "access")[0]["data"]["fields"] == ["contacts", "text"]
    other = ("--by", "li", "--reason", "test")
    assert run(changed, "worklist", "take", number, *other)[0] == 2
    close = ("worklist", "close", number, "--result", "reached", "--recording", "ab" * 32)
    assert run(changed, *close, *other)[0] == 2
    assert run(changed, *close, *WHO)[0] == 0
    assert run(changed, *close, *WHO)[0] == 2
    record = found(changed, "audit", "show", "--kind", "task")[0]
    assert record["data"] | {"reason": "test"} == {
        "task": "call", "change": "closed", "by": "zhang", "result": "reached", "recording": "ab" * 32, "reason": "test",
    }  # fmt: skip


def test_check_finds_nothing_wrong_and_then_each_thing(changed: Place, run: Any, found: Any) -> None:
    assert run(changed, "check") == (0, "nothing is wrong\n")
    (changed.folder / "state").chmod(0o755)
    (changed.folder / "keys.json").chmod(0o644)
    (changed.folder / "rules" / "links.yaml").chmod(0o666)
    channels = changed.folder / "config" / "channels.yaml"
    channels.write_text(channels.read_text().replace("sms: [trial]", "text: [trial]"))
    sources = changed.folder / "config" / "sources.yaml"
    sources.write_text(sources.read_text().replace("clearing:", "cleering:"))
    findings = found(changed, "check")
    assert {(finding["key"], Path(finding["path"]).name) for finding in findings} >= {
        ("mode", "state"),
        ("keys.file", "duenotice.yaml"),
        ("mode", "links.yaml"),
        ("channels", "payment.yaml"),
    }
    assert any("did you mean 'cleering'?" in finding["hint"] for finding in findings)
    assert run(changed, "check")[0] == 1


def test_check_reports_mistakes_in_rules_and_configuration_with_their_places(changed: Place, run: Any) -> None:
    rule = changed.folder / "rules" / "ipo" / "payment.yaml"
    rule.write_text(rule.read_text().replace("when: total_due > 0", "when: totel_due > 0"))
    code, out = run(changed, "check")
    assert code == 1
    assert "rules/ipo/payment.yaml:" in out
    assert "totel_due" in out
    changed.config.write_text(changed.config.read_text().replace("node: n1", "nod: n1"))
    code, out = run(changed, "check")
    assert code == 1
    assert "duenotice.yaml:1:1" in out


def test_check_reaches_the_sources_when_asked(changed: Place, run: Any) -> None:
    (changed.folder / "backoffice" / "counter.sqlite").unlink()
    assert run(changed, "check")[0] == 0
    code, out = run(changed, "check", "--sources")
    assert code == 1
    assert "feeds." in out


def test_failing_cases_are_printed_with_found_and_expected(changed: Place, run: Any) -> None:
    cases = changed.folder / "rules" / "margin" / "maintenance.cases.yaml"
    cases.write_text(cases.read_text().replace("to_add: 18518.51", "to_add: 18518.52"))
    code, out = run(changed, "rules", "test")
    assert code == 1
    assert "to_add: found 18518.51, expected 18518.52" in out
    assert run(changed, "rules", "test", "--rule", PAYMENT)[0] == 0
    assert run(changed, "rules", "test", "--rule", "ipo/paymant")[0] == 2
    assert run(changed, "check")[0] == 1


def test_every_wording_of_every_card_can_be_previewed(lived: Place, run: Any, tmp_path: Path) -> None:
    from daemon.rules.load import load, read_folder

    cards = load(read_folder(lived.folder)).required().cards
    for name, card in cards.items():
        for variant in card.variants:
            code, out = run(lived, "cards", "preview", name, "--variant", variant.name)
            assert code == 0, (name, variant.name)
            assert f"{name} · {variant.name}" in out
    page = tmp_path / "card.html"
    assert run(lived, "cards", "preview", PAYMENT, "--out", str(page))[0] == 0
    assert "<html" in page.read_text()
    assert run(lived, "cards", "preview", "ipo/paymant")[0] == 2
    assert run(lived, "cards", "preview", PAYMENT, "--variant", "loud")[0] == 2


def test_init_makes_an_installation_that_checks_clean_and_replaces_nothing(tmp_path: Path, run: Any) -> None:
    target = tmp_path / "firm"
    code = main(["--lang", "zh", "init", str(target)])
    assert code == 0
    made = Place(target)
    assert stat.S_IMODE((target / "config" / "keys.json").stat().st_mode) == 0o600
    assert not (target / "config" / "sample").exists()
    assert run(made, "check")[1].endswith("nothing is wrong\n")
    before = (target / "config" / "keys.json").read_bytes()
    assert main(["init", str(target)]) == 1
    assert (target / "config" / "keys.json").read_bytes() == before


def test_a_command_that_looks_makes_no_store(tmp_path: Path, run: Any) -> None:
    assert main(["init", str(tmp_path / "firm")]) == 0
    code, out = run(Place(tmp_path / "firm"), "status")
    assert code == 1
    assert "no store" in out
    assert not (tmp_path / "firm" / "state").exists()


def test_a_reader_that_closes_early_is_no_error(lived: Place) -> None:
    argv = [
        sys.executable,
        "-m",
        "daemon.cli",
        "--config",
        str(lived.config),
        "audit",
        "show",
        "--limit",
        "1000",
        "--json",
    ]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=dict(os.environ)
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        errors = process.stderr.read()
        assert (process.wait(20), errors) == (0, b"")


@pytest.fixture
def spoiled(tmp_path: Path) -> Place:
    """An installation whose allotments have one amount that cannot be read and one that does not agree."""
    place = install(tmp_path / "spoiled", clients=CLIENTS, days=[DAY])
    with sqlite3.connect(place.folder / "backoffice" / "counter.sqlite") as counter:
        query = "SELECT client_id FROM sh_allotment GROUP BY client_id HAVING count(*) = 1 ORDER BY client_id LIMIT 2"
        torn, differs = [row[0] for row in counter.execute(query)]
        counter.execute("UPDATE sh_allotment SET business_amount = 'many' WHERE client_id = ?", (torn,))
        counter.execute("UPDATE sh_allotment SET business_balance = '1.00' WHERE client_id = ?", (differs,))
    (place.folder / "who").write_text(f"{torn} {differs}")
    return place


def test_a_rejected_row_and_a_held_client_are_explained_and_a_release_lets_the_client_go(
    spoiled: Place, found: Any, run: Any
) -> None:
    torn, differs = (spoiled.folder / "who").read_text().split()
    live(spoiled, DAY, until="08:10")
    argv = ("rules", "explain", "--day", str(DAY), "--rule", PAYMENT, "--client")
    held = found(spoiled, *argv, differs)["lines"][-1]
    assert (held["bucket"], held["reason"]) == ("held", "declared:amounts_differ")
    assert (held["cause"]["kind"], held["cause"]["detail"]) == ("gate", "amounts_differ")
    shown = found(spoiled, *argv, torn)
    assert shown["told"] is False
    if shown["lines"]:  # another row of the client was good: its fact is not whole
        assert {line["reason"] for line in shown["lines"]} == {"not_whole"}
    else:
        assert [one["rejects"] for one in shown["absences"] if one["rule"] == PAYMENT] == [1]
    out = run(spoiled, *argv, torn)[1]
    assert "business_amount" in out or "not whole" in out
    assert "many" not in out
    release = ("notices", "release", "--client", differs, "--rule", PAYMENT, "--day", str(DAY), *WHO)
    assert run(spoiled, *release)[0] == 0
    live(spoiled, DAY, until="12:30")
    after = found(spoiled, *argv, differs)["lines"][-1]
    assert (after["bucket"], after["reason"]) == ("notify", "condition")
    assert run(spoiled, "rules", "replay", "--day", str(DAY))[0] == 0


def test_a_silence_has_author_reason_and_end_and_is_ended_once(changed: Place, run: Any, found: Any) -> None:
    start = ("notices", "silence", "start", "--rule", PAYMENT)
    assert run(changed, *start, "--client", _winner(changed), "--until", "2h", *WHO)[0] == 0
    assert run(changed, *start, "--everyone", "--until", "2024-02-01T18:00", *WHO)[0] == 2, "a moment that is past"
    assert run(changed, *start, "--client", "nobody", "--until", "2h", *WHO)[0] == 2
    assert (
        run(changed, "notices", "silence", "start", "--rule", "ipo/paymnt", "--everyone", "--until", "2h", *WHO)[0] == 2
    )
    (one,) = found(changed, "notices", "silence", "list")
    assert (one["rule"], one["reason"], one["actor"]) == (PAYMENT, "test", "zhang")
    assert one["until"] > one["since"]
    assert run(changed, "notices", "silence", "end", str(one["id"]), *WHO)[0] == 0
    assert run(changed, "notices", "silence", "end", str(one["id"]), *WHO)[0] == 2
    assert found(changed, "notices", "silence", "list") == []
    assert len(found(changed, "notices", "silence", "list", "--all")) == 1
    assert [r["data"].get("ended", False) for r in found(changed, "audit", "show", "--kind", "silence")] == [
        True,
        False,
    ]


def test_who_is_held_is_a_list_that_may_be_empty(lived: Place, run: Any, found: Any) -> None:
    held = found(lived, "notices", "held", "--day", str(DAY))
    assert run(lived, "notices", "held", "--day", str(DAY))[0] == (1 if held else 0)
    assert found(lived, "notices", "held", "--day", "2020-01-01") == []
    argv = ("notices", "release", "--subject", "99999999", "--rule", PAYMENT, *WHO)
    assert run(lived, *argv)[0] == 2
    assert run(lived, *argv, "--day", str(DAY))[0] == 1


def test_holds_are_listed_with_what_was_counted(changed: Place, run: Any, found: Any) -> None:
    assert run(changed, "notices", "holds")[0] == 0
    with closing(changed.store()) as store, store.write() as tx:
        record = found(changed, "audit", "show", "--kind", "poll", "--limit", "1")[0]["id"]
        gates_rows.open_hold(
            tx, "allotments", PAYMENT, reason="too many", counts={"notify": 9}, now=at(DAY, "07:30"), record=record
        )
    (one,) = found(changed, "notices", "holds")
    assert (one["reason"], one["counts"], one["open"]) == ("too many", {"notify": 9}, True)
    code, out = run(changed, "notices", "holds")
    assert (code, "too many" in out) == (1, True)


def test_an_account_is_renumbered_by_two_people_and_by_no_key_in_the_trail(
    changed: Place, run: Any, found: Any, tmp_path: Path
) -> None:
    old, new = _winner(changed), "T0009990001"
    pairs = tmp_path / "renumbered.csv"
    pairs.write_text(f"kind,old,new\nclient,{old},{new}\n")
    li = ("--by", "li", "--reason", "checked")
    assert run(changed, "clients", "alias", str(pairs), "--confirm", *li)[0] == 1, "nobody has proposed it"
    assert run(changed, "clients", "alias", str(pairs), *WHO)[0] == 0
    assert run(changed, "clients", "alias", str(pairs), "--confirm", *WHO)[0] == 1, "the same person"
    before = found(changed, "rules", "explain", "--client", old, "--day", str(DAY))
    code, out = run(changed, "clients", "alias", str(pairs), "--confirm", *li)
    assert (code, "1 of them new" in out) == (0, True)
    after = found(changed, "rules", "explain", "--client", new, "--day", str(DAY))
    assert after["client"] == before["client"] and after["notices"] == before["notices"]
    shown = json.dumps(found(changed, "audit", "show", "--kind", "alias"))
    assert old not in shown and new not in shown
    assert found(changed, "clients", "consents", new) == found(changed, "clients", "consents", old) != []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("kind,old\nclient,a\n", 2),
        ("kind,old,new\n", 2),
        ("kind,old,new\nperson,a,b\n", 2),
        ("kind,old,new\nclient,a,\n", 2),
        ("kind,old,new\nclient,never-seen,b\n", 1),
    ],
)
def test_a_list_of_renumbered_accounts_is_taken_whole_or_not_at_all(
    lived: Place, run: Any, tmp_path: Path, text: str, code: int
) -> None:
    pairs = tmp_path / "bad.csv"
    pairs.write_text(text)
    found, out = run(lived, "clients", "alias", str(pairs), *WHO)
    assert found == code
    assert "never-seen" not in out


def test_a_page_is_seen_by_a_person_once_and_recurs(changed: Place, run: Any, found: Any) -> None:
    before = len(found(changed, "alarms", "list"))
    with closing(changed.store()) as store, store.write() as tx:
        pages.page(tx, "late:allotments", "urgent", "feed allotments is late", now=at(DAY, "07:30"))
    code, out = run(changed, "alarms", "list")
    assert (code, "feed allotments is late" in out) == (1, True)
    assert run(changed, "alarms", "ack", "late:allotments", *WHO)[0] == 0
    assert run(changed, "alarms", "ack", "late:allotments", *WHO)[0] == 2
    assert len(found(changed, "alarms", "list")) == before
    seen = next(p for p in found(changed, "alarms", "list", "--all") if p["key"] == "late:allotments")
    assert seen["acknowledged_by"] == "zhang"
    assert found(changed, "audit", "show", "--kind", "page")[0]["data"]["reason"] == "test"
    with closing(changed.store()) as store, store.write() as tx:
        assert pages.page(tx, "late:allotments", "urgent", "feed allotments is late", now=at(DAY, "07:40"))
