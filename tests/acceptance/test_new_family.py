"""A new family of notices by four files and nothing else: transfers between accounts (tests/corpus/new_family).

A kind with its feed, queries and schedule, a rule, its cases, a card. `sources.yaml` gets the address of the system they are in.
"""

from __future__ import annotations

import functools
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from daemon.cli import main
from daemon.rules.cases import run_cases
from daemon.rules.load import Loaded, load, read_folder
from tests.builders_day import Place, install, live
from tests.world import DAY, Office, Play, Result, Scenario, at, phone

ROOT = Path(__file__).parents[2]
FAMILY = ROOT / "tests" / "corpus" / "new_family"
RULE, FEED, CARD = "transfer/notice", "fund_transfers", "transfer/notice"
FILES = sorted(str(path.relative_to(FAMILY)) for path in FAMILY.rglob("*") if path.is_file())
ALWAYS, FOREVER = "2000-01-01T00:00:00+08:00", "9999-12-31T23:59:59+08:00"
FROM, TO = "620000004321", "620000008765"
ONE = "S0000000001"


def moment(clock: str) -> str:
    return f"{DAY}T{clock}:00+08:00" if clock else ALWAYS


def orders(folder: Path, *versions: tuple[str, str, str, str | None, str, str, str]) -> None:
    """The treasury's table, each row (number, client, amount, moved, state, from, until)."""
    with closing(sqlite3.connect(folder / "treasury.sqlite")) as db, db:
        db.execute(
            "CREATE TABLE transfer_order (transfer_no TEXT, client_id TEXT, plan_date TEXT, plan_time TEXT, from_account TEXT,"
            " to_account TEXT, amount TEXT, moved_amount TEXT, order_state TEXT, valid_from TEXT, valid_to TEXT)"
        )
        for number, client, amount, moved, state, start, end in versions:
            times = moment(start), moment(end) if end else FOREVER
            row = (number, client, str(DAY), "14:00", FROM, TO, amount, moved, state, *times)
            db.execute(f"INSERT INTO transfer_order VALUES ({', '.join('?' * len(row))})", row)


@functools.cache
def with_family() -> Loaded:
    """The shipped rules and the four files."""
    return load(read_folder(ROOT) | {name: (FAMILY / name).read_bytes() for name in FILES})


def play(folder: Path, *versions: tuple[str, str, str, str | None, str, str, str]) -> Result:
    """One day of the whole daemon with these orders, to the evening."""

    def fill(office: Office) -> None:
        office.client(1)
        orders(office.folder, *versions)

    feeds = frozenset({"contacts", "consents", FEED})
    scenario = Scenario(
        fill, feeds, until=at("22:00"), load_rules=lambda folder: with_family(), databases=("treasury",)
    )
    return Play.new(scenario, folder / "w").run()


def text(result: Result, words: str) -> str:
    (found,) = [one for one in result.texts(phone(1)) if words in one]
    return found


def test_the_family_is_a_kind_a_rule_its_cases_and_a_card() -> None:
    assert FILES == [
        "rules/kinds/fund_transfer.yaml",
        "rules/transfer/notice.cases.yaml",
        "rules/transfer/notice.yaml",
        "templates/transfer/notice.card.yaml",
    ]
    ruleset = with_family().required()
    mine = [case for case in ruleset.cases if case.rule == RULE]
    assert [str(result) for result in run_cases(ruleset, mine) if not result.passed] == []
    (part,) = ruleset.kinds["fund_transfer"].feeds[0].parts
    assert part.source == "treasury" and part.query and part.keyed and ruleset.kinds["fund_transfer"].feeds[0].schedule


def test_a_transfer_is_told_before_and_after(tmp_path: Path) -> None:
    result = play(
        tmp_path,
        ("T1", ONE, "50000.00", None, "0", "", "14:05"),
        ("T1", ONE, "50000.00", "50000.00", "1", "14:05", ""),
    )
    assert result.stages(ONE) == {"ahead": "delivered", "result": "delivered"}
    assert result.told_at == {f"{ONE} ahead": "09:00", f"{ONE} result": "14:30"}
    assert "2024年2月1日 14:00由尾号4321账户转至尾号8765账户，金额50,000.00元" in text(result, "预告")
    assert "金额50,000.00元" in text(result, "已完成")
    assert result.tasks == ()


def test_a_transfer_that_failed_is_told_so(tmp_path: Path) -> None:
    result = play(
        tmp_path, ("T1", ONE, "50000.00", None, "0", "", "14:05"), ("T1", ONE, "50000.00", None, "2", "14:05", "")
    )
    assert "未成功" in text(result, "核对账户")
    assert result.told_at[f"{ONE} result"] == "14:30"


def test_an_amount_changed_after_telling_is_corrected_and_a_cancelled_order_is_taken_back(tmp_path: Path) -> None:
    result = play(
        tmp_path,
        ("T1", ONE, "50000.00", None, "0", "", "10:40"),
        ("T1", ONE, "60000.00", None, "0", "10:40", ""),
        ("T2", ONE, "70000.00", None, "0", "", "10:40"),
        ("T2", ONE, "70000.00", None, "3", "10:40", ""),
    )
    assert "金额60,000.00元" in text(result, "（更正）")
    assert "已取消" in text(result, "撤回")
    assert sorted(n.stage for n in result.notices if n.correction_of) == ["correction/1", "correction/1"]


def test_money_that_went_out_in_part_waits_for_a_person(tmp_path: Path) -> None:
    result = play(
        tmp_path, ("T1", ONE, "50000.00", None, "0", "", "14:05"), ("T1", ONE, "50000.00", "1.00", "1", "14:05", "")
    )
    assert [n.short for n in result.notices] == [("ahead", "delivered"), ("result", "cancelled")]
    assert [reason for _, reason in result.tasks if "amounts_differ" in reason]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """An installation with the four files, an address, and a day behind it."""
    place = install(tmp_path_factory.mktemp("family") / "installation", clients=20, days=[DAY])
    for name in FILES:
        (place.folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(FAMILY / name, place.folder / name)
    with (place.folder / "config" / "sources.yaml").open("a") as sources:
        sources.write('  treasury: {type: sql, url: "sqlite:///../backoffice/treasury.sqlite"}\n')
    client = one_client(place)
    orders(
        place.folder / "backoffice",
        ("T1", client, "50000.00", None, "0", "", "14:05"),
        ("T1", client, "50000.00", "50000.00", "1", "14:05", ""),
    )
    live(place, DAY)
    return place


def one_client(place: Place) -> str:
    """A client in good standing whom a card can reach."""
    with closing(sqlite3.connect(place.folder / "backoffice" / "counter.sqlite")) as db:
        query = "SELECT client_id FROM client WHERE client_status = '0' AND mobile IS NOT NULL ORDER BY client_id"
        return str(db.execute(query).fetchone()[0])


@pytest.fixture
def asked(installed: Place, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """What a command says, as JSON; it must find nothing wrong."""

    def command(*argv: str) -> Any:
        assert main(["--config", str(installed.config), *argv, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return command


def test_the_commands_know_the_family(installed: Place, asked: Callable[..., Any]) -> None:
    assert [one for one in asked("check") if one["severity"] == "error"] == []
    by_rule = {one["rule"]: one for one in asked("status", "--day", str(DAY))["funnel"]}
    polls = 1 + 14
    assert (by_rule[RULE]["facts"], by_rule[RULE]["notify"], by_rule[RULE]["notices"]) == (polls, polls, 2)
    cards = [json.loads(path.read_text()) for path in (installed.folder / "cards").glob("*.json")]
    said = [card["sms_text"] for card in cards]
    assert all(any(words in text for text in said) for words in ("有一笔资金调拨", "的资金调拨"))


def test_why_a_client_was_told_is_explained(installed: Place, asked: Callable[..., Any]) -> None:
    shown = json.dumps(
        asked("rules", "explain", "--client", one_client(installed), "--day", str(DAY), "--rule", RULE),
        ensure_ascii=False,
    )
    assert all(word in shown for word in (RULE, FEED, "ahead", "result", "50000", "condition", "planned", "done"))
