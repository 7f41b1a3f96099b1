"""The closed words of an evidence, and how it writes values: Chinese alone. "Accepted" is never worded as delivered."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from daemon.cli.screen import Screen

SCREEN = Screen("zh")

ROLES = {
    "client": "客户本人",
    "agreed": "约定联系人",
    "agent": "代理人",
    "officer": "机构经办人",
    "manager": "产品经理",
}
CHANNELS = {"rcs": "5G消息", "sms": "短信", "phone": "电话", "email": "电子邮件"}
VERDICTS = {
    "accepted": "平台已受理（仅表示平台收下，不表示送达）",
    "permanent": "平台拒绝，不再重试",
    "transient": "平台未收下，可重试",
    "throttled": "平台限流，未收下",
    "auth": "鉴权失败，未收下",
    "in_doubt": "无法确定平台是否收下",
    "ours": "请求未被接受，待人工处理",
}
RECEIPTS = {
    "sent": "平台已发出（不表示送达）",
    "delivered": "已送达终端",
    "read": "已读",
    "failed": "未送达",
    "handed_to_sms": "已转短信网（不表示送达）",
    "revoked": "已撤回",
    "revoke_failed": "撤回失败",
    "unknown": "无法识别，已留存",
}
ANSWERS = {"acknowledged": "客户确认已知晓", "opt_out": "客户退订", "other": "客户回复，待人工阅读"}
RESULTS = {
    "reached": "已接通并告知",
    "no_answer": "无人接听",
    "wrong_number": "号码有误",
    "refused": "拒绝接听或沟通",
    "left_word": "已留言",
    "settled": "事项已了结",
    "not_needed": "无需处理",
    "other": "其他",
}
KINDS = {
    "poll": "轮询", "notice": "通知", "message": "消息", "attempt": "发送", "receipt": "回执", "uplink": "客户上行",
    "outcome": "结果", "episode": "预警过程", "task": "人工任务", "contact": "联系方式", "start": "系统启动",
    "stop": "系统停止", "clock": "时钟", "heartbeat": "心跳", "rules.activated": "规则启用",
    "rules.proposed": "规则提交签名", "rules.signed": "规则批准签名", "rules.stopped": "规则停用",
    "rules.started": "规则恢复", "rules.signers": "签名人名单", "release": "人工放行", "silence": "静默",
}  # fmt: skip
MODES = {"signed": "已由两人签名批准", "unsigned": "未经签名", "emergency": "单人紧急启用"}
LEVELS = {"urgent": "即时平仓", "call": "追保", "warning": "预警", "attention": "关注"}
BASES = {"day_end": "日终", "intraday": "盘中"}


def value_of(value: object) -> str:
    """A value as a reader writes it: no zeros behind the last figure of a number."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return BASES.get(value, value) if isinstance(value, str) else SCREEN.show(value)


def time_of(moment: datetime | None) -> str:
    return "—" if moment is None else SCREEN.show(moment)
