"""The webhook dialect: what it signs, how it judges answers, which callbacks it takes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.channels.channel import CallbackRefused, MemoryNonces, ReceiptIn, ReceiptKind, Uplink, Verdict, VerdictKind
from daemon.channels.webhook import CODES, WINDOW, Webhook, WebhookConfig, judge, key_of, signature
from daemon.errors import KeyUnusable
from daemon.transport import Answer, Lost, NotSent

NOW = datetime(2024, 2, 1, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
BACK = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()
MESSAGE = {"id": "p1", "recipient": "10012345678"}


class NoTransport:
    """No callback sends anything."""

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,  # noqa: ASYNC109 - as the protocol has it
        on_sent: Callable[[], None] | None = None,
    ) -> Answer:
        raise NotSent("no network") if url.endswith("/down") else Lost("reset")

    async def aclose(self) -> None:
        return


def gateway(callback_secret: str = BACK, url: str = "http://gateway/in", revoke: bool = False) -> Webhook:
    return Webhook(WebhookConfig("inhouse", url, SECRET, callback_secret, revoke=revoke), NoTransport(), MemoryNonces())


def signed(body: bytes, at: datetime = NOW, id: str = "cb1", secret: str = BACK) -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    made = signature(key_of(secret, "x"), id, stamp, body)
    return {"webhook-id": id, "webhook-timestamp": stamp, "webhook-signature": made}


def test_the_signature_is_that_of_the_published_vector() -> None:
    # Standard Webhooks, the reference implementations' test vector
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "x")
    made = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", "whsec_!!!!", SECRET.removeprefix("whsec_")])
def test_a_secret_that_is_none_is_refused_and_never_shown(secret: str) -> None:
    with pytest.raises(KeyUnusable) as refused:
        Webhook(WebhookConfig("inhouse", "http://x", secret or "AAAA"), NoTransport(), MemoryNonces())
    assert secret in ("", "whsec_") or secret not in str(refused.value)


BODIES = st.binary(max_size=40) | st.sampled_from([b"", b" \n", b"{}", b'{"id": "x"}', b"[]", b"<html>"])


@given(st.integers(100, 599), BODIES)
def test_only_a_2xx_is_taken_and_only_a_4xx_or_3xx_is_proof_of_the_contrary(status: int, body: bytes) -> None:
    verdict = judge(Answer(status, {}, body, 0.1), "p1", NOW)
    readable = not body.strip() or body in (b"{}", b'{"id": "x"}')
    if body.startswith(b"<") or readable:
        assert (verdict.kind is VerdictKind.ACCEPTED) == (200 <= status < 300 and readable)
    assert verdict.kind is not VerdictKind.ACCEPTED or 200 <= status < 300
    if status >= 500 or status == 408 or status < 200:
        assert verdict.kind is VerdictKind.IN_DOUBT
    elif not 200 <= status < 300:
        assert verdict.kind in {kind for kind, _, _ in CODES.values()}


def test_the_gateway_may_name_a_code_and_a_wait_and_the_id_stays_ours() -> None:
    taken = judge(Answer(202, {}, b'{"id": "g-77", "code": "queued"}', 0.1), "p1", NOW)
    assert taken == Verdict(VerdictKind.ACCEPTED, "queued", platform_id="p1")
    busy = judge(Answer(429, {"retry-after": "7"}, b'{"code": "slow"}', 0.1), "p1", NOW)
    assert (busy.kind, busy.code, busy.retry_after) == (VerdictKind.THROTTLED, "slow", 7.0)


async def test_what_did_not_leave_is_tried_again_and_what_may_have_left_is_in_doubt() -> None:
    for url, kind in (("http://x/down", VerdictKind.TRANSIENT), ("http://x/in", VerdictKind.IN_DOUBT)):
        verdict = await gateway(url=url, revoke=True).revoke("p1", "10012345678", now=NOW)
        assert verdict.kind is kind


def test_receipts_are_read_and_what_cannot_be_read_is_kept_as_unknown() -> None:
    listed = [
        MESSAGE | {"state": "delivered", "code": "0", "at": "2024-02-01T08:00:05+08:00"},
        MESSAGE | {"state": "unknown"},
        MESSAGE | {"state": "on its way"},
        {"state": "delivered"},
        7,
    ]
    body = json.dumps({"receipts": listed}).encode()
    found = gateway().parse_callback("receipts", signed(body), body, NOW)
    assert all(isinstance(one, ReceiptIn) for one in found)
    kinds = [one.kind for one in found if isinstance(one, ReceiptIn)]
    assert kinds == [ReceiptKind.DELIVERED, *[ReceiptKind.UNKNOWN] * 4]
    assert found[0].at == datetime(2024, 2, 1, 0, 0, 5, tzinfo=UTC)


def test_an_uplink_is_read() -> None:
    body = json.dumps(
        {"uplinks": [{"id": "u1", "recipient": "10012345678", "text": "R", "in_reply_to": "m1"}]}
    ).encode()
    (found,) = gateway().parse_callback("uplinks", signed(body), body, NOW)
    assert isinstance(found, Uplink) and (found.text, found.kind, found.in_reply_to) == ("R", "text", "m1")


@given(st.binary(max_size=80))
def test_any_signed_body_is_kept_and_none_is_lost(body: bytes) -> None:
    assert gateway().parse_callback("receipts", signed(body), body, NOW)


BODY = json.dumps({"receipts": [MESSAGE | {"state": "delivered"}]}).encode()


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, BODY),
        (signed(BODY), BODY + b" "),
        (signed(BODY, secret=SECRET), BODY),
        (signed(BODY, at=NOW - WINDOW - timedelta(seconds=1)), BODY),
        (signed(BODY, at=NOW + WINDOW + timedelta(seconds=1)), BODY),
        (signed(BODY) | {"webhook-id": "other"}, BODY),
        (signed(BODY) | {"webhook-timestamp": "9" * 400}, BODY),
        (signed(BODY) | {"webhook-signature": "v1,"}, BODY),
        (signed(BODY) | {"webhook-signature": "v1,é"}, BODY),
    ],
    ids=["bare", "other body", "other secret", "old", "ahead", "other id", "huge time", "empty", "no ascii"],
)
def test_a_callback_that_proves_nothing_is_refused(headers: Mapping[str, str], body: bytes) -> None:
    with pytest.raises(CallbackRefused):
        gateway().parse_callback("receipts", headers, body, NOW)


def test_without_a_callback_secret_nothing_comes_in() -> None:
    with pytest.raises(CallbackRefused):
        gateway(callback_secret="").parse_callback("receipts", signed(BODY, secret=SECRET), BODY, NOW)
    assert gateway(callback_secret="").traits.ask == "no"


def test_while_a_secret_is_changed_either_signature_serves() -> None:
    headers = signed(BODY)
    headers["webhook-signature"] = "v1,AAAA " + headers["webhook-signature"]
    assert gateway().parse_callback("receipts", headers, BODY, NOW)


def test_a_repeat_gets_through_and_its_id_on_another_body_does_not() -> None:
    one = gateway()
    assert one.parse_callback("receipts", signed(BODY), BODY, NOW)
    assert one.parse_callback("receipts", signed(BODY, at=NOW + timedelta(seconds=9)), BODY, NOW)
    other = json.dumps({"receipts": [MESSAGE | {"state": "failed"}]}).encode()
    with pytest.raises(CallbackRefused, match="another body"):
        one.parse_callback("receipts", signed(other), other, NOW)
