"""Parameters: the value in force by date, contracts that override, references, reviews."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import Finding
from daemon.model.kinds import Absence, Type, Value
from daemon.rules.decider import Decider
from daemon.rules.gates import OPEN
from daemon.rules.load import load
from daemon.rules.parameters import read_parameters, read_references
from daemon.rules.schema import Parameter, ParameterValue
from daemon.yamlfile import Reader
from daemon.yamlfile import load as load_yaml
from tests.builders_rules import MARGIN, ROOT, changed, decider, env, fact, shipped

DAY = date(2024, 1, 1)


def parameter(*values: tuple[date, int], end: date | None = None) -> Parameter:
    made = [ParameterValue(start, Decimal(value)) for start, value in values]
    made[-1] = ParameterValue(made[-1].start, made[-1].value, end=end)
    return Parameter("line", Type.RATIO, "倍", "线", tuple(made), DAY, timedelta(days=365))


@given(st.lists(st.dates(date(2000, 1, 1), date(2030, 1, 1)), min_size=1, max_size=6, unique=True), st.dates())
def test_value_in_force_is_that_of_the_last_start(starts: list[date], day: date) -> None:
    starts.sort()
    found = parameter(*((start, i) for i, start in enumerate(starts))).on(day)
    past = [i for i, start in enumerate(starts) if start <= day]
    assert found == (Decimal(past[-1]) if past else None)


def test_value_ends_on_its_last_day() -> None:
    ended = parameter((DAY, 1), end=date(2024, 1, 31))
    assert ended.on(date(2024, 1, 31)) == 1
    assert ended.on(date(2024, 2, 1)) is None


def test_shipped_values_name_what_they_rest_on() -> None:
    for one in shipped().parameters.values():
        for value in one.values:
            assert value.reference and value.confidence in "ABCD", one.name


def test_shipped_references_say_what_the_list_of_legal_references_says() -> None:
    with (ROOT / "tests" / "golden" / "legal_refs.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["ref_id"]: row for row in csv.DictReader(file)}
    firm = [id_ for id_ in shipped().references if id_ not in rows]
    assert all(id_.startswith("FIRM-") and shipped().references[id_].confidence == "D" for id_ in firm), firm
    for id_, one in shipped().references.items():
        if (row := rows.get(id_)) is not None:
            said = (one.instrument, one.number, one.article, one.effective, one.requirement, one.confidence)
            names = ("instrument_zh", "doc_no", "article", "effective_from", "requirement_zh", "confidence")
            assert said == tuple(row[name] for name in names), id_


def test_call_line_rests_on_the_exchange_until_contracts_took_over() -> None:
    line = shipped().parameters["line_call"]
    before, after = line.at(date(2019, 8, 18)), line.at(date(2019, 8, 19))
    assert before is not None and after is not None
    assert before.reference.startswith("REG-MT-027") and after.reference.startswith("EXR-MT-043")


@pytest.mark.parametrize(
    ("contract", "expected"),
    [(Decimal("1.40"), Decimal("1.40")), (Absence.EMPTY, Decimal("1.30")), (Absence.INVALID, Absence.INVALID)],
)
def test_contract_overrides_the_firm_and_only_silence_falls_back(contract: object, expected: object) -> None:
    assert decider().context(fact(contract_call=contract), env())["line_call"] == expected


@pytest.mark.parametrize(
    ("contract", "ratio", "level"),
    [
        (Decimal("1.40"), "1.399999", "call"),
        (Decimal("1.40"), "1.40", "warning"),
        (Absence.EMPTY, "1.30", "warning"),
        (Absence.EMPTY, "1.299999", "call"),
        (Decimal("1.20"), "1.299999", "warning"),
        (Decimal("1.20"), "1.199999", "call"),
    ],
)
def test_the_line_that_decides_is_the_contracts_where_it_has_one(contract: Value, ratio: str, level: str) -> None:
    found = fact(contract_call=contract, counter_ratio=Decimal(ratio), own_ratio=Decimal(ratio))
    assert decider().decide(found, (), True, OPEN, env()).level == level


def test_absent_contract_value_is_named_as_the_operand_that_is_missing() -> None:
    found = decider().decide(fact(contract_immediate=Absence.STALE), (), True, OPEN, env())
    assert found.reason == "missing:contract_immediate:stale"


def test_value_is_looked_up_by_the_business_date() -> None:
    files = changed(
        "rules/parameters/margin.yaml",
        "- {from: 2015-07-01, value: 0.02, reference: FIRM-OPS}",
        "- {from: 2015-07-01, value: 0.02, reference: FIRM-OPS}\n      - {from: 2024-02-02, value: 0.05, reference: FIRM-OPS}",
    )
    ruleset = load(files).required()
    late = Decider(ruleset, ruleset.rules[MARGIN])
    rising = fact(counter_ratio=Decimal("1.53"), own_ratio=Decimal("1.53"))
    assert "warning" in late.decide(rising, (), True, OPEN, env(date(2024, 2, 1))).cured
    assert "warning" not in late.decide(rising, (), True, OPEN, env(date(2024, 2, 2))).cured


def read(text: str) -> tuple[dict[str, Parameter], list[Finding]]:
    findings: list[Finding] = []
    references = read_references(Reader(load_yaml(REFERENCES.encode(), "references.yaml"), findings))
    found = read_parameters(Reader(load_yaml(text.encode(), "p.yaml"), findings), references)
    return found, findings


REFERENCES = (
    'references:\n  R-1:\n    instrument: "规则"\n    article: "第1条"\n    requirement: "要求"\n    confidence: C\n'
)
GOOD = """
parameters:
  line:
    label: 线
    type: ratio
    unit: 倍
    values:
      - {from: 2024-01-01, value: 1.30, reference: R-1}
    reviewed_on: 2024-01-01
    reviewed_by: 部门
    review_every: 365d
"""


def test_parameter_is_read_with_its_reference_as_text() -> None:
    found, findings = read(GOOD)
    assert findings == []
    assert found["line"].values[0] == ParameterValue(DAY, Decimal("1.30"), "R-1 《规则》 第1条", "C")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("reference: R-1", "reference: R-2", "did you mean 'R-1'"),
        ("value: 1.30", "value: true", "a number"),
        ("from: 2024-01-01,", "from: 2024-13-01,", "a date such as"),
        ("unit: 倍", "unit: ''", "text"),
        ("review_every: 365d", "review_every: 0d", "no time at all"),
        ("type: ratio", "type: float", "one of money"),
        ("  line:", "  Line:", "a name of a-z"),
        (
            "- {from: 2024-01-01, value: 1.30, reference: R-1}",
            "- {from: 2024-01-01, value: 1.30, reference: R-1}\n      - {from: 2024-01-01, value: 1.4, reference: R-1}",
            "rising start dates",
        ),
    ],
)
def test_mistake_in_a_parameter_is_told(old: str, new: str, said: str) -> None:
    _, findings = read(GOOD.replace(old, new))
    assert any(said in str(f) for f in findings), findings
