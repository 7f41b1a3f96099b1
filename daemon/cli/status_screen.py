"""How `status` is shown; the funnel's tables are the demo's too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.cli import labels
from daemon.cli.screen import Screen, at

if TYPE_CHECKING:
    from daemon.cli.status import Status
    from daemon.report.funnel import RuleFunnel
    from daemon.rules.reviews import Review

WRONG = ("late", "failed", "missed", "held", "running", "due")
"""Poll states that a person looks at."""

ROLES = {
    "running": ("运行中，自", "running since"),
    "stopped": ("已停止，于", "stopped at"),
    "died": ("没有在运行，也没有正常停止；启动于", "not running and never stopped properly; started at"),
    "never": ("从未启动", "never started"),
    "unknown": ("不能判断是否在运行；最近启动于", "cannot tell whether it runs; last started at"),
}

MODES = {
    "signed": ("已签署", "signed"),
    "emergency": ("紧急启用：仅一人签署！", "EMERGENCY START: SIGNED BY ONE PERSON"),
    "unsigned": ("未签署：开发模式！", "UNSIGNED: DEVELOPMENT MODE"),
    "none": ("没有生效的规则集", "no rule set is active"),
}


def print_status(screen: Screen, found: Status) -> None:
    """Everything, what needs a person last."""
    since = f" {screen.show(found.since)}" if found.since else ""
    waiting, due, doubt = found.backlog
    digest = (found.rules["digest"] or "-")[:16]
    screen.pairs(
        [
            (screen.say("守护进程", "daemon"), screen.label(ROLES, found.role) + since),
            (screen.say("规则集", "rule set"), f"{digest} · {_mode(screen, found)}"),
            (
                screen.say("待发", "backlog"),
                screen.say(
                    f"{waiting} 条待发，其中 {due} 条已到时；{doubt} 条存疑",
                    f"{waiting} waiting, {due} of them due; {doubt} in doubt",
                ),
            ),
            (screen.say("待办", "tasks"), found.tasks),
            (
                screen.say("下次轮询", "next poll"),
                " ".join(map(screen.show, found.next_poll)) if found.next_poll else None,
            ),
        ]
    )
    _stopped(screen, found)
    _polls(screen, found)
    if found.funnels:
        screen.head(f"{found.day} 漏斗", f"funnel of {found.day}")
        print_funnel(screen, found.funnels)
    _holds(screen, found)
    _deadlines(screen, found)
    _reviews(screen, found)
    if found.pages:
        screen.head("未确认的呼叫", "open pages")
        screen.table(("", "", ""), [(at(p["at"]), p["severity"], p["sentence"]) for p in found.pages], 2)


def review_said(screen: Screen, review: Review) -> str:
    """One line on a review that is due or overdue. Also the check's."""
    name, last, who = review.parameter, review.due_on, review.reviewed_by
    if review.state == "overdue":
        days = -review.days
        return screen.say(
            f"参数 {name}（{review.label}）复核已逾期 {days} 天，应于 {last} 前由{who}完成；完成前不能签署",
            f"the review of {name} by {who} is {days} days overdue, since {last}; nothing can be signed until it is done",
        )
    return screen.say(
        f"参数 {name}（{review.label}）须于 {last} 前由{who}复核，还有 {review.days} 天",
        f"the review of {name} falls due by {last}, in {review.days} days, from {who}",
    )


def _reviews(screen: Screen, found: Status) -> None:
    if found.reviews:
        screen.head("参数复核", "reviews of parameters")
        for review in found.reviews:
            screen.line(review_said(screen, review), 2)


def _mode(screen: Screen, found: Status) -> str:
    """On whose word the set is active, which version it is, and until when where that has an end."""
    rules, text = found.rules, screen.label(MODES, found.rules["mode"])
    if rules["version"]:
        text += screen.say(f"，第 {rules['version']} 版", f", version {rules['version']}")
    if rules["until"]:
        text += screen.say(f"，至 {screen.show(rules['until'])}", f", until {screen.show(rules['until'])}")
    return text


def _stopped(screen: Screen, found: Status) -> None:
    if not found.rules["stopped"]:
        return
    screen.head("已停用的规则（重新启用须两人签署）", "stopped rules (two people sign to start one again)")
    heads = (
        ("规则", "自", "何人", "原因", "紧急启用至")
        if screen.lang == "zh"
        else ("rule", "since", "by", "why", "runs until")
    )
    rows = [(s["rule"], s["since"], s["by"], s["reason"], s["paused_until"]) for s in found.rules["stopped"]]
    screen.table(heads, rows, 2)


def _polls(screen: Screen, found: Status) -> None:
    counts: dict[str, int] = {}
    for poll in found.polls:
        counts[poll.state.value] = counts.get(poll.state.value, 0) + 1
    screen.head(f"{found.day} 轮询", f"polls of {found.day}")
    shown = ", ".join(f"{screen.label(labels.POLLS, state)} {count}" for state, count in sorted(counts.items()))
    screen.line(shown or screen.say("没有", "none"), 2)
    wrong = [poll for poll in found.polls if poll.state.value in WRONG]
    if wrong:
        heads = (
            ("编号", "数据源", "到期", "状态", "原因") if screen.lang == "zh" else ("id", "feed", "due", "state", "why")
        )
        rows = [(p.id, p.feed, p.due, screen.label(labels.POLLS, p.state.value), p.reason) for p in wrong]
        screen.table(heads, rows, 2)


def print_funnel(screen: Screen, funnels: tuple[RuleFunnel, ...]) -> None:
    """The funnel as two tables: what was read and decided, and what became of it. Also the demo's."""
    zh = ("规则", "轮询", "行", "拒收", "事实", "应通知", "不需", "被拦", "待放行", "无法判定")
    en = ("rule", "polls", "rows", "rejects", "facts", "notify", "no match", "suppressed", "held", "indeterminate")
    screen.table(
        zh if screen.lang == "zh" else en,
        [(f.rule, len(f.polls), f.rows, f.rejects, f.facts, *f.buckets.values()) for f in funnels],
        2,
    )
    names = [name for name in labels.OUTCOMES if any(f.outcomes.get(name) for f in funnels)]
    heads = [screen.say("规则", "rule"), screen.say("通知", "notices"), screen.say("已发出", "told")]
    heads += [screen.label(labels.OUTCOMES, name) for name in names] + [screen.say("待办", "tasks")]
    rows = [(f.rule, f.notices, f.told, *(f.outcomes.get(name, 0) for name in names), f.tasks) for f in funnels]
    print()
    screen.table(heads, rows, 2)


def _holds(screen: Screen, found: Status) -> None:
    if not found.holds:
        return
    screen.head(
        "扣住的批次（duenotice notices release --hold 编号 …）", "open holds (duenotice notices release --hold ID …)"
    )
    heads = (
        ("编号", "规则", "数据源", "自", "原因", "数量")
        if screen.lang == "zh"
        else ("id", "rule", "feed", "since", "why", "counts")
    )
    rows = [
        (h.id, h.rule, h.feed, h.since, h.reason, ", ".join(f"{n}={c}" for n, c in h.counts.items()))
        for h in found.holds
    ]
    screen.table(heads, rows, 2)


def _deadlines(screen: Screen, found: Status) -> None:
    if not found.deadlines:
        return
    screen.head("最近的期限（尚未发出）", "next deadlines (not told yet)")
    heads = (
        ("期限", "规则", "阶段", "通知", "成立")
        if screen.lang == "zh"
        else ("deadline", "rule", "stage", "notice", "stands")
    )
    rows = [
        (at(n["deadline"]), n["rule"], n["stage"], n["id"][:16], screen.label(labels.STANDS, n["stands"]))
        for n in found.deadlines
    ]
    screen.table(heads, rows, 2)
