"""What becomes of a message that was taken: which receipts, how much later, and whether it reaches the handset. Pure.

Follows section 9.1 of the CT/CU specification: a handset without 5G messages gets the platform's SMS where the message
allows it, else the message fails; for one that is off, storing wins over falling back.
"""

from __future__ import annotations

from dataclasses import dataclass

from daemon.carrier.handsets import Handset, between, draw
from daemon.carrier.profiles import Profile

TERMINAL = ("delivered", "failed", "deliveredToNetwork")


@dataclass(frozen=True, slots=True)
class Taken:
    """What the platform needs to know of a message. `reports` empty: all of them."""

    message_id: str
    recipient: str
    kind: str  # rcs (a card) or text
    sms: bool
    store: bool
    reports: tuple[str, ...]
    conversation_id: str
    contribution_id: str


@dataclass(frozen=True, slots=True)
class Report:
    """One receipt `after` seconds; pushed `copies` times."""

    after: float
    status: str
    code: str = ""
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """`reach`: seconds until the handset has it, None if it never does. `closed`: seconds until it can no longer be
    revoked."""

    reports: tuple[Report, ...]
    reach: float | None
    closed: float


def plan(taken: Taken, handset: Handset, profile: Profile, seed: int, nth: int) -> Plan:
    """The course of `taken`, the `nth` message to its recipient: the draws depend on these and not on its id."""

    def span(name: str, limits: tuple[float, float]) -> float:
        return between(limits, draw(seed, name, taken.recipient, nth))

    sent = span("sent", profile.sent)
    fails = {Handset.BLANK: "1", Handset.REFUSES: "5"}
    if handset in fails:
        return _end(taken, profile, seed, nth, sent, "failed", sent + span("failed", profile.delivered), fails[handset])
    if handset is Handset.FIVEG:
        return _end(taken, profile, seed, nth, sent, "delivered", sent + span("delivered", profile.delivered))
    wakes = span("wakes", profile.wakes)
    if handset is Handset.ASLEEP and taken.store:
        if wakes < profile.stored:
            return _end(taken, profile, seed, nth, sent, "delivered", sent + wakes)
        return _end(taken, profile, seed, nth, sent, "failed", profile.stored, "4")
    handed = sent + span("handed", profile.handed)
    if not taken.sms:
        code = "4" if handset in (Handset.ASLEEP, Handset.OFF) else "2"
        return _end(taken, profile, seed, nth, sent, "failed", handed, code)
    arrives = {Handset.OFF: None, Handset.ASLEEP: handed + wakes}.get(handset, handed + 3.0)
    return _end(taken, profile, seed, nth, sent, "deliveredToNetwork", handed, reach=arrives)


def _end(
    taken: Taken,
    profile: Profile,
    seed: int,
    nth: int,
    sent: float,
    status: str,
    after: float,
    code: str = "",
    reach: float | None = None,
) -> Plan:
    reports = [Report(sent, "sent"), Report(after, status, code)]
    if status == "delivered":
        reach = after
        if draw(seed, "reads", taken.recipient, nth) < profile.reads:
            read = between(profile.displayed, draw(seed, "displayed", taken.recipient, nth))
            reports.append(Report(after + read, "displayed"))
    wanted = [report for report in reports if not taken.reports or report.status in taken.reports]
    blown = [_blown(report, taken, profile, seed, nth) for report in wanted]
    return Plan(tuple(report for report in blown if report.copies), reach, after)


def _blown(report: Report, taken: Taken, profile: Profile, seed: int, nth: int) -> Report:
    """The receipt after the profile's weather: late, twice, or never."""
    late = profile.scatter * draw(seed, "scatter", report.status, taken.recipient, nth)
    luck = draw(seed, "copies", report.status, taken.recipient, nth)
    copies = 0 if luck < profile.silent else 2 if luck < profile.silent + profile.repeated else 1
    return Report(report.after + late, report.status, report.code, copies)
