"""Poll children: spawned, warm processes that run one poll at a time and read no clock.

A child is handed (feed's poll, `now`, rule set) over its pipe and answers with how the poll ended. It ends when the pipe
closes, and looks at it before each commit, so that nothing of an orphan is ever written.
"""

from __future__ import annotations

import multiprocessing as mp
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from daemon.sources.config import SourceConfig

SPAWN = mp.get_context("spawn")


@dataclass(frozen=True, slots=True)
class ChildConfig:
    """What a child needs to open its own store and sources. Passed over the pipe of its start, never on a command line."""

    folder: Path
    key_file: Path
    credentials: Path | None
    node: str
    url: str
    sources: Mapping[str, SourceConfig]
    secrets: Mapping[str, str] = field(repr=False, default_factory=dict)
    log_level: str = "INFO"


@dataclass(frozen=True, slots=True)
class Job:
    """One poll to run."""

    poll: int
    feed: str
    rule_set: str
    now: datetime
    boot: str


@dataclass(frozen=True, slots=True)
class Done:
    """How a poll ended in its child: the state, or why it did not end by itself."""

    poll: int
    feed: str
    state: str
    error: str = ""


class Orphan(BaseException):
    """The parent is gone; nothing more may be written."""


class Child:
    """The parent's side of one child."""

    def __init__(self, config: ChildConfig, *, first_only: bool = False) -> None:
        self.config, self.first_only = config, first_only
        self.job: Job | None = None
        self.since = 0.0
        self._start()

    def _start(self) -> None:
        self.pipe, theirs = SPAWN.Pipe()
        self.process: SpawnProcess = SPAWN.Process(
            target=main, args=(theirs, self.config), daemon=True, name="duenotice-poll"
        )
        self.process.start()
        theirs.close()

    @property
    def free(self) -> bool:
        """Whether it can take a poll."""
        return self.job is None and self.process.is_alive()

    @property
    def is_lost(self) -> bool:
        """Whether it has died while it waited for a poll."""
        return self.job is None and not self.process.is_alive()

    def give(self, job: Job, elapsed: float) -> None:
        """Hand it a poll. Raises OSError when it has died meanwhile."""
        self.pipe.send(job)
        self.job, self.since = job, elapsed

    def result(self) -> Done | None:
        """Its answer if there is one; a dead child answers with an error."""
        job = self.job
        if job is None:
            return None
        try:
            if self.pipe.poll(0):
                done: Done = self.pipe.recv()
                self.job = None
                return done
        except (EOFError, OSError):
            pass
        if self.process.is_alive():
            return None
        self.job = None
        return Done(job.poll, job.feed, "dead", f"the poll child ended with exit code {self.process.exitcode}")

    def replace(self) -> None:
        """End it for good and start another one in its place."""
        self.stop(grace=0)
        self._start()

    def stop(self, grace: float = 5.0) -> None:
        """Close its pipe, which ends it; kill it when it does not end in time."""
        self.pipe.close()
        self.process.join(grace)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.job = None


def main(pipe: Connection, config: ChildConfig) -> None:
    """A child's life: open the store once, then one poll after the other until the pipe closes."""
    from daemon import log
    from daemon.app_parts import open_sources, world_of
    from daemon.security.keyring import Keyring
    from daemon.store.db import Store

    log.start(config.log_level)
    keyring = Keyring.load(config.key_file, config.credentials)
    store: Store | None = None
    worlds: dict[str, Any] = {}
    sources = open_sources(config.sources, config.secrets)
    while True:
        try:
            job: Job = pipe.recv()
        except (EOFError, OSError):
            return
        if store is None or store.boot != job.boot:
            store = Store.open(config.folder, keyring=keyring, node=config.node, url=config.url, boot=job.boot)
            store.before_commit = lambda: _look(pipe)
            worlds.clear()
        if job.rule_set not in worlds:
            worlds[job.rule_set] = world_of(store, job.rule_set, sources)
        try:
            pipe.send(run(worlds[job.rule_set], job))
        except Orphan:
            return


def _look(pipe: Connection) -> None:
    """Anything readable while a poll runs is the end of the pipe: the parent never writes then."""
    if pipe.poll(0):
        raise Orphan


def run(world: Any, job: Job) -> Done:
    """Claim and run one poll."""
    from daemon.cycle import poll
    from daemon.errors import DueNoticeError, StoreConflict
    from daemon.log import logger
    from daemon.store import leases, ledger

    try:
        with world.store.write() as tx:
            at = leases.lease_now(tx)
            lease = ledger.claim(tx, job.poll, holder="poll", rule_set=job.rule_set, now=job.now, elapsed=at)
        state = poll(world, lease, job.now, alive=lambda: _renew(world, lease))
        return Done(job.poll, job.feed, state.value)
    except StoreConflict as reason:
        return Done(job.poll, job.feed, "overtaken", str(reason))
    except DueNoticeError as reason:
        logger.error("a poll failed", action="poll", feed=job.feed, why=str(reason))
        return Done(job.poll, job.feed, "error", str(reason))
    except OSError as reason:
        logger.error("a poll failed", action="poll", feed=job.feed, why=reason.strerror)
        return Done(job.poll, job.feed, "error", f"{type(reason).__name__}: {reason.strerror or 'without a reason'}")
    except Exception as reason:
        logger.opt(exception=True).error("a poll broke on an error of ours", action="poll", feed=job.feed)
        return Done(job.poll, job.feed, "error", f"{type(reason).__name__}")


def _renew(world: Any, lease: Any) -> None:
    """Renew the lease when a third of it is gone; a commit of its own."""
    from daemon.store import leases, ledger

    with world.store.write(yield_lock=True) as tx:
        ledger.renew(tx, lease, elapsed=leases.lease_now(tx))
