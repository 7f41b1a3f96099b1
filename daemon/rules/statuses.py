"""Reads `rules/client_status.yaml`: what a client's status means, by family or by category. Pure. The format is in the file.

A rule's own verdicts stand before its family's table, that before its category's. Every table has a verdict for every status,
so that no status is forgotten by a family.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from daemon.rules.gates import ANY_OTHER, OTHER_CONTACT, PHONE, SEND, VERDICTS
from daemon.rules.schema import StatusTable
from daemon.yamlfile import Reader, YList, YMap, describe, near

NEVER_GATED: Mapping[str, tuple[str, ...]] = {"margin": ("frozen",)}
"""Family -> statuses that may never keep a notice of it from its client."""

_REACHES = (SEND, PHONE)
_ALLOWED = f"one of {', '.join(VERDICTS)}, or {{{OTHER_CONTACT}: [ROLE, ...]}}"


def read_tables(r: Reader) -> dict[str, StatusTable]:
    """The tables, by family or category."""
    statuses = r.texts("statuses")
    tables = r.map("tables")
    found = {}
    for name in tables.map_:
        table = tables.map(name)
        found[name] = read_verdicts(table, (*statuses, ANY_OTHER))
        for missing in (s for s in statuses if s not in table.map_):
            tables.refuse(name, f"no verdict for '{missing}'", "one for each of the file's statuses")
        refuse_gated(table, name, found[name])
        table.done()
    tables.done()
    r.done()
    return found


def read_verdicts(r: Reader, known: Collection[str]) -> StatusTable:
    """One mapping of status to verdict, as it stands. `known`: the statuses it may name."""
    verdicts: dict[str, str] = {}
    others: dict[str, tuple[str, ...]] = {}
    for status in r.map_:
        r.has(status)
        value = r.map_[status]
        if status not in known:
            r.refuse(status, f"the client status '{status}'", ", ".join(known), near(status, known))
        elif isinstance(value, YMap) and list(value) == [OTHER_CONTACT]:
            roles = value[OTHER_CONTACT]
            others[status] = r.map(status).texts(OTHER_CONTACT) if isinstance(roles, YList) else ()
            verdicts[status] = OTHER_CONTACT
            if not others[status]:
                r.refuse(status, describe(roles), "a list of contacts by role, at least one")
        elif isinstance(value, str) and value in VERDICTS:
            verdicts[status] = value
        else:
            r.refuse(status, describe(value), _ALLOWED, near(value, VERDICTS) if isinstance(value, str) else "")
    return StatusTable(verdicts, others)


def gated(family: str, table: StatusTable) -> list[str]:
    """The statuses that would keep a notice of the family from its client although they never may."""
    found = NEVER_GATED.get(family, ())
    return [status for status in found if table.verdicts.get(status, SEND) not in _REACHES]


def refuse_gated(r: Reader, family: str, table: StatusTable) -> None:
    """Note each of them at the mapping that says so."""
    for status in gated(family, table):
        if status in r.map_:
            allowed = f"{' or '.join(_REACHES)}: this status never stands before a notice of {family}"
            r.refuse(status, f"{table.verdicts[status]} for '{status}'", allowed)


def resolved(tables: Mapping[str, StatusTable], family: str, category: str, own: StatusTable) -> StatusTable:
    """The verdicts of a rule: its own, then its family's table, or its category's where the family has none."""
    base = tables.get(family) or tables.get(category) or StatusTable()
    others = {status: roles for status, roles in base.others.items() if status not in own.verdicts}
    return StatusTable({**base.verdicts, **own.verdicts}, {**others, **own.others})
