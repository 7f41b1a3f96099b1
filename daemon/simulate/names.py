"""Who a client's number is, from the back office itself: for a named person whose access the caller has recorded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime

from daemon.decide.reading import FeedReader
from daemon.rules.schema import RuleSet
from daemon.sources.reading import Source
from daemon.store import restrictions, subjects
from daemon.store.db import Store
from daemon.store.rows import chunks


def keys_of_clients(
    store: Store, ruleset: RuleSet, sources: Mapping[str, Source], wanted: Collection[int], day: date, now: datetime
) -> dict[int, str]:
    """Client's number -> its key in the back office, of those whom the contacts' feeds know and
    nobody has restricted. Raises as the sources do."""
    reader, found = FeedReader(ruleset, sources), dict[int, str]()
    for kind in ruleset.kinds.values():
        for feed in kind.feeds if kind.use == "contacts" else ():
            _, rows = reader.rows(feed, business_date=day, now=now)
            keys = sorted({str(row.values["client"]) for row in rows})
            for part in chunks(keys):
                with store.read() as tx:
                    numbers = subjects.look_up(tx, "client", part)
                    hidden = restrictions.restricted(tx, numbers.values())
                found |= {number: key for key, number in numbers.items() if number in wanted and number not in hidden}
    return found
