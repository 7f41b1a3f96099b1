"""Reads `FAMILY/NAME.yaml` into rules: what the file says, key by key. Pure. The format is in rules/README.md.

Leaves what the names and expressions mean to check_rules.py, which needs the kind, the parameters and the card.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from daemon.rules.checks import check_name
from daemon.rules.gates import ANY_OTHER
from daemon.rules.schema import Cap, Gates, Growth, Level, Reference, Rule, Stage, StatusTable, Timer
from daemon.rules.statuses import gated, read_verdicts, refuse_gated, resolved
from daemon.yamlfile import Reader, near

CATEGORIES = ("service", "marketing", "education")
CHANNELS = ("rcs", "sms", "email", "phone", "webhook")
RECEIPTS = ("delivered", "handed_to_sms", "accepted")
LATE = ("drop", "send_marked")
DO = ("next_channel", "task")
NO_REASONS = ("absent", "condition")
"""Reasons of a no that every rule has, beside its own under `unless:`."""
CONSENTS = ("none", "opt_out", "opt_in")


@dataclass(frozen=True)
class RuleFile:
    """A rule and the readers of its parts, for the places of what is found later."""

    rule: Rule
    r: Reader
    stages: Mapping[str, Reader] = field(default_factory=dict)
    levels: Mapping[str, Reader] = field(default_factory=dict)
    parts: Mapping[str, Reader] = field(default_factory=dict)


def read_rule(
    r: Reader, name: str, references: Mapping[str, Reference], statuses: Mapping[str, StatusTable]
) -> RuleFile:
    """One rule. `name` is what its path says: `margin/maintenance`. `statuses`: the tables of statuses.py."""
    said = r.text("rule", 64)
    if said and said != name:
        r.refuse("rule", f"the rule '{said}'", f"'{name}', as its path says")
    parts: dict[str, Reader] = {}
    levels = _levels(r)
    stages = _stages(r)
    fresh, if_unasked = _recheck(r)
    gone, only, held = _corrections(r)
    channels, together = _channels(r)
    category = r.choice("category", CATEGORIES)
    rule = Rule(
        name=name,
        title=r.text("title", 80),
        kind=r.text("kind", 64),
        category=category,
        owner=r.text("owner", 80),
        effective=r.date("effective"),
        references=_references(r, references),
        stages=tuple(_stage(m, n) for n, m in stages.items()),
        occurrence=r.texts("occurrence"),
        terms=r.texts("terms"),
        card=r.text("card", 64),
        channels=channels,
        contacts=r.opt_texts("contacts") or ("client",),
        together=together,
        discharge=_discharge(r, channels),
        when="" if levels else r.expression("when"),
        levels=tuple(_level(m, n) for n, m in levels.items()),
        lets=_expressions(r, "let", parts),
        holds=_expressions(r, "hold", parts),
        marks=_expressions(r, "marks", parts),
        gates=_gates(r, parts, name.split("/")[0], category, statuses),
        fresh=fresh,
        if_unasked=if_unasked,
        in_doubt=r.opt_choice("in_doubt", ("repeat", "task"), "task"),
        cap=_cap(r),
        keep=r.opt_span("keep") or timedelta(days=400),
        priority=r.opt_integer("priority", 5, 1, 9),
        quiet=_quiet(r),
        correct_gone=gone,
        gone_only=only,
        correct_held=held,
        receipt_window=r.opt_span("receipt_window") or timedelta(hours=1),
        path=r.map_.path,
        unless=_expressions(r, "unless", parts),
        until=r.opt_date("until"),
        agreed=r.opt_text("agreed", "", 64),
        needs=_expressions(r, "needs", parts),
        line=r.map_.mark[0],
    )
    if rule.until is not None and rule.until < rule.effective:
        r.refuse("until", str(rule.until), f"a day on or after {rule.effective}")
    r.done()
    return RuleFile(rule, r, stages, levels, parts)


def _expressions(r: Reader, key: str, parts: dict[str, Reader]) -> dict[str, str]:
    top = parts[key] = r.opt_map(key)
    return {name: top.expression(name) for name in top.map_ if check_name(top.map_, name, r.findings)}


def _references(r: Reader, known: Mapping[str, Reference]) -> tuple[str, ...]:
    ids = r.texts("references")
    for id_ in ids:
        if id_ not in known:
            r.refuse("references", f"the reference '{id_}'", "an id of rules/references.yaml", near(id_, known))
    return tuple(known[id_].text for id_ in ids if id_ in known)


def _levels(r: Reader) -> dict[str, Reader]:
    if r.has("levels") and r.has("when") and "when" in r.map_ and "levels" in r.map_:
        r.refuse("when", "both when and levels", "one of them")
    top = r.opt_map("levels")
    return {name: top.map(name) for name in top.map_ if check_name(top.map_, name, r.findings)}


def _level(r: Reader, name: str) -> Level:
    made = Level(name, r.expression("when"), r.expression("rearm"), r.map_.mark[0])
    r.done()
    return made


def _stages(r: Reader) -> dict[str, Reader]:
    top = r.map("stages")
    if "stages" in r.map_ and not top.map_:
        r.refuse("stages", "no stage", "at least one stage")
    return {name: top.map(name) for name in top.map_}


def _stage(r: Reader, name: str) -> Stage:
    level, _, own = name.rpartition("/")
    if not own.isidentifier() or not own.isascii() or own == "correction":
        r.refuse("at", f"the stage '{name}'", "NAME, or LEVEL/NAME where the rule has levels")
    timers = tuple(_timer(m) for m in r.opt_maps("after"))
    made = Stage(
        name,
        r.text("at", 80),
        r.text("deadline", 80),
        level,
        r.opt_expression("if"),
        timers,
        r.choice("late", LATE),
        r.map_.mark[0],
    )
    r.done()
    return made


def _timer(r: Reader) -> Timer:
    made = Timer(r.span("in"), r.choice("do", DO))
    r.done()
    return made


def _recheck(r: Reader) -> tuple[timedelta, str]:
    top = r.map("recheck")
    found = top.span("fresh"), top.choice("if_unasked", ("hold", "send"))
    top.done()
    return found


def _corrections(r: Reader) -> tuple[bool, tuple[str, ...], bool]:
    """Whether what is gone is corrected, for which reasons only, and whether a correction waits for a person."""
    top, known = r.opt_map("corrections"), (*r.map_.get("unless", ()), *NO_REASONS)
    listed = isinstance(top.map_.get("gone"), list)
    only = top.texts("gone") if listed else ()
    for reason in only:
        if reason not in known:
            top.refuse("gone", f"the reason '{reason}'", ", ".join(known), near(reason, known))
    found = listed or top.opt_flag("gone"), only, top.opt_flag("held")
    top.done()
    return found


def _channels(r: Reader) -> tuple[tuple[str, ...], bool]:
    together = r.has("together") and "together" in r.map_
    key = "together" if together else "channels"
    if together and "channels" in r.map_:
        r.has("channels")
        r.refuse("channels", "both channels and together", "one of them")
    found = r.texts(key)
    for name in found:
        if name not in CHANNELS:
            r.refuse(key, f"the channel '{name}'", ", ".join(CHANNELS), near(name, CHANNELS))
    return found, together


def _discharge(r: Reader, channels: tuple[str, ...]) -> dict[str, str]:
    top = r.map("discharge")
    found = {name: top.choice(name, RECEIPTS) for name in top.map_}
    for name in found:
        if name not in channels:
            top.refuse(name, f"the channel '{name}'", f"one of the rule's: {', '.join(channels)}", near(name, channels))
    return found


def _gates(
    r: Reader, parts: dict[str, Reader], family: str, category: str, statuses: Mapping[str, StatusTable]
) -> Gates:
    top = r.opt_map("gates")
    own = top.opt_map("verdicts")
    base = resolved(statuses, family, category, StatusTable())
    table = resolved(statuses, family, category, read_verdicts(own, (*base.verdicts, ANY_OTHER)))
    refuse_gated(own, family, table)
    for status in () if family in statuses else gated(family, table):
        if status not in own.map_:
            allowed = f"a table of the family '{family}' in rules/client_status.yaml that lets it through"
            r.refuse("gates", f"{table.verdicts[status]} for '{status}', of the category's table", allowed)
    exclude = parts["gates.exclude"] = top.opt_map("exclude")
    excludes = {n: exclude.expression(n) for n in exclude.map_ if check_name(exclude.map_, n, r.findings)}
    consent = top.opt_choice("consent", CONSENTS, "none")
    suitability = top.opt_expression("suitability")
    parts["gates"] = top
    made = Gates(top.opt_text("status", "", 64), table.verdicts, table.others, excludes, consent, suitability)
    top.done()
    return made


def _cap(r: Reader) -> Cap:
    top = r.map("cap")
    least, most, per = (top.opt_integer(k, -1, 0) for k in ("minimum", "maximum", "per_client"))
    turnover = top.opt_decimal("turnover")
    if turnover is not None and not 0 < turnover <= 1:
        top.refuse("turnover", str(turnover), "a share over 0, at most 1")
    if -1 not in (least, most) and least > most:
        top.refuse("minimum", str(least), f"at most the maximum, {most}")
    made = Cap(
        None if least < 0 else least,
        None if most < 0 else most,
        turnover,
        top.opt_integer("limit", 1_000_000, 1),
        top.opt_span("ends_after"),
        None if per < 0 else per,
        top.opt_integer("rows", 0, 0),
        _growth(top),
    )
    top.done()
    return made


def _growth(r: Reader) -> Growth | None:
    if not r.has("growth"):
        return None
    top = r.map("growth")
    rows, notify = top.opt_decimal("rows"), top.opt_decimal("notify")
    for key, found in (("rows", rows), ("notify", notify)):
        if found is not None and found <= 1:
            top.refuse(key, str(found), "a factor over 1")
    if rows is None and notify is None:
        r.refuse("growth", "neither rows nor notify", "at least one of them")
    made = Growth(rows, notify, top.opt_integer("least", 100, 1))
    top.done()
    return made


def _quiet(r: Reader) -> tuple[str, str] | None:
    if not r.has("quiet"):
        return None
    top = r.map("quiet")
    begins, ends = top.time("from"), top.time("to")
    top.done()
    if begins == ends:
        top.refuse("to", ends.isoformat("minutes"), "another time than `from`")
    return begins.isoformat("minutes"), ends.isoformat("minutes")
