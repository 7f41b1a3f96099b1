"""What a service is put together from. Values and callables only; `compose.py` makes them from the configuration."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from daemon.activation import Rulebook
from daemon.alarms.calling import Calling
from daemon.children import ChildConfig
from daemon.clock import Clock
from daemon.deliver import LEASE
from daemon.deliver.routes import Routes
from daemon.server import Listen, serve
from daemon.sources.reading import Source
from daemon.store.db import Store

ROLES = ("all", "poll", "deliver", "web")
"""`poll` also leads: rule set, log, pages (lead.py); `web` takes callbacks; `all` is the three in one process."""


@dataclass
class Parts:
    """`rules` reads the rule folder and its approvals anew; `covers` limits what is polled, `since` says from when on (the demo).
    `changed` names the sections of the configuration that only a restart takes over. `calling` carries pages to people.
    `publish_every`, `keep_every`, `beat_every`, `pass_every`: seconds between publications, between heads laid into the folder
    `write_once`, between heartbeats in the trail, and between passes that nothing wakes. `health_port`: of
    `/health` in a role that takes no callbacks, 0: none. `lease`: how long a claim holds. `listen` and `rng` (of waits) are
    those of the real world, unless a rehearsal hands in its own."""

    store: Store
    clock: Clock
    sources: Mapping[str, Source]
    routes: Routes
    children: ChildConfig
    rules: Rulebook
    log_dir: Path
    heads: Path
    origin: str
    role: str = "all"
    host: str = "127.0.0.1"
    port: int = 0
    health_port: int = 0
    poll_children: int = 2
    covers: Callable[[str, date], bool] = lambda feed, day: True
    since: datetime | None = None
    publish_every: float = 60.0
    write_once: Path | None = None
    keep_every: float = 3600.0
    beat_every: float = 600.0
    pass_every: float = 1.0
    lease: timedelta = LEASE
    listen: Listen = serve
    rng: random.Random | None = None
    changed: Callable[[], Sequence[str]] = list
    calling: Calling | None = None
    closers: Sequence[Callable[[], object]] = field(default_factory=tuple)

    def has(self, role: str) -> bool:
        """Whether this process does the work of `role`."""
        return self.role in ("all", role)
