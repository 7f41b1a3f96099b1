"""The strict loader: the shipped set is clean, every mistake is told at its place, nothing makes it raise."""

from __future__ import annotations

import hashlib
import random
import re
from pathlib import Path

import pytest

from daemon.cli.findings import said as in_language
from daemon.errors import ConfigError
from daemon.rules.cases import run_cases
from daemon.rules.decider import Decider
from daemon.rules.digest import digest, listing
from daemon.rules.load import MAX_FILE_BYTES, load, load_kept, read_folder, sort_of
from daemon.yamlfile import FindingsError
from tests.builders_rules import BAD, ROOT, changed, load_changed, loaded_mistake, mistake, shipped, shipped_files


def test_shipped_set_has_no_finding() -> None:
    assert load(shipped_files()).findings == ()


def test_every_shipped_rule_has_cases_and_all_come_out_as_expected() -> None:
    results = run_cases(shipped())
    assert [str(r) for r in results if not r.passed] == []
    assert {r.case.rule for r in results} == set(shipped().rules)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_mistake_is_told_at_its_place(path: Path) -> None:
    bad = mistake(path)
    loaded = loaded_mistake(path)
    assert loaded.ruleset is None
    found = [f for f in loaded.findings if all(words in str(f) for words in bad["says"])]
    assert found, "\n".join(map(str, loaded.findings))
    assert found[0].line > 0 or found[0].key == "cases"
    assert any(all(words in in_language(f, "zh") for words in bad["zh"]) for f in found), [
        in_language(f, "zh") for f in found
    ]


def test_mistakes_of_all_files_are_told_at_once() -> None:
    names = ("bad_date", "parameter_gap", "formula_of_wrong_type", "case_unknown_gate", "misspelt_field", "bad_span")
    files = dict(shipped_files())
    bad = [mistake(ROOT / "tests" / "corpus" / "rules_bad" / f"{name}.yaml") for name in names]
    for one in bad:
        files[one["path"]] = files[one["path"]].replace(one["replace"].encode(), one["by"].encode(), 1)
    text = [str(f) for f in load(files).findings]
    for one in bad:
        assert any(all(said in line for said in one["says"]) for line in text), one["says"]


def findings_of(*changes: tuple[str, str, str], without: str = "") -> list[str]:
    """What is told of the shipped files with some passages replaced and a file left out."""
    files = dict(shipped_files())
    for path, old, new in changes:
        assert old.encode() in files[path]
        files[path] = files[path].replace(old.encode(), new.encode(), 1)
    files.pop(without, None)
    return [str(f) for f in load(files).findings]


def test_a_mistake_of_form_does_not_hide_the_others_of_its_file() -> None:
    rule, numbers = "rules/margin/maintenance.yaml", "rules/parameters/margin.yaml"
    card = "templates/fund/open_window.card.yaml"
    told = "\n".join(
        findings_of(
            (rule, "to_repay: max(", "to_rеpay: max("),
            (rule, "no_debt: debts == 0", "no_debt: debt == 0"),
            (numbers, "value: 0.02", "value: 2e-2"),
            (numbers, "{from: 2015-07-01, value: 1.30,", "{from: 2015-07-01, to: 2019-08-01, value: 1.30,"),
            (card, "card: fund/open_window", "card: &c fund/open_window"),
            (card, "{{ fund_name }}", "{{ fund_nam }}"),
        )
    )
    for said in ("ASCII", "unknown name 'debt'", "2e-2 without quotes", "(a gap)", "the anchor &c", "'fund_nam'"):
        assert said in told, said


def test_a_wrong_rule_does_not_hide_what_is_wrong_with_its_card() -> None:
    told = findings_of(
        ("rules/fund/open_window.yaml", "consent: opt_out", "consent: opt-out"),
        ("templates/fund/open_window.card.yaml", "https://m.example.com/fund/", "https://m.example.org/fund/"),
    )
    assert len(told) == 2, told


def test_a_card_with_a_mistake_of_form_hides_neither_its_wording_nor_its_rules_mistakes() -> None:
    card = "templates/margin/maintenance.card.yaml"
    told = "\n".join(
        findings_of(
            (card, "  - basis enum", "  - basis enumm"),
            (card, "公司有权按合同约定对您的信用账户强制平仓", "请留意，本产品保本"),
            (card, "https://m.example.com/margin", "https://m.example.org/margin"),
            ("rules/margin/maintenance.yaml", "  ratio_differs:", "  ratio_differz:"),
        )
    )
    for said in ("the type 'enumm'", "the wording '保本'", "m.example.org", "the mark 'ratio_differz'"):
        assert said in told, said
    assert told.count("\n") + 1 <= 6, told


def test_a_rule_of_an_unknown_kind_does_not_hide_what_is_wrong_with_its_card() -> None:
    told = findings_of(
        ("rules/fund/open_window.yaml", "kind: fund_holding", "kind: fund_holdings"),
        ("templates/fund/open_window.card.yaml", "https://m.example.com/fund/", "https://m.example.org/fund/"),
        ("templates/fund/open_window.card.yaml", "when_stage: [closing]", "when_stage: [closin]"),
    )
    for said in ("did you mean 'fund_holding'?", "m.example.org", "did you mean 'closing'?"):
        assert any(said in line for line in told), said
    assert len(told) == 3, told


def test_one_mistake_of_a_rule_hides_no_other_of_its_dates_levels_card_or_cases() -> None:
    rule = "rules/margin/maintenance.yaml"
    told = "\n".join(
        findings_of(
            (rule, "no_debt: debts == 0", "no_debt: debt == 0"),
            (rule, "effective: 2015-07-01", "effective: 2014-07-01"),
            (rule, "when: ratio < line_attention", "when: ratio < line_warning"),
            ("templates/margin/maintenance.card.yaml", "  - line_target ratio", "  - line_targit ratio"),
            ("rules/margin/maintenance.cases.yaml", "counter_ratio: 1.", "counter_rato: 1."),
        )
    )
    for said in (
        "unknown name 'debt'",
        "'line_call' from 2015-07-01 on",
        "the condition of 'warning' again",
        "the name 'line_targit'",
        "the unknown field 'counter_rato'",
    ):
        assert said in told, said


def test_a_wording_that_nobody_gets_is_told() -> None:
    card = "templates/margin/maintenance.card.yaml"
    (told,) = findings_of((card, "    when_level: [call]\n", "    when_level: [call]\n    when: {basis: [intraday]}\n"))
    assert "variants.call.when: found a wording that is never taken: the condition of call leaves out" in told
    told = findings_of((card, "    when_level: [warning]\n", "    when_level: [urgent]\n    when_stage: [notice]\n"))
    said = "variants.warning: found a wording that is never taken: 'urgent' fits whenever it does"
    assert any(said in line for line in told), told


def test_a_missing_case_file_and_an_unknown_level_are_told_with_their_line() -> None:
    told = findings_of(
        ("rules/margin/maintenance.yaml", "  call/notice:", "  cal/notice:"), without="rules/ipo/payment.cases.yaml"
    )
    lines = shipped_files()["rules/margin/maintenance.yaml"].decode().splitlines()
    where = f"rules/margin/maintenance.yaml:{lines.index('  call/notice:') + 1}:3: "
    assert any(line.startswith(where) for line in told), told
    assert any(line.startswith("rules/ipo/payment.yaml:1:1: cases: found no case file") for line in told), told


def test_findings_are_sorted_and_told_once() -> None:
    findings = load_changed("rules/margin/maintenance.yaml", "debts == 0", "debt == 0").findings
    assert list(findings) == sorted(set(findings))


@pytest.mark.parametrize(
    "text", ["rule: x\ty", "rule: a\u202eb", "rule: a\u200bb", "rule: [", "", "- a", "\ufeffrule: x"]
)
def test_file_that_is_no_clean_yaml_is_a_finding(text: str) -> None:
    loaded = load({**shipped_files(), "rules/ipo/payment.yaml": text.encode()})
    assert loaded.ruleset is None
    assert any(f.path == "rules/ipo/payment.yaml" for f in loaded.findings)


def test_rule_without_case_file_is_a_finding() -> None:
    files = {p: b for p, b in shipped_files().items() if p != "rules/ipo/payment.cases.yaml"}
    assert "no case file" in str(load(files).findings[0])


def test_cases_without_rule_are_a_finding() -> None:
    files = {p: b for p, b in shipped_files().items() if p != "rules/ipo/payment.yaml"}
    assert any("a rule file rules/ipo/payment.yaml" in str(f) for f in load(files).findings)


def test_set_without_the_exchange_calendar_is_a_finding() -> None:
    files = {p: b for p, b in shipped_files().items() if not p.startswith("rules/calendars/")}
    assert any("the exchange's calendar" in str(f) for f in load(files).findings)


def test_strange_file_is_a_finding_because_it_counts_for_the_digest() -> None:
    loaded = load({**shipped_files(), "rules/ipo/Payment.yml": b"a: b"})
    assert [f.path for f in loaded.findings] == ["rules/ipo/Payment.yml"]


def test_required_raises_every_finding() -> None:
    with pytest.raises(FindingsError, match="debt"):
        load_changed("rules/margin/maintenance.yaml", "debts == 0", "debt == 0").required()


def test_damaged_files_never_make_it_raise() -> None:
    rng = random.Random(20240201)
    paths = [p for p in shipped_files() if not p.startswith("rules/calendars/")]
    for _ in range(40):
        path = rng.choice(paths)
        lines = shipped_files()[path].decode().split("\n")
        i = rng.randrange(len(lines))
        lines[i : i + 1] = rng.choice(
            [[], [lines[i]] * 2, [lines[i].split(":")[0] + ": []"], [lines[i][::-1]], ["x: 1"]]
        )
        loaded = load({**shipped_files(), path: "\n".join(lines).encode()})
        assert (loaded.ruleset is None) == bool(loaded.findings)


def test_digest_is_what_sha256sum_prints() -> None:
    files = {"b": b"2", "a": b"1"}
    text = f"{hashlib.sha256(b'1').hexdigest()}  a\n{hashlib.sha256(b'2').hexdigest()}  b\n".encode()
    assert listing(files) == text
    assert digest(files) == hashlib.sha256(text).hexdigest()


def test_digest_of_the_set_changes_with_any_byte_of_any_file() -> None:
    seen = {shipped().digest}
    for path in shipped_files():
        seen.add(digest({**shipped_files(), path: shipped_files()[path] + b"\n"}))
    assert len(seen) == 1 + len(shipped_files())


def test_paths_say_what_they_hold() -> None:
    assert sort_of("rules/margin/maintenance.yaml") == ("rule", "margin/maintenance")
    assert sort_of("rules/margin/maintenance.cases.yaml") == ("cases", "margin/maintenance")
    assert sort_of("rules/kinds/client.yaml") == ("kind", "client")
    assert sort_of("templates/margin/maintenance.card.yaml") == ("card", "margin/maintenance")
    assert sort_of("rules/../x.yaml") == ("", "")


def folder(root: Path) -> Path:
    for name in ("rules", "templates"):
        (root / name).mkdir()
    (root / "rules" / "links.yaml").write_text("hosts: []\n")
    return root


def test_folder_is_read_without_what_decides_nothing(tmp_path: Path) -> None:
    root = folder(tmp_path)
    (root / "rules" / "README.md").write_text("read me")
    (root / "rules" / "approvals").mkdir()
    (root / "rules" / "approvals" / "x.sig").write_text("signature")
    assert read_folder(root) == {"rules/links.yaml": b"hosts: []\n"}


def test_folder_with_a_link_is_refused(tmp_path: Path) -> None:
    root = folder(tmp_path)
    (root / "rules" / "kinds").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="symbolic link"):
        read_folder(root)


def test_oversized_file_is_refused(tmp_path: Path) -> None:
    root = folder(tmp_path)
    (root / "templates" / "x.yaml").write_bytes(b" " * (MAX_FILE_BYTES + 1))
    with pytest.raises(ConfigError, match="at most"):
        read_folder(root)


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected rules and cards"):
        read_folder(tmp_path)


def test_kind_whose_rows_a_part_cannot_tell_apart_is_refused() -> None:
    found = load(changed("rules/kinds/waiver.yaml", "          client_no: client_id\n", "")).findings
    assert any("no column for 'client_no'" in str(f) for f in found)


def test_a_kept_set_is_built_as_it_was_accepted() -> None:
    made, kept = load(shipped_files()).required(), load_kept(shipped_files())
    assert (kept.digest, kept.rules, kept.kinds, kept.parameters) == (
        made.digest,
        made.rules,
        made.kinds,
        made.parameters,
    )
    assert kept.cases == ()


def test_a_kept_set_still_decides_where_the_loader_has_become_stricter() -> None:
    files = dict(shipped_files())
    path = "rules/margin/maintenance.yaml"
    files[path] = files[path].replace(b"effective: 2015-07-01", b"effective: 2001-01-01", 1)  # before its parameters
    assert load(files).ruleset is None
    kept = load_kept(files)
    assert set(kept.rules) == set(shipped().rules)
    for rule in kept.rules.values():
        assert Decider(kept, rule).operands


def test_a_kept_set_that_cannot_be_read_any_more_is_refused() -> None:
    files = dict(shipped_files())
    files["rules/margin/maintenance.yaml"] += b"no_such_key: 1\n"
    with pytest.raises(FindingsError, match="no_such_key"):
        load_kept(files)


NAMED = [
    (path, match[0])
    for path, raw in sorted(shipped_files().items())
    if path.startswith("templates/")
    for match in re.finditer(r"open: .*\{\{ \w+|lines\(\"[^\"]*", raw.decode())
]


@pytest.mark.parametrize(("path", "place"), NAMED)
def test_a_slip_in_a_link_or_a_pattern_of_a_card_is_a_finding(path: str, place: str) -> None:
    for spoilt in (place + "x", place[:-1] + "\u043e", place.replace("{", "", 1), place.replace("[", "", 1)):
        if spoilt != place:
            files = dict(shipped_files())
            files[path] = files[path].replace(place.encode(), spoilt.encode(), 1)
            loaded = load(files)
            if spoilt.endswith("x") and "lines" in place:
                continue  # other words
            assert loaded.ruleset is None
            assert {finding.path for finding in loaded.findings} == {path}
