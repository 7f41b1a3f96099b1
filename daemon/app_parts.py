"""Parts that the parent, its poll children and the commands put together in the same way: sources, rule sets, worlds."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from daemon.errors import ConfigError
from daemon.rules.load import load_kept
from daemon.rules.schema import RuleSet
from daemon.sources import Source, SourceConfig, open_source
from daemon.store import rulesets
from daemon.store.db import Store
from daemon.world import World, make_world


def open_sources(configs: Mapping[str, SourceConfig], secrets: Mapping[str, str]) -> dict[str, Source]:
    """Every configured source; nothing is connected yet. Raises ConfigError."""

    def secret(name: str) -> str:
        if name not in secrets:
            raise ConfigError(f"secret {name}: absent, expected as a file or a credential")
        return secrets[name]

    return {name: open_source(name, config, secret) for name, config in configs.items()}


def ruleset_of(store: Store, digest: str) -> RuleSet:
    """A kept rule set by its digest, as it was accepted. Raises LookupError, FindingsError."""
    with store.read() as tx:
        files = rulesets.files_of(tx, digest)
    found = load_kept(files)
    if found.digest != digest:
        raise ConfigError(f"rule set {digest[:12]}: its bytes have digest {found.digest[:12]}")
    return found


def world_of(store: Store, digest: str, sources: Mapping[str, Source]) -> World:
    """A kept rule set, compiled."""
    return make_world(store, ruleset_of(store, digest), sources)


def worlds_of(store: Store, sources: Mapping[str, Source]) -> Callable[[str], World]:
    """Rule sets by digest, each compiled once in this process."""
    known: dict[str, World] = {}

    def world(digest: str) -> World:
        if digest not in known:
            known[digest] = world_of(store, digest, sources)
        return known[digest]

    return world
