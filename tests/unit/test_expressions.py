"""Reading and typing expressions: what is accepted, what is refused and with which words."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.model.kinds import Type
from daemon.rules.checking import check, check_as
from daemon.rules.expressions import ExpressionError, parse
from daemon.rules.nodes import And, Arithmetic, Call, Compare, In, Literal, Name, Negate, Not, Or, names_in, show, walk
from daemon.rules.types import BOOL, MONEY, RATIO, Base, Declared, ExprType, Scope

SCOPE = Scope(
    {
        "cash": Declared.of(Type.MONEY),
        "debt": Declared.of(Type.MONEY),
        "price": Declared.of(Type.PRICE),
        "ratio": Declared.of(Type.RATIO),
        "call_line": Declared.of(Type.RATIO, source="parameter"),
        "won": Declared.of(Type.QUANTITY),
        "payment_date": Declared.of(Type.DATE),
        "cutoff": Declared.of(Type.TIME, source="parameter"),
        "as_of": Declared.of(Type.DATETIME),
        "cured": Declared.of(Type.BOOL),
        "level": Declared.of(Type.ENUM, ("attention", "warning", "call")),
        "board": Declared.of(Type.ENUM, ("main", "star")),
        "code": Declared.of(Type.CODE),
        "client_name": Declared.of(Type.NAME),
        "shortfall": Declared(MONEY, "let"),
    }
)

N, L = Name, Literal


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("a + b * c - d", Arithmetic("-", Arithmetic("+", N("a"), Arithmetic("*", N("b"), N("c"))), N("d"))),
        ("-a * b", Arithmetic("*", Negate(N("a")), N("b"))),
        ("a - -1.50", Arithmetic("-", N("a"), Negate(L(Decimal("1.50"))))),
        ("a or b and not c", Or((N("a"), And((N("b"), Not(N("c"))))))),
        ("(a or b) and c", And((Or((N("a"), N("b"))), N("c")))),
        ("not a == b", Not(Compare("==", N("a"), N("b")))),
        ("a<=2024-02-01", Compare("<=", N("a"), L(date(2024, 2, 1)))),
        ("14:30:05 > t", Compare(">", L(time(14, 30, 5)), N("t"))),
        ("a in ('x', \"it's\")", In(N("a"), (L("x"), L("it's")))),
        ("a not in (1)", Not(In(N("a"), (L(Decimal(1)),)))),
        ("max(0, a - b)", Call("max", (L(Decimal(0)), Arithmetic("-", N("a"), N("b"))))),
        ("business_date()", Call("business_date", ())),
        ("true and\n  false", And((L(True), L(False)))),
        ("'中签' == a", Compare("==", L("中签"), N("a"))),
    ],
)
def test_text_reads_as_this_tree_and_back(text: str, node: object) -> None:
    assert parse(text) == node
    assert parse(show(parse(text))) == node


@pytest.mark.parametrize(
    ("text", "offset", "hint"),
    [
        ("", 0, ""),
        ("a b", 2, ""),
        ("a +", 3, ""),
        ("(a", 2, ""),
        ("a < b < c", 6, "with and"),
        ("a == b in (c)", 7, "with and"),
        ("a = b", 2, "=="),
        ("a <> b", 2, "!="),
        ("a && b", 2, "and"),
        ("a || b", 2, "or"),
        ("!a", 0, "not"),
        ("a.b", 1, "no attributes"),
        ("a[0]", 1, "no subscripts"),
        ("a ** 2", 3, ""),
        ("a % 2", 2, "decimal"),
        ("130% > a", 0, "decimal"),
        ("1e5", 0, "exponents"),
        ("0123", 0, "leading zeros"),
        ("1.", 0, ""),
        ("1_000", 0, ""),
        ("2024-13-01", 0, ""),
        ("2024-02-30 < a", 0, ""),
        ("25:00", 0, ""),
        ("9:30", 0, ""),
        ("Ratio < 1", 0, "lower case"),
        ("a is null", 2, "known(x)"),
        ("rat\u0456o < 1", 3, ""),  # CYRILLIC SMALL LETTER BYELORUSSIAN-UKRAINIAN I
        ("\uff52atio < 1", 0, "write 'r'"),
        ("a \uff1e 1", 2, "write '>'"),
        ("a > 1\uff0c", 5, "write ','"),
        ("中签", 0, "quotes"),
        ("a\u200b", 1, ""),
        ("'a\u202e'", 0, ""),
        ("'abc", 0, "same quote"),
        ("'a\nb'", 0, "same quote"),
        ("a in b", 5, ""),
        ("a in ()", 6, ""),
        ("a not b", 6, ""),
        ("lambda: 1", 6, ""),
        ("if_else(a, b c)", 13, ""),
        ("a" * 65, 0, ""),
        ("1" * 41, 0, ""),
        ("a\t+ 1", 1, "space"),
    ],
)
def test_what_is_no_expression_is_refused_with_its_place(text: str, offset: int, hint: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        parse(text)
    assert (refused.value.offset, hint in refused.value.hint) == (offset, True), refused.value
    assert refused.value.found
    assert refused.value.allowed


def test_null_is_answered_with_the_function_that_asks_for_absence() -> None:
    problems = check(parse("cash == null"), SCOPE)[1]
    assert [p.found for p in problems] == ["the unknown name 'null'"]
    assert "known(x)" in problems[0].hint


@pytest.mark.parametrize(
    "text",
    [
        "a + " * 500 + "a",
        "a" + " + a" * 32,
        "(" * 33 + "a" + ")" * 33,
        "not " * 33 + "a",
        "-" * 33 + "a",
        "abs(" * 33 + "a" + ")" * 33,
        "(" * 1500,
        " and ".join(["a"] * 300),
        "1" + " " * 2000,
    ],
)
def test_size_is_bounded_in_length_depth_and_count(text: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        parse(text)
    assert "at most" in refused.value.allowed


@given(st.text(alphabet="ab1.'\"()+-*/<>=!,: \nandortif_T2024-", max_size=60) | st.text(max_size=40))
def test_any_text_is_read_or_refused_and_what_is_read_is_stable(text: str) -> None:
    try:
        node = parse(text)
    except ExpressionError as refused:
        assert 0 <= refused.offset <= len(text)
    else:
        assert parse(show(node)) == node
        assert all(0 <= part.start < len(text) for part in walk(node))


def test_names_come_once_in_the_order_of_the_text() -> None:
    assert names_in(parse("max(b, a) < b and c in (a, d)")) == ("b", "a", "c", "d")


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("cash + debt", Base.MONEY),
        ("cash - 100", Base.MONEY),
        ("price * won", Base.MONEY),
        ("won * price", Base.MONEY),
        ("cash / debt", Base.RATIO),
        ("cash / price", Base.QUANTITY),
        ("cash / won", Base.PRICE),
        ("ratio * cash", Base.MONEY),
        ("cash / ratio", Base.MONEY),
        ("2 * cash / 3", Base.MONEY),
        ("ratio - 1", Base.RATIO),
        ("won * won", Base.QUANTITY),
        ("won + year(payment_date)", Base.QUANTITY),
        ("1 + 2 * 3", Base.NUMBER),
        ("max(0, cash)", Base.MONEY),
        ("if_else(cured, 0, ratio)", Base.RATIO),
        ("coalesce(ratio, call_line, 1.30)", Base.RATIO),
        ("if_else(cured, 'call', level)", Base.ENUM),
        ("if_else(cured, 'a', 'b')", Base.TEXT),
        ("cents_up(1.5 * debt)", Base.MONEY),
        ("at(payment_date, cutoff)", Base.DATETIME),
        ("add_sessions(payment_date, won)", Base.DATE),
        ("ratio < 1.30 and cash / debt < call_line", Base.BOOL),
        ("level in ('call', 'warning')", Base.BOOL),
        ("code == '600036' or starts_with(code, '60')", Base.BOOL),
        ("known(payment_date)", Base.BOOL),
        ("date_of(as_of) == payment_date and time_of(as_of) < 14:30", Base.BOOL),
    ],
)
def test_types_follow_from_the_operands(text: str, base: Base) -> None:
    found, problems = check(parse(text), SCOPE)
    assert (found.base, found.literal, problems) == (base, False, [])


@pytest.mark.parametrize(
    ("text", "found", "allowed", "hint"),
    [
        ("cash < ratio", "money < ratio", "one type", ""),
        ("cash + ratio", "money + ratio", "units fit", ""),
        ("cash * debt", "money * money", "units fit", ""),
        ("cash * price", "money * price", "units fit", ""),
        ("price / won", "price / quantity", "units fit", ""),
        ("cash + year(payment_date)", "money + number", "units fit", ""),
        ("payment_date + 2", "date + number", "numbers", "add_sessions"),
        ("payment_date - payment_date", "date - date", "numbers", "days_between"),
        ("payment_date < as_of", "date < datetime", "one type", "date_of"),
        ("cutoff < as_of", "time < datetime", "one type", "time_of"),
        ("level == 'cal'", "'cal'", "attention, warning, call", "did you mean 'call'?"),
        ("'cal' == level", "'cal'", "attention, warning, call", "did you mean 'call'?"),
        ("level in ('call', 'warn')", "'warn'", "attention, warning, call", "did you mean 'warning'?"),
        ("level == board", "enum", "attention", ""),
        ("level == code", "text", "attention", ""),
        ("level < 'call'", "enum", "have an order", ""),
        ("code > '6'", "text", "have an order", ""),
        ("cured < true", "bool", "have an order", ""),
        ("code == 600036", "text == number", "one type", "quotes"),
        ("not cash", "cash, which is money", "a condition", ""),
        ("cash and cured", "cash, which is money", "a condition", ""),
        ("-payment_date", "payment_date, which is date", "a number", ""),
        ("ration < 1", "unknown name 'ration'", "ratio", "did you mean 'ratio'?"),
        ("maxx(1, 2)", "unknown function 'maxx'", "max", "did you mean 'max'?"),
        ("max(cash)", "1 arguments of max", "2 to 8", ""),
        ("abs(cash, debt)", "2 arguments of abs", "1", ""),
        ("max(cash, ratio)", "ratio beside money in max", "one type", ""),
        ("abs(level)", "which is enum", "a number", ""),
        ("if_else(cash, 1, 2)", "cash, which is money", "a condition", ""),
        ("if_else(cured, cash, payment_date)", "date beside money", "one type", ""),
        ("cents(ratio)", "ratio, which is ratio", "money", ""),
        ("add_days(payment_date, cash)", "cash, which is money", "a number or quantity", ""),
        ("client_name == 'x'", "personal field 'client_name'", "sheet", ""),
        ("starts_with(won, 'x')", "won, which is quantity", "text", ""),
    ],
)
def test_one_mistake_is_one_finding_with_what_is_allowed(text: str, found: str, allowed: str, hint: str) -> None:
    problems = check(parse(text), SCOPE)[1]
    assert len(problems) == 1, problems
    assert found in problems[0].found
    assert allowed in problems[0].allowed
    assert hint in problems[0].hint


def test_all_mistakes_are_told_at_once_in_the_order_of_the_text() -> None:
    text = "rato < 1.30 and cash < ratio or level == 'cal' and maxx(cash)"
    problems = check(parse(text), SCOPE)[1]
    assert [p.offset for p in problems] == [text.index(s) for s in ("rato", "cash <", "level", "maxx")]
    told = problems[0].finding("rules/margin/call.yaml", (14, 9), "when")
    assert str(told).startswith("rules/margin/call.yaml:14:9: when: found the unknown name 'rato' at character 1")


def test_personal_fields_are_free_where_no_sheet_is_written() -> None:
    assert check(parse("client_name == 'x'"), Scope(SCOPE.names, personal=True)) == (BOOL, [])


def test_a_formula_must_give_the_type_that_is_promised() -> None:
    assert check_as(parse("cash / debt"), SCOPE, RATIO) == []
    assert check_as(parse("1.30"), SCOPE, RATIO) == []
    assert [p.found for p in check_as(parse("cash"), SCOPE, BOOL)] == ["money"]
    grade = ExprType(Base.ENUM, ("low", "high"))
    assert check_as(parse("if_else(cured, 'low', 'high')"), SCOPE, grade) == []
    assert "did you mean 'low'?" in check_as(parse("if_else(cured, 'lo', 'high')"), SCOPE, grade)[0].hint
