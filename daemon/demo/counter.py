"""The sample counter: tables of one SQLite file, named after what Hundsun counters show (domain.md C3).

Money, prices and percentages are TEXT with a point, never REAL. Dates are `YYYY-MM-DD`; instants are
`YYYY-MM-DDTHH:MM:SS+08:00`, so that text order is time order. What changes over a day has `valid_from` (inclusive)
and `valid_to` (exclusive); a query picks by `:now`. The queries to read them stand in README.md. Leaves what is in
the rows to the callers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, time
from pathlib import Path

FOREVER = "9999-12-31T23:59:59+08:00"
ALWAYS = "2000-01-01T00:00:00+08:00"
LANDED_AT = time(6)
"""When the day's allotments, holdings and files are complete; before the first notice of the day (08:00)."""

TABLES = {
    "client": ("client_id! client_name! organ_flag! client_status! mobile risk_level! open_date!", "client_id"),
    "stock_account": ("stock_account! exchange_type! client_id! fund_account!", "stock_account"),
    "cash_balance_at": ("client_id! fund_account! enable_balance valid_from! valid_to!", "client_id, valid_from"),
    "new_issue": (
        "stock_code! apply_code stock_name! exchange_type! stock_type! regime! issue_price apply_date!"
        " payment_date unit!",
        "exchange_type, stock_code, apply_date",
    ),
    "sh_allotment": (
        "init_date! client_id! stock_account! exchange_type! apply_code stock_code! stock_name! stock_type!"
        " business_amount! business_price! business_balance! business_date! valid_from! valid_to!",
        "",
    ),
    "giveup_record": ("client_id! giveup_sh_12m! giveup_sz_12m! counted_on!", "client_id"),
    "margin_contract": (
        "client_id! credit_account! line_attention line_warning! line_call! line_target! line_immediate topup_days!"
        " topup_from! ratio_source! agreed_channels! amounts_in_sms! contract_version!",
        "credit_account",
    ),
    "margin_valuation": ("init_date! basis! valuation_time! row_count!", "init_date, basis, valuation_time"),
    "margin_assets": (
        "init_date! basis! valuation_time! credit_account! client_id! cash_asset! market_value! other_assets!"
        " fin_compact_balance! short_value! fare_interest! per_assurescale_value cured_flag! as_of!",
        "init_date, basis, valuation_time, credit_account",
    ),
    "settle_state": ("init_date! business! settled! settled_at!", "init_date, business"),
    "fund_holding": (
        "client_id! ta_code! fund_code! current_share! init_date! end_date!",
        "client_id, fund_code, init_date",
    ),
    "fund_product": ("fund_code! fund_name! risk_level offering! hold_days hold_months", "fund_code"),
    "fund_follow": ("client_id! fund_code! init_date! end_date!", "client_id, fund_code, init_date"),
    "risk_assessment": ("client_id! corp_risk_level! corp_begin_date!", "client_id"),
    "fund_limit_change": (
        "change_id! fund_code! fund_name! limit_from! previous_limit day_limit! purchase_status! valid_from! valid_to!",
        "change_id, valid_from",
    ),
    "fund_lot": (
        "client_id! fund_code! lot_no! confirm_date! current_share! moved_from moved_to valid_from! valid_to!",
        "client_id, fund_code, lot_no, valid_from",
    ),
    "contact": ("client_id! role! channel! address! since! origin!", "client_id, role, channel, since"),
    "consent": ("client_id! category! channel! state! at! wording_version!", "client_id, category, channel, at"),
}
"""Table -> its columns, all TEXT (`!`: never NULL), and its primary key. `sh_allotment` has none, as it may hold a
row twice. `margin_contract.line_attention` and `line_immediate` are NULL where the contract leaves them to the
firm."""

INDEXES = (
    "CREATE INDEX allotment_day ON sh_allotment (business_date, client_id)",
    "CREATE INDEX account_client ON stock_account (client_id)",
    "CREATE INDEX holding_fund ON fund_holding (fund_code)",
)


def instant(day: date, at: time) -> str:
    """An instant of the counter: `2024-02-01T09:30:00+08:00`."""
    return f"{day.isoformat()}T{at.isoformat('seconds')}+08:00"


def yuan(cents: int) -> str:
    """Cents as the counter writes money: `123456` -> `1234.56`."""
    sign, rest = ("-", -cents) if cents < 0 else ("", cents)
    return f"{sign}{rest // 100}.{rest % 100:02d}"


class Counter:
    """The open counter file; `add` appends rows and counts them."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.rows: dict[str, int] = dict.fromkeys(TABLES, 0)

    def add(self, table: str, rows: Iterable[tuple[str | None, ...]]) -> None:
        """Append `rows`, each with every column of `table`. Raises KeyError for another table."""
        marks = ", ".join("?" * len(TABLES[table][0].split()))
        query = f"INSERT INTO {table} VALUES ({marks})"  # a key of TABLES  # nosec B608
        self.rows[table] += self._db.executemany(query, rows).rowcount


def _create(table: str) -> str:
    columns, key = TABLES[table]
    parts = [f"{name[:-1]} TEXT NOT NULL" if name.endswith("!") else f"{name} TEXT" for name in columns.split()]
    parts += [f"PRIMARY KEY ({key})"] if key else []
    return f"CREATE TABLE {table} ({', '.join(parts)})"


@contextmanager
def new_counter(path: Path) -> Iterator[Counter]:
    """Build the file anew beside `path` and put it in its place at the end, whole or not at all."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    db = sqlite3.connect(part)
    try:
        db.execute("PRAGMA journal_mode=OFF")
        db.execute("PRAGMA synchronous=OFF")
        for table in TABLES:
            db.execute(_create(table))
        yield Counter(db)
        for index in INDEXES:
            db.execute(index)
        db.commit()
    finally:
        db.close()
    part.replace(path)
