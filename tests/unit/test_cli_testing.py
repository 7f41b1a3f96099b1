"""`duenotice rules test`: what it prints, writes and ends with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daemon.cli import main
from daemon.rules.testing import test_report as report_of
from tests.builders_mini import CASES, mini, mini_files


def folder(at: Path, cases: tuple[str, ...] = CASES) -> str:
    for path, data in mini_files(cases=cases).items():
        (at / path).parent.mkdir(parents=True, exist_ok=True)
        (at / path).write_bytes(data)
    return str(at)


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str]:
    code = main(["--lang", "en", "--config", "nowhere.yaml", "rules", "test", *args])
    found = capsys.readouterr()
    return code, found.out + found.err


def test_cases_and_what_they_cover_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, folder(tmp_path))
    assert code == 0
    heads, row = (line.split() for line in out.splitlines())
    assert heads == ["rule", "cases", "failed", "conditions", "levels", "stages", "timers", "gates"]
    assert row == ["desk/debt", str(len(CASES)), "0", "3/3", "2/2", "2/2", "1/1", "5/5"]


def test_failed_case_ends_with_one_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, folder(tmp_path, (CASES[0].replace("next: sms", "next: none"), *CASES[1:])))
    assert code == 1
    assert "rules/desk/debt.cases.yaml:5: a cent over the line: next: found sms, expected none" in out


def test_coverage_lists_what_is_not_covered_and_demands_gates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = folder(tmp_path, CASES[:-1])
    assert run(capsys, at)[0] == 0
    code, out = run(capsys, at, "--coverage")
    assert code == 1
    assert "not covered rules/desk/debt.yaml:18: gates.silence: stopping" in out


def test_mutants_print_the_case_to_write_and_demand_the_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = run(capsys, folder(tmp_path, CASES[:1]), "--mutants")
    assert code == 1
    assert "no case notices rules/desk/debt.yaml:8: when: strictness: owed > line -> owed >= line" in out
    assert "    given: {owed: 100}" in out
    assert "asked for 0.95" in out
    assert run(capsys, folder(tmp_path), "--mutants")[0] == 0


def test_report_is_the_canonical_document_of_all_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "report.json"
    code, out = run(capsys, folder(tmp_path / "set"), "--report", str(written))
    assert code == 0
    assert written.read_text("utf-8") == report_of(mini()).text()
    assert report_of(mini()).digest in out
    assert run(capsys, folder(tmp_path / "set"), "--report", str(written), "--rule", "desk/debt")[0] == 2


def test_json_has_what_the_report_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, folder(tmp_path), "--mutants", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["rules"]["desk/debt"]["mutants"]["score"] == "1"
    assert found["digest"] == report_of(mini()).digest


def test_unknown_rule_is_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, folder(tmp_path), "--rule", "desk/dept")
    assert code == 2
    assert "expected one of desk/debt" in out
