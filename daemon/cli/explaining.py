"""A client's day in words: what each poll decided and why, what was made of it, what left and what came back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from daemon.cli import labels
from daemon.cli.headlines import operands_of, sentence
from daemon.cli.screen import Screen, at
from daemon.report.explain import Absence as NoLine
from daemon.report.explain import Cause, ClientDay, LineStory, MessageStory, NoticeStory
from daemon.rules.evaluate import Trace
from daemon.rules.explaining import ConditionNote, ParameterNote

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from daemon.report.headline import Headline

MOST_PLACES = 5


def print_day(screen: Screen, key: str, found: ClientDay, headlines: Sequence[Headline], *, full: bool = False) -> None:
    """The headlines, then the whole story. Of the client only what the caller typed is shown, and numbers. Unless `full`, of a
    later line only what differs from the one before it in the same feed."""
    if found.client is None:
        screen.line(
            screen.say(f"{key}：系统从未见过这个客户或合同", f"{key}: no client or contract of this key was ever seen")
        )
        return
    told = screen.say("已通知", "told") if found.told else screen.say("未通知", "not told")
    screen.line(f"{key} · {found.day} · {told} · {screen.say('内部编号', 'number')} {found.client}")
    for one in headlines:
        screen.line(f"{one.rule}  {sentence(screen, one)}")
    before: dict[object, LineStory] = {}
    for story in found.lines:
        place = story.rule, story.poll.feed, story.line.subject, story.fact
        _line(screen, story, None if full else before.get(place))
        before[place] = story
    for notice in found.notices:
        print_notice(screen, notice)
    _absences(screen, found)


def _line(screen: Screen, story: LineStory, before: LineStory | None) -> None:
    line, explained = story.line, story.explanation
    about = " ".join((str(line.subject), *(f"{name}={value}" for name, value in story.fact)))
    named = f"── {story.rule} {explained.title} · {story.poll.feed} {screen.show(story.poll.due)}"
    screen.head(f"{named} · 编号 {about}", f"{named} · number {about}")
    decided = f"{screen.label(labels.BUCKETS, line.bucket)}  {line.reason}"
    same = (
        screen.say("与记录相同", "as recorded") if story.as_recorded else screen.say("与记录不同！", "NOT as recorded")
    )
    pairs: list[tuple[str, object]] = [
        (screen.say("判定", "decision"), f"{decided}  （{same}）" if screen.lang == "zh" else f"{decided}  ({same})"),
        (
            screen.say("轮询", "poll"),
            f"{story.poll.id} {screen.label(labels.POLLS, story.poll.state.value)} · {story.run}",
        ),
        (screen.say("规则集", "rule set"), _rule_set(screen, story)),
        (screen.say("日历", "calendar"), explained.calendar),
    ]
    if line.marks:
        pairs.append((screen.say("标记", "marks"), ", ".join(line.marks)))
    if story.held:
        pairs.append(
            (
                screen.say("整批扣住", "held"),
                screen.say(
                    "本次轮询的数量越界，未作通知", "the poll's counts were out of bounds: no notices were made"
                ),
            )
        )
    if story.unchanged:
        pairs.append(
            (screen.say("此后不变", "the same at"), ", ".join(screen.show(poll.due) for poll in story.unchanged))
        )
    pairs += [(screen.say(f"数据时点 {part}", f"as of {part}"), moment) for part, moment in sorted(line.as_of.items())]
    screen.pairs(pairs)
    _cause(screen, story.cause)
    if before is not None:
        _changes(screen, story, before)
        return
    _operands(screen, story)
    _parameters(screen, story)
    _conditions(screen, (*explained.lets, *explained.conditions))
    _gates(screen, story)


def _rule_set(screen: Screen, story: LineStory) -> str:
    """Its digest, and what its signers call it."""
    signed = screen.say(f"已签署第 {story.version} 版", f"signed, version {story.version}")
    return f"{story.rule_set}  {signed if story.version else screen.say('未签署', 'unsigned')}"


def _changes(screen: Screen, story: LineStory, before: LineStory) -> None:
    """Operands, conditions and gates that differ from an earlier line."""
    old, line = before.line, story.line
    labels_of = {note.name: note.label for note in story.explanation.operands}
    rows = [
        (name, labels_of.get(name, ""), screen.show(old.operands.get(name)), screen.show(value))
        for name, value in line.operands.items()
        if old.operands.get(name) != value
    ]
    screen.line(screen.say("与前一次相比", "against the line before"))
    heads = ("名", "含义", "原值", "现值") if screen.lang == "zh" else ("name", "meaning", "was", "is")
    screen.table(heads, rows, 2)
    if old.items != line.items:
        _items(screen, story)
    was = {note.key: note.trace.value for note in (*before.explanation.lets, *before.explanation.conditions)}
    notes = (*story.explanation.lets, *story.explanation.conditions)
    changed = tuple(note for note in notes if was.get(note.key) != note.trace.value or note.decided)
    if changed:
        _conditions(screen, changed)
    if old.gates != line.gates:
        _gates(screen, story)


def _cause(screen: Screen, cause: Cause | None) -> None:
    if cause is None:
        return
    words = {
        "condition": ("起因：条件 {}", "because: condition {}"),
        "level": ("起因：最轻的一档也不成立，{}", "because: not even the mildest level holds, {}"),
        "gate": ("起因：关口 {}", "because: gate {}"),
        "whole": (
            "起因：数据不完整（有记录被拒收，或数据源未读全）",
            "because: not whole (a row was rejected, or a part was not complete)",
        ),
        "date": ("起因：规则在该日不生效", "because: the rule is not in force on that date"),
    }
    named = screen.label(labels.GATES, cause.key) if cause.kind == "gate" else cause.key
    screen.line(screen.label(words, cause.kind).format(named) + (f" ({cause.detail})" if cause.detail else ""))
    if cause.trace is not None:
        _trace(screen, cause.trace, 2)


def _trace(screen: Screen, found: Trace, indent: int) -> None:
    """A condition taken apart; constants say what they are by themselves."""
    if found.children or operands_of(found):
        screen.line(f"{found.text}  →  {screen.show(found.value)}", indent)
    for child in found.children:
        _trace(screen, child, indent + 2)


def _operands(screen: Screen, story: LineStory) -> None:
    explained = story.explanation
    screen.line(screen.say("输入", "operands"))
    screen.table(
        (screen.say("名", "name"), screen.say("含义", "meaning"), screen.say("值", "value")),
        [(note.name, note.label, screen.show(note.value)) for note in explained.operands],
        2,
    )
    _items(screen, story)


def _items(screen: Screen, story: LineStory) -> None:
    for i, item in enumerate(story.line.items, 1):
        screen.line(f"{i}. " + ", ".join(f"{name}={screen.show(value)}" for name, value in sorted(item.items())), 4)


def _parameters(screen: Screen, story: LineStory) -> None:
    if not story.explanation.parameters:
        return
    screen.line(screen.say("参数", "parameters"))
    zh, en = (
        ("名", "含义", "值", "单位", "来自", "起始", "依据"),
        ("name", "meaning", "value", "unit", "from", "since", "reference"),
    )
    rows = [_parameter(screen, note) for note in story.explanation.parameters]
    screen.table(zh if screen.lang == "zh" else en, rows, 2)


def _parameter(screen: Screen, note: ParameterNote) -> tuple[str, ...]:
    source = screen.say("合同", "contract") if note.source == "contract" else screen.say("公司", "firm")
    reference = f"{note.reference} [{note.confidence}]" if note.confidence else note.reference
    return note.name, note.label, screen.show(note.value), note.unit, source, screen.show(note.since), reference


def _conditions(screen: Screen, notes: tuple[ConditionNote, ...]) -> None:
    screen.line(screen.say("条件", "conditions"))
    for note in notes:
        mark = "▶" if note.decided else " "
        screen.line(f"{mark} {note.key}: {note.trace.text}  →  {screen.show(note.trace.value)}", 2)
        names = operands_of(note.trace)
        if names:
            screen.line(", ".join(f"{name} = {screen.show(value)}" for name, value in names.items()), 6)


def _gates(screen: Screen, story: LineStory) -> None:
    if not story.line.gates:
        screen.line(screen.say("关口：未走到（不需通知）", "gates: not reached (nothing to tell)"))
        return
    screen.line(screen.say("关口", "gates"))
    rows = [
        (screen.label(labels.GATES, g.gate), screen.label(labels.VERDICTS, g.verdict), g.reason)
        for g in story.line.gates
    ]
    screen.table((screen.say("关口", "gate"), screen.say("结果", "verdict"), screen.say("原因", "reason")), rows, 2)


def print_notice(screen: Screen, story: NoticeStory) -> None:
    """A notice with its messages, attempts and receipts. Addresses and words stay sealed."""
    row = story.notice
    screen.head(
        f"── 通知 {row['id'][:16]} · {row['rule']} · {row['stage']}",
        f"── notice {row['id'][:16]} · {row['rule']} · {row['stage']}",
    )
    screen.pairs(notice_pairs(screen, row))
    for ask in story.asks:
        answer = f"{screen.label(labels.BUCKETS, ask['bucket'])} {ask['reason']}"
        screen.line(f"{screen.say('发送前再问', 'asked again')} {screen.show(at(ask['at']))}: {answer}", 2)
    for message in story.messages:
        _message(screen, message)


def notice_pairs(screen: Screen, row: RowMapping) -> list[tuple[str, object]]:
    """What a person needs of a notices row."""
    outcome = screen.label(labels.OUTCOMES, row["outcome"] or "open")
    why = f" ({row['outcome_why']})" if row["outcome_why"] else ""
    served = {"yes": ("是", "yes"), "no": ("否", "no"), "unknown": ("未知", "unknown")}
    pairs: list[tuple[str, object]] = [
        (screen.say("结果", "outcome"), outcome + why),
        (screen.say("按约送达", "served as agreed"), screen.label(served, row["served"]) if row["served"] else None),
        (screen.say("是否成立", "stands"), f"{screen.label(labels.STANDS, row['stands'])} ({row['stands_why']})"),
        (screen.say("作成", "made"), at(row["made_at"])),
        (screen.say("可发", "not before"), at(row["not_before"])),
        (screen.say("窗口止", "window ends"), at(row["window_end"])),
        (screen.say("期限", "deadline"), at(row["deadline"])),
        (screen.say("已发出", "told"), at(row["told_at"])),
        (screen.say("规则集", "rule set"), row["rule_set"]),
        (screen.say("标识", "occurrence"), row["occurrence"]),
        (screen.say("过程编号", "episode"), row["episode"]),
    ]
    if json.loads(row["marks"]):
        pairs.append((screen.say("标记", "marks"), ", ".join(json.loads(row["marks"]))))
    if row["held"]:
        pairs.append(
            (screen.say("扣住", "held"), screen.say("更正待人工放行", "a correction that waits for a release"))
        )
    if row["correction_of"]:
        pairs.append((screen.say("更正", "corrects"), row["correction_of"][:16]))
    return pairs


def _message(screen: Screen, story: MessageStory) -> None:
    row = story.message
    state = screen.label(labels.MESSAGES, row["state"])
    why = f" ({row['why']})" if row["why"] else ""
    screen.line(
        f"{screen.say('消息', 'message')} {row['id'][:16]} · {row['channel']} · {row['role']} · {state}{why}", 2
    )
    for attempt in story.attempts:
        ended = f"{attempt['verdict'] or screen.say('未了', 'not settled')} {attempt['code'] or ''}".strip()
        begun = f"{attempt['number']} {screen.show(at(attempt['started_at']))} {attempt['gateway']}"
        screen.line(f"{screen.say('发送', 'attempt')} {begun}: {ended}", 4)
    for receipt in story.receipts:
        screen.line(
            f"{screen.say('回执', 'receipt')} {screen.show(at(receipt['at']))} {receipt['kind']} {receipt['code']}".rstrip(),
            4,
        )


WHY_NOT = {
    "no_line": ("没有这个客户的记录", "no line of this client"),
    "no_sheet": ("这次轮询没有作出判定", "this poll has decided nothing"),
    "kept_no_more": ("判定底稿已过保存期", "the sheet is past its time"),
    "gone": ("判定底稿的文件不在！", "THE SHEET'S FILE IS GONE"),
    "changed": ("判定底稿被改动！", "THE SHEET WAS CHANGED"),
}


def _absences(screen: Screen, found: ClientDay) -> None:
    seen = {(story.rule, story.poll.id) for story in found.lines}
    missing = [one for one in found.absences if (one.rule, one.poll.id) not in seen]
    if not missing:
        return
    screen.head("── 没有判定的轮询", "── polls without a line")
    rows = [
        (
            one.rule or "-",
            one.poll.feed,
            one.poll.due,
            screen.label(labels.POLLS, one.poll.state.value),
            _why_not(screen, one),
        )
        for one in missing
    ]
    heads = (
        ("规则", "数据源", "到期", "轮询", "原因") if screen.lang == "zh" else ("rule", "feed", "due", "poll", "why")
    )
    screen.table(heads, rows)
    places = {(p["file"], p["line"], p["column"], p["expected"]) for one in missing for p in one.rejects}
    if places:
        count = len(places)
        screen.line(
            screen.say(
                f"这些轮询共拒收 {count} 行；被拒收的行不能认作任何人的：",
                f"{count} rows of these polls were rejected; a rejected row cannot be told to be anybody's:",
            )
        )
        for file, line, column, expected in sorted(places)[:MOST_PLACES]:
            screen.line(f"{file}:{line}: {column}: {screen.say('应为', 'expected')} {expected}", 2)
        if count > MOST_PLACES:
            screen.line(screen.say(f"……另有 {count - MOST_PLACES} 行", f"… and {count - MOST_PLACES} more"), 2)


def _why_not(screen: Screen, one: NoLine) -> str:
    if one.erased is not None:
        since, rule, days = screen.show(one.erased.since), one.rule, one.erased.days
        return screen.say(
            f"自 {since} 起不再保存（规则 {rule}，keep {days}d）",
            f"kept no more since {since}, by rule {rule} keep {days}d",
        )
    return screen.label(WHY_NOT, one.why) + (f" ({one.poll.reason})" if one.poll.reason else "")
