"""The daily proof as sections of rows, the same for the screen, the workbook and the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from daemon.cli import labels
from daemon.cli.screen import Screen
from daemon.page import heading, page, paragraph, table
from daemon.report.completeness import Completeness
from daemon.report.population import ORDER
from daemon.workbook import Cell, Sheet, workbook

MOST = 50
"""Rows of a section on the screen."""
MOST_SHEET = 1_000_000
"""Rows of one sheet of a workbook: the format ends a little above."""

Rows = list[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Section:
    """One table. `bad`: rows that are findings; `most`: how many a screen shows."""

    zh: str
    en: str
    heads: tuple[str, ...]
    rows: Rows
    bad: tuple[int, ...] = ()
    most: int = MOST


WHAT = {
    "missing": ("缺失：审计链有记录，库中没有", "missing: recorded, not in the store"),
    "unknown": ("来历不明：库中有，审计链没有", "unknown: in the store, not recorded"),
    "twice": ("重复", "twice"),
    "differs": ("不一致", "differs"),
    "loose": ("悬空：所属的行不存在", "loose: names a row that is not there"),
    "gone": ("底稿文件不在", "the sheet's file is gone"),
    "changed": ("底稿文件被改动", "the sheet's file was changed"),
    "count": ("数目不符", "does not add up"),
    "unfounded": ("通知的客户没有判定", "a notice of a client without a line"),
    "untold": ("应通知而没有通知", "to notify, but no notice"),
    "record": ("审计记录不在库中", "a record that the store lacks"),
}

TABLES = {
    "polls": ("轮询台账", "ledger"),
    "runs": ("轮询运行", "runs"),
    "sheets": ("判定底稿", "sheets"),
    "notices": ("通知", "notices"),
    "messages": ("消息", "messages"),
    "attempts": ("发送", "attempts"),
    "receipts": ("回执", "receipts"),
    "tasks": ("待办", "worklist"),
    "holds": ("整批扣留", "holds"),
    "silences": ("静默", "silences"),
    "releases": ("放行", "releases"),
    "stops": ("停用", "stops"),
    "records": ("审计记录", "records"),
}

KEPT = {
    "kept_no_more": ("已过保存期", "past its time"),
    "gone": ("文件不在", "file gone"),
    "changed": ("被改动", "changed"),
}

WHY = {"rows": ("行数不符", "rows do not add up"), "source": ("与数据源不符", "not as the source counts")}


def sections(screen: Screen, found: Completeness, *, clients: bool = False) -> list[Section]:
    """Every section, those without rows too."""
    made = [_populations, _findings, _reconciled, _missing, _polls, _broken, _held_back, _notices, _traffic]
    listed = [one(screen, found) for one in made]
    return [*listed, _clients(screen, found)] if clients else listed


def _heads(screen: Screen, zh: str, en: str) -> tuple[str, ...]:
    return tuple(screen.say(zh, en).split(" | "))


def _populations(screen: Screen, found: Completeness) -> Section:
    rows: Rows = []
    for one in found.populations:
        kept = ", ".join(sorted({screen.label(KEPT, sheet.kept) for sheet in one.sheets if sheet.kept}))
        buckets = one.buckets
        rows.append((one.feed, one.rule, len(one.clients), *(buckets[b] for b in ORDER), len(one.sheets), kept))
    buckets_zh, buckets_en = (" | ".join(labels.BUCKETS[bucket][i] for bucket in ORDER) for i in (0, 1))
    heads = _heads(
        screen,
        f"数据源 | 规则 | 客户 | {buckets_zh} | 底稿 | 未读底稿",
        f"feed | rule | clients | {buckets_en} | sheets | sheets not read",
    )
    return Section("每个客户恰在一类", "every client in one bucket", heads, rows)


def _findings(screen: Screen, found: Completeness) -> Section:
    rows: Rows = [
        (screen.label(TABLES, one.table), one.id, screen.label(WHAT, one.what), one.detail) for one in found.findings
    ]
    rows += [(screen.label(TABLES, "records"), str(index), screen.label(WHAT, "record"), "") for index in found.gaps]
    heads = _heads(screen, "表 | 行 | 问题 | 详情", "table | row | what | detail")
    return Section("与审计链不一致", "not as the trail says", heads, rows, tuple(range(len(rows))), 200)


def _reconciled(screen: Screen, found: Completeness) -> Section:
    rows: Rows = [
        (one.poll, one.feed, datetime.fromisoformat(one.due), one.source, one.rows, one.rejects)
        + ((one.in_facts, one.facts) if one.decided else (None, None))
        + (one.other, screen.label(WHY, one.why) if one.why else screen.say("相符", "adds up"))
        for one in found.reconciled
    ]
    heads = _heads(
        screen,
        "轮询 | 数据源 | 到期 | 数据源自报 | 读到 | 拒收 | 归入事实 | 事实 | 其他业务 | 核对",
        "poll | feed | due | source counts | rows | rejects | in facts | facts | other business | reconciled",
    )
    bad = tuple(at for at, one in enumerate(found.reconciled) if one.why)
    return Section("与数据源核对", "reconciled with the source", heads, rows, bad)


def _missing(screen: Screen, found: Completeness) -> Section:
    """Clients and subjects that are known and have no line, and lines that are there twice."""
    rows: Rows = []
    bad = []
    for one in found.populations:
        place = one.feed, one.rule
        for client in one.vanished:
            rows.append(
                (
                    *place,
                    screen.say("客户", "client"),
                    client,
                    screen.say("最新一次轮询中没有", "not in the newest poll"),
                )
            )
        for subject in one.absent:
            why = screen.say("有未了结的情形，当日没有判定", "an open episode, no line on the day")
            rows.append((*place, screen.say("对象", "subject"), subject, why))
        for poll, subject, lines in one.twice:
            bad.append(len(rows))
            why = screen.say(f"轮询 {poll} 中有 {lines} 行相同", f"{lines} lines in poll {poll}")
            rows.append((*place, screen.say("对象", "subject"), subject, why))
    for (feed, rule), clients in sorted(found.untold.items()):
        why = screen.say("应通知，因整批扣留未作通知", "to notify, no notice: held")
        rows += [(feed, rule, screen.say("客户", "client"), client, why) for client in clients]
    heads = _heads(screen, "数据源 | 规则 | 谁 | 编号 | 情况", "feed | rule | who | number | what")
    return Section("缺少与重复", "missing or twice", heads, rows, tuple(bad))


def _polls(screen: Screen, found: Completeness) -> Section:
    """Polls with something to tell: not ran, or late or failed on the way."""
    rows: Rows = []
    bad = []
    for one in found.polls:
        troubles = one.was & {"late", "failed", "held", "missed", "skipped", "due", "running"} - {"due", "running"}
        if one.state == "ran" and not troubles:
            continue
        if one in found.unfinished:
            bad.append(len(rows))
        was = ", ".join(screen.label(labels.POLLS, state) for state in sorted(troubles - {one.state}))
        ended = next((datetime.fromisoformat(t) for t, state, _ in reversed(one.moves) if state == one.state), None)
        why = one.reason or next((why for _, state, why in reversed(one.moves) if state in troubles and why), "")
        rows.append((one.poll, one.feed, one.due, screen.label(labels.POLLS, one.state), was, one.runs, ended, why))
    heads = _heads(
        screen,
        "轮询 | 数据源 | 到期 | 状态 | 曾经 | 运行次数 | 时间 | 原因",
        "poll | feed | due | state | was | runs | at | why",
    )
    return Section("迟到、错过、失败、未了的轮询", "polls late, missed, failed, unfinished", heads, rows, tuple(bad))


def _broken(screen: Screen, found: Completeness) -> Section:
    rows: Rows = [
        (one.run, one.poll, one.feed, one.number, one.made, len(one.alone), " ".join(id[:16] for id in one.alone[:20]))
        for one in found.broken
    ]
    heads = _heads(
        screen,
        "运行 | 轮询 | 数据源 | 第几次 | 作成通知 | 仅它作成 | 通知",
        "run | poll | feed | number | notices made | made by it alone | which",
    )
    return Section("中断的运行及仅由其作成的通知", "broken runs and what they made alone", heads, rows)


def _held_back(screen: Screen, found: Completeness) -> Section:
    """Holds, releases, silences and stops, in one table by time."""
    return Section(
        "扣留、放行、静默、停用",
        "holds, releases, silences, stops",
        _heads(
            screen,
            "何事 | 规则 | 对象 | 起 | 止 | 何人 | 原因 | 数目",
            "what | rule | about | from | until | by | why | counts",
        ),
        sorted(_acts(screen, found), key=lambda row: str(row[3])),
    )


def _acts(screen: Screen, found: Completeness) -> Iterator[tuple[object, ...]]:
    everyone = screen.say("所有人", "everyone")
    for hold in found.holds:
        counts = f"{hold['counts']} → {hold['allowed']}" if hold["allowed"] else hold["counts"]
        why = hold["reason"] + (f"; {hold['ended_why']}" if hold["ended_why"] else "")
        what = screen.say("整批扣留", "hold") + f" {hold['id']}"
        yield what, hold["rule"], hold["feed"], hold["since"], hold["ended_at"], hold["ended_by"], why, counts
    for one in found.releases:
        what = (
            screen.say("放行更正", "correction released")
            if one["scope"] == "correction"
            else screen.say("放行", "release")
        )
        yield what, one["rule"], one["subject"], one["at"], None, one["by"], one["reason"], None
    for one in found.silences:
        who = everyone if one["subject"] is None else one["subject"]
        yield (
            screen.say("静默", "silence"),
            one["rule"],
            who,
            one["since"],
            one["until"],
            one["by"],
            one["reason"],
            None,
        )
    for one in found.stops:
        why = one["reason"] + (f"; {one['ended_by']}" if one["ended_by"] else "")
        until = one["ended_at"] or one["paused_until"]
        yield screen.say("停用", "stopped"), one["rule"], everyone, one["at"], until, one["by"], why, None


def _notices(screen: Screen, found: Completeness) -> Section:
    served = {"": ("-", "-"), "yes": ("是", "yes"), "no": ("否", "no"), "unknown": ("未知", "unknown")}
    rows: Rows = [
        (rule, screen.label(labels.OUTCOMES, outcome), screen.label(served, agreed), count)
        for rule, counts in sorted(found.outcomes.items())
        for (outcome, agreed), count in sorted(counts.items())
    ]
    heads = _heads(screen, "规则 | 结果 | 按约送达 | 通知", "rule | outcome | served as agreed | notices")
    return Section("通知的结果", "notices by outcome", heads, rows)


def _traffic(screen: Screen, found: Completeness) -> Section:
    """Messages, attempts, receipts and tasks, counted."""
    message, attempt = screen.say("消息", "messages"), screen.say("发送", "attempts")
    receipt, task = screen.say("回执", "receipts"), screen.say("待办", "tasks")
    rows: Rows = [
        (message, f"{channel} {screen.label(labels.MESSAGES, state)}", count)
        for (channel, state), count in sorted(found.messages.items())
    ]
    rows += [
        (attempt, verdict or screen.say("未了", "not settled"), n) for verdict, n in sorted(found.attempts.items())
    ]
    rows += [(receipt, kind, count) for kind, count in sorted(found.receipts.items())]
    if found.orphans:
        rows.append((receipt, screen.say("不属于任何消息", "of no message of ours"), found.orphans))
    for rule, (waits, closed) in sorted(found.tasks.items()):
        rows.append((task, f"{rule or '-'} {screen.say('未了', 'open')}", waits))
        rows.append((task, f"{rule or '-'} {screen.say('已结', 'closed')}", closed))
    heads = _heads(screen, "何物 | 情况 | 数目", "what | state | count")
    return Section("消息、发送、回执、待办", "messages, attempts, receipts, tasks", heads, rows)


def _clients(screen: Screen, found: Completeness) -> Section:
    words = [screen.label(labels.BUCKETS, bucket) for bucket in ORDER]
    rows: Rows = [
        (one.feed, one.rule, client, words[rank])
        for one in found.populations
        for client, rank in sorted(one.clients.items())
    ]
    heads = _heads(screen, "数据源 | 规则 | 客户编号 | 类别", "feed | rule | client's number | bucket")
    return Section("全部客户", "all clients", heads, rows, most=MOST_SHEET)


def as_workbook(screen: Screen, listed: Sequence[Section], about: Sequence[str]) -> bytes:
    """One sheet a section behind a sheet that says what it is; a section that is too long goes on in another sheet."""
    first = screen.say("报告", "report")
    made = [Sheet(first, (about[0],), [(text,) for text in about[1:]])]
    for one in listed:
        name = screen.say(one.zh, one.en)[:28]
        for part, start in enumerate(range(0, max(1, len(one.rows)), MOST_SHEET)):
            rows = [tuple(_cell(screen, cell) for cell in row) for row in one.rows[start : start + MOST_SHEET]]
            made.append(Sheet(name if not part else f"{name} {part + 1}", one.heads, rows))
    return workbook(made)


def _cell(screen: Screen, cell: object) -> Cell:
    return cell if isinstance(cell, int) and not isinstance(cell, bool) else None if cell is None else screen.show(cell)


def as_page(screen: Screen, listed: Sequence[Section], title: str, verdict: str, footer: str, *, good: bool) -> bytes:
    """One page to print, the trail's head at its foot; sections without rows say so."""
    body = [paragraph(verdict, finding=not good)]
    for one in listed:
        body.append(heading(screen.say(one.zh, one.en)))
        if one.rows:
            rows = [[_cell(screen, cell) for cell in row] for row in one.rows]
            body.append(table(one.heads, rows, one.bad))
        else:
            body.append(paragraph(screen.say("无", "none")))
    return page(title, body, footer, "zh-CN" if screen.lang == "zh" else "en").encode()
