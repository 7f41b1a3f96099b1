"""The difference that one rule set makes to another over some days: two simulations of the same days, compared. Pure.

    result = difference(before, after)
    result["digest"] == digest_of(result)

The result is JSON (canonical: sorted keys, no spaces, UTF-8); `digest` is the SHA-256 of the rest of it, so that what it
binds is: both rule sets by digest, and which of their files differ; the days and the rules; for every feed and day of
both sides what it was decided from, kept sheets by hash; clients by bucket, day and rule; every client added, removed or
told differently by number with every notice that makes the difference; SMS parts; deadlines that would be missed; the
sample cards shown; holds. No name, no address and no clock is in it: the same inputs give the same digest.

Keys: `v kind days rules before after files used counts clients sms deadlines samples holds faults
digest`. `clients` has
`added`, `removed` and `differently`: lists of {rule, client, words_only, before, after}, where `before` and `after` are the
notices told that the other side has not (Planned.short); `words_only`: the same stages at the same instants in other words.
A client is told by a notice that leaves; `added` is told after and not
before under a rule, over all the days.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from daemon.model.values import canonical
from daemon.report.simulated import Planned, Simulation, digest_of, signed

__all__ = ["ADDED", "DIFFERENTLY", "REMOVED", "canonical_bytes", "difference", "digest_of", "told_by_client"]

ADDED, REMOVED, DIFFERENTLY = "added", "removed", "differently"
SAMPLES = 3
"""Sample cards of each rule and of each way in which clients differ."""

Told = dict[tuple[str, int], list[Planned]]


def canonical_bytes(result: Mapping[str, Any]) -> bytes:
    """A result as it is written to a file: canonical JSON, UTF-8, and a line's end. Reading it back and `digest_of` give the
    digest that stands in it."""
    return canonical(result).encode() + b"\n"


def told_by_client(found: Simulation) -> Told:
    """(rule, client) -> the notices that told, in order."""
    told: Told = defaultdict(list)
    for one in found.notices:
        if one.told_at:
            told[one.rule, one.client].append(one)
    return told


def difference(before: Simulation, after: Simulation) -> dict[str, Any]:
    """Compare two simulations of the same days and rules. Raises ValueError for others."""
    if before.days != after.days:
        raise ValueError(f"found simulations of {before.days} and {after.days}, expected the same days")
    clients, samples = _clients(told_by_client(before), told_by_client(after))
    return signed(
        {
            "v": 1,
            "kind": "difference",
            "days": list(after.days),
            "rules": sorted({*before.rules, *after.rules}),
            "before": {"rule_set": before.digest},
            "after": {"rule_set": after.digest},
            "files": _files(before.files, after.files),
            "used": {
                "before": [one.to_json() for one in before.used],
                "after": [one.to_json() for one in after.used],
            },
            "counts": _counts(before, after),
            "clients": clients,
            "sms": _sms(before, after),
            "deadlines": {"before": _deadlines(before), "after": _deadlines(after)},
            "samples": samples,
            "faults": {"before": list(before.faults), "after": list(after.faults)},
            "holds": {"before": [list(h) for h in before.holds], "after": [list(h) for h in after.holds]},
        }
    )


def _files(before: Mapping[str, str], after: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"path": path, "before": before.get(path), "after": after.get(path)}
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    ]


def _clients(before: Told, after: Told) -> tuple[dict[str, list[dict[str, Any]]], list[dict[str, Any]]]:
    """Who is told by one side only, who by both but not alike; and the first cards of each kind."""
    found: dict[str, list[dict[str, Any]]] = {ADDED: [], REMOVED: [], DIFFERENTLY: []}
    samples: list[dict[str, Any]] = []
    shown: dict[tuple[str, str], int] = defaultdict(int)
    for key in sorted({*before, *after}):
        rule, client = key
        old, new = _only(before.get(key, ()), after.get(key, ())), _only(after.get(key, ()), before.get(key, ()))
        if not old and not new:
            continue
        how = ADDED if key not in before else REMOVED if key not in after else DIFFERENTLY
        row = {"rule": rule, "client": client}
        words_only = how == DIFFERENTLY and [_instants(n) for n in old] == [_instants(n) for n in new]
        sides = {"before": [n.short() for n in old], "after": [n.short() for n in new]}
        found[how].append({**row, "words_only": words_only, **sides})
        if shown[rule, how] < SAMPLES:
            shown[rule, how] += 1
            samples.append({**row, "how": how, "before": _card(old), "after": _card(new)})
    return found, samples


def _only(mine: Sequence[Planned], others: Sequence[Planned]) -> list[Planned]:
    """The notices of one side that the other has not, word for word at the same instants."""
    known = [one.short() for one in others]
    return [one for one in mine if one.short() not in known]


def _instants(one: Planned) -> tuple[str, ...]:
    """A notice but for its words: what, about which day, when."""
    return str(one.subject), one.occurrence, one.stage, one.day, one.told_at, one.deadline


def _card(notices: Sequence[Planned]) -> dict[str, Any] | None:
    if not notices:
        return None
    one = notices[0]
    names = ("day", "stage", "told_at", "title", "text", "sms", "parts")
    return {name: getattr(one, name) for name in names}


def _counts(before: Simulation, after: Simulation) -> list[dict[str, Any]]:
    told = {side: _told_counts(found) for side, found in (("before", before), ("after", after))}
    keys = sorted({*before.buckets, *after.buckets, *told["before"], *told["after"]})
    return [
        {
            "day": day,
            "rule": rule,
            "before": {**before.counts(day, rule), "told": told["before"].get((day, rule), 0)},
            "after": {**after.counts(day, rule), "told": told["after"].get((day, rule), 0)},
        }
        for day, rule in keys
    ]


def _told_counts(found: Simulation) -> dict[tuple[str, str], int]:
    """(business date, rule) -> clients told."""
    who: dict[tuple[str, str], set[int]] = defaultdict(set)
    for one in found.notices:
        if one.told_at:
            who[one.day, one.rule].add(one.client)
    return {key: len(clients) for key, clients in who.items()}


def _sms(before: Simulation, after: Simulation) -> list[dict[str, Any]]:
    """What the SMS texts of the notices told would count, were each sent as one: by rule, texts and parts."""
    found: dict[str, dict[str, int]] = {}
    for side, simulation in (("before", before), ("after", after)):
        for one in simulation.notices:
            if one.told_at:
                mine = found.setdefault(
                    one.rule, {f"{s}_{n}": 0 for s in ("before", "after") for n in ("texts", "parts")}
                )
                mine[f"{side}_texts"] += 1
                mine[f"{side}_parts"] += one.parts
    return [{"rule": rule, **counts} for rule, counts in sorted(found.items())]


def _deadlines(found: Simulation) -> list[dict[str, Any]]:
    """The notices whose instants are wrong: made when their deadline was over, sent late, or due on no session."""
    return [
        {"rule": n.rule, "client": n.client, "stage": n.stage, "day": n.day, "at": n.at, "deadline": n.deadline}
        | {"late": n.late, "off": n.off}
        for n in found.notices
        if n.late or n.off
    ]
