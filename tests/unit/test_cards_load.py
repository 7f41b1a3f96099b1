"""Reading a card file: every mistake has its place, all are found at once, and what loads can be rendered."""

from __future__ import annotations

import pytest

from daemon.cards.load import load_card
from daemon.errors import Finding
from daemon.yamlfile import FindingsError

GOOD = """\
card: ipo/sample
category: service
fields:
  - due money
  - cash money?
  - day date
  - cutoff time
  - agreed bool?
  - basis enum
  - rows: [name text 8, price price?]
constants:
  firm_phone: "10900000000"
marks:
  late: 补发。
  stale_as_of: {title: （旧）, text: '截至{{ stale_as_of|time }}。'}
suggestions:
  - {reply: 已知晓}
variants:
  - name: full
    needs: [cash]
    when: {basis: day_end}
    title: 应缴{{ due|money }}元
    description: |
      应缴{{ due|money }}元，
      可用{{ cash|money }}元。
      {{ rows|lines("{name}[{price|price}]", 2) }}
    suggestions:
      - {open: "https://m.example.com/x", text: 去缴款, data: pay}
      - {dial: "{{ firm_phone }}", text: 联系我们}
      - {calendar: {title: 缴款, start: day 09:00, end: day cutoff}, text: 加入日历}
    sms:
      - if: agreed
        text: 应缴{{ due|money }}元
      - 请缴款
    sms_parts: 2
  - name: plain
    title: 缴款
    description: 请缴款
    sms: [请缴款]
"""


def findings(text: str) -> list[Finding]:
    try:
        load_card(text.encode(), "t.card.yaml")
    except FindingsError as error:
        return list(error.findings)
    return []


def test_a_good_card_loads_whole() -> None:
    card = load_card(GOOD.encode(), "t.card.yaml")
    assert (card.name, card.family, card.category) == ("ipo/sample", "ipo", "service")
    assert [v.name for v in card.variants] == ["full", "plain"]
    assert [s.kind for s in card.variants[0].suggestions] == ["open", "dial", "calendar"]
    assert [s.kind for s in card.variants[1].suggestions] == ["reply"]
    assert [v.sms_parts for v in card.variants] == [2, 1]
    assert card.variants[0].suggestions[0].data.constant == "pay"


# (what stands in the good file, what stands there instead, line, what the finding says)
MISTAKES = [
    ("card: ipo/sample", "card: Sample", 1, "'Sample'"),
    ("category: service", "category: services", 2, "did you mean 'service'?"),
    ("  - due money\n", "  - due monye\n", 4, "the type 'monye'"),
    ("  - due money\n", "  - due money\n  - due date\n", 5, "the field 'due' again"),
    ("  - due money\n", "  - Due!\n", 4, "'Due!'"),
    ("  - due money\n", "  - due money\n  - stage code\n", 5, "the field 'stage' again"),
    ("[name text 8, price price?]", "[name text 8, 5]", 10, "the number 5"),
    ("  firm_phone:", "  due:", 12, "the name 'due'"),
    ("late: 补发。", "late: '{{ cash|money }}'", 14, "'cash', which may be absent"),
    ("  - {reply: 已知晓}", "  - {answer: 已知晓}", 17, "none of them"),
    ("{reply: 已知晓}", "{reply: '{{ due }}'}", 17, "a placeholder"),
    ("{reply: 已知晓}", "{reply: 已知晓, url: x}", 17, "the unknown key 'url'"),
    ("needs: [cash]", "needs: [cahs]", 20, "did you mean 'cash'?"),
    ("needs: [cash]", "needs: [due]", 20, "the name 'due'"),
    ("needs: [cash]", "needs: [agreed > 0]", 20, "'agreed > 0'"),
    ("when: {basis: day_end}", "when: {bais: day_end}", 21, "did you mean 'basis'?"),
    ("title: 应缴{{ due|money }}元", "title: 应缴{{ deu|money }}元", 22, "the name 'deu'"),
    ("可用{{ cash|money }}元", "可用{{ cash|upper }}元", 25, "the filter 'upper'"),
    ("可用{{ cash|money }}元", "可用{{ cash }}元", 25, "'cash' (money) without a filter"),
    ("      可用{{ cash|money }}元", "      {% for c in cash %}", 26, "syntax"),
    ("{name}[{price|price}]", "{nmae}", 26, "the name 'nmae'"),
    ("start: day 09:00", "start: day 9am", 30, "'day 9am'"),
    ("start: day 09:00", "start: day 29:00", 30, "'29:00'"),
    ("start: day 09:00", "start: due 09:00", 30, "'due'"),
    ("end: day cutoff", "end: day", 30, "'day'"),
    ("if: agreed", "if: due", 32, "'due'"),
    ("      - 请缴款\n", "", 32, "a last text with a condition"),
    ("sms_parts: 2", "sms_parts: 0", 35, "the number 0"),
    ("  - name: plain", "  - name: full", 36, "the name 'full' again"),
    ("  - name: plain\n", "  - name: plain\n    needs: [cash]\n", 36, "a last variant with conditions"),
    ("    needs: [cash]\n    when: {basis: day_end}\n    title: 应缴", "    title: 应缴", 19, "hiding those after it"),
    ("    sms: [请缴款]", "    sms: []", 39, "a list"),
    ("    sms: [请缴款]", "    sms: [请缴款]\n    smss: [x]", 40, "did you mean"),
    ("    description: 请缴款\n", "", 36, "nothing"),
]


@pytest.mark.parametrize(("there", "instead", "line", "said"), MISTAKES, ids=[f"{m[2]}-{m[3]}" for m in MISTAKES])
def test_each_mistake_is_found_at_its_line(there: str, instead: str, line: int, said: str) -> None:
    assert there in GOOD
    found = findings(GOOD.replace(there, instead, 1))
    assert any(said in str(f) for f in found), found
    assert any(f.line == line for f in found if said in str(f)), found


def test_all_mistakes_of_a_file_are_found_at_once() -> None:
    text = GOOD.replace("due|money", "deu|money").replace("services", "x").replace("{name}", "{nmae}")
    assert {f.line for f in findings(text)} >= {22, 24, 26, 33}
    assert all(f.path == "t.card.yaml" for f in findings(text))
