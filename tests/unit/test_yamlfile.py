"""The strict loader and the schema reader: what is read, what is refused, and that everything wrong is told at once."""

from __future__ import annotations

from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import ConfigError, Finding
from daemon.yamlfile import FindingsError, Reader, YList, YMap, describe, load
from daemon.yamlstrict import MAX_BYTES, MAX_FINDINGS


def read(text: str) -> YMap:
    return load(text.encode(), "rules/x.yaml")


def findings_of(text: str | bytes) -> list[Finding]:
    with pytest.raises(FindingsError) as refused:
        load(text if isinstance(text, bytes) else text.encode(), "rules/x.yaml")
    assert isinstance(refused.value, ConfigError)
    return list(refused.value.findings)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("null", None),
        ("", None),
        ("true", True),
        ("false", False),
        ("0", 0),
        ("-12", -12),
        ("600036", 600036),
        ("1.30", Decimal("1.30")),
        ("-0.05", Decimal("-0.05")),
        ("'000001'", "000001"),
        ('"NO"', "NO"),
        ("'12:30'", "12:30"),
        ("call", "call"),
        ("e5", "e5"),
        ("'-'", "-"),
        ("1.2.3", "1.2.3"),
        ("2024-02-01", "2024-02-01"),
        ("payment_date 08:00", "payment_date 08:00"),
        ("T+2 14:30", "T+2 14:30"),
        ("+30m", "+30m"),
        ("cash / debt < 1.30", "cash / debt < 1.30"),
        ("新股中签缴款", "新股中签缴款"),
        ('"a\\u3000b"', "a\u3000b"),
        ("'❤️'", "❤️"),
        ("|\n  two\n  lines\n", "two\nlines\n"),
        (">-\n  one\n  line\n", "one line"),
    ],
)
def test_scalars_are_read_as_yaml_1_2_with_exact_decimals(written: str, value: Any) -> None:
    found = read(f"a: {written}\n")["a"]
    assert (type(found), found) == (type(value), value)
    assert str(found) == str(value)


@pytest.mark.parametrize(
    "written",
    [
        "NO",
        "no",
        "No",
        "yes",
        "Yes",
        "on",
        "OFF",
        "y",
        "n",
        "True",
        "TRUE",
        "False",
        "Null",
        "NULL",
        "~",
        "0123",
        "-017",
        "0o17",
        "0x1F",
        "0b11",
        "1_000",
        "+1",
        ".5",
        "5.",
        "1e5",
        "1.5E-3",
        ".inf",
        "-.INF",
        ".nan",
        "12:30",
        "12:30:45",
        "08:00",
        "190:20:30.15",
    ],
)
def test_what_yaml_1_1_reads_otherwise_must_stand_in_quotes(written: str) -> None:
    (finding,) = findings_of(f"a: {written}\n")
    assert (finding.line, finding.column, finding.key) == (1, 4, "a")
    assert written in finding.found
    assert f"'{written}' in quotes" in finding.allowed
    assert read(f"a: '{written}'\n")["a"] == written


@pytest.mark.parametrize(
    ("text", "place", "key", "found"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", (4, 3), "b.c", "the key 'c' again"),
        ("a: &x 1\n", (1, 4), "a", "the anchor &x"),
        ("&x a: 1\n", (1, 1), "file", "an anchor or tag on the key"),
        ("a: &x {}\n", (1, 4), "a", "the anchor &x"),
        ("a: *x\n", (1, 4), "a", "the alias *x"),
        ("a: !!str 1\n", (1, 4), "a", "the tag"),
        ("a: !secret x\n", (1, 4), "a", "the tag !secret"),
        ("a: !!python/object/apply:os.system [ls]\n", (1, 4), "a", "the tag"),
        ("a:\n  <<: {b: 1}\n", (2, 3), "a", "the merge key"),
        ("? [a]\n: 1\n", (1, 3), "file", "a key that is no text"),
        ("利率: 1\n", (1, 1), "file", "the key '利率'"),
        ("a b: 1\n", (1, 1), "file", "the key 'a b'"),
        (f"{'k' * 65}: 1\n", (1, 1), "file", "the key"),
        ("a: 1\n---\nb: 1\n", (2, 1), "file", "a second document"),
        ("%YAML 1.1\n---\na: 1\n", (1, 1), "file", "a directive"),
        ("- a\n", (1, 1), "file", "a list"),
        ("text\n", (1, 1), "file", "the text 'text'"),
        ("", (1, 1), "file", "an empty file"),
        ("# nothing\n", (1, 1), "file", "an empty file"),
        ("a: [1\n", (2, 1), "file", "a syntax error"),
        ("a: b: c\n", (1, 5), "file", "a syntax error"),
        ("a: 'x\n", (2, 1), "file", "a syntax error"),
        ("a:\tb\n", (1, 3), "file", "U+0009"),
        ("\ufeffa: 1\n", (1, 1), "file", "U+FEFF"),
        ("a: x\u200by\n", (1, 5), "file", "U+200B"),
        ("a: 1\n# \u202e\n", (2, 3), "file", "U+202E"),
        ("a: x\u00a0y\n", (1, 5), "file", "U+00A0"),
        ("a: x\u3000y\n", (1, 5), "file", "U+3000"),
        ("a: x\u2028y\n", (1, 5), "file", "U+2028"),
        ("a: x\U000e0041y\n", (1, 5), "file", "U+E0041"),
        ("a: x\u3164y\n", (1, 5), "file", "U+3164"),
        ("a: x\ue000y\n", (1, 5), "file", "U+E000"),
        ('a: "\\u200b"\n', (1, 4), "a", "the escape of U+200B"),
        ('a: "\\0"\n', (1, 4), "a", "the escape of U+0000"),
        ('"a\\u200b": 1\n', (1, 1), "file", "the key"),
        (f"a: {'9' * 41}\n", (1, 4), "a", "a number of 41 characters"),
        ("a: [1, {b: NO}]\n", (1, 12), "a[2].b", "NO without quotes"),
    ],
)
def test_what_is_outside_the_subset_is_refused_at_its_place(
    text: str, place: tuple[int, int], key: str, found: str
) -> None:
    told = findings_of(text)
    assert [(f.line, f.column, f.key) for f in told if found in f.found] == [(*place, key)], told
    assert all(f.path == "rules/x.yaml" and f.allowed for f in told)


def test_bytes_that_are_no_utf8_are_told_with_line_and_column() -> None:
    (finding,) = findings_of("a: 1\n钥b: ".encode() + "中".encode("gb18030"))
    assert (finding.line, finding.column, finding.found) == (2, 5, "byte 0xd6")


def test_size_and_depth_are_bounded() -> None:
    assert "bytes" in findings_of(b"a: " + b"x" * MAX_BYTES)[0].found
    assert isinstance(read("a: " + "[" * 31 + "]" * 31)["a"], YList)
    assert findings_of("a: " + "[" * 32 + "]" * 32)[0].found == "a depth of 33"
    assert "nesting depth" in findings_of("a: " + "[" * 100_000)[0].found
    assert findings_of("{a: " * 40 + "}" * 40)[0].found == "a depth of 33"


def test_all_findings_of_a_file_come_at_once_in_order() -> None:
    told = findings_of("a: NO\nb: &x 1\nb: 0123\nc: !t [12:30]\nd: x\u200b\ne: .5\n")
    assert [f.line for f in told] == [1, 2, 3, 3, 4, 4, 5, 6]


def test_findings_are_bounded_in_number() -> None:
    assert len(findings_of("a: [" + "NO, " * 5000 + "1]\n")) == MAX_FINDINGS
    assert len(findings_of("a: '" + "\u200b" * 5000 + "'\n")) == MAX_FINDINGS


def test_places_lead_back_to_the_file() -> None:
    top = read("a: 1\n\nb:\n  - x\n  -  {c: 2}\n")
    assert (top.path, top.mark, top.trail) == ("rules/x.yaml", (1, 1), "")
    assert (top.key_place("b"), top.place("b"), top.place("a"), top.place("zz")) == ((3, 1), (4, 3), (1, 4), (1, 1))
    assert isinstance(top["b"], YList)
    assert (top["b"].mark, top["b"].place(0), top["b"].place(1), top["b"].place(9)) == ((4, 3), (4, 5), (5, 6), (4, 3))
    inner = top["b"][1]
    assert (inner.trail, inner.trail_of("c"), inner.place("c")) == ("b[2]", "b[2].c", (5, 10))


def test_carriage_returns_of_windows_change_nothing() -> None:
    assert read("a: 1\r\nb: |\r\n  x\r\n  y\r\n") == {"a": 1, "b": "x\ny\n"}
    assert "U+000D" in findings_of("a: 1\rb: 2\n")[0].found


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.sampled_from(" #:-'\"[]{},&*!|>%@`\\"))


@given(st.dictionaries(st.from_regex(r"[A-Za-z0-9_./+-]{1,64}", fullmatch=True), _TEXT | st.integers(-(10**9), 10**9)))
def test_quoted_text_and_numbers_come_back_as_they_were_written(values: dict[str, str | int]) -> None:
    lines = [
        f"'{k}': {v if isinstance(v, int) else chr(39) + v.replace(chr(39), chr(39) * 2) + chr(39)}\n"
        for k, v in values.items()
    ]
    try:
        found = read("".join(lines) or "{}\n")
    except FindingsError as refused:
        assert all("U+" in f.found for f in refused.findings)
    else:
        assert found == values


@given(st.binary(max_size=200) | st.text(alphabet="ab:-[]{}&*!#|>'\"?%\n ,0123.e~<", max_size=120).map(str.encode))
def test_any_bytes_are_read_or_refused_with_findings(data: bytes) -> None:
    try:
        assert isinstance(load(data, "x.yaml"), YMap)
    except FindingsError as refused:
        assert refused.findings
        assert all(f.path == "x.yaml" and f.line >= 0 for f in refused.findings)


SAMPLE = """\
title: 维持担保比例
category: service
limit: 12
line: 1.30
whole: 2
on: true
from: 2024-02-01
cutoff: '14:30'
after: 5m
terms: {ratio: 1}
list: [1, a]
names: [a, b]
single: a
levels:
  - {name: call}
  - {name: warning}
when: true
"""


def reader(text: str) -> tuple[Reader, list[Finding]]:
    findings: list[Finding] = []
    return Reader(read(text), findings), findings


def test_a_reader_gives_typed_values_and_their_absence_its_default() -> None:
    r, findings = reader(SAMPLE)
    assert (r.text("title"), r.choice("category", ("service", "marketing"))) == ("维持担保比例", "service")
    assert (r.integer("limit"), r.decimal("line"), r.decimal("whole")) == (12, Decimal("1.30"), Decimal(2))
    assert (r.flag("on"), r.date("from"), r.time("cutoff")) == (True, date(2024, 2, 1), time(14, 30))
    assert (r.span("after"), r.map("terms").integer("ratio"), r.list("list")) == (timedelta(minutes=5), 1, [1, "a"])
    assert (r.texts("names"), r.texts("single")) == (("a", "b"), ("a",))
    assert [level.text("name") for level in r.maps("levels")] == ["call", "warning"]
    assert r.expression("when") == "true"
    assert (r.opt_text("x", "d"), r.opt_choice("x", ("a",), "a"), r.opt_integer("x", 3)) == ("d", "a", 3)
    assert (r.opt_decimal("x"), r.opt_flag("x"), r.opt_date("x"), r.opt_time("x"), r.opt_span("x")) == (
        *(None, False, None, None, None),
    )
    assert (r.opt_map("x").map_, r.opt_list("x"), r.opt_texts("x"), r.opt_maps("x")) == ({}, [], (), ())
    assert r.opt_expression("x", "true") == "true"
    r.done()
    assert findings == []


@pytest.mark.parametrize(
    ("method", "args", "written", "found", "allowed"),
    [
        ("text", (), "1", "the number 1", "text of 1 to 2000"),
        ("text", (), "' '", "the text ' '", "text"),
        ("text", (3,), "abcd", "the text 'abcd'", "1 to 3"),
        ("text", (), "", "nothing", "text"),
        ("choice", (("send", "hold"),), "snd", "the text 'snd'", "one of send, hold"),
        ("choice", (("send", "hold"),), "[send]", "a list", "one of send, hold"),
        ("integer", (), "1.0", "the number 1.0", "a whole number"),
        ("integer", (), "true", "the truth value true", "a whole number"),
        ("integer", (1, 5), "6", "the number 6", "from 1 to 5"),
        ("decimal", (), "'1.30'", "the text '1.30'", "a number"),
        ("decimal", (), "true", "the truth value true", "a number"),
        ("flag", (), "'true'", "the text 'true'", "true or false"),
        ("date", (), "2024-02-30", "the text '2024-02-30'", "2024-02-01"),
        ("date", (), "20240201", "the number", "2024-02-01"),
        ("time", (), "'24:00'", "the text '24:00'", "14:30"),
        ("time", (), "'9:30'", "the text '9:30'", "14:30"),
        ("span", (), "5 m", "the text '5 m'", "90s"),
        ("span", (), "5", "the number 5", "90s"),
        ("map", (), "[]", "a list", "a mapping"),
        ("list", (), "{}", "a mapping", "a list"),
        ("list", (2,), "[1]", "a list", "at least 2"),
        ("texts", (), "[]", "a list", "at least 1"),
        ("expression", (), "[]", "a list", "an expression"),
    ],
)
def test_a_value_of_a_wrong_form_is_one_finding_and_reading_goes_on(
    method: str, args: tuple[Any, ...], written: str, found: str, allowed: str
) -> None:
    r, findings = reader(f"key: {written}\n")
    getattr(r, method)("key", *args)
    r.done()
    (finding,) = findings
    assert (finding.line, finding.key) == (1, "key")
    assert found in finding.found
    assert allowed in finding.allowed


def test_a_missing_key_is_told_at_its_mapping() -> None:
    r, findings = reader("a: 1\nb:\n  c: 1\n")
    r.map("b").date("from")
    assert [str(f) for f in findings] == [
        "rules/x.yaml:3:3: b.from: found nothing, allowed a date such as 2024-02-01 (the key 'from' is required)"
    ]


def test_an_unknown_key_is_told_with_the_nearest_known_one() -> None:
    r, findings = reader("title: x\ntreshold: 3\n")
    r.text("title")
    r.opt_integer("threshold", 1)
    r.done()
    assert [(f.line, f.key, f.found, f.allowed, f.hint) for f in findings] == [
        (2, "treshold", "the unknown key 'treshold'", "threshold, title", "did you mean 'threshold'?")
    ]


def test_elements_of_a_wrong_form_are_told_each() -> None:
    r, findings = reader("levels:\n  - {a: 1}\n  - 3\n  - x\nnames: [a, 1]\n")
    assert [m.integer("a") for m in r.maps("levels")] == [1]
    assert r.texts("names") == ("a",)
    assert [(f.line, f.key) for f in findings] == [(3, "levels[2]"), (4, "levels[3]"), (5, "names[2]")]


def test_a_long_text_is_shortened_in_a_finding() -> None:
    assert len(describe("x" * 500)) < 80


def test_an_error_lists_its_findings_line_by_line() -> None:
    told = str(FindingsError([Finding("b", 1, 1, "k", "x", "y"), Finding("a", 1, 1, "k", "x", "y", "z")]))
    assert told.splitlines() == ["2 findings", "a:1:1: k: found x, allowed y (z)", "b:1:1: k: found x, allowed y"]
