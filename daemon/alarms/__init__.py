"""Pages a person, with or without a store: every page is a line of the journal at level ERROR or WARNING.

Pages are kept in the store by whoever raises them, in the transaction that they concern; here they are told in the journal,
once each in this process. `calling.py` carries them to people over the ways that the configuration names.
"""

from __future__ import annotations

from daemon.log import logger
from daemon.store import pages
from daemon.store.db import Store


def call(sentence: str, *, severity: str = "urgent", key: str = "") -> None:
    """Tell the journal now, without a store. `sentence` holds nothing personal."""
    level = "ERROR" if severity == "urgent" else "WARNING"
    logger.log(level, "page", action="page", severity=severity, about=key, sentence=sentence)


class Alarms:
    """Tells the open pages of a store, each once in this process."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._told: set[int] = set()

    def tell(self) -> int:
        """Tell what is new; returns how many."""
        with self.store.read() as tx:
            rows = [row for row in pages.pages_of(tx) if row["id"] not in self._told]
        for row in rows:
            call(row["sentence"], severity=row["severity"], key=row["key"])
            self._told.add(row["id"])
        return len(rows)
