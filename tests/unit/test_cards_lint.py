"""The lint: every wrong word has its line, what just fits passes, and the tables are read strictly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.cards.lint import lint
from daemon.cards.load import load_card
from daemon.cards.rcs import GSMA, Limits
from daemon.cards.words import cleared, found_words, parse_elements, parse_words, shipped_elements, shipped_words
from daemon.errors import ConfigError, Finding
from daemon.model.kinds import Field, Type

HOSTS = ("m.example.com",)
MARGIN = Path(__file__).parents[2] / "templates" / "margin" / "maintenance.card.yaml"

CARD = """\
card: sample/one
category: service
fields:
  - code code 6
  - client_id code
  - due money
  - name text 10
constants: {firm_phone: "10900000000"}
marks:
  late: 补发。
  stale_as_of: 数据较早。
  correction: 更正。
suggestions:
  - {reply: 已知晓}
  - {open: "https://m.example.com/{{ code }}", text: 查看}
  - {dial: "{{ firm_phone }}", text: 联系我们}
variants:
  - name: plain
    title: 缴款通知
    description: |
      应缴{{ due|money }}元。
      咨询{{ firm_phone }}
    sms: ["应缴{{ due|money }}元，咨询{{ firm_phone }}"]
    sms_parts: 2
public: [due]
"""


def found(
    text: str = CARD,
    *,
    limits: Limits | None = None,
    known: Mapping[str, Field | Type] | None = None,
    signature: str = "",
) -> list[Finding]:
    card = load_card(text.encode(), "t.card.yaml")
    more = {"limits": limits} if limits else {}
    return lint(
        card, words=shipped_words(), elements=shipped_elements(), hosts=HOSTS, known=known, signature=signature, **more
    )


def test_a_good_card_has_no_findings() -> None:
    assert found() == []


MISTAKES = [
    ("reply: 已知晓", "reply: 我已经知道了这件事", 14, "27 bytes"),
    ("reply: 已知晓", "reply: 已知晓, data: " + "a" * 2049, 14, "2049 characters"),
    ("https://m.example.com", "http://m.example.com", 15, "https://host/path"),
    ("https://m.example.com", "https://evil.example.com", 15, "the host evil.example.com"),
    ("/{{ code }}", "/{{ client_id }}", 15, "'client_id' in a link"),
    ("/{{ code }}", "/{{ name }}", 15, "'name' in a link"),
    ("/{{ code }}", "/{{ due|money }}", 15, "'due' in a link"),
    ("{{ firm_phone }}\", text", "955-500\", text", 16, "955-500"),
    ("{{ firm_phone }}\", text", "{{ code }}\", text", 16, "'?'"),
    ("title: 缴款通知", "title: " + "长" * 201, 19, "up to 201 characters"),
    ("      咨询{{ firm_phone }}\n", "", 21, "no contact in title and description"),
    ("，咨询{{ firm_phone }}\"", "\"", 23, "no contact in the SMS text"),
    ("元，咨询", "元，见www.example.com，咨询", 23, "a link in an SMS text"),
    ("[\"应缴", "[\"【紧急】应缴", 23, "【 or 】"),
    ("[\"应缴", "[\"" + "长" * 90 + "应缴", 23, "in the shortest SMS text"),
    ("应缴{{ due|money }}元。", "应缴{{ due|money }}元，保 本。", 21, "'保本'"),
    ("元。\n      咨询", "元。\n      稳赚。咨询", 22, "'稳赚'"),
    ("title: 缴款通知", "title: 欢迎申购", 19, "'欢迎申购'"),
    ("text: 查看", "text: 抢购", 15, "'抢购'"),
    ("late: 补发。", "late: 无风险。", 10, "'无风险'"),
    ("  correction: 更正。\n", "", 1, "the mark 'correction'"),
    ("应缴{{ due|money }}元。", "{{ code }}{{ due|money }}元。", 21, "nothing between them"),
]  # fmt: skip


@pytest.mark.parametrize(("there", "instead", "line", "said"), MISTAKES, ids=[m[3] for m in MISTAKES])
def test_each_mistake_is_found_at_its_line(there: str, instead: str, line: int, said: str) -> None:
    assert there in CARD
    findings = found(CARD.replace(there, instead, 1))
    assert any(said in str(f) and f.line == line for f in findings), findings


def test_button_bytes_are_counted_only_where_the_operator_counts_them() -> None:
    assert found(CARD.replace("已知晓", "我已经知道了这件事"), limits=GSMA) == []


def test_no_links_without_an_allow_list() -> None:
    findings = lint(load_card(CARD.encode(), "t"))
    assert [f.found for f in findings] == ["the host m.example.com"]


KNOWN: dict[str, Field | Type] = {"code": Type.CODE, "client_id": Type.CODE, "due": Type.MONEY, "name": Type.TEXT}


def test_names_are_checked_against_what_the_rule_offers() -> None:
    assert found(known=KNOWN) == []
    missing = found(known={k: v for k, v in KNOWN.items() if k != "due"})
    assert [(f.line, f.found) for f in missing] == [(6, "the name 'due'")]
    near = found(known={"dues" if k == "due" else k: v for k, v in KNOWN.items()})
    assert near[0].hint == "did you mean 'dues'?"


def test_a_type_other_than_the_kinds_is_found() -> None:
    findings = found(known={**KNOWN, "due": Type.RATIO})
    assert [(f.line, f.found) for f in findings] == [(6, "the type money")]


def test_a_type_left_to_the_kind_is_checked_with_it() -> None:
    text = CARD.replace("  - due money\n", "  - due\n")
    assert found(text, known=KNOWN) == []
    findings = found(text, known={**KNOWN, "due": Type.DATE})
    assert {f.line for f in findings} == {21, 23}
    assert all("with |money" in f.found for f in findings)
    assert "bool" in str(found(text, known={**KNOWN, "due": Type.BOOL})[0])


def test_a_personal_code_is_not_for_a_link() -> None:
    findings = found(known={**KNOWN, "code": Field("code", Type.CODE, "代码", personal="C2")})
    assert [f.found for f in findings] == ["'code' in a link"]


def test_the_kinds_bound_counts_for_the_length_of_sms() -> None:
    text = CARD.replace('sms: ["应缴', 'sms: ["' + "长" * 85 + "应缴")
    assert found(text, signature="示例证券") == []
    wide = Field("due", Type.MONEY, "应缴", maximum=Decimal(10) ** 20)
    assert "in the shortest SMS text" in str(found(text, known={**KNOWN, "due": wide}, signature="示例证券")[0])


def test_wording_that_was_reviewed_is_cleared_only_where_it_stands() -> None:
    text = CARD.replace("应缴{{ due|money }}元。", "账户安全提示。{{ name }}")
    assert "'安全'" in str(found(text)[0])
    reviewed = text.replace("variants:", "reviewed: [安全提示]\nvariants:")
    assert found(reviewed) == []
    assert "'安全'" in str(found(reviewed.replace("title: 缴款通知", "title: 资金安全"))[0])


def test_blocked_wording_cannot_be_cleared() -> None:
    text = CARD.replace("title: 缴款通知", "title: 保本").replace("variants:", "reviewed: [保本]\nvariants:")
    assert "'保本'" in str(found(text)[0])


def test_marketing_needs_the_risk_sentence_and_the_way_out() -> None:
    said = " ".join(map(str, found(CARD.replace("category: service", "category: marketing"))))
    assert "no risk sentence" in said
    assert "no opt-out" in said
    text = (
        CARD.replace("category: service", "category: marketing")
        .replace("元。\n", "元。基金有风险，投资需谨慎。\n")
        .replace("元，咨询{{ firm_phone }}", "元，基金有风险，咨询{{ firm_phone }}，拒收请回复R")
    )
    assert found(text) == []


@pytest.mark.parametrize(
    ("words", "element"),
    [
        ("尾号{{ account_tail }}，", "account tail"),
        ("{{ business_date|date }}日终清算", "business date"),
        ("日终清算", "basis"),
        ("{{ ratio|ratio }}", "ratio"),
        ('{{ line_call|ratio("plain") }}', "line"),
        ('{{ line_target|ratio("plain") }}', "target"),
        ("，以日终清算为准", "estimate"),
        ("强制平仓", "consequence"),
        ("咨询电话：{{ firm_phone }}", "contact"),
    ],
)
def test_a_margin_call_without_a_required_element_is_found(words: str, element: str) -> None:
    text = MARGIN.read_text(encoding="utf-8")
    begin, end = text.index("  - name: call\n"), text.index("  - name: warning\n")
    assert words in text[begin:end]
    cut = text[:begin] + text[begin:end].replace(words, "") + text[end:]
    said = [f.found for f in found(cut)]
    assert any(f.startswith(f"no {element} in") for f in said), said


@pytest.mark.parametrize(("names", "element"), [("to_add|to_repay", "amount"), ("deadline", "deadline")])
def test_a_margin_call_without_amount_or_deadline_is_found(names: str, element: str) -> None:
    text = MARGIN.read_text(encoding="utf-8")
    begin, end = text.index("  - name: call\n"), text.index("  - name: warning\n")
    call = re.sub(rf"\{{\{{ ({names})\|[^}}]*\}}\}}", "x", text[begin:end])
    said = [f.found for f in found(text[:begin] + call + text[end:])]
    assert any(f.startswith(f"no {element} in") for f in said), said


def test_the_tables_are_read_strictly() -> None:
    assert len(shipped_words()) >= 28
    with pytest.raises(ConfigError, match="columns"):
        parse_words("word,action\n保本,block\n".encode())
    head = "group,word,for,action,basis,confidence\n"
    with pytest.raises(ConfigError, match="'ban'"):
        parse_words((head + "promise,保本,all,ban,x,A\n").encode())
    with pytest.raises(ConfigError, match="other length"):
        parse_words((head + "promise,保本\n").encode())
    with pytest.raises(ConfigError, match="expected one of card"):
        parse_elements(b"category,family,levels,element,fields,phrases,in,basis\nservice,*,,x,y,,page,z\n")


@given(st.sampled_from(shipped_words()), st.text(st.sampled_from(" \u3000\u200b"), max_size=2), st.booleans())
def test_spaced_out_or_wide_wording_is_still_found(word: object, gap: str, wide: bool) -> None:
    forbidden = next(w for w in shipped_words() if w == word)
    text = "前" + gap.join(forbidden.word) + "后"
    category = forbidden.category if forbidden.category != "all" else "service"
    assert forbidden in list(found_words(text, shipped_words(), category))
    assert not cleared(text, forbidden, ())


SECRET = CARD.replace("public: [due]\n", "")
SMS = 'sms: ["应缴{{ due|money }}元，咨询{{ firm_phone }}"]'


def with_sms(*texts: str, more: str = "") -> str:
    """The card with these SMS texts and one amount that is the client's."""
    assert SMS in SECRET
    fields = SECRET.replace("  - due money\n", "  - due money\n  - agreed bool?\n", 1)
    return fields.replace(SMS, "sms:\n" + "\n".join(f"      - {text}" for text in texts), 1) + more


AMOUNT = "{if: agreed, text: '应缴{{ due|money }}元，咨询{{ firm_phone }}'}"
SHORT = "有缴款，咨询{{ firm_phone }}"


def test_an_amount_of_the_client_stands_only_where_the_client_agreed() -> None:
    (finding,) = found(SECRET)
    assert (finding.line, finding.found) == (23, "the amount 'due' in an SMS text for every client")
    assert "a last text without" in finding.allowed
    assert found(with_sms(AMOUNT, SHORT)) == []
    (finding,) = found(with_sms(AMOUNT, "应缴{{ due|money }}元，咨询{{ firm_phone }}"))
    assert finding.key == "variants[1].sms[2]"


def test_an_amount_in_a_row_or_a_mark_is_one_too() -> None:
    rows = with_sms(AMOUNT, "\"{{ items|lines('{paid|money}元', 2) }}，咨询{{ firm_phone }}\"")
    rows = rows.replace("  - agreed bool?\n", "  - agreed bool?\n  - items: [paid money]\n")
    assert [f.found for f in found(rows)] == ["the amount 'paid' in an SMS text for every client"]
    mark = with_sms(AMOUNT, SHORT).replace("late: 补发。", "late: '补发，应缴{{ due|money }}元。'")
    assert [f.found for f in found(mark)] == ["the amount 'due' in an SMS text for every client"]


def test_every_sms_text_has_what_both_ask_for() -> None:
    (finding,) = found(with_sms(AMOUNT, "有缴款，请登录App查看"))
    assert (finding.found, finding.key) == ("no contact in this SMS text", "variants[1].sms[2]")


def test_a_card_may_ask_for_more_of_itself() -> None:
    asks = "requires:\n  - {element: 金额, fields: [due], in: agreed, basis: 业务规程}\n"
    asks += "  - {element: 后果, words: [视为放弃], in: both}\n"
    told = [(f.found, f.allowed, f.hint) for f in found(with_sms(AMOUNT, SHORT, more=asks))]
    lacks = ("the words 视为放弃", "")
    assert told.count(("no 后果 in this SMS text", *lacks)) == 2
    assert ("no 后果 in title and description", *lacks) in told
    assert len(told) == 3  # the amount is in the card and in the text of those who agreed, and not asked of the other
    good = with_sms(AMOUNT.replace("元，", "元，逾期视为放弃，"), SHORT.replace("，", "，逾期视为放弃，"), more=asks)
    assert found(good.replace("元。\n      咨询", "元，逾期视为放弃。\n      咨询")) == []
    (finding,) = found(
        with_sms("{if: agreed, text: '有缴款，咨询{{ firm_phone }}'}", SHORT, more=asks.split("  - {element: 后果")[0])
    )
    assert (finding.found, finding.hint) == ("no 金额 in an SMS text with amounts", "业务规程")


def test_a_link_in_an_sms_leads_only_where_the_firm_allows_it() -> None:
    card = load_card(CARD.replace("元，咨询", "元，见https://m.example.com/a，咨询").encode(), "t.card.yaml")
    words = {"words": shipped_words(), "elements": shipped_elements(), "hosts": HOSTS}
    assert [f.allowed for f in lint(card, **words)] == ["no links in SMS"]  # type: ignore[arg-type]
    assert lint(card, **words, sms_hosts=("m.example.com",)) == []  # type: ignore[arg-type]
    (finding,) = lint(card, **words, sms_hosts=("example.com",))  # type: ignore[arg-type]
    assert finding.allowed == "https links to the hosts that rules/links.yaml allows in SMS: example.com"
    for bad in ("http://m.example.com/a", "https://m.example.com.evil.cn/a", "m.example.com"):
        other = load_card(CARD.replace("元，咨询", f"元，见{bad}，咨询").encode(), "t.card.yaml")
        assert any("a link in an SMS" in f.found for f in lint(other, **words, sms_hosts=("m.example.com",))), bad  # type: ignore[arg-type]
