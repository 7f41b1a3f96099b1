"""An installation whose rule sets are signed: folder, store, the daemon's activation, in stepped time. Loads each set once."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

from daemon.activation import Activation, Rulebook, baseline_of
from daemon.app_parts import ruleset_of
from daemon.clock import SHANGHAI
from daemon.errors import ConfigError
from daemon.rules.approval_files import read_approvals
from daemon.rules.digest import digest
from daemon.rules.load import Loaded, load, read_folder
from daemon.rules.schema import RuleSet
from daemon.rules.signers import read_signers
from daemon.store import acts, rulesets
from daemon.store.db import Store
from daemon.store.rulesets import Active
from daemon.world import World, make_world
from tests.builders_rules import shipped_files
from tests.builders_signing import PEOPLE, TODAY, list_bytes, put_list
from tests.builders_store import new_store

NOON = datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=SHANGHAI)
MARGIN_VALUES = "rules/parameters/margin.yaml"
_LOADED: dict[str, Loaded] = {}
_WORLDS: dict[str, World] = {}


def load_once(files: Mapping[str, bytes]) -> Loaded:
    """As `load`, once for the same bytes."""
    name = digest(files)
    if name not in _LOADED:
        _LOADED[name] = load(files)
    return _LOADED[name]


@functools.cache
def variant(number: int) -> RuleSet:
    """The shipped set, and others in which one parameter's value differs; a negative number does not load."""
    raw = shipped_files()[MARGIN_VALUES].decode()
    old = "value: 1.30"
    assert old in raw
    text = raw if number == 0 else raw.replace(old, f"value: 1.3{number}", 1)
    return load_once({**shipped_files(), MARGIN_VALUES: text.encode()}).required()


class SignedOffice:
    """One installation. `boot` starts its daemon anew, as a restart does; `reload` is its SIGHUP."""

    def __init__(self, root: Path, *, unsigned: bool = False, people: Mapping[str, Sequence[str]] = PEOPLE) -> None:
        self.reader: Callable[[Path], Mapping[str, bytes]] = read_folder
        self.root, self.unsigned = root, unsigned
        self.now = NOON
        self.store: Store = new_store(root / "state")
        self.write(variant(0))
        put_list(root, 1, list_bytes(1, people))
        found = read_signers(list_bytes(1, people), "1.yaml")
        with self.store.write() as tx:
            acts.keep_list(tx, 1, found.digest, found.raw, by=(), actor="person:test", now=self.now)
        self.activation: Activation | None = None

    @property
    def day(self) -> date:
        return self.now.astimezone(SHANGHAI).date()

    def later(self, **span: float) -> None:
        """Let time pass, and the daemon look where it said that it would."""
        self.now += timedelta(**span)
        if self.activation is not None and self.activation.again is not None and self.now >= self.activation.again:
            self.activation.take(self.now)

    def write(self, ruleset: RuleSet) -> None:
        """Put the files of a set into the folder."""
        for folder in ("rules", "templates"):
            for path in (self.root / folder).rglob("*.yaml"):
                if "approvals" not in path.parts:
                    path.unlink()
        for name, raw in ruleset.files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(raw)

    def boot(self) -> str:
        """Start; returns the active digest. Raises ConfigError where it would end with 78."""
        self.activation = None
        made = Activation(self.store, self._book(), self._world)
        found = made.take(self.now).digest
        self.activation = made
        return found

    def reload(self) -> str:
        """SIGHUP; returns the active digest."""
        assert self.activation is not None
        return self.activation.take(self.now).digest

    def _book(self) -> Rulebook:
        return Rulebook(
            lambda: load_once(self.reader(self.root)), lambda name: read_approvals(self.root, name), self.unsigned
        )

    def _world(self, name: str) -> World:
        if name not in _WORLDS:
            _WORLDS[name] = make_world(self.store, ruleset_of(self.store, name), {})
        return replace(_WORLDS[name], store=self.store)

    @property
    def active(self) -> Active | None:
        with self.store.read() as tx:
            return rulesets.active(tx)

    @property
    def following(self) -> dict[str, object]:
        """What a statement must say to follow what was approved last."""
        with self.store.read() as tx:
            last = baseline_of(tx)
        return {"version": last.version + 1, "previous": last.digest}

    def close(self) -> None:
        self.store.close()
        shutil.rmtree(self.root)


__all__ = ["ConfigError", "SignedOffice", "load_once", "variant"]
