"""The scenarios, by name: what the back office holds, what happens when, how the gateway behaves.

Used one by one for what each must show, and all together for kills.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from daemon.channels.channel import Outgoing
from daemon.demo.files_out import SJSFX, write_dbf
from daemon.errors import SourceChanged, SourceUnavailable
from daemon.rules.load import Loaded
from daemon.sources.reading import NotAskable
from daemon.store import acts, aliases, consents, contacts, gates_rows, subjects
from tests.fakes import Answer, FakeChannel, FarSide, text_of
from tests.world import DAY, NEXT_DAY, PRICE, Office, Play, Scenario, at, changed, phone, shipped

PAYMENT = frozenset({"contacts", "consents", "allotments"})
INTRADAY = frozenset({"contacts", "consents", "margin_intraday"})
DAY_END = frozenset({"contacts", "consents", "margin_day_end"})
FUND = frozenset({"contacts", "consents", "fund_holdings"})
FUND_DAY = date(2024, 3, 28)
FUND_CODE = "012742"
GUARDIAN = phone(77)
RENUMBERED = "T0000000001"
ONE, TWO, THREE, FOUR = (f"S{number:010d}" for number in range(1, 5))
LOT = PRICE * 500
RICH = "1000000.00"

Versions = Sequence[tuple[str, int, Decimal | None]]
Balance = Sequence[tuple[str, str | None]]


def payer(won: Versions, cash: Balance, *, until: str = "") -> Callable[[Office], None]:
    """One client with an allotment and a balance over the day."""

    def fill(office: Office) -> None:
        client = office.client(1)
        office.won(client, *won, until=until)
        office.cash(client, *cash)

    return fill


def gateway(answer: Callable[[Outgoing, int], Answer]) -> Callable[[FarSide], FakeChannel]:
    """A gateway that answers so."""
    return lambda far: FakeChannel(far=far, answers=answer)


# payments

SHORT = payer([("", 500, LOT)], [("", "1000.00"), ("11:00", str(LOT)), ("14:00", "1000.00")])
STAYS_SHORT = payer([("", 500, LOT)], [("", "1000.00")])
CORRECTED = payer([("", 1000, 2 * LOT), ("11:00", 500, LOT)], [("", RICH)])
CORRECTED_BACK = payer([("", 1000, 2 * LOT), ("11:00", 500, LOT), ("14:00", 1000, 2 * LOT)], [("", RICH)])
CORRECTED_IN_DOUBT = payer(
    [("", 1000, 2 * LOT), ("14:25", 500, LOT)], [("", RICH), ("14:00", "1000.00"), ("14:25", RICH)]
)
OVERTAKEN_IN_DOUBT = payer([("", 1000, 2 * LOT), ("14:25", 500, LOT)], [("", RICH), ("14:00", "1000.00")])


def busy_for_corrections(outgoing: Outgoing, request: int) -> Answer:
    return "busy" if "更正" in text_of(outgoing) else "taken"


def cuts_the_second_call(outgoing: Outgoing, request: int) -> Answer:
    """The noon notice's request gets no answer and is not taken."""
    return "cut" if "资金不足提醒" in text_of(outgoing) else "taken"


def loses_answers(outgoing: Outgoing, request: int) -> Answer:
    """The first request of all is taken, its answer lost."""
    return "lost" if request == 1 else "taken"


def fails_at_noon(error: Exception) -> Callable[[datetime, bool], Exception | None]:
    """Every question around noon fails so; whole readings do not."""
    return lambda now, asking: error if asking and at("11:58") <= now < at("12:10") else None


def never_asked(now: datetime, asking: bool) -> Exception | None:
    """No source answers to a key, as a folder of files does not."""
    return NotAskable("no part can be asked by key") if asking else None


def loses_file(play: Play) -> None:
    """The clearing file is gone again, so that the next poll waits for it."""
    for path in play.office.folder.glob("sjsfx_*"):
        path.unlink()


def take_contacts(play: Play) -> None:
    """What the morning's poll of contacts would have taken over."""
    with play.store.write() as tx:
        now = play.clock.now()
        client = subjects.numbers(tx, "client", [ONE], now=now)[ONE]
        found = [contacts.Found(client, "client", channel, phone(1)) for channel in ("rcs", "sms")]
        contacts.take_over(tx, found, origin="counter", now=now)


def lands(clock: str) -> tuple[datetime, Callable[[Play], None]]:
    """The clearing file is written at this time."""

    def act(play: Play) -> None:
        write_dbf(play.office.folder / f"sjsfx_{DAY:%Y%m%d}.dbf", SJSFX, [], DAY)

    return at(clock), act


def no_file(fill: Callable[[Office], None]) -> Callable[[Office], None]:
    """The same back office before the clearing file has landed."""

    def filled(office: Office) -> None:
        fill(office)
        for path in office.folder.glob("sjsfx_*"):
            path.unlink()

    return filled


# gates


def silence(play: Play) -> None:
    with play.store.write() as tx:
        if not gates_rows.silences_of(tx, "ipo/payment", play.clock.now()).everyone:
            gates_rows.silence(
                tx, "ipo/payment", None, until=at("18:00"), reason="test", by="wang", now=play.clock.now()
            )


def end_silence(play: Play) -> None:
    with play.store.write() as tx:
        if gates_rows.silences_of(tx, "ipo/payment", play.clock.now()).everyone:
            gates_rows.end_silence(tx, 1, by="li", reason="test", now=play.clock.now())


def release_client(play: Play) -> None:
    with play.store.write() as tx:
        subject = subjects.find(tx, "client", ONE)
        assert subject is not None
        if (subject, "") not in gates_rows.releases_of(tx, "ipo/payment"):
            now = play.clock.now()
            gates_rows.release(tx, "client", "ipo/payment", subject, "", by="li", reason="checked", now=now)


def unpriced(office: Office) -> None:
    payer([("", 500, LOT)], [("", RICH)])(office)
    office.write("UPDATE new_issue SET issue_price = NULL WHERE stock_code = ?", ("688584",))


def consent(state: str) -> Callable[[Play], None]:
    """What the client says of service messages, on every channel."""

    def act(play: Play) -> None:
        with play.store.write() as tx:
            now = play.clock.now()
            client = subjects.numbers(tx, "client", [ONE], now=now)[ONE]
            said = [consents.Said(client, "service", channel, state) for channel in ("rcs", "sms")]
            consents.take_over(tx, said, origin="branch", now=now)

    return act


def holder(office: Office) -> None:
    office.fund(office.client(1), FUND_CODE, FUND_DAY)


def becomes(status: str) -> Callable[[Play], None]:
    """The counter gives client 1 this status."""

    def act(play: Play) -> None:
        play.office.write("UPDATE client SET client_status = ? WHERE client_id = ?", (status, ONE))

    return act


def guarded(office: Office) -> None:
    """A payer with a guardian whose address the counter knows."""
    STAYS_SHORT(office)
    for channel in ("rcs", "sms"):
        office.add("contact", (ONE, "guardian", channel, GUARDIAN, "2019-01-02T10:00:00+08:00", "counter"))


def with_status(status: str, fill: Callable[[Office], None]) -> Callable[[Office], None]:
    """The same back office, in which client 1 has this status from the start."""

    def filled(office: Office) -> None:
        fill(office)
        office.write("UPDATE client SET client_status = ? WHERE client_id = ?", (status, ONE))

    return filled


def stop_rule(play: Play) -> None:
    """One person stops the rule of payments."""
    with play.store.write() as tx:
        if "ipo/payment" not in acts.stopped_rules(tx, play.clock.now()):
            acts.stop(tx, "ipo/payment", by="wang", reason="test", now=play.clock.now(), rule_set=None)


def renumber(play: Play) -> None:
    """The back office calls client 1 by another key; two people say so before the next poll."""
    for table in ("client", "stock_account", "cash_balance_at", "giveup_record", "contact", "sh_allotment"):
        play.office.write(f"UPDATE {table} SET client_id = ? WHERE client_id = ?", (RENUMBERED, ONE))
    pairs = [aliases.Pair("client", ONE, RENUMBERED, 2)]
    with play.store.write() as tx:
        if subjects.find(tx, "client", RENUMBERED) is None:
            aliases.propose(tx, pairs, by="wang", reason="renumbered", now=play.clock.now())
            aliases.confirm(tx, pairs, by="li", reason="renumbered", now=play.clock.now())


# holds


def doubles(office: Office) -> None:
    """One payer in the morning, three from 11:00 on."""
    for number, start in ((1, ""), (2, "11:00"), (3, "11:00")):
        client = office.client(number)
        office.won(client, (start, 500, LOT))
        office.cash(client, ("", "1000.00"))


def doubles_within(office: Office) -> None:
    """Two payers in the morning, four from 11:00 on."""
    for number, start in ((1, ""), (2, ""), (3, "11:00"), (4, "11:00")):
        client = office.client(number)
        office.won(client, (start, 500, LOT))
        office.cash(client, ("", "1000.00"))


def vanishing(office: Office) -> None:
    """Two payers, of whom the counter knows nothing any more from 11:00 on."""
    for number in (1, 2):
        client = office.client(number)
        office.won(client, ("", 500, LOT), until="11:00")
        office.cash(client, ("", "1000.00"))


def holders(office: Office) -> None:
    """Two holders of a fund whose window is open."""
    for number in (1, 2):
        office.fund(office.client(number), FUND_CODE, FUND_DAY)


def more_holders(play: Play) -> None:
    """The counter doubles its holdings."""
    for number in (3, 4):
        play.office.fund(play.office.client(number), FUND_CODE, FUND_DAY)


def doubling_book(office: Office) -> None:
    """Two contracts above every line but one at the first valuation, four below a line at the next."""
    client = office.client(1)
    for n in range(1, 5):
        office.contract(f"900000000{n}", client)
    few = {f"900000000{n}": (client, "180.000000") for n in (1, 2)}
    office.valued("10:00", few)
    office.valued("11:30", {f"900000000{n}": (client, "145.000000") for n in range(1, 5)})


def release_hold(play: Play) -> None:
    with play.store.write() as tx:
        for hold in gates_rows.holds_of(tx):
            allowed = {"notify": hold.counts["notify"], "vanished": 0}
            gates_rows.end_hold(tx, hold.id, by="li", reason="checked", allowed=allowed, now=play.clock.now())


def two_contracts(office: Office) -> None:
    client = office.client(1)
    office.contract("9000000001", client)
    office.contract("9000000002", client)
    office.valued("10:00", {"9000000001": (client, "145.000000"), "9000000002": (client, "145.000000")})
    office.valued("11:30", {"9000000001": (client, "146.000000"), "9000000002": (client, "144.000000")})


# margin


def contract(*ratios: tuple[str, str], cured: str = "") -> Callable[[Office], None]:
    """One contract with an intraday ratio at each time."""

    def fill(office: Office) -> None:
        client = office.client(1)
        office.contract("9000000001", client)
        for clock, ratio in ratios:
            office.valued(clock, {"9000000001": (client, ratio)})

    return fill


def day_end(office: Office) -> None:
    """A contract below its call line by the day's final figures."""
    client = office.client(1)
    office.contract("9000000001", client)
    office.valued("15:00", {"9000000001": (client, "125.000000")}, "day_end")


def down_over_night(now: datetime, asking: bool) -> Exception | None:
    """The counter cannot be reached until the call should have been told."""
    down = at("21:00") <= now < at("09:20", NEXT_DAY)
    return SourceUnavailable("source counter: cannot be reached") if down else None


def busy_for_warnings(outgoing: Outgoing, request: int) -> Answer:
    return "busy" if "低于预警线" in text_of(outgoing) else "taken"


# reloads


def spoil_rules(play: Play) -> None:
    (play.folder / "rules-are-bad").touch()
    play.app.reload()


def folder_rules(play_folder: object) -> Loaded:
    """The shipped rules until `spoil_rules`, then ones with an unknown key."""
    from pathlib import Path

    bad = (Path(str(play_folder)) / "rules-are-bad").exists()
    return changed("rules/ipo/payment.yaml", "category: service", "catgory: service") if bad else shipped()


def capped(name: str, old: str, new: str) -> Callable[[object], Loaded]:
    """The shipped rules with another maximum."""
    return lambda folder: changed(name, old, new)


BASE = Scenario(SHORT, PAYMENT)
SCENARIOS: dict[str, Scenario] = {
    "short, paid, short again": BASE,
    "terms corrected": replace(BASE, fill=CORRECTED),
    "corrected back before it left": replace(BASE, fill=CORRECTED_BACK, gateway=gateway(busy_for_corrections)),
    "corrected back after it left": replace(BASE, fill=CORRECTED_BACK),
    "corrected while in doubt": replace(
        BASE, fill=CORRECTED_IN_DOUBT, gateway=gateway(cuts_the_second_call), doubt_wait=timedelta(minutes=15)
    ),
    "overtaken while in doubt": replace(
        BASE, fill=OVERTAKEN_IN_DOUBT, gateway=gateway(cuts_the_second_call), doubt_wait=timedelta(minutes=15)
    ),
    "an answer lost": replace(BASE, gateway=gateway(loses_answers)),
    "a null before the claim": replace(
        BASE, fill=payer([("", 500, LOT)], [("", "1000.00"), ("11:55", None), ("14:00", "1000.00")])
    ),
    "a reject before the claim": replace(
        BASE, fill=payer([("", 500, LOT), ("11:55", 500, None), ("14:00", 500, LOT)], [("", "1000.00")])
    ),
    "an empty answer before the claim": replace(BASE, fill=payer([("", 500, LOT)], [("", "1000.00")], until="11:55")),
    "a source that cannot be asked": replace(
        BASE, fill=STAYS_SHORT, broken=fails_at_noon(SourceUnavailable("source counter: cannot be reached"))
    ),
    "a source that changed at the claim": replace(
        BASE, fill=STAYS_SHORT, broken=fails_at_noon(SourceChanged("part sh: found another column"))
    ),
    "an error of ours at the claim": replace(BASE, fill=STAYS_SHORT, broken=fails_at_noon(RuntimeError("unforeseen"))),
    "a file lands late": replace(BASE, fill=no_file(SHORT), acts=(lands("08:10"),)),
    "a file lands after its stage": replace(
        BASE,
        fill=no_file(STAYS_SHORT),
        acts=((at("11:45"), take_contacts), lands("12:05")),
        since=at("11:45"),
    ),
    "a file lands after every stage": replace(
        BASE, fill=no_file(SHORT), acts=(lands("16:05"),), since=at("14:19"), until=at("19:00")
    ),
    "a file never lands": replace(BASE, fill=no_file(SHORT), until=at("08:20")),
    "a silence ended": replace(BASE, acts=((at("07:20"), silence), (at("11:00"), end_silence))),
    "a client released": replace(BASE, fill=unpriced, acts=((at("11:00"), release_client),)),
    "a consent given": Scenario(
        holder,
        FUND,
        acts=((at("08:00", FUND_DAY), consent("out")), (at("12:00", FUND_DAY), consent("in"))),
        since=at("07:00", FUND_DAY),
        until=at("20:00", FUND_DAY),
        days=(FUND_DAY,),
    ),
    "a consent withdrawn before it is due": Scenario(
        holder,
        FUND,
        acts=((at("08:45", FUND_DAY), consent("out")),),
        since=at("07:00", FUND_DAY),
        until=at("20:00", FUND_DAY),
        days=(FUND_DAY,),
    ),
    "a rule stopped between two polls": replace(BASE, fill=doubles, acts=((at("10:00"), stop_rule),)),
    "a rule stopped while its source is down": replace(
        BASE,
        fill=STAYS_SHORT,
        broken=fails_at_noon(SourceUnavailable("source counter: cannot be reached")),
        acts=((at("11:57"), stop_rule),),
    ),
    "a late source, and a rule that may speak": replace(
        BASE, fill=STAYS_SHORT, broken=never_asked, acts=((at("11:45"), loses_file), lands("13:00"))
    ),
    "a late source, and a rule that may not": replace(
        BASE,
        fill=STAYS_SHORT,
        broken=never_asked,
        acts=((at("11:45"), loses_file), lands("13:00")),
        load_rules=capped("rules/ipo/payment.yaml", "if_unasked: send", "if_unasked: hold"),
    ),
    "a client renumbered": replace(BASE, fill=STAYS_SHORT, acts=((at("11:45"), renumber),)),
    "a minor": replace(BASE, fill=with_status("6", guarded)),
    "a minor by the time it is due": replace(BASE, fill=guarded, acts=((at("07:45"), becomes("6")),)),
    "of age by the time it is due": replace(BASE, fill=with_status("6", guarded), acts=((at("07:45"), becomes("0")),)),
    "a minor, of age, a minor": replace(
        BASE,
        fill=with_status("6", guarded),
        acts=((at("11:45"), becomes("0")), (at("11:55"), becomes("6"))),
    ),
    "a minor without a guardian": replace(BASE, fill=with_status("6", payer([("", 500, LOT)], [("", RICH)]))),
    "special care": replace(BASE, fill=with_status("7", payer([("", 500, LOT)], [("", RICH)]))),
    "special care by the time it is due": replace(
        BASE, fill=payer([("", 500, LOT)], [("", RICH)]), acts=((at("07:45"), becomes("7")),)
    ),
    "deceased by the time it is due": replace(
        BASE, fill=payer([("", 500, LOT)], [("", RICH)]), acts=((at("07:45"), becomes("3")),)
    ),
    "frozen, and a call": Scenario(
        with_status("1", lambda office: day_end(office)), DAY_END, until=at("20:00", NEXT_DAY)
    ),
    "a source that doubles": replace(
        BASE,
        fill=doubles,
        acts=((at("13:00"), release_hold),),
        load_rules=capped("rules/ipo/payment.yaml", "maximum: 4000", "maximum: 1"),
    ),
    "a source that doubles within its maximum": replace(
        BASE,
        fill=doubles_within,
        acts=((at("13:00"), release_hold),),
        load_rules=capped("rules/ipo/payment.yaml", "least: 200", "least: 2"),
    ),
    "a fund source that doubles": Scenario(
        holders,
        FUND,
        acts=((at("12:00", FUND_DAY), more_holders),),
        since=at("07:00", FUND_DAY),
        until=at("20:00", FUND_DAY),
        days=(FUND_DAY,),
        load_rules=capped("rules/fund/open_window.yaml", "least: 200", "least: 2"),
    ),
    "a margin book that doubles": Scenario(
        doubling_book,
        INTRADAY,
        load_rules=capped("rules/margin/maintenance.yaml", "least: 100", "least: 2"),
    ),
    "a book that loses all it had": replace(BASE, fill=vanishing),
    "a margin source that doubles": Scenario(
        two_contracts,
        INTRADAY,
        load_rules=capped("rules/margin/maintenance.yaml", "maximum: 1500", "maximum: 1"),
    ),
    "two episodes on one day": Scenario(
        contract(("10:00", "145.000000"), ("11:30", "160.000000"), ("14:00", "145.000000")), INTRADAY
    ),
    "real children": replace(BASE, children=True),
    "two contracts of one client": Scenario(two_contracts, INTRADAY),
    "a worse level supersedes": Scenario(
        contract(("10:00", "145.000000"), ("11:30", "105.000000"), ("14:00", "105.000000")),
        INTRADAY,
        gateway=gateway(busy_for_warnings),
    ),
    "a source down past the deadline": Scenario(day_end, DAY_END, broken=down_over_night, until=at("20:00", NEXT_DAY)),
    "rules go bad": replace(BASE, acts=((at("11:00"), spoil_rules),), load_rules=folder_rules),
}
