"""What a pass works with: the store, one rule set compiled, the ways to its sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from daemon.model.kinds import FactKind, Feed
from daemon.rules.decider import Decider
from daemon.rules.functions import Env
from daemon.rules.schema import RuleSet
from daemon.sources.reading import Source
from daemon.store.db import Store


@dataclass(frozen=True)
class World:
    """One rule set, ready to decide."""

    store: Store
    ruleset: RuleSet
    deciders: Mapping[str, Decider]
    sources: Mapping[str, Source]

    def feed(self, name: str) -> tuple[FactKind, Feed]:
        """A feed of the rule set with its kind. Raises LookupError."""
        for kind in self.ruleset.kinds.values():
            for feed in kind.feeds:
                if feed.name == name:
                    return kind, feed
        raise LookupError(f"feed {name}: not in rule set {self.ruleset.digest[:12]}")

    def env(self, day: date) -> Env:
        """The environment in which expressions of a business date are evaluated."""
        return Env(self.ruleset.calendar, day)


def make_world(store: Store, ruleset: RuleSet, sources: Mapping[str, Source]) -> World:
    """Compile every rule of a set."""
    return World(store, ruleset, {name: Decider(ruleset, rule) for name, rule in ruleset.rules.items()}, sources)
