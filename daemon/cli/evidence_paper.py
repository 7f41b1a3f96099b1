"""An evidence as a document in Chinese, for a court: the list of what is proved by what, then each item. "Accepted" is never
worded as delivered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from daemon.audit.checkpoint import Checkpoint
from daemon.audit.record import parse_time
from daemon.cli import evidence_sections as sections
from daemon.cli import evidence_words as words
from daemon.cli import labels
from daemon.cli.screen import at
from daemon.pdf import Block, Heading, Paragraph, Table
from daemon.report.evidence import Evidence, Rules, Told

if TYPE_CHECKING:
    pass


def title_of(evidence: Evidence) -> str:
    """The document's title."""
    notice = evidence.told[0].story.notice
    rule = next(one.ruleset.rules[notice["rule"]] for one in evidence.rules if notice["rule"] in one.ruleset.rules)
    return f"通知证据材料：{rule.title}"


def paper(evidence: Evidence, head: Checkpoint, *, by: str, reason: str, now: datetime) -> list[Block]:
    """The document's blocks, in order."""
    blocks: list[Block] = [_front(evidence, head, by, reason, now), Heading("一、证据清单"), _list(evidence)]
    for make in (
        sections.clauses,
        sections.addresses,
        sections.calculation,
        sections.original_words,
        sections.attempts,
        sections.answers,
        sections.people,
        _rule_sets,
        _system,
    ):
        blocks += make(evidence)
    return [*blocks, *_proofs(evidence, head)]


def _front(evidence: Evidence, head: Checkpoint, by: str, reason: str, now: datetime) -> Block:
    first, last = (words.time_of(at(moment)) for moment in evidence.span)
    told = evidence.told
    rows = (
        ("涉及通知", f"{len(told)} 份：" + "、".join(one.story.notice["id"][:16] for one in told)),
        ("系统内客户编号", str(evidence.client)),
        ("事实期间", f"{first} 至 {last}（北京时间，下同）"),
        ("结果", "\n".join(f"{one.story.notice['id'][:16]}：{_outcome(one)}" for one in told)),
        ("制作人及事由", f"{by}：{reason}"),
        ("制作时间", words.time_of(now)),
        ("审计日志", f"{head.origin}，制作时共 {head.size} 条已签名记录"),
    )
    return Table(("项目", "内容"), rows, (1, 5))


def _outcome(one: Told) -> str:
    notice = one.story.notice
    served = {"yes": "是", "no": "否", "unknown": "未知", None: "未定"}[notice["served"]]
    outcome = words.SCREEN.label(labels.OUTCOMES, notice["outcome"] or "open")
    told, deadline = (words.time_of(at(notice[name])) for name in ("told_at", "deadline"))
    return f"{outcome}；按约送达：{served}；首次送出 {told}，应送出的期限 {deadline}"


def _list(evidence: Evidence) -> Block:
    rows = (
        ("1", "合同条款与规则依据", "柜台合同数据、规则文件", "约定了什么、据何通知", "第二节，rules/"),
        ("2", "约定渠道与当时有效的联系地址", "联系方式来源系统，逐版留存", "发往约定的渠道和地址", "第三节，opened/"),
        ("3", "计算底稿", "判定底稿（封存）及其散列", "触发事实与计算过程属实", "第四节，evidence.json"),
        ("4", "通知原文", "发出时封存的原文", "客户收到的就是这些文字", "第五节，opened/…body"),
        ("5", "发送记录与平台应答", "发送前后写入的审计记录", "何时、经何通道、平台如何应答", "第六节，proofs.json"),
        ("6", "原始回执与客户回应", "运营平台回调原文", "送达、已读、确认或未送达", "第七节，opened/…raw"),
        ("7", "人工处理及录音散列", "人工任务记录", "未达约定时由人补救", "第八节"),
        ("8", "规则版本与批准人", "规则文件、签名声明", "所用规则经谁批准、未被改动", "第九节，rules/ approvals/"),
        ("9", "系统状况说明", "启停、时钟、轮询、告警记录", "当时系统正常、时间可信", "第十节"),
        ("10", "审计记录与证明", "只增不改的审计日志", "以上记录写入后未被改动", "第十一节，proofs.json"),
    )
    return Table(("序号", "证据", "来源", "证明目的", "所在"), rows, (0.5, 2.2, 2.2, 2.4, 1.9))


def _rule_sets(evidence: Evidence) -> list[Block]:
    blocks: list[Block] = [Heading("九、规则版本与批准人")]
    for one in evidence.rules:
        blocks.append(Table(("项目", "内容"), tuple(_rule_set(one, evidence)), (1, 5)))
        if one.approvals:
            rows = tuple(
                (
                    row["principal"],
                    "提交人" if row["role"] == "author" else "批准人",
                    words.time_of(at(row["at"])),
                    row["key"],
                    row["sha256"],
                )
                for row in one.approvals
            )
            blocks.append(Table(("签名人", "身份", "时间", "密钥指纹", "声明 SHA-256"), rows, (1, 0.8, 1.4, 2, 2.4)))
        else:
            blocks.append(Paragraph("没有人对这套规则签名。", small=True))
    return blocks


def _rule_set(one: Rules, evidence: Evidence) -> Iterator[tuple[str, str]]:
    yield "规则集摘要", one.ruleset.digest
    if one.activation is not None:
        version = f"，第 {one.activation['version']} 版" if one.activation["version"] else ""
        mode = words.MODES.get(one.activation["mode"], one.activation["mode"])
        yield "启用", f"{words.time_of(at(one.activation['at']))}，{mode}{version}（{one.activation['actor']}）"
    for told in evidence.told:
        rule = one.ruleset.rules.get(told.story.notice["rule"])
        if rule is not None:
            yield f"规则 {rule.name}", f"{rule.title}；负责人 {rule.owner}；生效 {rule.effective}；文件 {rule.path}"
            return


def _system(evidence: Evidence) -> list[Block]:
    """Starts and stops, steps of the clock, polls and pages of the span, each as recorded."""
    blocks: list[Block] = [Heading("十、系统状况说明")]
    beats = [leaf for leaf in evidence.system if leaf.said["kind"] == "heartbeat"]
    rows = tuple(
        (
            words.time_of(parse_time(leaf.said["t"])),
            words.KINDS.get(leaf.said["kind"], leaf.said["kind"]),
            _plain(leaf.said["data"]),
        )
        for leaf in evidence.system
        if leaf.said["kind"] != "heartbeat"
    )
    blocks.append(Table(("时间", "事项", "内容"), rows, (1.4, 1, 4.6)))
    if beats:
        times = [parse_time(leaf.said["t"]) for leaf in beats]
        longest = max((b - a for a, b in pairwise(times)), default=timedelta())
        text = f"期间心跳记录 {len(beats)} 条，相邻两条最长间隔 {longest / timedelta(minutes=1):.1f} 分钟。"
        blocks.append(Paragraph(text, small=True))
    clocks = [leaf for leaf in evidence.system if leaf.said["kind"] == "clock"]
    blocks.append(Paragraph("期间未记录到时钟跳变。" if not clocks else f"期间记录到时钟事项 {len(clocks)} 条，见上。"))
    polls = tuple(
        (
            row["feed"],
            words.time_of(at(row["due"])),
            words.SCREEN.label(labels.POLLS, row["state"]),
            row["reason"] or "—",
        )
        for row in evidence.polls
    )
    blocks.append(Table(("数据源", "到期", "状态", "原因"), polls, (1.4, 1.4, 1, 3)))
    pages = tuple(
        (words.time_of(at(row["at"])), words.SCREEN.label(labels.SEVERITIES, row["severity"]), row["sentence"])
        for row in evidence.pages
    )
    if pages:
        return [*blocks, Table(("时间", "级别", "告警"), pages, (1.4, 0.8, 4.8))]
    return [*blocks, Paragraph("期间没有产生告警。")]


def _proofs(evidence: Evidence, head: Checkpoint) -> list[Block]:
    rows = tuple(
        (
            str(leaf.index),
            words.KINDS.get(leaf.said["kind"], leaf.said["kind"]),
            words.time_of(parse_time(leaf.said["t"])),
            leaf.said["actor"],
            leaf.said["id"],
        )
        for leaf in evidence.records
    )
    blocks: list[Block] = [
        Heading("十一、审计记录与核验方法"),
        Table(("序号", "种类", "时间", "何人或何系统", "编号"), rows, (0.7, 1, 1.5, 1.6, 2.2)),
        Table(
            ("项目", "内容"), (("日志", head.origin), ("记录数", str(head.size)), ("总散列", head.root.hex())), (1, 5)
        ),
        Paragraph(
            "核验：一、用 sha256sum -c SHA256SUMS 核对文件；"
            "二、用 duenotice audit evidence --check 目录 --key 公钥文件，核对每条记录都在已签名的日志中、"
            "每份原文与记录中的承诺值相符、规则文件与其摘要相符。公钥由本公司另行交付，不在本材料内。"
            "证明格式为 RFC 6962 的包含证明，不用本程序也可核验。"
        ),
    ]
    if evidence.unopened:
        text = f"有 {len(evidence.unopened)} 处承诺值没有留存可以比对的原文（如同一消息早先一次发送的文字）。"
        blocks.append(Paragraph(text, small=True))
    return blocks


def _plain(data: Mapping[str, Any]) -> str:
    return "，".join(f"{key}={value}" for key, value in sorted(data.items()))
