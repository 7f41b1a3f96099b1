"""The files of one session: sjsfx_YYYYMMDD.dbf, OFD_98_101_YYYYMMDD_07.TXT, fund_windows_YYYYMMDD.csv, each with
its flag.

They lie there before the first notice of their day. In the DBF every winning number is a row of kind A3: the price
stands in FXZJJE, the quantity in FXQRGS, the winning number in FXDDBH (the last two are this sample's reading of
the layout; the mapping is config).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from daemon.demo.allotments import Allotment
from daemon.demo.counter import yuan
from daemon.demo.files_out import SJSFX, write_csv, write_dbf, write_ofd_07
from daemon.demo.holdings import WINDOW_COLUMNS, dynamics, window_rows
from daemon.demo.people import draw
from daemon.demo.public import Public

SETTLEMENT_ACCOUNT, CUSTODY_UNIT = "B0199900", "199900"
"""The sample firm's own numbers; synthetic."""

OTHER_BUSINESS = "A2"
"""A kind that is no winning number: stands for whatever else a real file carries."""


def day_files(
    folder: Path, seed: int, public: Public, day: date, won: Sequence[Allotment], dirty: Counter[str]
) -> dict[str, int]:
    """Write the three files of `day`; gives file name -> records."""
    stamp = f"{day:%Y%m%d}"
    dbf, ofd, csv = f"sjsfx_{stamp}.dbf", f"OFD_98_101_{stamp}_07.TXT", f"fund_windows_{stamp}.csv"
    winners = sorted((a for a in won if a.issue.exchange == "SZSE"), key=lambda a: (a.account, a.issue.code))
    rows = [row for a in winners for row in sjsfx_rows(seed, a, stamp, dirty)]
    records, windows = dynamics(public, day), window_rows(public, day)
    write_dbf(folder / dbf, SJSFX, rows, day)
    write_ofd_07(folder / ofd, public.ofd_07, records, day)
    write_csv(folder / csv, WINDOW_COLUMNS, windows, day)
    return {dbf: len(rows), ofd: len(records), csv: len(windows)}


def sjsfx_rows(seed: int, a: Allotment, stamp: str, dirty: Counter[str]) -> Iterator[tuple[str, ...]]:
    """One row a winning number. Spoiled are 0.6 % each: a date of zeros, blanks before the account, an account
    that nobody has, a row written twice; 2 % are followed by a row of other business."""
    for lot in range(a.lots):
        rng = draw(seed, "sjsfx", a.account, a.issue.code, lot)
        u, number = rng.random(), f"{rng.randrange(10**12):012d}"
        if u < 0.006:
            dirty["dbf_date_zero"] += 1
            yield _row(a, a.account, number, "00000000")
        elif u < 0.012:
            dirty["dbf_account_blanks"] += 1
            yield _row(a, "  " + a.account, number, stamp)
        elif u < 0.018:
            dirty["dbf_account_unknown"] += 1
            yield _row(a, "03" + a.account[2:], number, stamp)
        else:
            yield _row(a, a.account, number, stamp)
        if 0.018 <= u < 0.024:
            dirty["dbf_row_doubled"] += 1
            yield _row(a, a.account, number, stamp)
        if u >= 0.98:
            yield _row(a, a.account, number, stamp, OTHER_BUSINESS)


def _row(a: Allotment, account: str, number: str, sent: str, kind: str = "A3") -> tuple[str, ...]:
    quantity = f"{a.issue.unit}.00"
    return (
        SETTLEMENT_ACCOUNT,
        CUSTODY_UNIT,
        a.issue.code,
        account,
        kind,
        number,
        quantity,
        quantity if kind == "A3" else "0.00",
        yuan(a.price),
        "",
        sent,
        "",
    )
