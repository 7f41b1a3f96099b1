"""The JSON dialect of China Telecom and China Unicom (5G消息业务平台行业客户接入接口技术规范 V1.0.4).

Out: POST {root}/bot/{version}/{chatbot}/accessToken|messages|revoke, the chatbot id percent-encoded; headers
`authorization: accessToken <token>` and `date` (GMT). An answer is HTTP 200 with `errorCode`, 0 for taken (section
15.1). An optional field is absent, never empty (section 5). In: callbacks below our address, signed by SHA-256 over the
sorted token, timestamp and nonce (section 6.2). The signature covers neither path nor body, so the time is bounded and
a nonce is tied to the body it came with. What callbacks say is read in ctcu_in.py.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal
from urllib.parse import quote

import orjson

from daemon.channels.answers import retry_after
from daemon.channels.channel import (
    NOT_BEGUN,
    CallbackRefused,
    Limits,
    NonceStore,
    Outgoing,
    ReceiptIn,
    ReceiptKind,
    Received,
    Standing,
    Traits,
    Unsendable,
    Verdict,
    VerdictKind,
    at_once,
    callback_digest,
)
from daemon.channels.ctcu_in import reader
from daemon.channels.tokens import Refresher, Token, TokenStore
from daemon.clock import SHANGHAI
from daemon.transport import Answer, Lost, NotSent, Transport

A, P, T, R = VerdictKind.ACCEPTED, VerdictKind.PERMANENT, VerdictKind.TRANSIENT, VerdictKind.THROTTLED
AUTH, DOUBT, OURS = VerdictKind.AUTH, VerdictKind.IN_DOUBT, VerdictKind.OURS

CODES: Mapping[str, tuple[VerdictKind, str, str]] = {  # section 15.1: code -> verdict, group, the specification's words
    "0": (A, "", "请求成功"),
    "-1": (T, "busy", "系统繁忙"),
    "-2": (DOUBT, "platform", "系统内部异常"),
    "20002": (P, "request", "参数异常"),
    "20003": (P, "request", "请求异常"),
    "30001": (R, "quota_day", "超过日发送数量限制"),
    "30002": (R, "quota_month", "超过月发送数量限制"),
    "30003": (R, "rate", "超过每秒发送频率限制"),
    "30004": (R, "quota_year", "超过年发送数量限制"),
    "30006": (OURS, "config", "回调接口验证失败"),
    "30007": (OURS, "config", "审核结果通知发送失败"),
    "30008": (OURS, "config", "chatbotId 与 senderAddress 不匹配"),
    "40001": (AUTH, "token", "获取 accessToken 时 appKey 错误，或者 accessToken 无效"),
    "40002": (AUTH, "config", "不合法的凭证类型"),
    "40005": (P, "card", "不合法的文件类型"),
    "40006": (P, "card", "不合法的文件大小"),
    "40007": (P, "card", "不合法的媒体素材 url"),
    "40008": (P, "card", "不合法的消息类型"),
    "40011": (P, "request", "Chatbot 信息更新失败"),
    "40014": (AUTH, "token", "不合法的 accessToken"),
    "40016": (P, "card", "不合法的按钮个数"),
    "40017": (P, "card", "不合法的按钮类型"),
    "40018": (P, "card", "不合法的按钮名字长度"),
    "40019": (P, "card", "不合法的按钮 KEY 长度"),
    "40020": (P, "card", "不合法的按钮 URL 长度"),
    "40021": (P, "card", "不合法的文本长度"),
    "40022": (P, "card", "临时文件已过期"),
    "40040": (P, "card", "文件数量超出限制"),
    "40052": (P, "card", "不合法的按钮链接"),
    "41001": (AUTH, "token", "缺少 accessToken 参数"),
    "41002": (AUTH, "config", "缺少 appId 参数"),
    "41004": (AUTH, "config", "缺少 appKey 参数"),
    "41005": (P, "request", "缺少多媒体文件数据"),
    "41006": (P, "request", "缺少素材 url 参数"),
    "42001": (AUTH, "token", "accessToken 超时"),
    "43001": (OURS, "config", "需要GET请求"),
    "44001": (P, "request", "多媒体文件为空"),
    "44002": (P, "request", "POST 的数据包为空"),
    "45001": (R, "rate", "接口调用超过限制"),
    "45010": (P, "request", "回复时间超过限制"),
    "46001": (P, "recipient", "不存在的用户"),
    "46002": (P, "recipient", "临时用户不存在"),
    "46003": (P, "recipient", "用户已被限制"),
    "47001": (P, "card", "解析 JSON/XML 内容错误"),
    "47002": (P, "card", "解析子菜单 JSON/XML 内容错误"),
    "48001": (OURS, "config", "api 功能未授权"),
    "60001": (P, "content", "不合法的内容"),
    "60002": (P, "recipient", "需要订阅关系"),
    "60003": (P, "card", "无效的消息类型"),
    "70001": (P, "content", "消息体被管控"),
}
REPORTS: Mapping[ReceiptKind, str] = {
    ReceiptKind.SENT: "sent",
    ReceiptKind.DELIVERED: "delivered",
    ReceiptKind.READ: "displayed",
    ReceiptKind.HANDED_TO_SMS: "deliveredToNetwork",
    ReceiptKind.FAILED: "failed",
}
CARD_TYPE = "application/vnd.gsma.botmessage.v1.0+json"
CAPABILITY = {"capabilityId": "ChatbotSA", "version": '+g.gsma.rcs.botversion="#=1"'}
TRAFFIC = {"marketing": "advertisement"}
WINDOW = timedelta(seconds=300)
"""How far a callback's timestamp may lie from `now`, either way."""


@dataclass(frozen=True, slots=True)
class CtcuConfig:
    """One gateway. `chatbot_id` is the whole address (`sip:106500@botplatform.rcs.domain.cn`). `callback_token` is the
    random code of the onboarding form, not an access token. `button_bytes`: the specification says "25个字符（Byte）";
    25 UTF-8 bytes are the safe reading, None counts characters only. `repeat`: whether the platform honours a repeated
    messageId is not specified."""

    name: str
    root: str
    chatbot_id: str
    app_id: str
    app_key: str = field(repr=False)
    callback_token: str = field(repr=False)
    version: str = "v1"
    timeout: float = 10.0
    button_bytes: int | None = 25
    repeat: Literal["yes", "no", "unknown"] = "unknown"


class Ctcu:
    """`Channel` over one chatbot of a CT/CU platform."""

    def __init__(self, config: CtcuConfig, transport: Transport, tokens: TokenStore, nonces: NonceStore) -> None:
        self._config = config
        self._transport = transport
        self._nonces = nonces
        self._base = f"{config.root.rstrip('/')}/bot/{config.version}/{quote(config.chatbot_id, safe='')}"
        self._tokens = Refresher(config.name, tokens, self._new_token)

    @property
    def name(self) -> str:
        return self._config.name

    @property
    def traits(self) -> Traits:
        return Traits(repeat=self._config.repeat, ask="receipt", revoke=True)

    @property
    def limits(self) -> Limits:
        return Limits(button_bytes=self._config.button_bytes, sms_text_with_card=True)

    def encode(self, outgoing: Outgoing) -> bytes:
        """A card is a botmessage part with its SMS text beside it; the sms channel is a text part that the platform
        puts on the SMS network where the handset cannot take it. `tel:+86` numbers; optional fields absent."""
        if not outgoing.sms_text:
            raise Unsendable(f"{self.name}: message {outgoing.message_id} has no SMS text, which the platform demands")
        if outgoing.channel == "rcs" and not outgoing.card:
            raise Unsendable(f"{self.name}: message {outgoing.message_id} has no card")
        return orjson.dumps(_wire(outgoing, self._config.chatbot_id))

    async def send(self, outgoing: Outgoing, *, now: datetime, may_begin: Callable[[], bool] = at_once) -> Verdict:
        try:
            body = outgoing.body or self.encode(outgoing)
        except Unsendable as lacking:
            return Verdict(OURS, "unsendable", str(lacking), group="request")
        return await self._call("messages", body, outgoing.platform_id, now, may_begin)

    async def query(self, platform_id: str, recipient: str, *, now: datetime) -> Standing:
        """The dialect knows no such question."""
        return "unreachable"

    async def revoke(self, platform_id: str, recipient: str, *, now: datetime) -> Verdict:
        body = {"messageId": platform_id, "destinationAddress": [_tel(recipient)], "status": "RevokeRequested"}
        return await self._call("revoke", orjson.dumps(body), platform_id, now)

    async def _call(
        self, path: str, body: bytes, platform_id: str, now: datetime, may_begin: Callable[[], bool] = at_once
    ) -> Verdict:
        """One request under the shared token; refused for its token, it is made once more under a new one."""
        token = await self._tokens.current(now)
        if isinstance(token, Verdict):
            return token
        if not may_begin():  # a token may have taken its time
            return NOT_BEGUN
        verdict = await self._post(path, body, token, platform_id, now)
        if verdict.group != "token":
            return verdict
        token = await self._tokens.after(token, now)
        if isinstance(token, Verdict):
            return token
        return await self._post(path, body, token, platform_id, now) if may_begin() else NOT_BEGUN

    async def _post(self, path: str, body: bytes, token: Token, platform_id: str, now: datetime) -> Verdict:
        headers = {**_headers(now), "authorization": f"accessToken {token.value}"}
        try:
            answer = await self._transport.post(
                f"{self._base}/{path}", headers=headers, body=body, timeout=self._config.timeout
            )
        except NotSent as unsent:
            return Verdict(T, "not_sent", str(unsent), group="network")
        except Lost as lost:
            return Verdict(DOUBT, "lost", str(lost), group="network")
        return judge(answer, platform_id, now)

    async def _new_token(self, now: datetime) -> Token | Verdict:
        """A failure is a verdict on the message, of which nothing has left: in doubt becomes transient."""
        body = orjson.dumps({"appId": self._config.app_id, "appKey": self._config.app_key})
        try:
            answer = await self._transport.post(
                f"{self._base}/accessToken", headers=_headers(now), body=body, timeout=self._config.timeout
            )
        except (NotSent, Lost) as broken:
            return Verdict(T, "token", f"no access token: {broken}", group="network")
        verdict = judge(answer, "", now)
        if verdict.kind is not A:
            return replace(verdict, kind=T if verdict.kind is DOUBT else verdict.kind, platform_id=None)
        found = orjson.loads(answer.body)
        value, seconds = found.get("accessToken"), found.get("expires")
        if not isinstance(value, str) or not value or not isinstance(seconds, int):
            return Verdict(T, "token", "the token answer has no accessToken or no expires", group="platform")
        return Token(value, now + timedelta(seconds=seconds))

    def parse_callback(self, path: str, headers: Mapping[str, str], body: bytes, now: datetime) -> list[Received]:
        read = reader(path, self._config.chatbot_id)
        if read is None:
            raise CallbackRefused(f"{self.name}: no such callback path for this chatbot", 404)
        self._authenticate(headers, callback_digest(path, body), now)
        return [_named(received) for received in read(body, now)]

    def answer_check(self, path: str, headers: Mapping[str, str], now: datetime) -> Mapping[str, str]:
        """Section 6.2: GET notifyPath is answered 200 with `echoStr` and `appId` as headers."""
        if path != "notifyPath":
            raise CallbackRefused(f"{self.name}: no such check", 404)
        echo = headers.get("echostr", "")
        self._authenticate(headers, callback_digest(path, echo.encode()), now)
        return {"echoStr": echo, "appId": self._config.app_id}

    def _authenticate(self, headers: Mapping[str, str], digest: bytes, now: datetime) -> None:
        stamp, nonce = headers.get("timestamp", ""), headers.get("nonce", "")
        expected = signature(self._config.callback_token, stamp, nonce)
        if not nonce or not hmac.compare_digest(expected.encode(), headers.get("signature", "").lower().encode()):
            raise CallbackRefused(f"{self.name}: the callback's signature is wrong")
        if not stamp.isdecimal() or not stamp.isascii() or len(stamp) not in (10, 13):
            raise CallbackRefused(f"{self.name}: the callback's timestamp is not seconds or milliseconds")
        at = datetime.fromtimestamp(int(stamp[:10]), UTC)
        if abs(at - now) > WINDOW:
            raise CallbackRefused(f"{self.name}: the callback's timestamp is more than {WINDOW.seconds} s away")
        if not self._nonces.bind(self.name, nonce, digest, at + WINDOW, now):
            raise CallbackRefused(f"{self.name}: the callback's nonce was used for another body")


def judge(answer: Answer, platform_id: str, now: datetime) -> Verdict:
    """The verdict on an answer. Only a 2xx with a JSON `errorCode` tells what the platform did; a 4xx or 3xx was made
    by what stands before it and took nothing; everything else leaves the message in doubt."""
    http = answer.status_code
    if http == 429:
        return Verdict(R, "http_429", "too many requests", retry_after=retry_after(answer, now), group="rate")
    if http == 401:
        return Verdict(AUTH, "http_401", "the platform refuses our credentials", group="token")
    if 300 <= http < 500 and http != 408:
        return Verdict(OURS, f"http_{http}", f"HTTP {http} in place of an answer of the platform", group="config")
    if not 200 <= http < 300:
        return Verdict(DOUBT, f"http_{http}", f"HTTP {http} after the request had left", group="platform")
    try:
        found = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return Verdict(DOUBT, "not_json", f"HTTP {http} without JSON, {len(answer.body)} bytes", group="platform")
    code = found.get("errorCode") if isinstance(found, dict) else None
    if isinstance(code, bool) or not isinstance(code, int | str) or code == "":
        return Verdict(DOUBT, "no_code", f"HTTP {http} without errorCode", group="platform")
    named = found.get("messageId")
    return _by_code(str(code), named if isinstance(named, str) and named else platform_id, now)


def _by_code(code: str, platform_id: str, now: datetime) -> Verdict:
    if code not in CODES:
        group = (
            "operator"
            if code.isdecimal() and (81000 <= int(code) <= 83999 or 87000 <= int(code) <= 89999)
            else "unknown"
        )
        return Verdict(P, code, "unknown code", group=group)
    kind, group, text = CODES[code]
    wait = _period_end(group, now) if group.startswith("quota") else None
    return Verdict(kind, code, text, platform_id if kind in (A, DOUBT) else None, wait, group)


def _named(received: Received) -> Received:
    """A failure's code outside section 9's own six is one of the return codes."""
    if not isinstance(received, ReceiptIn) or received.kind is not ReceiptKind.FAILED or received.group:
        return received
    _, group, text = CODES.get(received.code, (P, "unknown", "unknown code"))
    return replace(received, group=group, text=text)


def _period_end(group: str, now: datetime) -> float:
    """Seconds to the next day, month or year in Asia/Shanghai, when the platform's count starts anew."""
    day = now.astimezone(SHANGHAI).replace(hour=0, minute=0, second=0, microsecond=0)
    if group == "quota_day":
        start = day + timedelta(days=1)
    elif group == "quota_month":
        start = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
    else:
        start = day.replace(year=day.year + 1, month=1, day=1)
    return (start - now).total_seconds()


def signature(token: str, timestamp: str, nonce: str) -> str:
    """Section 6.2: lower-case hex SHA-256 of the three values sorted as strings and joined."""
    return hashlib.sha256("".join(sorted((token, timestamp, nonce))).encode()).hexdigest()


def _headers(now: datetime) -> dict[str, str]:
    return {
        "content-type": "application/json",
        "accept": "application/json",
        "date": format_datetime(now.astimezone(UTC), usegmt=True),
    }


def _wire(outgoing: Outgoing, chatbot_id: str) -> dict[str, Any]:
    card = outgoing.channel == "rcs"
    wire: dict[str, Any] = {
        "messageId": outgoing.platform_id,
        "messageList": [
            {"contentType": CARD_TYPE, "contentText": outgoing.card}
            if card
            else {"contentType": "text/plain", "contentText": outgoing.sms_text}
        ],
        "destinationAddress": [_tel(outgoing.recipient)],
        "senderAddress": chatbot_id,
        "conversationId": outgoing.conversation_id,
        "contributionId": outgoing.contribution_id,
        "serviceCapability": [CAPABILITY],
        "smsSupported": outgoing.sms_fallback or not card,
        "storeSupported": outgoing.store and card,
        "smsContent": outgoing.sms_text,
    }
    if outgoing.report:
        wire["reportRequest"] = [REPORTS[kind] for kind in outgoing.report]
    if outgoing.category in TRAFFIC:
        wire["trafficType"] = TRAFFIC[outgoing.category]
    if outgoing.in_reply_to:
        wire["inReplyTo"] = outgoing.in_reply_to
    return wire


def _tel(msisdn: str) -> str:
    return f"tel:+86{msisdn}"
