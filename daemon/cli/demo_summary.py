"""What a demo prints at its end: the funnel per family and rule, one card, where the trail lies, what to try."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.cli import labels, place
from daemon.cli.screen import Screen

if TYPE_CHECKING:
    from daemon.demo.driver import Plan
    from daemon.report.funnel import RuleFunnel
    from daemon.settings import Settings
    from daemon.store.db import Store

FAMILIES = {"ipo": ("新股、可转债中签缴款", "allotments to pay"), "fund": ("开放申购赎回", "fund windows"),
            "margin": ("融资融券维持担保比例", "margin maintenance")}  # fmt: skip
BUCKETS = ("notify", "held", "indeterminate", "suppressed", "no_match")


def summarise(plan: Plan, screen: Screen) -> int:
    """Print it all; 0 when the trail verifies, else 1."""
    from daemon.settings_files import load_settings

    settings = load_settings(plan.folder / "config" / "duenotice.yaml")
    with place.store_of(settings) as store:
        for day in plan.days:
            _day(store, plan, day, screen)
        _card(store, screen)
        good = _trail(store, settings, screen)
    _next(plan, screen)
    return 0 if good else 1


def _day(store: Store, plan: Plan, day: date, screen: Screen) -> None:
    from daemon.report.funnel import funnel

    found = funnel(store, day)
    screen.line()
    screen.line(f"== {day} " + "=" * 60)
    for family, (zh, en) in FAMILIES.items():
        screen.line()
        screen.line(screen.say(zh, en))
        if plan.covered is not None and family not in plan.covered.get(day, ()):
            screen.line(
                screen.say("  样本中当日无真实事实，未轮询", "  no real facts on this day in the sample: not polled")
            )
            continue
        for one in found:
            if one.family == family:
                screen.line(f"  {one.rule}")
                _rule(one, screen)
    screen.line()
    screen.line(
        screen.say(
            "盯市价格为前复权真实收盘价；客户均为合成数据。",
            "Margin books use real closes, forward-adjusted; every client is synthetic.",
        )
    )


def _rule(one: RuleFunnel, screen: Screen) -> None:
    heads = ("轮询", "行", "拒收", "事实") if screen.lang == "zh" else ("poll", "rows", "rejects", "facts")
    bucket_heads = [screen.label(labels.BUCKETS, b) for b in BUCKETS]
    rows = [
        (
            f"{poll.feed} {screen.show(poll.due)}",
            poll.rows,
            poll.rejects,
            poll.facts,
            *(poll.buckets[b] for b in BUCKETS),
        )
        for poll in one.polls
    ]
    screen.table((*heads, *bucket_heads), rows, indent=2)
    outcomes = [f"{screen.label(labels.OUTCOMES, o)} {n}" for o, n in sorted(one.outcomes.items(), key=lambda p: -p[1])]
    waiting = one.notices - sum(one.outcomes.values())
    if waiting:
        outcomes.append(screen.say(f"待发 {waiting}", f"waiting {waiting}"))
    screen.line(screen.say(f"  通知 {one.notices}", f"  notices {one.notices}") + ": " + ", ".join(outcomes))
    screen.line(screen.say(f"  人工待办 {one.tasks}", f"  tasks for a person {one.tasks}"))


def _card(store: Store, screen: Screen) -> None:
    import json

    from sqlalchemy import select

    from daemon.security.masking import phone
    from daemon.store import seals
    from daemon.store.tables import messages

    query = select(messages.c.body).where(messages.c.channel == "rcs", messages.c.state == "delivered").limit(1)
    with store.read() as tx:
        body = tx.execute(query).scalar()
        found = None if body is None else json.loads(seals.get(tx, body))
    if found is None:
        return
    screen.head("一张发出的卡片（号码已遮蔽）", "One card as it left (recipient masked)")
    card = [f"→ {phone(found['recipient'])}", found["title"], *found["description"].splitlines()]
    suggestions = found["card"]["message"]["generalPurposeCard"]["content"].get("suggestions", [])
    buttons = [(s.get("reply") or s["action"])["displayText"] for s in suggestions]
    for line in [*card, *(f"[ {b} ]" for b in buttons)]:
        screen.line(line, indent=2)


def _trail(store: Store, settings: Settings, screen: Screen) -> bool:
    from daemon.audit.folder import verify_folder
    from daemon.cli.audit import live_keys
    from daemon.report.sheets_live import sheets_of_store

    report = verify_folder(
        settings.path(settings.trail.folder), live_keys(settings, store), sheets=sheets_of_store(store)
    )
    screen.head("审计链", "The audit trail")
    screen.line(settings.path(settings.trail.folder), indent=2)
    for check in report.checks:
        word = "-" if check.ok is None else "✓" if check.ok else "✗"
        screen.line(f"{word} {screen.label(labels.CHECKS, check.name)} {check.detail}", indent=2)
    screen.line(screen.label(labels.VERDICT_OF_LOG, report.verdict), indent=2)
    return report.ok


def _next(plan: Plan, screen: Screen) -> None:
    config = plan.folder / "config" / "duenotice.yaml"
    day = plan.days[0]
    screen.head("接下来可以试", "What to try next")
    commands = ("status", f"rules replay --day {day}", "notices list --limit 10", "worklist list", "audit verify")
    for command in (*commands, f"report completeness --day {day}", "cards preview ipo/payment"):
        screen.line(f"duenotice --config {_short(config)} {command}", indent=2)


def _short(path: Path) -> Path:
    here = Path.cwd()
    return path.resolve().relative_to(here) if path.resolve().is_relative_to(here) else path
