"""The sections of an evidence that tell the notice itself: what was agreed, to whom, the figures, the words, what left and what
came back, what people did."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from daemon.cli import evidence_words as words
from daemon.cli import labels
from daemon.cli.screen import at
from daemon.pdf import Block, Heading, Paragraph, Table
from daemon.report.evidence import Evidence, Told

if TYPE_CHECKING:
    from daemon.report.explain import LineStory, MessageStory


def clauses(evidence: Evidence) -> list[Block]:
    """What was agreed, from the contract's own figures, and what the rule rests on."""
    blocks: list[Block] = [Heading("二、合同条款与规则依据")]
    agreed: dict[tuple[str, str], None] = {}
    for line in _lines(evidence):
        for note in line.explanation.operands:
            if note.name.startswith(("contract_", "agreed_", "topup_", "ratio_source")):
                agreed[note.label, words.value_of(note.value)] = None
    if agreed:
        blocks.append(Table(("合同约定（取自柜台合同数据）", "值"), tuple(agreed), (3, 2)))
    used: dict[tuple[str, ...], None] = {}
    for line in _lines(evidence):
        for parameter in line.explanation.parameters:
            source = "合同" if parameter.source == "contract" else "公司"
            since = "" if parameter.since is None else parameter.since.isoformat()
            value = f"{words.value_of(parameter.value)} {parameter.unit}"
            used[parameter.label, value, source, since, parameter.reference] = None
    if used:
        blocks.append(Table(("参数", "值", "来自", "起始", "依据"), tuple(used), (1.7, 1.4, 0.6, 1, 3)))
    blocks.append(Table(("法规或制度", "条款", "要求", "核实程度"), tuple(_references(evidence)), (2.2, 0.9, 4, 0.8)))
    text = (
        "核实程度：A 已核对原文；B 公告、案例或实务；C 凭记忆；D 弱。C、D 不是经核实的来源。合同文本由本公司另行提交。"
    )
    return [*blocks, Paragraph(text, small=True)]


def _references(evidence: Evidence) -> Iterator[tuple[str, ...]]:
    seen: set[str] = set()
    for one in evidence.rules:
        for told in evidence.told:
            rule = one.ruleset.rules.get(told.story.notice["rule"])
            for cited in rule.references if rule is not None else ():
                id = cited.partition(" ")[0]
                found = one.ruleset.references.get(id)
                if found is not None and id not in seen:
                    seen.add(id)
                    yield f"{found.instrument} {found.number}", found.article, found.requirement, found.confidence


def addresses(evidence: Evidence) -> list[Block]:
    rows = tuple(
        (
            words.ROLES.get(row["role"], row["role"]),
            words.CHANNELS.get(row["channel"], row["channel"]),
            evidence.addresses[row["id"]],
            row["origin"],
            words.time_of(at(row["since"])),
            "至今" if row["until"] is None else words.time_of(at(row["until"])),
        )
        for row in evidence.contacts
    )
    heads = ("身份", "渠道", "地址", "来源", "自", "至")
    used = tuple(
        (message.message["id"][:16], words.CHANNELS.get(message.message["channel"], message.message["channel"]), to)
        for one in evidence.told
        for message in one.story.messages
        if (to := str(one.said.get(message.message["id"], {}).get("recipient", "")))
    )
    blocks: list[Block] = [
        Heading("三、约定渠道与当时有效的联系地址"),
        Table(heads, rows, (1, 0.8, 1.5, 1.1, 1.6, 1.6)),
    ]
    return [*blocks, Paragraph("实际发往："), Table(("消息", "渠道", "地址"), used, (2, 1, 2))] if used else blocks


def calculation(evidence: Evidence) -> list[Block]:
    blocks: list[Block] = [Heading("四、计算底稿")]
    for one in evidence.told:
        notice = one.story.notice
        named = f"通知 {notice['id'][:16]}，业务日期 {notice['business_date']}，{_stage(notice['stage'])}"
        blocks.append(Paragraph(named))
        if not one.lines:
            why = "、".join(absence.why for absence in one.absences) or "no_line"
            blocks.append(Paragraph(f"底稿中没有可以展示的行（{why}）。", small=True))
        for line in one.lines:
            blocks += _line(line)
    return blocks


def _line(line: LineStory) -> Iterator[Block]:
    explained = line.explanation
    same = "与当时记录一致" if line.as_recorded else "与当时记录不一致！"
    rows = [
        ("轮询", f"{line.poll.feed}，到期 {words.time_of(line.poll.due)}，第 {line.run} 次"),
        (
            "数据时点",
            "、".join(f"{part} {words.time_of(moment)}" for part, moment in sorted(line.line.as_of.items())) or "—",
        ),
        ("判定", f"{words.SCREEN.label(labels.BUCKETS, line.line.bucket)}（{line.line.reason}）；本次重算{same}"),
        ("交易日历", explained.calendar),
    ]
    yield Table(("项目", "内容"), tuple(rows), (1, 5))
    figures = tuple((note.label or note.name, note.name, words.value_of(note.value)) for note in explained.operands)
    yield Table(("输入", "字段", "值"), figures, (2, 1.6, 2.4))
    for i, item in enumerate(line.line.items, 1):
        yield Paragraph(
            f"第 {i} 行：" + "，".join(f"{name}={words.value_of(v)}" for name, v in sorted(item.items())), small=True
        )
    if explained.lets:
        computed = tuple(
            (n.key.removeprefix("let."), n.trace.text, words.value_of(n.trace.value)) for n in explained.lets
        )
        yield Table(("计算", "公式", "得"), computed, (1, 3.6, 1.6))
    held = tuple(
        (f"{'→ ' if note.decided else ''}{note.key}", note.trace.text, words.value_of(note.trace.value))
        for note in explained.conditions
    )
    yield Table(("条件（→ 决定结果）", "式", "成立"), held, (2, 3.6, 0.6))


def original_words(evidence: Evidence) -> list[Block]:
    blocks: list[Block] = [Heading("五、通知原文")]
    for one, message in _messages(evidence):
        said = one.said.get(message.message["id"])
        channel = words.CHANNELS.get(message.message["channel"], message.message["channel"])
        state = words.SCREEN.label(labels.MESSAGES, message.message["state"])
        blocks.append(Paragraph(f"消息 {message.message['id'][:16]}（{channel}，{state}）"))
        if said is None:
            why = f"（{message.message['why']}）" if message.message["why"] else ""
            blocks.append(Paragraph(f"这条消息没有发出，没有原文{why}。", small=True))
            continue
        rows = [("标题", said["title"]), ("正文", said["description"])] if said["channel"] == "rcs" else []
        rows += [("按钮", _buttons(said["card"]))] if said["card"] else []
        rows += [("短信文本", said["sms_text"])]
        rows += [("发出的报文", f"{len(said['wire'])} 个字符（base64），见 opened/ 中此消息的 body")]
        blocks.append(Table(("部分", "逐字原文"), tuple(rows), (0.8, 5)))
    return blocks


def _buttons(card: Mapping[str, Any]) -> str:
    """What the card's suggestions show, from wherever the card holds them."""
    found: list[str] = []

    def look(value: Any) -> None:
        if isinstance(value, Mapping):
            if isinstance(value.get("displayText"), str):
                found.append(value["displayText"])
            for part in value.values():
                look(part)
        elif isinstance(value, list):
            for part in value:
                look(part)

    look(card)
    return "、".join(dict.fromkeys(found)) or "—"


def attempts(evidence: Evidence) -> list[Block]:
    rows = tuple(
        (
            f"{message.message['id'][:16]} 第 {row['number']} 次",
            words.time_of(at(row["started_at"])),
            words.time_of(at(row["ended_at"])),
            row["gateway"],
            f"{words.VERDICTS.get(row['verdict'] or '', row['verdict'] or '尚无应答')}（代码 {row['code'] or '—'}）",
        )
        for _, message in _messages(evidence)
        for row in message.attempts
    )
    text = "“平台已受理”只表示运营平台收下了请求，不是送达；是否送达只看第七节的回执。"
    heads = ("消息", "发送前记录", "应答记录", "通道", "平台应答")
    table = Table(heads, rows, (1.7, 1.5, 1.5, 1, 2.2)) if rows else Paragraph("没有发送。")
    return [Heading("六、发送记录与平台应答"), table, Paragraph(text, small=True)]


def answers(evidence: Evidence) -> list[Block]:
    blocks: list[Block] = [Heading("七、原始回执与客户回应")]
    rows = tuple(
        (
            message.message["id"][:16],
            words.time_of(at(row["at"])),
            words.time_of(at(row["received_at"])),
            words.RECEIPTS.get(row["kind"], row["kind"]) + (f"（代码 {row['code']}）" if row["code"] else ""),
            sha256(evidence.receipts[row["id"]]).hexdigest(),
        )
        for _, message in _messages(evidence)
        for row in message.receipts
    )
    heads = ("消息", "平台所记时间", "收到时间", "回执", "原文 SHA-256")
    blocks.append(Table(heads, rows, (1.5, 1.5, 1.5, 1.5, 2.3)) if rows else Paragraph("没有收到回执。"))
    answered = tuple(
        (
            words.time_of(at(row["received_at"])),
            words.ANSWERS.get(row["kind"], row["kind"]),
            _text(evidence.answers[row["id"]]),
        )
        for row in evidence.uplinks
    )
    if answered:
        blocks.append(Table(("时间", "客户回应", "原文"), answered, (1.4, 1.4, 4)))
    else:
        blocks.append(Paragraph("没有收到客户的上行回应。"))
    return blocks


def people(evidence: Evidence) -> list[Block]:
    recordings = {
        leaf.said["data"]["task"]: leaf.said["data"]["recording"]
        for leaf in evidence.records
        if leaf.said["kind"] == "task" and "recording" in leaf.said["data"]
    }
    rows = tuple(
        (
            words.time_of(at(row["opened_at"])),
            row["reason"],
            row["taken_by"] or "未领取",
            "未关闭" if row["closed_at"] is None else words.time_of(at(row["closed_at"])),
            f"{words.RESULTS.get(row['result'] or '', row['result'] or '—')}（{row['closed_by'] or '—'}）",
            recordings.get(row["key"], "—"),
        )
        for row in evidence.tasks
    )
    heads = ("产生", "原因", "领取人", "关闭", "结果（何人）", "录音 SHA-256")
    if not rows:
        return [Heading("八、人工处理"), Paragraph("没有产生人工任务。")]
    return [Heading("八、人工处理"), Table(heads, rows, (1.3, 1.7, 0.9, 1.3, 1.4, 1.8))]


def _stage(stage: str) -> str:
    level = words.LEVELS.get(stage.partition("/")[0], "")
    return f"{level}（{stage}）" if level else stage


def _lines(evidence: Evidence) -> Iterator[LineStory]:
    return (line for one in evidence.told for line in one.lines)


def _messages(evidence: Evidence) -> Iterator[tuple[Told, MessageStory]]:
    return ((one, message) for one in evidence.told for message in one.story.messages)


def _text(raw: bytes) -> str:
    """The words of an uplink as received: JSON's `text` or `data` where there is one, else all of it."""
    try:
        found = json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")[:400]
    return json.dumps(found, ensure_ascii=False)[:400]
