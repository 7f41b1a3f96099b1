"""The gates: fixed order, every answer kept, the first that does not pass decides."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.model.decisions import Bucket
from daemon.model.kinds import Absence
from daemon.rules.gates import (
    CONSENTS,
    GATES,
    HOLD,
    NAMES,
    OTHER_CONTACT,
    PASS,
    PHONE,
    SEND,
    SOURCE_STATES,
    SUPPRESS,
    GateFacts,
    GateInputs,
    call_of,
    contacts_of,
    run,
    status_verdict,
    verdict_of,
)
from daemon.rules.schema import Gates, Rule, StatusTable
from daemon.rules.statuses import NEVER_GATED, resolved
from tests.builders_rules import FUND, MARGIN, PAYMENT, shipped

NOTHING = GateFacts("normal", {}, {})
CONSENTED = GateInputs(consent="in")

inputs_ = st.builds(
    GateInputs,
    st.booleans(),
    st.sampled_from(SOURCE_STATES),
    st.sampled_from(["", "complaint"]),
    st.sampled_from(CONSENTS),
    st.booleans(),
    st.integers(0, 9),
    st.booleans(),
)
truths = st.sampled_from([True, False, Absence.MISSING])
facts_ = st.builds(
    GateFacts,
    st.sampled_from([None, *shipped().statuses["fund"].verdicts, "strange", Absence.EMPTY]),
    st.dictionaries(st.sampled_from(["individuals", "branch"]), truths),
    st.dictionaries(st.sampled_from(["differs", "unchecked"]), truths),
    st.sampled_from([None, True, False, Absence.MISSING]),
)


def fund() -> Rule:
    return shipped().rules[FUND]


def outcome(rule: Rule, inputs: GateInputs, facts: GateFacts = NOTHING) -> tuple[Bucket, str] | None:
    return verdict_of(run(rule, inputs, facts))


@given(inputs_, facts_)
def test_every_gate_answers_in_the_fixed_order(inputs: GateInputs, facts: GateFacts) -> None:
    results = run(fund(), inputs, facts)
    assert tuple(r.gate for r in results) == NAMES
    assert len(GATES) == len(NAMES)


@given(inputs_, facts_)
def test_first_gate_that_does_not_pass_decides(inputs: GateInputs, facts: GateFacts) -> None:
    results = run(fund(), inputs, facts)
    blocked = [r for r in results if r.verdict not in (PASS, OTHER_CONTACT, PHONE)]
    found = verdict_of(results)
    assert (found is None) == (not blocked)
    if found and blocked:
        assert found[1] in (f"gate:{blocked[0].gate}", f"declared:{blocked[0].reason}")


@given(inputs_, facts_)
def test_release_lifts_holds_and_never_a_suppression(inputs: GateInputs, facts: GateFacts) -> None:
    before = run(fund(), replace(inputs, released=False), facts)
    after = run(fund(), replace(inputs, released=True), facts)
    for held, released in zip(before, after, strict=True):
        if held.verdict == SUPPRESS:
            assert released == held
        assert released.verdict != HOLD


@given(inputs_)
def test_inputs_survive_json(inputs: GateInputs) -> None:
    assert GateInputs.from_json(inputs.to_json()) == inputs


@pytest.mark.parametrize("found", [{"stoped": True}, {"stopped": 1}, {"consent": "maybe"}, {"source": "gone"}])
def test_inputs_of_another_shape_are_refused(found: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="gate inputs"):
        GateInputs.from_json(found)


def test_nothing_in_the_way_passes() -> None:
    assert outcome(fund(), CONSENTED) is None


def by_category(category: str) -> Rule:
    """The fund rule as if it were of another family and category."""
    table = resolved(shipped().statuses, "another", category, StatusTable())
    return replace(fund(), category=category, gates=Gates("client_status", table.verdicts, table.others))


@pytest.mark.parametrize("status", sorted(shipped().statuses["marketing"].verdicts))
def test_marketing_reaches_normal_clients_only(status: str) -> None:
    assert (status_verdict(by_category("marketing"), status) == SEND) == (status in ("normal", "institution"))


SERVICES = [name for name, rule in shipped().rules.items() if rule.category == "service"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_minors_notices_go_to_the_guardian(name: str) -> None:
    rule = shipped().rules[name]
    results = run(rule, CONSENTED, replace(NOTHING, status="minor"))
    assert verdict_of(results) is None
    assert contacts_of(rule, results) == ("guardian",)
    assert call_of(results) == ""


@pytest.mark.parametrize("name", SERVICES)
def test_special_care_is_a_call_beside_the_notice(name: str) -> None:
    rule = shipped().rules[name]
    results = run(rule, CONSENTED, replace(NOTHING, status="special_care"))
    assert verdict_of(results) is None
    assert contacts_of(rule, results) == rule.contacts
    assert call_of(results) == "special_care"


def test_a_status_in_no_table_may_name_contacts_too() -> None:
    gates = Gates("client_status", {"unknown": OTHER_CONTACT}, {"unknown": ("officer",)})
    rule = replace(fund(), gates=gates)
    results = run(rule, CONSENTED, replace(NOTHING, status=Absence.MISSING))
    assert contacts_of(rule, results) == ("officer",)


def test_a_rules_own_verdict_stands_before_its_familys_and_that_before_its_categorys() -> None:
    tables = {
        "ipo": StatusTable({"minor": OTHER_CONTACT, "frozen": HOLD}, {"minor": ("guardian",)}),
        "service": StatusTable({"minor": SUPPRESS, "dormant": HOLD}),
    }
    own = StatusTable({"frozen": SEND})
    found = resolved(tables, "ipo", "service", own)
    assert dict(found.verdicts) == {"minor": OTHER_CONTACT, "frozen": SEND}
    assert resolved(tables, "ipo", "service", StatusTable({"minor": SEND})).others == {}
    assert resolved(tables, "fund", "service", own).verdicts == {"minor": SUPPRESS, "dormant": HOLD, "frozen": SEND}


def test_every_shipped_table_says_something_of_every_status() -> None:
    tables = shipped().statuses
    statuses = {status for table in tables.values() for status in table.verdicts} - {"unknown"}
    assert len(statuses) == 9
    for name, table in tables.items():
        assert statuses <= set(table.verdicts), name
        assert {s for s, verdict in table.verdicts.items() if verdict == OTHER_CONTACT} == set(table.others)


@pytest.mark.parametrize("status", NEVER_GATED["margin"])
def test_a_status_that_never_gates_sends_under_every_margin_rule(status: str) -> None:
    for name, rule in shipped().rules.items():
        if name.startswith("margin/"):
            assert outcome(rule, GateInputs(), replace(NOTHING, status=status)) is None


def test_status_in_no_table_is_indeterminate() -> None:
    for status in ("strange", Absence.MISSING):
        assert outcome(fund(), CONSENTED, replace(NOTHING, status=status)) == (Bucket.INDETERMINATE, "gate:status")


def test_rule_without_a_status_field_asks_for_none() -> None:
    assert outcome(fund(), CONSENTED, replace(NOTHING, status=None)) is None


def test_freeze_never_gates_a_margin_call() -> None:
    margin = shipped().rules[MARGIN]
    for status in ("frozen", Absence.MISSING, Absence.INVALID):
        assert outcome(margin, GateInputs(), replace(NOTHING, status=status)) is None


def test_what_the_deceased_won_waits_for_a_person() -> None:
    payment = shipped().rules[PAYMENT]
    assert outcome(payment, GateInputs(), replace(NOTHING, status="deceased")) == (Bucket.HELD, "gate:status")


def test_margin_call_to_the_deceased_waits_for_a_person() -> None:
    margin = shipped().rules[MARGIN]
    dead = replace(NOTHING, status="deceased")
    assert outcome(margin, GateInputs(), dead) == (Bucket.HELD, "gate:status")
    assert outcome(margin, GateInputs(released=True), dead) is None


@pytest.mark.parametrize(
    ("asks", "said", "expected"),
    [
        ("none", "out", None),
        ("opt_out", "none", None),
        ("opt_out", "in", None),
        ("opt_out", "out", Bucket.SUPPRESSED),
        ("opt_out", "unknown", Bucket.INDETERMINATE),
        ("opt_in", "in", None),
        ("opt_in", "none", Bucket.SUPPRESSED),
        ("opt_in", "out", Bucket.SUPPRESSED),
        ("opt_in", "unknown", Bucket.INDETERMINATE),
    ],
)
def test_consent_as_far_as_the_rule_asks(asks: str, said: str, expected: Bucket | None) -> None:
    found = outcome(replace(fund(), gates=Gates(consent=asks)), GateInputs(consent=said), replace(NOTHING, status=None))
    assert (found and found[0]) == expected


def test_late_source_holds_unless_the_rule_speaks_unasked() -> None:
    late = GateInputs(source="late", consent="in")
    assert outcome(fund(), late) == (Bucket.HELD, "gate:source")
    assert outcome(replace(fund(), if_unasked="send"), late) is None


def test_cap_counts_other_obligations_only() -> None:
    full = GateInputs(consent="in", cap_used=5)
    assert outcome(fund(), replace(full, cap_used=4)) is None
    assert outcome(fund(), full) == (Bucket.SUPPRESSED, "gate:cap")
    assert outcome(fund(), replace(full, has_notice=True)) is None


def test_true_exclusion_wins_over_an_unknown_one() -> None:
    facts = replace(NOTHING, excludes={"a": Absence.MISSING, "b": True})
    assert outcome(fund(), CONSENTED, facts) == (Bucket.SUPPRESSED, "gate:exclude")
    facts = replace(NOTHING, excludes={"a": Absence.MISSING, "b": False})
    assert outcome(fund(), CONSENTED, facts) == (Bucket.INDETERMINATE, "gate:exclude")


@pytest.mark.parametrize(
    ("suitable", "why"), [(False, "unsuitable"), (Absence.MISSING, "unknown:missing"), (Absence.STALE, "unknown:stale")]
)
def test_what_is_not_known_to_be_suitable_is_not_pushed(suitable: bool | Absence, why: str) -> None:
    results = run(fund(), CONSENTED, replace(NOTHING, suitable=suitable))
    assert verdict_of(results) == (Bucket.SUPPRESSED, "gate:suitability")
    assert next(r.reason for r in results if r.gate == "suitability") == why


@pytest.mark.parametrize("suitable", [True, None])
def test_what_is_suitable_or_not_asked_for_passes(suitable: bool | None) -> None:
    assert outcome(fund(), CONSENTED, replace(NOTHING, suitable=suitable)) is None


def test_declared_hold_names_itself() -> None:
    facts = replace(NOTHING, holds={"unchecked": False, "differs": True})
    assert outcome(fund(), CONSENTED, facts) == (Bucket.HELD, "declared:differs")
    facts = replace(NOTHING, holds={"unchecked": Absence.MISSING})
    assert outcome(fund(), CONSENTED, facts) == (Bucket.INDETERMINATE, "declared:unchecked")
