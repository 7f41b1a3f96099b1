"""A headline as one plain sentence: told, or not told because of the first thing that made it so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from daemon.cli import labels
from daemon.cli.screen import ABSENT, Screen
from daemon.model.kinds import Absence
from daemon.rules.evaluate import Trace

if TYPE_CHECKING:
    from daemon.report.explain import Cause
    from daemon.report.headline import Headline

SENTENCES: Mapping[str, tuple[str, str]] = {
    "told": (
        "已通知：{at} 经 {channels}（{stage}），结果 {outcome}",
        "told at {at} by {channels} ({stage}): {outcome}",
    ),
    "undeliverable": (
        "未通知，因为无法送达：{why}（{stage}）",
        "not told because it could not be delivered: {why} ({stage})",
    ),
    "in_doubt": ("是否到达无法确定：{why}（{stage}）", "whether it arrived cannot be known: {why} ({stage})"),
    "waiting": ("尚未通知：等到 {not_before} 才可发（{stage}）", "not told yet: it waits for {not_before} ({stage})"),
    "correction_held": (
        "未通知，因为更正须由合规放行（{stage}）",
        "not told because a correction waits for a release ({stage})",
    ),
    "resting": (
        "未通知，因为当前不成立（{stage}）：{cause}",
        "not told because it does not stand now ({stage}): {cause}",
    ),
    "unknown": (
        "未通知，因为无法确认是否仍成立（{stage}）：{cause}",
        "not told because it is not known whether it stands ({stage}): {cause}",
    ),
    "retrying": (
        "尚未通知：平台未受理（{why}），{due} 再试",
        "not told yet: the platform did not take it ({why}), again at {due}",
    ),
    "queued": ("尚未通知：在发送队列中（{stage}）{why}", "not told yet: in the queue ({stage}) {why}"),
    "cancelled": (
        "未通知，因为到期前已不成立（{stage}）：{cause}",
        "not told because it no longer stood ({stage}): {cause}",
    ),
    "superseded": ("未通知，因为被取代（{stage}）：{why}", "not told because it was superseded ({stage}): {why}"),
    "expired": (
        "未通知，因为期限 {deadline} 前未能发出（{stage}，作成于 {made}）",
        "not told because the deadline {deadline} passed before it could leave ({stage}, made at {made})",
    ),
    "held_poll": (
        "未通知，因为该次轮询整批扣住待放行：{why}",
        "not told because the whole poll was held for a release: {why}",
    ),
    "told_before": (
        "当日未再通知：同一义务此前已有通知",
        "not told again on this day: there is a notice of the same obligation from before",
    ),
    "no_notice": ("未通知：判定应通知，轮询未完成", "not told: a line asks to notify, its poll did not end"),
    "held": ("未通知，因为待人工放行：{cause}", "not told because it waits for a person's release: {cause}"),
    "indeterminate": (
        "未通知，因为无法判定，缺 {lacking}：{cause}",
        "not told because it cannot be decided, {lacking}: {cause}",
    ),
    "not_whole": (
        "未通知，因为数据不完整，被拒收的行：{rejects}",
        "not told because the data is not whole, rejected: {rejects}",
    ),
    "suppressed": ("未通知，因为被关口拦下：{cause}", "not told because a gate kept it back: {cause}"),
    "no_match": ("未通知，因为不符合条件：{cause}", "not told because the condition does not hold: {cause}"),
    "not_effective": ("未通知，因为规则在该日不生效", "not told because the rule was not in force on that date"),
    "rejected": (
        "未通知，因为该客户的行被拒收：{rejects}",
        "not told because the client's row was rejected: {rejects}",
    ),
    "not_in_population": (
        "未通知，因为不在名单中：{feeds} 的 {polls} 次轮询都没有这个客户{strangers}",
        "not told because not in the population: none of {polls} polls of {feeds} has the client{strangers}",
    ),
    "erased": (
        "判定底稿已过保存期（自 {since}，keep {days}d），无从说明",
        "the sheet is kept no more (since {since}, keep {days}d): why cannot be shown",
    ),
    "gone": ("判定底稿的文件不在（轮询 {poll}）！", "THE SHEET'S FILE IS GONE (poll {poll})"),
    "changed": ("判定底稿被改动（轮询 {poll}）！", "THE SHEET WAS CHANGED (poll {poll})"),
    "poll_late": ("未通知，因为数据未到：{feed}：{why}", "not told because the input is late: {feed}: {why}"),
    "poll_failed": ("未通知，因为轮询失败：{feed}：{why}", "not told because the poll failed: {feed}: {why}"),
    "poll_missed": ("未通知，因为轮询错过：{feed}：{why}", "not told because the poll was missed: {feed}: {why}"),
    "poll_skipped": (
        "未通知，因为按日历不轮询：{feed}：{why}",
        "not told because the calendar skips it: {feed}: {why}",
    ),
    "poll_waits": ("尚未判定：{feed} 的轮询尚未完成", "not decided yet: the poll of {feed} has not ended"),
    "no_poll": ("未通知，因为当日没有轮询作出判定", "not told because no poll decided anything on that date"),
    "no_such_rule": (
        "未通知，因为生效的规则集中没有这条规则（未签署的规则集不会生效）",
        "not told because no rule set in force has such a rule (a set that is not signed is never in force)",
    ),
    "never_seen": ("系统从未见过这个客户或合同", "no client or contract of this key was ever seen"),
}


CONDITIONS: Mapping[str, tuple[str, str]] = {
    "unless": ("除外条件成立", "an exception holds"),
    "needs": ("所需条件不成立", "what the rule needs does not hold"),
    "stages": ("该阶段的条件不成立", "the stage's condition does not hold"),
}
"""What a condition is to the rule, by the first word of its key."""


def sentence(screen: Screen, one: Headline) -> str:
    """The headline in the language of the screen."""
    named = {name: _shown(screen, name, value) for name, value in one.about.items()}
    given = {"at": screen.show(one.at), "cause": cause_text(screen, one.cause) or named.get("why", ""), **named}
    if one.code == "not_whole" and not named.get("rejects"):
        given["rejects"] = screen.say("（数据源未读全）", "(a part of the source was not complete)")
    return screen.label(SENTENCES, one.code).format(**given).strip()


def _shown(screen: Screen, name: str, value: Any) -> str:
    if name == "outcome":
        return screen.label(labels.OUTCOMES, value)
    if name == "lacking":
        return screen.say("、", ", ").join(f"{n} {screen.say(*ABSENT[Absence(lack)])}" for n, lack in value)
    if name == "rejects":
        expected = screen.say("应为", "expected")
        return "; ".join(f"{r['file']}:{r['line']}: {r['column']}: {expected} {r['expected']}" for r in value)
    if name == "strangers":
        return (
            screen.say(f"（另有 {value} 行被拒收，不知是谁的）", f" ({value} rejected rows are nobody's)")
            if value
            else ""
        )
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return screen.show(value)


def cause_text(screen: Screen, cause: Cause | None) -> str:
    """A cause with its figures, on one line."""
    if cause is None:
        return ""
    if cause.kind == "gate":
        gate = screen.label(labels.GATES, cause.key)
        words = [gate, f"({cause.detail})" if cause.detail else ""]
    elif cause.kind == "absent":
        words = [screen.say("再问时数据源中没有这个客户", "asked again, the source has no row of the client")]
    elif cause.kind == "level":
        words = [screen.say("最轻的一档也不成立", "not even the mildest level holds")]
    else:
        kind = cause.key.partition(".")[0]
        words = [screen.label(CONDITIONS, kind) if kind in CONDITIONS else "", cause.key]
    if cause.trace is not None:
        figures = ", ".join(f"{name} = {screen.show(value)}" for name, value in operands_of(cause.trace).items())
        words.append(f"{cause.trace.text}" + (f"  [{figures}]" if figures else ""))
    return " ".join(word for word in words if word)


def operands_of(found: Trace) -> dict[str, Any]:
    """The operands of a condition, each once."""
    if not found.children:
        constant = not (found.text[:1].isalpha() or found.text[:1] == "_")
        return {} if constant or found.text in ("true", "false") else {found.text: found.value}
    names: dict[str, Any] = {}
    for child in found.children:
        names |= operands_of(child)
    return names
