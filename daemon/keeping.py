"""Once a day: sheets past their rule's `keep:` are erased, and the month keys that then seal nothing more.

What is erased, and why nothing goes too early, stands in store/erasure.py. Runs in the parent beside the passes, in short
transactions; a sheet that cannot be deleted is tried again the next day.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

from daemon.clock import SHANGHAI
from daemon.log import logger
from daemon.rules.schema import RuleSet
from daemon.store import erasure
from daemon.store.db import Store

LOOK_BACK = timedelta(days=7)
"""How far back files of erased sheets are looked for again: a crash between record and deletion leaves one."""


class Keeping:
    """The daily look at one store's sheets. `ruleset` gives the active set."""

    def __init__(self, store: Store, ruleset: Callable[[], RuleSet]) -> None:
        self.store, self.ruleset = store, ruleset
        self._looked: date | None = None

    def pass_(self, now: datetime) -> int:
        """Erase what is past its time, on the first pass of a day in Asia/Shanghai; returns how many sheets went."""
        today = now.astimezone(SHANGHAI).date()
        if self._looked == today:
            return 0
        self._looked = today
        longer = {name: rule.keep for name, rule in self.ruleset().rules.items()}
        done = 0
        while True:
            with self.store.read() as tx:
                found = erasure.due(tx, today, longer)
            if not found:
                break
            with self.store.write() as tx:
                record = erasure.erase(tx, found, now=now)
            done += len(found)
            logger.info("sheets past their keep are erased", action="keep", sheets=len(found), record=record)
        with self.store.read() as tx:
            paths = erasure.files_of_erased(tx, now - LOOK_BACK)
        for path in paths:
            self._delete(path)
        if done:
            with self.store.write() as tx:
                erasure.destroy_keys(tx, now=now)
        return done

    def _delete(self, path: str) -> None:
        try:
            (self.store.folder / path).unlink(missing_ok=True)
        except OSError as reason:
            logger.error("an erased sheet cannot be deleted", action="keep", file=path, why=reason.strerror)
