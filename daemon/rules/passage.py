"""How a notice of a rule leaves and what serves it, as the rule says it: channels in their order, receipts that serve,
forward timers, corrections. Pure; notices/ and deliver/ move the notices themselves by it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from daemon.model.decisions import Bucket, Decision
from daemon.model.notices import StagePlan
from daemon.rules.schema import Rule

RECEIPTS = ("accepted", "handed_to_sms", "delivered")
"""What may come back of a message that left, the weakest first."""
NONE, MADE, HELD = "none", "made", "held"
CORRECTIONS = (NONE, MADE, HELD)


def first_channels(rule: Rule) -> tuple[str, ...]:
    """The channels on which a notice leaves: the first of the order, or all where the rule says `together`."""
    return rule.channels if rule.together else rule.channels[:1]


def next_channel(rule: Rule, used: Collection[str]) -> str:
    """The channel that takes over from those used, '' where none is left."""
    return next((channel for channel in rule.channels if channel not in used), "")


def serves(rule: Rule, channel: str, receipt: str) -> bool:
    """Whether a receipt on a channel serves the notice: it is what the rule's `discharge:` asks of that channel, or stronger.
    `receipt`: one of RECEIPTS, anything else serves nowhere."""
    wants: Mapping[str, str] = rule.discharge or dict.fromkeys(rule.channels, "delivered")
    want = wants.get(channel)
    return want in RECEIPTS and receipt in RECEIPTS and RECEIPTS.index(receipt) >= RECEIPTS.index(want)


def timers(rule: Rule, plan: StagePlan, made_at: datetime) -> tuple[tuple[datetime, str], ...]:
    """The forward timers of a stage with the moments at which they fire: counted from the stage's instant, or from the
    moment of making where that is later."""
    start = max(plan.at, made_at)
    stage = next(stage for stage in rule.stages if stage.name == plan.stage)
    return tuple((start + timer.after, timer.do) for timer in stage.timers)


def correction(rule: Rule, told: Decision, found: Decision) -> str:
    """What becomes of a notice that told `told` when a reading finds `found` for the same obligation: no correction, one
    that is made at once, or one that waits for a person."""
    if found.bucket is Bucket.NO_MATCH:
        changed = rule.takes_back(found.reason)
    else:
        changed = found.bucket is Bucket.NOTIFY and found.terms != told.terms
    return NONE if not changed else HELD if rule.correct_held else MADE
