"""A review that falls due or is overdue, as a rule owner sees it in `check` and an operator in `status`."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.cli import main
from daemon.cli.place import now, today
from daemon.rules.load import load, read_folder
from daemon.store import rulesets
from tests.builders_day import Place


@pytest.fixture
def firm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    assert main(["init", str(tmp_path / "firm")]) == 0
    capsys.readouterr()
    return Place(tmp_path / "firm")


def review(firm: Place, days_ago: int) -> None:
    """The review of `payment_cutoff` was so many days ago; it is due every 365 days. All others were today."""
    for path in (firm.folder / "rules" / "parameters").glob("*.yaml"):
        text = re.sub(r"reviewed_on: [0-9-]+", f"reviewed_on: {today()}", path.read_text())
        if "  payment_cutoff:" in text:
            before, after = text.split("  payment_cutoff:")
            mine = f"reviewed_on: {today() - timedelta(days=days_ago)}"
            text = before + "  payment_cutoff:" + after.replace(f"reviewed_on: {today()}", mine, 1)
        path.write_text(text)


def activate(firm: Place) -> None:
    made = load(read_folder(firm.folder)).required()
    store = firm.store()
    with store.write() as tx:
        rulesets.keep(tx, made.digest, made.files, now=now())
        rulesets.activate(tx, made.digest, actor="sys:test", now=now())
    store.close()


def run(firm: Place, capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    code = main(["--config", str(firm.config), *argv])
    return code, capsys.readouterr().out


def test_a_review_due_in_thirty_days_is_a_warning_that_does_not_fail(
    firm: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    review(firm, days_ago=335)
    code, out = run(firm, capsys, "--lang", "en", "check")
    assert code == 0
    assert re.match(r"warning: rules/parameters/ipo\.yaml:\d+:1: parameters\.payment_cutoff\.reviewed_on: ", out)
    assert f"due by {today() + timedelta(days=30)}" in out
    told = json.loads(run(firm, capsys, "check", "--json")[1])
    assert [one["severity"] for one in told] == ["warning"]
    activate(firm)
    code, out = run(firm, capsys, "--lang", "en", "status")
    assert code == 0
    assert "the review of payment_cutoff falls due" in out and "in 30 days, from 零售业务部" in out


def test_nothing_is_said_of_a_review_further_away(firm: Place, capsys: pytest.CaptureFixture[str]) -> None:
    review(firm, days_ago=334)
    assert run(firm, capsys, "--lang", "en", "check") == (0, "nothing is wrong\n")


def test_an_overdue_review_fails_the_check_and_stands_on_status(
    firm: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    review(firm, days_ago=366)
    code, out = run(firm, capsys, "--lang", "en", "check")
    assert code == 1
    assert f"overdue since {today() - timedelta(days=1)}" in out
    activate(firm)
    code, out = run(firm, capsys, "--lang", "zh", "status")
    assert code == 1
    assert "参数 payment_cutoff（缴款截止时间）复核已逾期 1 天" in out
    shown = json.loads(run(firm, capsys, "status", "--json")[1])["reviews"]
    assert [(one["parameter"], one["state"], one["days"]) for one in shown] == [("payment_cutoff", "overdue", -1)]


def test_a_mistake_in_a_rule_hides_neither_reviews_nor_what_is_not_configured(
    firm: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    review(firm, days_ago=366)
    for name in ("ipo/payment", "margin/maintenance"):
        path = firm.folder / "rules" / f"{name}.yaml"
        path.write_text(path.read_text().replace("  status: client_status", "  status: client_state"))
    sources = firm.folder / "config" / "sources.yaml"
    sources.write_text(sources.read_text().replace("clearing:", "cleering:"))
    code, out = run(firm, capsys, "--lang", "zh", "check")
    assert code == 1
    for told in ("未知的字段“client_state”", "parameters.payment_cutoff.reviewed_on", "数据源“clearing”"):
        assert told in out, told


def test_a_review_of_a_day_to_come_is_none(firm: Place, capsys: pytest.CaptureFixture[str]) -> None:
    review(firm, days_ago=-1)
    code, out = run(firm, capsys, "--lang", "en", "check")
    assert code == 1
    assert f"allowed a day up to {today()}" in out
