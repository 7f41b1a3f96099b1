"""How a replay counts and words what differs; whole days are decided again in tests/integration."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from hypothesis import strategies as st

from daemon.model.decisions import Bucket, Decision, GateResult
from daemon.model.kinds import Absence, Value
from daemon.report.replay import LINE, MOST_KEPT, ReplayResult, word_of, word_of_line
from daemon.store.sheetlines import Line

DAY = date(2024, 2, 1)

VALUES: st.SearchStrategy[Value] = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, places=4),
    st.dates(),
    st.booleans(),
    st.sampled_from(Absence),
    st.text(max_size=5),
)


def test_everything_that_differs_is_counted_and_the_first_are_kept() -> None:
    result = ReplayResult(DAY)
    for i in range(MOST_KEPT + 10):
        result.compare(
            "r", LINE, f"line {i}", {"bucket": "notify", "level": "call"}, {"bucket": "held", "level": "call"}
        )
    assert result.different == MOST_KEPT + 10
    assert len(result.differences) == MOST_KEPT
    assert not result.identical
    assert str(result.differences[0]) == "line 0: bucket: recorded notify, found held"


def test_equal_words_are_no_difference() -> None:
    result = ReplayResult(DAY)
    result.compare("r", LINE, "line", {"bucket": "notify"}, {"bucket": "notify", "more": "x"})
    assert result.identical
    assert result.differences == []


def test_a_line_and_its_decision_have_the_same_words() -> None:
    gates = (GateResult("stopped", "pass"), GateResult("silence", "suppress", "test"))
    terms = {"due": Decimal("1.50")}
    decision = Decision(Bucket.SUPPRESSED, "gate:silence", "call", {"day": DAY}, terms, {}, gates, ("late",))
    line = Line(
        1,
        1,
        DAY,
        "suppressed",
        "gate:silence",
        {},
        "call",
        '{"day":"2024-02-01"}',
        '{"due":"1.5"}',
        "",
        gates,
        ("late",),
    )
    assert word_of(decision) == word_of_line(line)
