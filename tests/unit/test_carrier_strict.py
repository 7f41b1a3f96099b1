"""Each rule of the stand-in platform, violated by itself, and the return code that refuses it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.carrier.cardcheck import Refused, check_card, check_suggestions
from daemon.carrier.strict import check_revoke, check_send, parse

CHATBOT = "sip:106500@botplatform.rcs.domain.cn"
CARD_TYPE = "application/vnd.gsma.botmessage.v1.0+json"
MEDIA = {
    "mediaUrl": "https://example.com/a.png",
    "mediaContentType": "image/png",
    "mediaFileSize": 1000,
    "height": "MEDIUM_HEIGHT",
}
GOOD: dict[str, Any] = {
    "messageId": "p1",
    "messageList": [
        {
            "contentType": CARD_TYPE,
            "contentText": {
                "message": {
                    "generalPurposeCard": {
                        "layout": {"cardOrientation": "VERTICAL", "titleFontStyle": ["bold"]},
                        "content": {
                            "media": MEDIA,
                            "title": "新股中签缴款提醒",
                            "description": "您中签的新股须于今日16:00前备足资金。",
                            "suggestions": [
                                {"reply": {"displayText": "已知晓", "postback": {"data": "ack"}}},
                                {
                                    "action": {
                                        "urlAction": {
                                            "openUrl": {"url": "https://example.com/ipo", "application": "browser"}
                                        },
                                        "displayText": "去缴款",
                                    }
                                },
                                {
                                    "action": {
                                        "dialerAction": {"dialPhoneNumber": {"phoneNumber": "95500"}},
                                        "displayText": "联系我们",
                                    }
                                },
                                {
                                    "action": {
                                        "calendarAction": {
                                            "createCalendarEvent": {
                                                "startTime": "2026-01-05T09:30:00+08:00",
                                                "endTime": "2026-01-05T16:00:00+08:00",
                                                "title": "新股缴款",
                                            }
                                        },
                                        "displayText": "加入日历",
                                    }
                                },
                            ],
                        },
                    }
                }
            },
        }
    ],
    "destinationAddress": ["tel:+8610012345678"],
    "senderAddress": CHATBOT,
    "conversationId": "c1",
    "contributionId": "k1",
    "serviceCapability": [{"capabilityId": "ChatbotSA", "version": '+g.gsma.rcs.botversion="#=1"'}],
    "smsSupported": True,
    "storeSupported": True,
    "smsContent": "【样例证券】请缴款",
    "trafficType": "payment",
    "imFormat": "IM",
    "inReplyTo": "k0",
    "reportRequest": ["delivered", "failed"],
}
MANDATORY = (
    "messageId", "messageList", "destinationAddress", "senderAddress", "conversationId", "contributionId",
    "serviceCapability", "smsSupported", "storeSupported",
)  # fmt: skip
OPTIONAL = ("smsContent", "trafficType", "imFormat", "inReplyTo", "reportRequest")
Change = Callable[[dict[str, Any]], object]


def code_of(found: Any, forbidden: tuple[str, ...] = ()) -> str:
    """The return code for a send, '0' where it is taken."""
    body = found if isinstance(found, bytes) else json.dumps(found, ensure_ascii=False).encode()
    try:
        check_send(body, CHATBOT, forbidden)
    except Refused as refused:
        return refused.code
    return "0"


def changed(change: Change) -> dict[str, Any]:
    found = copy.deepcopy(GOOD)
    change(found)
    return found


def card(found: dict[str, Any]) -> dict[str, Any]:
    return found["messageList"][0]["contentText"]["message"]["generalPurposeCard"]


def content(found: dict[str, Any]) -> dict[str, Any]:
    return card(found)["content"]


def suggestion(found: dict[str, Any], number: int) -> dict[str, Any]:
    one: dict[str, Any] = content(found)["suggestions"][number]
    return one.get("reply") or one["action"]


def test_a_good_send_is_taken_with_what_delivery_needs() -> None:
    taken = check_send(json.dumps(GOOD).encode(), CHATBOT)
    assert (taken.message_id, taken.recipient, taken.kind) == ("p1", "10012345678", "rcs")
    assert (taken.sms, taken.store, taken.reports) == (True, True, ("delivered", "failed"))


@pytest.mark.parametrize("key", MANDATORY)
def test_a_missing_mandatory_field_is_refused(key: str) -> None:
    assert code_of(changed(lambda found: found.pop(key))) == "20002"


@pytest.mark.parametrize("key", [key for key in OPTIONAL if key != "smsContent"])
def test_an_optional_field_may_be_absent(key: str) -> None:
    assert code_of(changed(lambda found: found.pop(key))) == "0"


@pytest.mark.parametrize("key", MANDATORY + OPTIONAL)
@pytest.mark.parametrize("empty", ["", [], {}, None], ids=repr)
def test_an_empty_field_is_refused(key: str, empty: object) -> None:
    assert code_of(changed(lambda found: found.update({key: empty}))) == "20002"


ENVELOPE: dict[str, tuple[Change, str]] = {
    "an unknown key": (lambda f: f.update(extra=1), "20002"),
    "a number for the id": (lambda f: f.update(messageId=7), "20002"),
    "two recipients": (lambda f: f.update(destinationAddress=["tel:+8610012345678"] * 2), "20002"),
    "no tel:": (lambda f: f.update(destinationAddress=["10012345678"]), "20002"),
    "no country code": (lambda f: f.update(destinationAddress=["tel:10012345678"]), "20002"),
    "a short number": (lambda f: f.update(destinationAddress=["tel:+861001234567"]), "20002"),
    "digits of another script": (lambda f: f.update(destinationAddress=["tel:+861００１２３４５６７８"]), "20002"),
    "another sender": (lambda f: f.update(senderAddress="sip:other@x"), "30008"),
    "another capability": (lambda f: f["serviceCapability"][0].update(capabilityId="Chat"), "20002"),
    "an unknown key in the capability": (lambda f: f["serviceCapability"][0].update(x=1), "20002"),
    "another bot version": (lambda f: f["serviceCapability"][0].update(version="1"), "20002"),
    "a text for a boolean": (lambda f: f.update(smsSupported="true"), "20002"),
    "a number for a boolean": (lambda f: f.update(storeSupported=1), "20002"),
    "smsSupported without smsContent": (lambda f: f.pop("smsContent"), "20002"),
    "a card without smsContent": (lambda f: (f.pop("smsContent"), f.update(smsSupported=False)), "20002"),
    "a blank smsContent": (lambda f: f.update(smsContent="  "), "20002"),
    "an over-long smsContent": (lambda f: f.update(smsContent="x" * 2001), "40021"),
    "an unknown trafficType": (lambda f: f.update(trafficType="service"), "20002"),
    "an unknown imFormat": (lambda f: f.update(imFormat="MMS"), "20002"),
    "an unknown report": (lambda f: f.update(reportRequest=["read"]), "20002"),
    "an unknown content type": (lambda f: f["messageList"][0].update(contentType="text/html"), "40008"),
    "a card as a text": (lambda f: f["messageList"][0].update(contentText="{}"), "47001"),
    "a text part that is empty": (
        lambda f: f["messageList"][0].update(contentType="text/plain", contentText=""), "20002",
    ),
    "a text part of 2001 characters": (
        lambda f: f["messageList"][0].update(contentType="text/plain", contentText="字" * 2001), "40021",
    ),
    "an unknown key in a part": (lambda f: f["messageList"][0].update(contenType="x"), "20002"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "code"), ENVELOPE.values(), ids=ENVELOPE.keys())
def test_each_rule_of_the_envelope(change: Change, code: str) -> None:
    assert code_of(changed(change)) == code


BODIES = {
    b"": "44002",
    b"not json": "47001",
    b"[]": "20002",
    b"\xff\xfe": "47001",
    b'{"messageId":"a","messageId":"b"}': "47001",
    b'{"x":NaN}': "47001",
    b"[" * 100_000: "47001",
}


@pytest.mark.parametrize(("body", "code"), BODIES.items(), ids=[body[:12].decode("latin-1") for body in BODIES])
def test_each_body_that_is_no_send(body: bytes, code: str) -> None:
    assert code_of(body) == code


CARDS: dict[str, tuple[Change, str]] = {
    "a title of 201 characters": (lambda f: content(f).update(title="题" * 201), "40021"),
    "an empty title": (lambda f: content(f).update(title=""), "40021"),
    "a description of 2001 characters": (lambda f: content(f).update(description="文" * 2001), "40021"),
    "a null description": (lambda f: content(f).update(description=None), "47001"),
    "a misspelt key": (lambda f: content(f).update(tittle="x"), "47001"),
    "an unknown key in the root": (lambda f: f["messageList"][0]["contentText"].update(suggestions=[]), "47001"),
    "an unknown key in the card": (lambda f: card(f).update(extra={}), "47001"),
    "no layout": (lambda f: card(f).pop("layout"), "47001"),
    "a horizontal layout without alignment": (lambda f: card(f).update(layout={"cardOrientation": "HORIZONTAL"}), "47001"),
    "an unknown font style": (lambda f: card(f)["layout"].update(titleFontStyle=["calibri"]), "47001"),
    "neither media, title nor description": (lambda f: [content(f).pop(k) for k in ("media", "title", "description")], "47001"),
    "five suggestions": (lambda f: content(f)["suggestions"].append(content(f)["suggestions"][0]), "40016"),
    "no suggestions in the list": (lambda f: content(f).update(suggestions=[]), "40016"),
    "a suggestion that is neither reply nor action": (lambda f: content(f)["suggestions"].__setitem__(0, {"link": {}}), "40017"),
    "an action without an action": (lambda f: suggestion(f, 1).pop("urlAction"), "40017"),
    "two actions in one": (lambda f: suggestion(f, 1).update(deviceAction={"requestDeviceSpecifics": {}}), "40017"),
    "an action without text": (lambda f: suggestion(f, 1).pop("displayText"), "40018"),
    "button text of 26 characters": (lambda f: suggestion(f, 0).update(displayText="a" * 26), "40018"),
    "button text of 27 bytes": (lambda f: suggestion(f, 0).update(displayText="字" * 9), "40018"),
    "an empty button text": (lambda f: suggestion(f, 0).update(displayText=""), "40018"),
    "a postback of 2049 characters": (lambda f: suggestion(f, 0)["postback"].update(data="x" * 2049), "40019"),
    "an empty postback object": (lambda f: suggestion(f, 0).update(postback={}), "47001"),
    "an openUrl without application": (lambda f: suggestion(f, 1)["urlAction"]["openUrl"].pop("application"), "47001"),
    "a browser with a viewMode": (lambda f: suggestion(f, 1)["urlAction"]["openUrl"].update(viewMode="full"), "47001"),
    "a link without scheme": (lambda f: suggestion(f, 1)["urlAction"]["openUrl"].update(url="example.com"), "40052"),
    "a link with javascript": (lambda f: suggestion(f, 1)["urlAction"]["openUrl"].update(url="javascript:1"), "40052"),
    "a link with a space": (lambda f: suggestion(f, 1)["urlAction"]["openUrl"].update(url="https://a b.c"), "40052"),
    "a link of 2049 characters": (
        lambda f: suggestion(f, 1)["urlAction"]["openUrl"].update(url="https://example.com/" + "x" * 2029), "40020",
    ),
    "letters for a phone number": (
        lambda f: suggestion(f, 2)["dialerAction"]["dialPhoneNumber"].update(phoneNumber="call"), "47001",
    ),
    "a calendar time without offset": (
        lambda f: suggestion(f, 3)["calendarAction"]["createCalendarEvent"].update(startTime="2026-01-05T09:30:00"), "47001",
    ),
    "a calendar entry that ends before it starts": (
        lambda f: suggestion(f, 3)["calendarAction"]["createCalendarEvent"].update(endTime="2026-01-05T09:00:00+08:00"), "47001",
    ),
    "a media size as text": (lambda f: content(f)["media"].update(mediaFileSize="1000"), "40006"),
    "a media file that is too large": (lambda f: content(f)["media"].update(mediaFileSize=2_000_001), "40006"),
    "a media type that is not taken": (lambda f: content(f)["media"].update(mediaContentType="image/gif"), "40005"),
    "a media type that is no text": (lambda f: content(f)["media"].update(mediaContentType={}), "40005"),
    "a media address that is none": (lambda f: content(f)["media"].update(mediaUrl="a.png"), "40007"),
    "media without height": (lambda f: content(f)["media"].pop("height"), "47001"),
    "a thumbnail without type and size": (lambda f: content(f)["media"].update(thumbnailUrl="https://e.com/t.png"), "47001"),
    "an empty thumbnail type": (
        lambda f: content(f)["media"].update(
            thumbnailUrl="https://e.com/t.png", thumbnailContentType="", thumbnailFileSize=1), "40005",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "code"), CARDS.values(), ids=CARDS.keys())
def test_each_rule_of_the_card(change: Change, code: str) -> None:
    assert code_of(changed(change)) == code


LIMITS: dict[str, Change] = {
    "a title of 200": lambda f: content(f).update(title="题" * 200),
    "a description of 2000": lambda f: content(f).update(description="文" * 2000),
    "button text of 24 bytes in 8 characters": lambda f: suggestion(f, 0).update(displayText="字" * 8),
    "button text of 25 letters": lambda f: suggestion(f, 0).update(displayText="a" * 25),
    "a postback of 2048": lambda f: suggestion(f, 0)["postback"].update(data="x" * 2048),
    "an image of 2 MB": lambda f: content(f)["media"].update(mediaFileSize=2_000_000),
    "one suggestion": lambda f: content(f).update(suggestions=content(f)["suggestions"][:1]),
    "a title alone": lambda f: card(f).update(content={"title": "t"}),
    "smsContent without smsSupported": lambda f: f.update(smsSupported=False),
    "a horizontal layout": lambda f: card(f).update(layout={"cardOrientation": "HORIZONTAL", "imageAlignment": "LEFT"}),
}


@pytest.mark.parametrize("change", LIMITS.values(), ids=LIMITS.keys())
def test_what_lies_on_the_limit_is_taken(change: Change) -> None:
    assert code_of(changed(change)) == "0"


def carousel(cards: int, **media: str) -> dict[str, Any]:
    one = {"title": "t"} | ({"media": MEDIA | media} if media else {})
    layout = {"cardWidth": "SMALL_WIDTH"}
    return {"message": {"generalPurposeCardCarousel": {"layout": layout, "content": [one] * cards}}}


def test_a_carousel_has_two_to_twelve_cards_and_no_tall_media_in_small_ones() -> None:
    check_card(carousel(2))
    check_card(carousel(12))
    for wrong in (carousel(1), carousel(13), carousel(2, height="TALL_HEIGHT")):
        with pytest.raises(Refused):
            check_card(wrong)


def test_a_chip_list_has_one_to_eleven_suggestions() -> None:
    chip = {"reply": {"displayText": "好"}}
    check_suggestions({"suggestions": [chip] * 11})
    for number in (0, 12):
        with pytest.raises(Refused, match="40016"):
            check_suggestions({"suggestions": [chip] * number})


def test_forbidden_wording_is_60001() -> None:
    assert code_of(GOOD, forbidden=("备足资金",)) == "60001"
    assert code_of(GOOD, forbidden=("保证收益",)) == "0"


def test_a_revoke_has_three_fields() -> None:
    good = {"messageId": "p1", "destinationAddress": ["tel:+8610012345678"], "status": "RevokeRequested"}
    assert check_revoke(json.dumps(good).encode()) == ("p1", "10012345678")
    for wrong in (good | {"status": "Revoke"}, good | {"x": 1}, {"messageId": "p1"}):
        with pytest.raises(Refused, match="20002"):
            check_revoke(json.dumps(wrong).encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=10,
)


@given(st.sampled_from(list(GOOD)), JSON)
def test_any_value_in_any_field_is_taken_or_refused_never_an_error(key: str, value: Any) -> None:
    assert code_of(GOOD | {key: value})


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, part in inner for found in places(part, (*path, key)))]


@given(st.sampled_from(places(GOOD)[1:]), JSON)
def test_any_value_at_any_depth_is_taken_or_refused_never_an_error(path: tuple[Any, ...], value: Any) -> None:
    found = copy.deepcopy(GOOD)
    target: Any = found
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    assert code_of(found)


@given(st.binary(max_size=60))
def test_parsing_any_bytes_is_json_or_refused(body: bytes) -> None:
    try:
        parse(body)
    except Refused as refused:
        assert refused.code in ("44002", "47001")
