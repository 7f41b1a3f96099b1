"""Facts to lines: the subject's number, the gates' inputs, a decision under every rule of the kind.

Gate rows (stops, silences, releases, consents, counts of the day) are read from the store once a batch; deciding itself is
pure and depends only on what a sheet's line keeps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice

from daemon.decide.joining import Joined
from daemon.decide.reading import FactRows
from daemon.model.decisions import Decision
from daemon.model.facts import Fact
from daemon.model.kinds import Absence, FactKind
from daemon.model.values import occurrence_text
from daemon.rules.decider import Decider
from daemon.rules.functions import Env
from daemon.rules.gates import GateInputs
from daemon.rules.schema import Rule, RuleSet
from daemon.rules.verdicts import Verdict
from daemon.store import acts, consents, gates_rows, noticebook, subjects
from daemon.store.db import Store, Tx

BATCH = 4096
FEW = 16
"""Fewer facts than this are decided one by one."""


@dataclass(frozen=True, slots=True)
class Line:
    """One fact under the rules of its kind: what the sheets get a line of, and notices are made from."""

    fact: Fact
    members: tuple[Joined, ...]
    subject: int
    client: int
    gates: Mapping[str, GateInputs]
    decisions: Mapping[str, Decision]


def subject_kind(kind: FactKind) -> str:
    """What the subjects of a kind are called in the blind index: 'client', or the field that names the subject."""
    return "client" if kind.subject == kind.client else kind.subject


class LineMaker:
    """Decides facts in batches. `source`: 'late' or 'short' where the feed of these facts is."""

    def __init__(
        self, store: Store, ruleset: RuleSet, deciders: Mapping[str, Decider], kind: FactKind, source: str = ""
    ) -> None:
        self.store, self.ruleset, self.kind, self.source = store, ruleset, kind, source
        self.rules = ruleset.rules_of(kind.name)
        self.deciders = deciders

    def lines(self, facts: Iterable[FactRows], now: datetime) -> Iterator[Line]:
        """A line for every fact, in order. Clients seen for the first time get their number and keys."""
        walk = iter(facts)
        while batch := list(islice(walk, BATCH)):
            numbers, clients = self._numbers([f for f, _ in batch], now)
            with self.store.read() as tx:
                gates = self._gates(tx, batch, numbers, clients, now)
            verdicts = self._verdicts([f for f, _ in batch])
            for i, ((fact, members), found) in enumerate(zip(batch, gates, strict=True)):
                said = {name: of[i] for name, of in verdicts.items()}
                yield self._line(fact, members, numbers[fact.subject], clients[fact.client], found, said)

    def _numbers(self, facts: Sequence[Fact], now: datetime) -> tuple[dict[str, int], dict[str, int]]:
        kind = subject_kind(self.kind)
        clients = subjects.ensure(self.store, "client", sorted({f.client for f in facts}), now=now)
        if kind == "client":
            return clients, clients
        owners = {f.subject: f.client for f in facts}
        names = sorted(owners)
        return subjects.ensure(self.store, kind, names, [owners[n] for n in names], now=now), clients

    def _gates(
        self, tx: Tx, batch: Sequence[FactRows], numbers: Mapping[str, int], clients: Mapping[str, int], now: datetime
    ) -> list[dict[str, GateInputs]]:
        facts = [f for f, _ in batch]
        who = sorted(set(clients.values()))
        found: list[dict[str, GateInputs]] = [{} for _ in facts]
        said = consents.consents_of(tx, who) if any(r.gates.consent != "none" for r in self.rules) else {}
        halted = acts.stopped_rules(tx, now, [rule.name for rule in self.rules])
        for rule in self.rules:
            stopped = rule.name in halted
            silences = gates_rows.silences_of(tx, rule.name, now)
            released = gates_rows.releases_of(tx, rule.name)
            used = self._used(tx, rule, sorted(set(numbers.values())), facts)
            for i, fact in enumerate(facts):
                subject = numbers[fact.subject]
                text, mine = self._occurrence(rule, fact), used.get(subject, frozenset())
                consent = consent_to(said.get(clients[fact.client], {}), rule.category, rule.channels)
                found[i][rule.name] = GateInputs(
                    stopped,
                    self.source,
                    silences.reason(subject, clients[fact.client]),
                    consent,
                    (subject, text) in released or (subject, "") in released,
                    len(mine - {text}),
                    text in mine,
                )
        return found

    def _used(self, tx: Tx, rule: Rule, about: Sequence[int], facts: Sequence[Fact]) -> dict[int, frozenset[str]]:
        if rule.cap.per_client is None or not facts:
            return {}
        return noticebook.occurrences_today(tx, rule.name, about, facts[0].business_date.isoformat())

    def _occurrence(self, rule: Rule, fact: Fact) -> str:
        return occurrence_text({name: fact.values.get(name, Absence.MISSING) for name in rule.occurrence})

    def _verdicts(self, facts: Sequence[Fact]) -> dict[str, list[Verdict]]:
        """What each rule says of each fact, where all are of one business date; {} where they are not, or are few."""
        day = facts[0].business_date
        if len(facts) < FEW or any(fact.business_date != day for fact in facts):
            return {}
        values, env = [fact.values for fact in facts], self.env(day)
        deciders = {rule.name: self.deciders[rule.name] for rule in self.rules}
        return {name: each.verdicts.many(values, env) for name, each in deciders.items() if each.in_force(env)}

    def _line(
        self,
        fact: Fact,
        members: tuple[Joined, ...],
        subject: int,
        client: int,
        gates: dict[str, GateInputs],
        said: Mapping[str, Verdict],
    ) -> Line:
        env, values = self.env(fact.business_date), fact.values
        decisions = {
            rule.name: self.deciders[rule.name].decide(
                values, fact.items, fact.whole, gates[rule.name], env, said.get(rule.name)
            )
            for rule in self.rules
        }
        return Line(fact, members, subject, client, gates, decisions)

    def env(self, day: date) -> Env:
        """The environment of a business date."""
        return Env(self.ruleset.calendar, day)


def consent_to(said: consents.Consents, category: str, channels: Sequence[str]) -> str:
    """What the client last said of a category on a rule's channels: 'in' where one channel may be used, 'out' where what was
    said refuses, 'none' where the ledger has no word."""
    words = {consents.state_of(said, category, channel) for channel in channels}
    return "in" if "in" in words else "out" if "out" in words else "none"
