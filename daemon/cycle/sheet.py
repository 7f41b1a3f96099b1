"""A poll's sheets: one per rule, a line for every fact. What stands in a line is decided here, its bytes in store/sheets."""

from __future__ import annotations

from datetime import datetime

from daemon.decide.lines import Line
from daemon.model.values import canonical, occurrence_text, terms_json
from daemon.rules.decider import Decider
from daemon.store import sheetlines
from daemon.store.db import Store
from daemon.store.ledger import Lease
from daemon.store.month_keys import SHEETS, month_key, month_of
from daemon.store.sheetlines import SheetFile
from daemon.store.sheets import SheetWriter, sheet_path


class RuleSheet:
    """The sheet of one rule in one run."""

    def __init__(self, store: Store, lease: Lease, decider: Decider, rule_set: str, now: datetime) -> None:
        with store.write(yield_lock=True) as tx:
            key = month_key(tx, SHEETS, now)
        self.decider, self.rule = decider, decider.rule.name
        path = sheet_path(store.folder, month_of(now), lease.run, self.rule)
        of = {
            "run": lease.run,
            "rule": self.rule,
            "feed": lease.feed,
            "due": lease.due.isoformat(),
            "rule_set": rule_set,
        }
        self._writer = SheetWriter(path, decider.operands, decider.row_operands, key=key, of=of)

    def add(self, line: Line, episode: int | None) -> None:
        """One fact's line."""
        self._writer.add(sheet_line(line, self.decider, episode))

    def finish(self) -> SheetFile:
        """Seal and sync."""
        return self._writer.finish()


def sheet_line(line: Line, decider: Decider, episode: int | None = None) -> sheetlines.Line:
    """What a sheet keeps of a fact under a rule: enough to decide again, nothing personal."""
    rule = decider.rule.name
    decision, fact = line.decisions[rule], line.fact
    return sheetlines.Line(
        line.subject,
        line.client,
        fact.business_date,
        decision.bucket.value,
        decision.reason,
        decision.operands,
        decision.level,
        occurrence_text(decision.occurrence) if decision.occurrence else "",
        canonical(terms_json(decision.terms)) if decision.terms else "",
        canonical(line.gates[rule].to_json()),
        decision.gates,
        decision.marks,
        tuple({name: row[name] for name, _ in decider.row_operands if name in row} for row in fact.items),
        fact.as_of,
        fact.rows,
        fact.whole,
        episode,
    )
