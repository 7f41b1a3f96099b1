"""What a change of files is, and what its report must show before anyone may sign it."""

from __future__ import annotations

from decimal import Decimal

from daemon.rules.changes import Change, change_between, sufficient
from daemon.rules.testing import test_report as report_of
from tests.builders_mini import (
    CARD_PATH,
    CASES,
    CASES_PATH,
    PARAMETERS,
    PARAMETERS_PATH,
    RULE,
    RULE_PATH,
    mini,
    mini_files,
)
from tests.builders_rules import load_changed, shipped_files

MINIMUM = Decimal("0.95")
SECOND = "      - {from: 2020-01-01, value: 100, reference: FIRM-OPS}\n      - {from: 2024-03-01, value: 50, reference: FIRM-OPS}\n"
TWO_VALUES = PARAMETERS.replace("      - {from: 2020-01-01, value: 100, reference: FIRM-OPS}\n", SECOND)


def case_of(day: str, owed: str, bucket: str) -> str:
    return (
        f"  - name: {owed} owed on {day}\n    date: {day}\n    given: {{business_date: {day}, owed: {owed}}}\n"
        f"    expect: {{bucket: {bucket}}}\n"
    )


BOTH_SIDES = (
    case_of("2024-02-29", "100", "no_match"),
    case_of("2024-03-01", "50", "no_match"),
    case_of("2024-03-01", "50.01", "notify"),
)


def test_nothing_changed() -> None:
    assert change_between(mini_files(), mini_files()) == Change()
    assert Change().sort == "nothing"


def test_from_nothing_everything_is_logic() -> None:
    assert change_between({}, mini_files()).sort == "logic"


def test_from_files_that_are_read_no_longer_everything_that_differs_is_logic() -> None:
    unread = {**mini_files(), RULE_PATH: RULE.replace("category: service", "category: servicing").encode()}
    assert change_between(unread, mini_files()).logic == (RULE_PATH,)


def test_line_of_a_rule_is_logic() -> None:
    found = change_between(mini_files(), mini_files(RULE.replace("owed > line", "owed >= line")))
    assert (found.sort, found.logic) == ("logic", (RULE_PATH,))


def test_comment_title_or_case_is_text() -> None:
    assert change_between(mini_files(), mini_files("# a remark\n" + RULE)).sort == "texts"
    assert change_between(mini_files(), mini_files(RULE.replace("title: 欠款提醒", "title: 欠款通知"))).sort == "texts"
    assert change_between(mini_files(), mini_files(cases=CASES[1:])).texts == (CASES_PATH,)


def test_words_of_a_card_are_text_its_conditions_are_logic() -> None:
    files = mini_files()
    worded = {**files, CARD_PATH: files[CARD_PATH].replace("您的欠款为".encode(), "您欠款".encode())}
    assert change_between(files, worded).sort == "texts"
    path = "templates/ipo/payment.card.yaml"
    old = shipped_files()
    text = old[path].decode()
    loose = text.replace("when_stage: [noon, last_call]", "when_stage: [noon]", 1)
    assert loose != text
    assert change_between(old, {**old, path: loose.encode()}).logic == (path,)


def test_new_dated_value_is_a_change_of_values() -> None:
    found = change_between(mini_files(), mini_files(parameters=TWO_VALUES))
    (value,) = found.values
    assert (found.sort, found.logic) == ("values", ())
    assert (value.parameter, str(value.start), value.old, value.new) == ("line", "2024-03-01", "100", "50")
    assert (value.path, value.line, value.rules) == (PARAMETERS_PATH, 8, ("desk/debt",))
    assert not value.before
    assert not value.on


def test_type_of_a_parameter_is_logic_a_review_is_text() -> None:
    reviewed = PARAMETERS.replace("reviewed_on: 2026-06-30", "reviewed_on: 2026-07-01")
    assert change_between(mini_files(), mini_files(parameters=reviewed)).sort == "texts"
    counted = PARAMETERS.replace("unit: 元", "unit: 万元")
    assert change_between(mini_files(), mini_files(parameters=counted)).logic == (PARAMETERS_PATH,)


def test_value_that_is_taken_back_is_a_change_of_the_one_that_holds_again() -> None:
    (value,) = change_between(mini_files(parameters=TWO_VALUES), mini_files()).values
    assert (str(value.start), value.new) == ("2020-01-01", "100")


def test_changed_value_needs_a_case_on_both_sides_and_on_both_days() -> None:
    files = mini_files(parameters=TWO_VALUES)
    change = change_between(mini_files(), files)
    report = report_of(mini(parameters=TWO_VALUES), only=change.asks_for)
    found = [str(finding) for finding in sufficient(change, report, MINIMUM)]
    assert all(text.startswith(f"{PARAMETERS_PATH}:8:1: parameters.line: found ") for text in found)
    assert any("no case of 2024-02-29" in text for text in found)
    assert any("no case of 2024-03-01" in text for text in found)
    assert any("no case tells 50 from 50.01" in text for text in found)
    assert any("no case tells 50 from 49.99" in text for text in found)


def test_boundary_cases_suffice_for_a_changed_value_whatever_the_score() -> None:
    cases = (*CASES[:2], *BOTH_SIDES)
    change = change_between(mini_files(cases=CASES[:2]), mini_files(cases=cases, parameters=TWO_VALUES))
    report = report_of(mini(cases=cases, parameters=TWO_VALUES), only=change.asks_for)
    assert sufficient(change, report, MINIMUM) == []


def test_change_of_logic_needs_the_score_and_the_demanded_coverage() -> None:
    change = change_between({}, mini_files(cases=CASES[:2]))
    found = [str(finding) for finding in sufficient(change, report_of(mini(cases=CASES[:2])), MINIMUM)]
    assert any("mutants: found a score of 0." in text and "allowed at least 0.95" in text for text in found)
    assert any("gates.stopped: found no case: stopping" in text for text in found)
    assert sufficient(change_between({}, mini_files()), report_of(mini()), MINIMUM) == []


def test_change_of_logic_is_not_signed_on_a_part_of_the_mutants() -> None:
    report = report_of(mini(), only=lambda mutant: mutant.site == "when")
    found = sufficient(change_between({}, mini_files()), report, MINIMUM)
    assert [finding.found for finding in found] == ["a report without all mutants of all rules"]


def test_failed_case_is_never_sufficient() -> None:
    wrong = (CASES[0].replace("bucket: notify", "bucket: held"), *CASES[1:])
    report = report_of(mini(cases=wrong))
    assert report.score is None
    found = sufficient(Change(texts=(CASES_PATH,)), report, MINIMUM)
    assert [f.found for f in found] == ["a cent over the line: bucket: found notify (condition), expected held"]


def test_report_is_the_same_for_the_same_set_and_bound_to_it() -> None:
    first, again = report_of(mini()), report_of(mini())
    assert first.digest == again.digest
    assert first.to_json()["rule_set"] == mini().digest
    assert report_of(mini(cases=CASES[:3])).digest != first.digest


def test_changed_value_of_a_shipped_parameter_names_its_rule() -> None:
    path = "rules/parameters/margin.yaml"
    new = load_changed(path, "value: 1.70", "value: 1.75").required()
    (value,) = change_between(shipped_files(), new.files).values
    assert (value.parameter, value.rules, value.old, value.new) == (
        "line_attention",
        ("margin/maintenance",),
        "1.70",
        "1.75",
    )
