"""Simulations and differences as sections of rows, the same for the screen, the workbook and the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from daemon.cli import labels
from daemon.cli.completeness_sections import Section
from daemon.cli.screen import Screen
from daemon.page import heading, page, paragraph, table, verbatim
from daemon.report.simulated import NOTHING
from daemon.workbook import Cell

BUCKETS = ("notify", "held", "indeterminate", "suppressed", "no_match")
FROM = {"sheets": ("判定底稿", "kept sheets"), "sources": ("数据源", "sources"), "nothing": ("无", "NOTHING")}
HOW = {
    "added": ("新增", "added"),
    "removed": ("不再通知", "removed"),
    "differently": ("通知不同", "told differently"),
}
SIDES = {"before": ("原", "before"), "after": ("新", "after")}
OFF = {
    "": ("", ""),
    "past": ("期限已过", "past its deadline"),
    "no_session": ("期限不在交易日", "deadline on no session"),
}
Names = Mapping[int, str] | None
MOST_ROWS = 2_000
"""Rows of a section on the page."""


def unknown(used: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a feed's day could be decided from nothing."""
    return any(one["from"] == NOTHING for one in used)


def of_simulation(screen: Screen, result: Mapping[str, Any]) -> list[Section]:
    """A simulation: clients by bucket, notices by stage, what was decided from what, holds."""
    heads = screen.say("日期 规则", "day rule").split()
    counts = [(one["day"], one["rule"], *(one[b] for b in BUCKETS)) for one in result["counts"]]
    stages: dict[tuple[str, str, str], list[int]] = {}
    for one in result["notices"]:
        mine = stages.setdefault((one["day"], one["rule"], one["stage"]), [0, 0])
        mine[0] += 1
        mine[1] += bool(one["told_at"])
    made, told = screen.say("通知 发出", "notices told").split()
    buckets = [screen.label(labels.BUCKETS, bucket) for bucket in BUCKETS]
    return [
        Section("客户归类", "clients by bucket", (*heads, *buckets), counts),
        Section(
            "通知",
            "notices",
            (*heads, screen.say("阶段", "stage"), made, told),
            [(*key, *counted) for key, counted in sorted(stages.items())],
        ),
        _used(screen, "判定依据", "decided from", result["used"]),
        _holds(screen, result["holds"]),
        _faults(screen, result["faults"]),
    ]


def of_difference(screen: Screen, found: Mapping[str, Any], names: Names = None) -> list[Section]:
    """A difference, every section, those without rows too. `names`: client's number -> key, where they may be seen."""
    return [
        _sets(screen, found),
        _counts(screen, found["counts"]),
        _totals(screen, found["clients"]),
        _clients(screen, found["clients"], names),
        _sms(screen, found["sms"]),
        _deadlines(screen, found["deadlines"]),
        _used(screen, "判定依据", "decided from", found["used"]["after"]),
        _holds(screen, found["holds"]["after"]),
        _faults(screen, found["faults"]["after"]),
    ]


def _sets(screen: Screen, found: Mapping[str, Any]) -> Section:
    rows: list[tuple[object, ...]] = [
        (screen.say("日期", "days"), " .. ".join(found["days"])),
        (screen.say("规则", "rules"), ", ".join(found["rules"])),
        (screen.say("原规则集", "set before"), found["before"]["rule_set"]),
        (screen.say("新规则集", "set after"), found["after"]["rule_set"]),
    ]
    rows += [(screen.say("改动的文件", "changed file"), one["path"]) for one in found["files"]]
    return Section("比较", "what is compared", (screen.say("项目", "item"), screen.say("内容", "value")), rows)


def _counts(screen: Screen, counts: Sequence[Mapping[str, Any]]) -> Section:
    columns = ("told", *BUCKETS)
    words = [screen.say("已通知", "told"), *(screen.label(labels.BUCKETS, bucket) for bucket in BUCKETS)]
    heads = [f"{word} {screen.label(SIDES, side)}" for word in words for side in SIDES]
    rows = [(one["day"], one["rule"], *(one[side][name] for name in columns for side in SIDES)) for one in counts]
    return Section("每日客户数", "clients a day", (screen.say("日期", "day"), screen.say("规则", "rule"), *heads), rows)


def _totals(screen: Screen, clients: Mapping[str, Sequence[Mapping[str, Any]]]) -> Section:
    rules = sorted({row["rule"] for rows in clients.values() for row in rows})
    rows: list[tuple[object, ...]] = []
    for rule in rules:
        mine = {how: [row for row in clients[how] if row["rule"] == rule] for how in HOW}
        words = sum(row["words_only"] for row in mine["differently"])
        rows.append((rule, *(len(mine[how]) for how in HOW), words))
    words_only = screen.say("其中仅文字不同", "of these other words only")
    heads = (screen.say("规则", "rule"), *(screen.label(HOW, how) for how in HOW), words_only)
    return Section("客户合计", "clients in all", heads, rows)


def _clients(screen: Screen, clients: Mapping[str, Sequence[Mapping[str, Any]]], names: Names) -> Section:
    """One row for each notice that one side has alone."""
    heads = ["如何", "规则", "客户编号", "侧", "日期", "阶段", "时间", "期限", "短信条数"]
    if screen.lang == "en":
        heads = ["how", "rule", "client", "side", "day", "stage", "told at", "deadline", "SMS parts"]
    if names is not None:
        heads.insert(3, screen.say("客户号", "client's key"))
    rows: list[tuple[object, ...]] = []
    for how in HOW:
        for one in clients[how]:
            who = (one["client"],) if names is None else (one["client"], names.get(one["client"], "-"))
            for side in SIDES:
                for n in one[side]:
                    moments = _moment(n["told_at"]), _moment(n["deadline"])
                    place = screen.label(HOW, how), one["rule"], *who, screen.label(SIDES, side)
                    rows.append((*place, n["day"], n["stage"], *moments, n["parts"]))
    return Section("客户明细", "client by client", tuple(heads), rows)


def _sms(screen: Screen, rows: Sequence[Mapping[str, Any]]) -> Section:
    names = ("before_texts", "after_texts", "before_parts", "after_parts")
    heads = screen.say(
        "规则 短信(原) 短信(新) 条数(原) 条数(新)", "rule texts_before texts_after parts_before parts_after"
    )
    return Section(
        "短信条数", "SMS parts", tuple(heads.split()), [(one["rule"], *(one[n] for n in names)) for one in rows]
    )


def _deadlines(screen: Screen, found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Section:
    heads = screen.say(
        "侧 规则 客户编号 日期 阶段 时间 期限 补发 问题", "side rule client day stage at deadline late what"
    )
    rows: list[tuple[object, ...]] = [
        (
            screen.label(SIDES, side), n["rule"], n["client"], n["day"], n["stage"], _moment(n["at"]),
            _moment(n["deadline"]), n["late"], screen.label(OFF, n["off"]),
        )
        for side in SIDES
        for n in found[side]
    ]  # fmt: skip
    return Section("时限问题", "deadlines that would be missed", tuple(heads.split()), rows, tuple(range(len(rows))))


def _used(screen: Screen, zh: str, en: str, used: Sequence[Mapping[str, Any]]) -> Section:
    heads = screen.say("日期 数据源 依据 轮询 拒收行 原因", "day feed from polls rejects why").split()
    rows: list[tuple[object, ...]] = [
        (one["day"], one["feed"], screen.label(FROM, one["from"]), one["polls"], one["rejects"], one["why"])
        for one in used
    ]
    bad = tuple(i for i, one in enumerate(used) if one["from"] == NOTHING)
    return Section(zh, en, tuple(heads), rows, bad)


def _holds(screen: Screen, holds: Sequence[Sequence[str]]) -> Section:
    heads = screen.say("数据源 规则 原因", "feed rule reason").split()
    return Section("会触发的扣留", "holds that would open", tuple(heads), [tuple(hold) for hold in holds])


def _faults(screen: Screen, faults: Sequence[str]) -> Section:
    rows: list[tuple[object, ...]] = [(fault,) for fault in faults]
    return Section(
        "卡片无法填写", "cards that cannot be filled in", (screen.say("说明", "what"),), rows, tuple(range(len(rows)))
    )


def _moment(text: str) -> str:
    return text[:16].replace("T", " ")


def samples(screen: Screen, found: Mapping[str, Any]) -> Section:
    """The sample cards as rows of a workbook."""
    heads = screen.say("如何 规则 客户编号 侧 标题 正文 短信", "how rule client side title text sms").split()
    rows: list[tuple[object, ...]] = [
        (screen.label(HOW, one["how"]), one["rule"], one["client"], screen.label(SIDES, side), *_texts(one[side]))
        for one in found["samples"]
        for side in SIDES
        if one[side] is not None
    ]
    return Section("卡片样例", "sample cards", tuple(heads), rows)


def _texts(card: Mapping[str, Any]) -> tuple[str, str, str]:
    return card["title"], card["text"], card["sms"]


def _cells(screen: Screen, row: Sequence[object]) -> list[Cell]:
    return [cell if isinstance(cell, int) and not isinstance(cell, bool) else screen.show(cell) for cell in row]


def as_page(screen: Screen, listed: Sequence[Section], found: Mapping[str, Any]) -> bytes:
    """One page that stands alone, sample cards before and after, the digest at its foot."""
    body: list[str] = []
    for one in listed:
        body.append(heading(screen.say(one.zh, one.en)))
        rows = [_cells(screen, row) for row in one.rows[:MOST_ROWS]]
        body.append(table(one.heads, rows, one.bad) if rows else paragraph(screen.say("无", "none")))
        if (left := len(one.rows) - MOST_ROWS) > 0:
            body.append(paragraph(screen.say(f"……另有 {left} 行，见 xlsx", f"… and {left} more, in the workbook")))
    body.append(heading(screen.say("卡片样例（个人信息已隐去）", "sample cards, personal data hidden")))
    for one in found["samples"]:
        head = f"{screen.label(HOW, one['how'])} · {one['rule']} · {screen.say('客户编号', 'client')} {one['client']}"
        body.append(paragraph(head))
        for side in SIDES:
            if one[side] is not None:
                body.append(verbatim(f"{screen.label(SIDES, side)}: " + "\n\n".join(_texts(one[side]))))
    title = screen.say("规则变更的影响", "what the change of rules would do")
    foot = screen.say(f"差异摘要 {found['digest']}", f"digest of the difference {found['digest']}")
    return page(title, body, foot, "zh-CN" if screen.lang == "zh" else "en").encode()
