"""The CT/CU dialect: what it writes, how it judges answers, how it reads and refuses callbacks."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.channels.channel import (
    CallbackRefused,
    MemoryNonces,
    Outgoing,
    ReceiptIn,
    ReceiptKind,
    Unsendable,
    Uplink,
    Verdict,
    VerdictKind,
)
from daemon.channels.ctcu import CODES, Ctcu, CtcuConfig, judge, signature
from daemon.channels.ctcu_in import FAILED, STATUSES
from daemon.channels.tokens import MemoryTokens, Token
from daemon.transport import Answer, Lost, NotSent

NOW = datetime(2024, 2, 1, 0, 0, tzinfo=UTC)
CHATBOT = "sip:106500@botplatform.rcs.domain.cn"
CONFIG = CtcuConfig("unicom", "http://platform", CHATBOT, "app", "key", "mytoken")
STATUS_PATH = f"deliveryNotification/{CHATBOT}/status"
CARD = {
    "message": {
        "generalPurposeCard": {
            "layout": {"cardOrientation": "VERTICAL"},
            "content": {"title": "缴款提醒", "description": "请于16:00前备足资金。"},
        }
    }
}
OUTGOING = Outgoing(
    message_id="m1", platform_id="p1", channel="rcs", recipient="10012345678", card=CARD, sms_text="【样例证券】请缴款",
    category="service", conversation_id="c1", contribution_id="k1", sms_fallback=True, store=True,
    report=(ReceiptKind.DELIVERED, ReceiptKind.READ, ReceiptKind.FAILED, ReceiptKind.HANDED_TO_SMS),
)  # fmt: skip
# 中国电信-中国联通5G消息业务平台行业客户接入接口技术规范 V1.0.4, section 15.1
SPECIFIED = """
    -1 -2 0 20002 20003 30001 30002 30003 30004 30006 30007 30008 40001 40002 40005 40006 40007 40008 40011 40014 40016
    40017 40018 40019 40020 40021 40022 40040 40052 41001 41002 41004 41005 41006 42001 43001 44001 44002 45001 45010
    46001 46002 46003 47001 47002 48001 60001 60002 60003 70001
""".split()  # noqa: SIM905 - read beside the specification


class Scripted:
    """A transport that answers token calls by itself and everything else from a list; keeps what was posted."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.token_answers: list[Answer] = []
        self.posted: list[tuple[str, dict[str, str], bytes]] = []
        self.tokens = 0

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,  # noqa: ASYNC109 - the protocol's
        on_sent: Callable[[], None] | None = None,
    ) -> Answer:
        await asyncio.sleep(0)
        if url.endswith("/accessToken"):
            self.tokens += 1
            if self.token_answers:
                return self.token_answers.pop(0)
            return answered(errorCode=0, accessToken=f"t{self.tokens}", expires=7200)
        self.posted.append((url, dict(headers), body))
        answer = self.answers.pop(0) if self.answers else answered(errorCode=0, messageId="p1")
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def aclose(self) -> None:
        return None


def answered(status_code: int = 200, **body: Any) -> Answer:
    return Answer(status_code, {}, json.dumps(body).encode(), 0.0)


def channel(transport: Scripted, tokens: MemoryTokens | None = None, config: CtcuConfig = CONFIG) -> Ctcu:
    return Ctcu(config, transport, tokens or MemoryTokens(), MemoryNonces())


def empties(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [found for part in value.values() for found in empties(part)] + ([value] if not value else [])
    if isinstance(value, list):
        return [found for part in value for found in empties(part)] + ([value] if not value else [])
    return [value] if value in ("", None) else []


# --- out ---


async def test_a_send_has_the_specified_path_headers_and_body() -> None:
    transport = Scripted()
    verdict = await channel(transport).send(OUTGOING, now=NOW)
    url, headers, body = transport.posted[0]
    assert verdict == Verdict(VerdictKind.ACCEPTED, "0", "请求成功", "p1")
    assert url == "http://platform/bot/v1/sip%3A106500%40botplatform.rcs.domain.cn/messages"
    assert headers["authorization"] == "accessToken t1"
    assert headers["date"] == "Thu, 01 Feb 2024 00:00:00 GMT"
    assert json.loads(body) == {
        "messageId": "p1",
        "messageList": [{"contentType": "application/vnd.gsma.botmessage.v1.0+json", "contentText": CARD}],
        "destinationAddress": ["tel:+8610012345678"],
        "senderAddress": CHATBOT,
        "conversationId": "c1",
        "contributionId": "k1",
        "serviceCapability": [{"capabilityId": "ChatbotSA", "version": '+g.gsma.rcs.botversion="#=1"'}],
        "smsSupported": True,
        "storeSupported": True,
        "smsContent": "【样例证券】请缴款",
        "reportRequest": ["delivered", "displayed", "failed", "deliveredToNetwork"],
    }


def test_the_sms_channel_is_a_text_the_platform_may_put_on_the_sms_network() -> None:
    text = replace(OUTGOING, channel="sms", card={}, sms_fallback=False, store=True)
    body = json.loads(channel(Scripted()).encode(text))
    assert body["messageList"] == [{"contentType": "text/plain", "contentText": "【样例证券】请缴款"}]
    assert (body["smsSupported"], body["storeSupported"], body["smsContent"]) == (True, False, "【样例证券】请缴款")


@given(
    st.booleans(), st.booleans(), st.booleans(), st.sampled_from(["service", "marketing", "education"]), st.booleans()
)
def test_no_optional_field_is_ever_empty(card: bool, sms: bool, store: bool, category: str, report: bool) -> None:
    outgoing = replace(
        OUTGOING, channel="rcs" if card else "sms", card=CARD if card else {}, sms_fallback=sms, store=store,
        category=category, report=OUTGOING.report if report else (),
    )  # fmt: skip
    encoded = channel(Scripted()).encode(outgoing)
    assert empties(json.loads(encoded)) == []
    assert encoded == channel(Scripted()).encode(outgoing)


async def test_a_message_without_sms_text_is_ours_and_does_not_leave() -> None:
    transport = Scripted()
    lacking = replace(OUTGOING, sms_text="")
    with pytest.raises(Unsendable, match="m1"):
        channel(transport).encode(lacking)
    assert (await channel(transport).send(lacking, now=NOW)).kind is VerdictKind.OURS
    assert transport.posted == []


async def test_a_repeat_sends_the_pinned_bytes() -> None:
    transport = Scripted()
    await channel(transport).send(replace(OUTGOING, body=b'{"pinned":1}', sms_text="other"), now=NOW)
    assert transport.posted[0][2] == b'{"pinned":1}'


async def test_a_revoke_names_message_and_address() -> None:
    transport = Scripted()
    verdict = await channel(transport).revoke("p1", "10012345678", now=NOW)
    assert verdict.kind is VerdictKind.ACCEPTED
    assert json.loads(transport.posted[0][2]) == {
        "messageId": "p1", "destinationAddress": ["tel:+8610012345678"], "status": "RevokeRequested",
    }  # fmt: skip


def test_button_text_is_limited_in_bytes_with_a_switch() -> None:
    assert channel(Scripted()).limits.button_bytes == 25
    assert channel(Scripted(), config=replace(CONFIG, button_bytes=None)).limits.button_bytes is None


def test_secrets_are_not_shown() -> None:
    assert "key" not in repr(CONFIG).replace("app_key", "")
    assert "mytoken" not in repr(CONFIG)


# --- verdicts ---


def test_every_specified_code_and_no_other_is_in_the_table() -> None:
    assert sorted(CODES) == sorted(SPECIFIED)


@pytest.mark.parametrize("code", SPECIFIED)
def test_a_code_gets_its_verdict_as_number_and_as_text(code: str) -> None:
    verdict = judge(answered(errorCode=int(code)), "p1", NOW)
    assert verdict == judge(answered(errorCode=code), "p1", NOW)
    assert (verdict.kind, verdict.group, verdict.code) == (*CODES[code][:2], code)


GROUPS = {
    VerdictKind.AUTH: ("40001", "40014", "42001", "41001"),
    VerdictKind.THROTTLED: ("30003", "45001", "30001", "30002", "30004"),
    VerdictKind.TRANSIENT: ("-1",),
    VerdictKind.PERMANENT: (
        "40005", "40006", "40007", "40008", "40016", "40017", "40018", "40019", "40020", "40021", "40022", "40052",
        "47001", "47002", "60001", "60003", "70001", "46001", "46002", "46003", "60002",
    ),
    VerdictKind.OURS: ("30008", "48001"),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "codes"), GROUPS.items())
def test_the_behaviour_groups_of_the_codes(kind: VerdictKind, codes: tuple[str, ...]) -> None:
    assert {judge(answered(errorCode=int(code)), "", NOW).kind for code in codes} == {kind}


@pytest.mark.parametrize(
    ("code", "group"), [("81000", "operator"), ("89999", "operator"), ("99999", "unknown"), ("x", "unknown")]
)
def test_an_unknown_code_is_permanent_and_marked(code: str, group: str) -> None:
    verdict = judge(answered(errorCode=code), "p1", NOW)
    assert (verdict.kind, verdict.text, verdict.group) == (VerdictKind.PERMANENT, "unknown code", group)


def test_spent_quotas_wait_for_the_next_period_in_shanghai() -> None:
    """NOW is 08:00 on 2024-02-01 in Shanghai: 16 h to midnight, 29 days of February, 335 days of 2024 left."""
    waits = [judge(answered(errorCode=code), "", NOW).retry_after for code in (30001, 30002, 30004)]
    assert waits == [57_600.0, 29 * 86_400.0 - 28_800, 335 * 86_400.0 - 28_800]


RAW: dict[str, tuple[Answer, VerdictKind, str]] = {
    "200 with HTML": (Answer(200, {}, b"<html></html>", 0), VerdictKind.IN_DOUBT, "not_json"),
    "200 and nothing": (Answer(200, {}, b"", 0), VerdictKind.IN_DOUBT, "not_json"),
    "204": (Answer(204, {}, b"", 0), VerdictKind.IN_DOUBT, "not_json"),
    "200 with a list": (Answer(200, {}, b"[]", 0), VerdictKind.IN_DOUBT, "no_code"),
    "200 without errorCode": (answered(messageId="p1"), VerdictKind.IN_DOUBT, "no_code"),
    "200 with null": (answered(errorCode=None), VerdictKind.IN_DOUBT, "no_code"),
    "200 with false": (answered(errorCode=False), VerdictKind.IN_DOUBT, "no_code"),
    "200 with empty errorCode": (answered(errorCode=""), VerdictKind.IN_DOUBT, "no_code"),
    "200 with 0.0": (answered(errorCode=0.0), VerdictKind.IN_DOUBT, "no_code"),
    "half a JSON": (Answer(200, {}, b'{"errorCode":0', 0), VerdictKind.IN_DOUBT, "not_json"),
    "not UTF-8": (Answer(200, {}, b'{"errorCode":0,"x":"\xff"}', 0), VerdictKind.IN_DOUBT, "not_json"),
    "internal exception": (answered(errorCode=-2), VerdictKind.IN_DOUBT, "-2"),
    "500": (Answer(500, {}, b"", 0), VerdictKind.IN_DOUBT, "http_500"),
    "502 with a code": (answered(502, errorCode=0), VerdictKind.IN_DOUBT, "http_502"),
    "503": (Answer(503, {"retry-after": "5"}, b"", 0), VerdictKind.IN_DOUBT, "http_503"),
    "408": (Answer(408, {}, b"", 0), VerdictKind.IN_DOUBT, "http_408"),
    "302": (Answer(302, {"location": "/x"}, b"", 0), VerdictKind.OURS, "http_302"),
    "400": (Answer(400, {}, b"", 0), VerdictKind.OURS, "http_400"),
    "404": (Answer(404, {}, b"", 0), VerdictKind.OURS, "http_404"),
    "413": (Answer(413, {}, b"", 0), VerdictKind.OURS, "http_413"),
    "401": (Answer(401, {}, b"", 0), VerdictKind.AUTH, "http_401"),
    "429": (Answer(429, {}, b"", 0), VerdictKind.THROTTLED, "http_429"),
}


@pytest.mark.parametrize(("answer", "kind", "code"), RAW.values(), ids=RAW.keys())
def test_raw_answers(answer: Answer, kind: VerdictKind, code: str) -> None:
    verdict = judge(answer, "p1", NOW)
    assert (verdict.kind, verdict.code) == (kind, code)


@pytest.mark.parametrize(
    ("header", "wait"),
    [("7", 7.0), ("Thu, 01 Feb 2024 00:01:00 GMT", 60.0), ("Wed, 31 Jan 2024 00:00:00 GMT", 0.0), ("soon", None),
     ("", None), ("999999999", 86_400.0), ("-1", None)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(header: str, wait: float | None) -> None:
    assert judge(Answer(429, {"retry-after": header}, b"", 0), "", NOW).retry_after == wait


@given(st.integers(100, 599), st.binary(max_size=40) | st.from_type(type(None)).map(lambda _: b'{"errorCode":0}'))
def test_accepted_is_said_only_of_a_success_with_code_zero(status_code: int, body: bytes) -> None:
    verdict = judge(Answer(status_code, {}, body, 0), "p1", NOW)
    if verdict.kind is VerdictKind.ACCEPTED:
        assert 200 <= status_code < 300
        assert json.loads(body)["errorCode"] in (0, "0")


async def test_not_sent_is_transient_and_lost_is_in_doubt() -> None:
    transport = Scripted(NotSent("refused"), Lost("reset"))
    unicom = channel(transport)
    assert (await unicom.send(OUTGOING, now=NOW)).kind is VerdictKind.TRANSIENT
    assert (await unicom.send(OUTGOING, now=NOW)).kind is VerdictKind.IN_DOUBT


# --- tokens ---


@pytest.mark.parametrize("code", [40001, 40014, 42001, 41001])
async def test_a_refused_token_is_renewed_once_and_the_request_made_again(code: int) -> None:
    transport = Scripted(answered(errorCode=code))
    assert (await channel(transport).send(OUTGOING, now=NOW)).kind is VerdictKind.ACCEPTED
    assert [headers["authorization"] for _, headers, _ in transport.posted] == ["accessToken t1", "accessToken t2"]


async def test_a_token_refused_twice_is_an_auth_verdict() -> None:
    transport = Scripted(*[answered(errorCode=40014)] * 2)
    verdict = await channel(transport).send(OUTGOING, now=NOW)
    assert (verdict.kind, transport.tokens, len(transport.posted)) == (VerdictKind.AUTH, 2, 2)


async def test_the_shared_store_is_read_again_before_a_token_is_fetched() -> None:
    transport, tokens = Scripted(), MemoryTokens()
    unicom = channel(transport, tokens)
    await unicom.send(OUTGOING, now=NOW)
    await tokens.put("unicom", Token("theirs", NOW + timedelta(hours=2)))
    transport.answers = [answered(errorCode=40014)]
    await unicom.send(OUTGOING, now=NOW)
    assert transport.tokens == 1
    assert transport.posted[-1][1]["authorization"] == "accessToken theirs"


async def test_many_sends_at_once_fetch_one_token() -> None:
    transport = Scripted()
    unicom = channel(transport)
    await asyncio.gather(*(unicom.send(OUTGOING, now=NOW) for _ in range(20)))
    assert (transport.tokens, len(transport.posted)) == (1, 20)


async def test_many_refusals_at_once_fetch_one_new_token() -> None:
    transport = Scripted(*[answered(errorCode=42001)] * 20)
    unicom = channel(transport)
    verdicts = await asyncio.gather(*(unicom.send(OUTGOING, now=NOW) for _ in range(20)))
    assert {verdict.kind for verdict in verdicts} == {VerdictKind.ACCEPTED}
    assert transport.tokens == 2


async def test_a_token_is_renewed_before_it_ends() -> None:
    transport = Scripted()
    unicom = channel(transport)
    for minutes in (0, 117, 119):
        await unicom.send(OUTGOING, now=NOW + timedelta(minutes=minutes))
    assert [headers["authorization"][-2:] for _, headers, _ in transport.posted] == ["t1", "t1", "t2"]


async def test_a_refused_key_is_not_asked_with_again_for_half_a_minute() -> None:
    transport = Scripted()
    transport.token_answers = [answered(errorCode=40001)] * 9
    unicom = channel(transport)
    kinds = [(await unicom.send(OUTGOING, now=NOW + timedelta(seconds=s))).kind for s in (0, 10, 29, 31)]
    assert set(kinds) == {VerdictKind.AUTH}
    assert (transport.tokens, transport.posted) == (2, [])


@pytest.mark.parametrize("answer", [Answer(500, {}, b"", 0), Answer(200, {}, b"<html>", 0), answered(errorCode=0)])
async def test_a_message_without_a_token_has_not_left_and_is_transient(answer: Answer) -> None:
    transport = Scripted()
    transport.token_answers = [answer]
    verdict = await channel(transport).send(OUTGOING, now=NOW)
    assert (verdict.kind, transport.posted) == (VerdictKind.TRANSIENT, [])


# --- in ---


def signed(now: datetime = NOW, nonce: str = "n1", token: str = "mytoken") -> dict[str, str]:
    stamp = str(int(now.timestamp()))
    return {"timestamp": stamp, "nonce": nonce, "signature": signature(token, stamp, nonce)}


def read(path: str, found: object, headers: dict[str, str] | None = None, unicom: Ctcu | None = None) -> list[Any]:
    body = found if isinstance(found, bytes) else json.dumps(found).encode()
    return list((unicom or channel(Scripted())).parse_callback(path, headers or signed(), body, NOW))


def status(**changed: Any) -> dict[str, Any]:
    info = {
        "messageId": "p1", "dateTime": "2024-02-01T08:00:01.500+08:00", "status": "delivered",
        "destinationAddress": CHATBOT, "senderAddress": "tel:+8610012345678",
    }  # fmt: skip
    return {"deliveryInfoList": [info | changed]}


def test_the_signature_vector_of_the_specification() -> None:
    """Section 6.2; checked with hashlib and node's crypto."""
    expected = "9ccb8fb803e77822370b48c8ba566ead336227b4c8469d9ec452da231c68e3e0"
    assert signature("mytoken", "1589101185", "12445635") == expected


@pytest.mark.parametrize(("wire", "kind"), STATUSES.items())
def test_each_status_becomes_its_receipt(wire: str, kind: ReceiptKind) -> None:
    (receipt,) = read(STATUS_PATH, status(status=wire))
    assert (receipt.platform_id, receipt.recipient, receipt.kind) == ("p1", "10012345678", kind)
    assert receipt.at == datetime(2024, 2, 1, 0, 0, 1, 500_000, UTC)


@given(st.text(max_size=20).filter(lambda text: text not in STATUSES))
def test_a_status_outside_the_table_is_unknown(wire: str) -> None:
    (receipt,) = read(STATUS_PATH, status(status=wire))
    assert (receipt.kind, receipt.group) == (ReceiptKind.UNKNOWN, "unknown")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("messageId", "dateTime", "status", "senderAddress", "errorCode", "messageList", "contentType", "contentText")


@given(
    st.sampled_from(
        [STATUS_PATH, f"messageNotification/{CHATBOT}/messages", f"notifyInfoNotification/{CHATBOT}/check"]
    ),
    st.binary(max_size=30)
    | JSON.map(lambda found: json.dumps(found).encode())
    | st.lists(st.dictionaries(st.sampled_from(KEYS), JSON), max_size=3).map(
        lambda listed: json.dumps({"deliveryInfoList": listed, "messageList": listed}).encode()
    ),
)
def test_whatever_an_authenticated_body_holds_is_kept_and_never_raises(path: str, body: bytes) -> None:
    received = read(path, body)
    assert received
    assert all(isinstance(one, ReceiptIn | Uplink) and one.raw for one in received if body)


def test_a_batch_keeps_its_good_entries_beside_bad_ones() -> None:
    found = {"deliveryInfoList": [*status()["deliveryInfoList"], {"status": "delivered"}, 7]}
    assert [receipt.kind for receipt in read(STATUS_PATH, found)] == ["delivered", "unknown", "unknown"]


@pytest.mark.parametrize(
    ("code", "group"), [*((code, FAILED[code][0]) for code in FAILED), ("70001", "content"), ("5555", "unknown")]
)
def test_a_failure_carries_its_group(code: str, group: str) -> None:
    (receipt,) = read(STATUS_PATH, status(status="failed", errorCode=code))
    assert (receipt.kind, receipt.code, receipt.group) == (ReceiptKind.FAILED, code, group)


@pytest.mark.parametrize(
    ("changed", "at"),
    [({"dateTime": "2024-02-01T00:00:01Z"}, 1), ({"dateTime": "2024-02-01 08:00:02"}, 2),
     ({"dateTime": "yesterday"}, 0), ({"dateTime": None, "dataTime": "2024-02-01T08:00:03+08:00"}, 3)],
)  # fmt: skip
def test_times_are_read_as_the_samples_write_them(changed: dict[str, Any], at: int) -> None:
    (receipt,) = read(STATUS_PATH, status(**changed))
    assert receipt.at == NOW + timedelta(seconds=at)


@pytest.mark.parametrize(
    "address", ["tel:+8610012345678", "tel:10012345678", "sip:+8610012345678@ims.cn", "+8610012345678"]
)
def test_the_recipient_is_read_from_any_form_of_address(address: str) -> None:
    assert read(STATUS_PATH, status(senderAddress=address))[0].recipient == "10012345678"


def uplink(**part: Any) -> Uplink:
    found = {
        "messageId": "u1", "messageList": [part], "dateTime": "2024-02-01T08:00:00+08:00", "conversationId": "c1",
        "senderAddress": "tel:+8610012345678", "destinationAddress": CHATBOT, "contributionId": "k9", "inReplyTo": "k1",
    }  # fmt: skip
    (one,) = read(f"messageNotification/{CHATBOT}/messages", found)
    assert isinstance(one, Uplink)
    return one


def test_a_text_from_a_handset() -> None:
    one = uplink(contentType="text/plain", contentText="退订")
    assert (one.kind, one.text, one.recipient, one.in_reply_to, one.at) == ("text", "退订", "10012345678", "k1", NOW)


@pytest.mark.parametrize("as_text", [True, False])
def test_a_button_pressed_on_a_handset(as_text: bool) -> None:
    response: Any = {"response": {"reply": {"displayText": "已知晓", "postback": {"data": "ack:7f3c"}}}}
    content = json.dumps(response) if as_text else response
    one = uplink(contenType="application/vnd.gsma.botsuggestion.response.v1.0+json", contentText=content)
    assert (one.kind, one.text, one.postback) == ("reply", "已知晓", "ack:7f3c")


def test_over_long_shared_data_and_files_are_kept() -> None:
    shared = {"sharedData": {"deviceSpecifics": {"deviceModel": "x" * 500}}}
    assert uplink(contentType="application/vnd.gsma.botsharedclientdata.v1.0+json", contentText=shared).kind == "shared"
    assert uplink(contentType="application/vnd.gsma.rcs-ft-http", contentText=[]).kind == "file"


def test_a_complaint_is_an_uplink_of_its_own_kind() -> None:
    (one,) = read(f"notifyInfoNotification/{CHATBOT}/notice/rcsspam", {"spamType": "ad", "freeText": "骚扰"})
    assert (one.kind, one.text) == ("complaint", "骚扰")


REFUSED: dict[str, dict[str, str]] = {
    "no headers": {},
    "another token": signed(token="other"),
    "a changed timestamp": signed() | {"timestamp": str(int(NOW.timestamp()) + 1)},
    "a changed nonce": signed() | {"nonce": "n2"},
    "no nonce": {"timestamp": "1706745600", "nonce": "", "signature": signature("mytoken", "1706745600", "")},
    "too old": signed(NOW - timedelta(seconds=301)),
    "too far ahead": signed(NOW + timedelta(seconds=301)),
    "no time at all": {"timestamp": "now", "nonce": "n", "signature": signature("mytoken", "now", "n")},
    "digits of another script": {"timestamp": "１７０６７４５６００", "nonce": "n",
                                 "signature": signature("mytoken", "１７０６７４５６００", "n")},
}  # fmt: skip


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED.keys())
def test_what_does_not_prove_its_origin_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(CallbackRefused) as refused:
        channel(Scripted()).parse_callback(STATUS_PATH, headers, json.dumps(status()).encode(), NOW)
    assert refused.value.status_code == 403


@pytest.mark.parametrize("seconds", [-300, 300])
def test_the_window_holds_its_limits(seconds: int) -> None:
    assert read(STATUS_PATH, status(), signed(NOW + timedelta(seconds=seconds)))


@pytest.mark.parametrize(
    "path", ["deliveryNotification/sip:other@x/status", "else", f"deliveryNotification/{CHATBOT}/status/x"]
)
def test_a_path_that_is_not_ours_is_404(path: str) -> None:
    with pytest.raises(CallbackRefused) as refused:
        read(path, status())
    assert refused.value.status_code == 404


def test_an_encoded_chatbot_id_in_the_path_is_ours_too() -> None:
    assert read("deliveryNotification/sip%3A106500%40botplatform.rcs.domain.cn/status", status())


def test_a_signature_serves_its_own_body_again_and_no_other() -> None:
    unicom = channel(Scripted())
    assert read(STATUS_PATH, status(), unicom=unicom) == read(STATUS_PATH, status(), unicom=unicom)
    with pytest.raises(CallbackRefused, match="nonce"):
        read(STATUS_PATH, status(status="failed"), unicom=unicom)
    with pytest.raises(CallbackRefused, match="nonce"):
        read(f"messageNotification/{CHATBOT}/messages", status(), unicom=unicom)


def test_nonces_are_forgotten_once_their_time_is_over() -> None:
    nonces = MemoryNonces()
    assert nonces.bind("g", "n", b"1", NOW + timedelta(seconds=300), NOW)
    assert not nonces.bind("g", "n", b"2", NOW + timedelta(seconds=300), NOW + timedelta(seconds=299))
    assert nonces.bind("g", "n", b"2", NOW + timedelta(seconds=900), NOW + timedelta(seconds=400))
    assert nonces.bind("other", "n", b"3", NOW + timedelta(seconds=900), NOW + timedelta(seconds=400))


def test_the_check_of_our_address_is_answered_by_headers() -> None:
    unicom = channel(Scripted())
    assert unicom.answer_check("notifyPath", signed() | {"echostr": "e1"}, NOW) == {"echoStr": "e1", "appId": "app"}
    with pytest.raises(CallbackRefused):
        unicom.answer_check("notifyPath", {"echostr": "e1"}, NOW)


def test_a_refusal_names_no_value_of_the_request() -> None:
    with pytest.raises(CallbackRefused) as refused:
        read(STATUS_PATH, status(), signed(nonce="secret-nonce", token="other"))
    assert "secret-nonce" not in str(refused.value)
    assert hashlib.sha256(b"").hexdigest() not in str(refused.value)
