"""The closed words of the daemon as a person reads them: (Chinese, English). "Accepted" is never worded as delivered."""

from __future__ import annotations

from collections.abc import Mapping

BUCKETS: Mapping[str, tuple[str, str]] = {
    "notify": ("应通知", "notify"),
    "no_match": ("不需通知", "no match"),
    "suppressed": ("被关口拦下", "suppressed"),
    "held": ("待人工放行", "held"),
    "indeterminate": ("无法判定", "indeterminate"),
    "absent": ("无记录", "absent"),
}

OUTCOMES: Mapping[str, tuple[str, str]] = {
    "open": ("未结", "open"),
    "delivered": ("已送达", "delivered"),
    "handed_to_sms": ("已转短信网", "handed to SMS"),
    "accepted_unconfirmed": ("平台已受理，未确认送达", "accepted, unconfirmed"),
    "in_doubt": ("存疑", "in doubt"),
    "undeliverable": ("无法送达", "undeliverable"),
    "expired": ("过期未发", "expired"),
    "superseded": ("被后一阶段取代", "superseded"),
    "cancelled": ("已取消", "cancelled"),
}

POLLS: Mapping[str, tuple[str, str]] = {
    "due": ("到期待跑", "due"),
    "running": ("运行中", "running"),
    "ran": ("已完成", "ran"),
    "late": ("数据未到", "late"),
    "failed": ("失败", "failed"),
    "held": ("扣住待放行", "held"),
    "missed": ("错过", "missed"),
    "skipped": ("日历跳过", "skipped"),
}

MESSAGES: Mapping[str, tuple[str, str]] = {
    "queued": ("排队", "queued"),
    "claimed": ("已领取", "claimed"),
    "sending": ("发送中", "sending"),
    "retry": ("待重试", "retry"),
    "in_doubt": ("存疑", "in doubt"),
    "rejected": ("被拒", "rejected"),
    "revoking": ("撤回中", "revoking"),
    "accepted": ("平台已受理", "accepted"),
    "revoke_failed": ("撤回失败", "revoke failed"),
    "revoked": ("已撤回", "revoked"),
    "undelivered": ("未送达", "undelivered"),
    "delivered": ("已送达", "delivered"),
    "expired": ("过期", "expired"),
    "cancelled": ("已取消", "cancelled"),
}

STANDS: Mapping[str, tuple[str, str]] = {
    "yes": ("成立", "stands"),
    "no": ("不成立", "does not stand"),
    "unknown": ("未知", "unknown"),
}

SEVERITIES: Mapping[str, tuple[str, str]] = {
    "info": ("提示", "info"),
    "warning": ("警告", "warning"),
    "urgent": ("紧急", "urgent"),
}

VERDICTS: Mapping[str, tuple[str, str]] = {
    "pass": ("通过", "pass"),
    "suppress": ("拦下", "suppress"),
    "hold": ("扣住", "hold"),
    "unknown": ("未知", "unknown"),
    "other_contact": ("改发其他联系人", "other contact"),
    "phone_as_well": ("同时电话", "phone as well"),
}

GATES: Mapping[str, tuple[str, str]] = {
    "stopped": ("规则被停", "rule stopped"),
    "source": ("数据源", "source"),
    "status": ("客户状态", "client status"),
    "consent": ("同意", "consent"),
    "suitability": ("适当性", "suitability"),
    "exclude": ("排除条件", "exclusion"),
    "cap": ("次数上限", "cap"),
    "silence": ("静默", "silence"),
    "declared": ("规则自设扣留", "declared hold"),
}

CHECKS: Mapping[str, tuple[str, str]] = {
    "head": ("签名", "signature"),
    "entries": ("记录逐条复算", "every record hashed again"),
    "tiles": ("中间散列", "hashes above the records"),
    "root": ("总散列", "root hash"),
    "records": ("记录格式", "form of the records"),
    "causes": ("前因后果", "causes before effects"),
    "sheets": ("判定底稿", "sheets"),
    "ids": ("编号唯一", "ids are unique"),
    "beside": ("随附文件", "files beside the log"),
    "seen": ("与早前签名一致", "contains the head seen earlier"),
}

VERDICT_OF_LOG: Mapping[str, tuple[str, str]] = {
    "broken": ("已损坏", "broken"),
    "complete": ("完整", "complete"),
    "consistent; completeness not proven": ("一致；是否完整未证明", "consistent; completeness not proven"),
}
