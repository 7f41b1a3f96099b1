"""The template language: what it has, what it refuses, and that nothing in a value is ever a template."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.cards import filters
from daemon.cards.card import CardField
from daemon.cards.check import check
from daemon.cards.lines import lines, parse_pattern
from daemon.cards.nodes import Branch, Known, Literal, Not, Show, present_if
from daemon.cards.template import RenderError, TemplateProblems, compile_leaves, parse
from daemon.cards.width import longest
from daemon.model.kinds import Absence, Type

NOTHING: frozenset[str] = frozenset()


def filled(source: str, bools: frozenset[str] = NOTHING, **values: object) -> str:
    parse(source)
    return compile_leaves([source], bools).run(values)[0]


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("{{ x.y }}", "getattr"),
        ("{{ x['y'] }}", "getitem"),
        ("{{ x() }}", "call"),
        ("{{ 'a' * 100000000 }}", "mul"),
        ("{{ x ~ y }}", "concat"),
        ("{{ x + y }}", "add"),
        ("{{ x if y else z }}", "condexpr"),
        ("{{ x|upper }}", "the filter 'upper'"),
        ("{{ x|money|mask }}", "filter"),
        ("{{ x|date(y) }}", "the arguments of 'date'"),
        ("{{ x|date(form='iso') }}", "the arguments of 'date'"),
        ("{% for x in y %}{% endfor %}", "for"),
        ("{% set x = 1 %}", "assign"),
        ("{% include 'x' %}", "include"),
        ("{% macro x() %}{% endmacro %}", "macro"),
        ("{% if x is defined %}a{% endif %}", "test"),
        ("{% if x < y %}a{% endif %}", "compare"),
        ("{% if 1 < x < 3 %}a{% endif %}", "compare"),
        ("{% if x > 1.5 %}a{% endif %}", "compare"),
        ("{% if x in ('a', 'b') %}a{% endif %}", "compare"),
        ("{%- if x %}a{% endif %}", "{%-"),
        ("{{ x -}}", "-}}"),
        ("{# remark #}", "{#"),
        ("{{ x", "syntax"),
        ("{% if x %}a", "syntax"),
        ("x" * 5000, "5000 characters"),
        ("{% if " + "not " * 900 + "x %}a{% endif %}", "nested too deeply"),
        ("{% if x %}" * 60 + "a" + "{% endif %}" * 60, "nested too deeply"),
    ],
)
def test_anything_beyond_the_language_is_refused(source: str, word: str) -> None:
    with pytest.raises(TemplateProblems) as refused:
        parse(source)
    assert word in str(refused.value)


def test_all_problems_of_a_text_are_found_with_their_lines() -> None:
    with pytest.raises(TemplateProblems) as refused:
        parse("{{ a.b }}\n{{ c|upper }}\n{{ fine }}\n{% for x in y %}{% endfor %}")
    assert [p.line for p in refused.value.problems] == [1, 2, 4]


def test_the_tree_is_ours() -> None:
    tree = parse("a{% if not x %}{{ y|money }}{% endif %}")
    assert tree == (Literal("a", 1), Branch(Not(Known("x", 1)), (Show("y", "money", (), 1),), (), 1))


def test_a_condition_asks_whether_a_value_is_there_and_a_bool_for_its_value() -> None:
    source = "{% if n %}there{% else %}absent{% endif %} {% if b %}yes{% else %}no{% endif %}"
    assert filled(source, frozenset({"b"}), n=Decimal(0), b=False) == "there no"
    assert filled(source, frozenset({"b"}), n=None, b=True) == "absent yes"


def test_lines_with_conditions_only_leave_no_blank_line() -> None:
    assert filled("a\n{% if x %}\nb\n{% endif %}\nc", x=None) == "a\nc"


def test_a_missing_name_is_an_error_not_an_empty_place() -> None:
    with pytest.raises(RenderError, match="expected text"):
        filled("{{ x }}")


def test_a_value_that_looks_like_a_template_stays_text() -> None:
    assert filled("{{ x }}", x="{{ y }}{% if z %}<b>&") == "{{ y }}{% if z %}<b>&"


def test_a_value_with_the_separator_is_refused() -> None:
    program = compile_leaves(["{{ x }}", "b"], NOTHING)
    with pytest.raises(RenderError, match=r"U\+001E"):
        program.run({"x": "a\x1eb"})


def test_output_is_bounded() -> None:
    with pytest.raises(RenderError, match="16000"):
        filled("{{ x }}", x="长" * 20000)


@given(
    st.lists(st.text(st.characters(exclude_characters="{}%#\x1e", exclude_categories=["Cs"])), min_size=1, max_size=6)
)
@settings(max_examples=60, deadline=None)
def test_joined_leaves_come_apart_as_they_were(texts: list[str]) -> None:
    # Jinja ends lines with a line feed and drops one at the end, which is no part of a text here.
    plain = [t.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n") for t in texts]
    sources = [f"{t}{{{{ x }}}}" for t in plain]
    assert compile_leaves(sources, NOTHING).run({"x": "值"}) == [f"{t}值" for t in plain]


@pytest.mark.parametrize(
    ("filter_", "value", "args", "text"),
    [
        ("money", Decimal("1234567.5"), (), "1,234,567.50"),
        ("money", Decimal("0.005"), (), "0.01"),
        ("money", Decimal("-3.20"), (), "-3.20"),
        ("price", Decimal("1.0230"), (), "1.0230"),
        ("price", Decimal("1E+1"), (), "10.00"),
        ("ratio", Decimal("1.29999999"), (), "129.99%"),
        ("ratio", Decimal("1.3"), ("plain",), "130%"),
        ("ratio", Decimal("1.455"), ("plain",), "145.5%"),
        ("date", date(2024, 2, 1), (), "2024年2月1日"),
        ("date", date(2024, 2, 1), ("short",), "2月1日"),
        ("date", datetime(2024, 1, 31, 16, tzinfo=UTC), ("iso",), "2024-02-01"),
        ("time", time(9, 5), (), "09:05"),
        ("time", datetime(2024, 2, 1, 7, 30, tzinfo=UTC), (), "15:30"),
        ("mask", "10912345678", ("phone",), "109****5678"),
        ("mask", "张三丰", ("name",), "张**"),
        ("", Decimal("500.00"), (), "500"),
    ],
)
def test_filters_show(filter_: str, value: object, args: tuple[str, ...], text: str) -> None:
    assert filters.VALUE_FILTERS[filter_](value, *args) == text


@pytest.mark.parametrize("filter_", filters.VALUE_FILTERS)
@pytest.mark.parametrize("value", [None, True, 1.5, datetime(2024, 1, 1), b"x", ["a"]])  # noqa: DTZ001
def test_filters_refuse_what_they_are_not_for(filter_: str, value: object) -> None:
    with pytest.raises(ValueError, match="found"):
        filters.VALUE_FILTERS[filter_](value)


ROWS = [
    {"name": f"证券{i}", "quantity": Decimal(i), "price": Absence.EMPTY if i % 2 else Decimal("1.50")}
    for i in range(1, 13)
]


def test_rows_beyond_the_limit_are_counted() -> None:
    assert lines(ROWS, "{name}", 2) == "证券1\n证券2\n等12项"
    assert lines(ROWS, "{name}", 2, "、") == "证券1、证券2等12项"
    assert lines(ROWS[:2], "{name}", 2, "、") == "证券1、证券2"


def test_an_optional_part_is_left_out_where_its_column_has_no_value() -> None:
    assert lines(ROWS[:2], "{name}[（{price|price}元）]") == "证券1\n证券2（1.50元）"
    with pytest.raises(ValueError, match="price"):
        lines(ROWS[:2], "{name}{price|price}")


@pytest.mark.parametrize("rows", [(), [], None, "text", 5])
def test_a_list_without_rows_is_an_error(rows: object) -> None:
    with pytest.raises(ValueError, match="expected rows"):
        lines(rows, "{name}")


def test_a_row_with_a_control_character_is_refused() -> None:
    with pytest.raises(ValueError, match="control character"):
        lines([{"name": "a\u202eb"}], "{name}")


@pytest.mark.parametrize(
    "pattern", ["{", "a}", "{a.b}", "{a!r}", "{0}", "[a]", "[{a}", "{a|x}", "{a|date:long}", "{a|lines}", "[[{a}]]"]
)
def test_patterns_have_nothing_but_columns_and_optional_parts(pattern: str) -> None:
    with pytest.raises(ValueError, match="found"):
        parse_pattern(pattern)


SCOPE = {
    f.name: f
    for f in (
        CardField("amount", Type.MONEY),
        CardField("maybe", Type.MONEY, optional=True),
        CardField("agreed", Type.BOOL),
        CardField("unsure", Type.BOOL, optional=True),
        CardField("basis", Type.ENUM, values=("day_end", "intraday")),
        CardField("mobile", Type.MSISDN),
        CardField(
            "rows", columns={"name": CardField("name", Type.TEXT), "price": CardField("price", Type.PRICE, True)}
        ),
    )
}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("{{ amonut|money }}", "the name 'amonut'"),
        ("{{ amount }}", "without a filter"),
        ("{{ amount|date }}", "with |date"),
        ("{{ amount|money('x') }}", "money"),
        ("{{ maybe|money }}", "may be absent"),
        ("{% if not maybe %}{{ maybe|money }}{% endif %}", "may be absent"),
        ("{% if maybe or agreed %}{{ maybe|money }}{% endif %}", "may be absent"),
        ("{% if maybe > 0 %}a{% endif %}", "may be absent"),
        ("{% if unsure %}a{% endif %}", "may be absent, as a condition"),
        ("{% if amount %}a{% endif %}", "always has a value"),
        ("{% if basis == 'day-end' %}a{% endif %}", "compared with 'day-end'"),
        ("{% if basis < 'x' %}a{% endif %}", "basis"),
        ("{% if agreed == 1 %}a{% endif %}", "agreed"),
        ("{% if amount == '1' %}a{% endif %}", "amount"),
        ("{{ mobile }}", "without a filter"),
        ("{{ rows }}", "without the filter lines"),
        ("{{ amount|lines('{x}') }}", "lines over 'amount'"),
        ("{{ rows|lines('{nmae}') }}", "the name 'nmae'"),
        ("{{ rows|lines('{price|price}') }}", "may be absent"),
        ("{{ rows|lines('{name}', 50) }}", "at most 50 lines"),
        ("{{ rows|lines('{name') }}", "a pattern"),
        ("{{ rows|lines }}", "lines with 0 arguments"),
    ],
)
def test_texts_are_checked_against_their_fields(source: str, found: str) -> None:
    problems = check(parse(source), SCOPE, NOTHING)
    assert any(found in p.found for p in problems), problems


@pytest.mark.parametrize(
    "source",
    [
        "{{ amount|money }}{{ mobile|mask('phone') }}",
        "{% if maybe %}{{ maybe|money }}{% endif %}",
        "{% if maybe and maybe > 0 %}{{ maybe|money }}{% else %}-{% endif %}",
        "{% if not maybe %}-{% else %}{{ maybe|money }}{% endif %}",
        "{% if not maybe or maybe == 0 %}-{% else %}{{ maybe|money }}{% endif %}",
        "{{ rows|lines('{name}[ {price|price}]', 3, '、') }}",
        "{% if basis == 'day_end' %}a{% elif agreed %}b{% endif %}",
    ],
)
def test_sound_texts_pass(source: str) -> None:
    assert check(parse(source), SCOPE, NOTHING) == []


def test_a_near_miss_is_suggested() -> None:
    assert check(parse("{{ amonut|money }}"), SCOPE, NOTHING)[0].hint == "did you mean 'amount'?"


# Conditions over three optional names, and whether each is present: what `present_if` promises must hold.
_tests = st.recursive(
    st.sampled_from(["a", "b", "c"]),
    lambda inner: (
        inner.map(lambda t: f"(not {t})")
        | st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})")
    ),
    max_leaves=6,
)


@given(_tests, st.fixed_dictionaries(dict.fromkeys("abc", st.sampled_from([None, "v"]))))
@settings(max_examples=80, deadline=None)
def test_names_promised_present_in_a_branch_are(test: str, values: dict[str, str | None]) -> None:
    source = "{% if " + test + " %}yes{% else %}no{% endif %}"
    (branch,) = parse(source)
    assert isinstance(branch, Branch)
    taken = compile_leaves([source], NOTHING).run(values)[0] == "yes"
    assert all(values[name] is not None for name in present_if(branch.test, taken))


@given(
    st.decimals("0", "99999999.99", places=2),
    st.none() | st.decimals("0", "99999999.99", places=2),
    st.booleans(),
    st.integers(1, 12),
)
@settings(max_examples=80, deadline=None)
def test_no_text_is_longer_than_its_worst_case(amount: Decimal, maybe: Decimal | None, agreed: bool, rows: int) -> None:
    source = (
        "计{{ amount|money }}{% if maybe %}缺{{ maybe|money }}元{% elif agreed %}已{% endif %}"
        "{{ rows|lines('{name}[（{price|price}）]', 4) }}"
    )
    nodes = parse(source)
    values = {"amount": amount, "maybe": maybe, "agreed": agreed, "rows": ROWS[:rows]}
    assert len(compile_leaves([source], frozenset({"agreed"})).run(values)[0]) <= longest(nodes, SCOPE)
