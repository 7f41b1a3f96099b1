"""The sample back office: seeded, exact, and counted by nothing that the readers under `sources` share."""

from __future__ import annotations

import csv
import itertools
import re
import sqlite3
import struct
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.demo.counter import ALWAYS, FOREVER, TABLES, yuan
from daemon.demo.files_out import ofd_cell
from daemon.demo.generator import BackOffice, generate
from daemon.demo.holdings import announced, open_on, window_rows
from daemon.demo.margin_book import percent
from daemon.demo.people import GIVEN, RARE, Numbers, person
from daemon.demo.public import Public, read_public

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "config/sample"
PAY, FUND = date(2024, 2, 1), date(2024, 3, 28)
MORNING, NOON = "2024-02-01T08:00:00+08:00", "2024-02-01T12:00:00+08:00"
QUERY = re.compile(r"```sql\n-- (\w+) (whole|count|keyed)\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> BackOffice:
    return generate(tmp_path_factory.mktemp("office"), clients=3_000, seed=7, days=[FUND, PAY], public=SAMPLE)


@pytest.fixture(scope="module")
def db(office: BackOffice) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(office.folder / "counter.sqlite")
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def public() -> Public:
    return read_public(SAMPLE)


def dbf_rows(path: Path) -> list[tuple[str, ...]]:
    """Records by the widths of the published layout, not by the file's own header."""
    content = path.read_bytes()
    count, start, width = struct.unpack_from("<LHH", content, 4)
    assert (start, width) == (32 + 12 * 32 + 1, 144) and len(content) == start + count * width + 1
    form = struct.Struct("1s8s8s10s25s6s12s18s18s20s6s10s2s")
    return [tuple(v.decode("gbk").rstrip() for v in row[1:]) for row in form.iter_unpack(content[start:-1])]


def ofd_records(path: Path) -> list[bytes]:
    lines = path.read_bytes().split(b"\r\n")
    assert lines[0] == b"OFDCFDAT" and lines[-2:] == [b"OFDCFEND", b""]
    return lines[10 + 83 + 1 : -2]


def test_the_same_arguments_write_the_same_bytes(office: BackOffice, tmp_path: Path) -> None:
    generate(tmp_path, clients=3_000, seed=7, days=[PAY, FUND], public=SAMPLE)
    names = sorted(p.name for p in office.folder.iterdir())
    assert names == sorted(p.name for p in tmp_path.iterdir())
    assert all((office.folder / n).read_bytes() == (tmp_path / n).read_bytes() for n in names)


def test_another_seed_writes_other_clients(office: BackOffice, tmp_path: Path) -> None:
    generate(tmp_path, clients=50, seed=8, days=[PAY], public=SAMPLE)
    ids = "SELECT client_id FROM client ORDER BY rowid LIMIT 50"
    old, new = (sqlite3.connect(f / "counter.sqlite").execute(ids).fetchall() for f in (office.folder, tmp_path))
    assert not set(old) & set(new)


def test_a_client_is_the_same_in_a_small_population_and_for_other_days(office: BackOffice, tmp_path: Path) -> None:
    generate(tmp_path, clients=200, seed=7, days=[PAY, date(2024, 2, 5)], public=SAMPLE)
    big, small = (sqlite3.connect(f / "counter.sqlite") for f in (office.folder, tmp_path))
    last = {"margin_assets": "init_date <= '2024-02-01'", "sh_allotment": "business_date = '2024-02-01'"}
    for table in ("client", "stock_account", "sh_allotment", "margin_contract", "margin_assets", "contact", "consent"):
        columns = [name.rstrip("!") for name in TABLES[table][0].split()]
        query = f"SELECT {', '.join(columns)} FROM {table} WHERE {last.get(table, '1')}"
        few, many = set(small.execute(query)), set(big.execute(query))
        assert few and few <= many, table


def test_every_cell_of_the_counter_is_text_or_null(db: sqlite3.Connection) -> None:
    for table, (columns, _) in TABLES.items():
        for column in (name.rstrip("!") for name in columns.split()):
            kinds = {kind for (kind,) in db.execute(f"SELECT DISTINCT typeof({column}) FROM {table}")}
            assert kinds <= {"text", "null"}, f"{table}.{column}"


def test_the_summary_counts_what_a_plain_count_finds(office: BackOffice, db: sqlite3.Connection) -> None:
    for table, rows in office.tables.items():
        assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (rows,), table
    for name, rows in office.files.items():
        path = office.folder / name
        if name.endswith(".dbf"):
            assert len(dbf_rows(path)) == rows
        elif name.endswith(".TXT"):
            assert len(ofd_records(path)) == rows
        else:
            assert path.read_bytes().count(b"\r\n") == rows + 1


def test_every_phone_starts_with_ten(db: sqlite3.Connection) -> None:
    phones = [p for (p,) in db.execute("SELECT mobile FROM client UNION ALL SELECT address FROM contact") if p]
    assert len(phones) > 3_000 and all(re.fullmatch("10[0-9]{9}", p) for p in phones)


def test_no_client_bears_a_name_of_the_public_facts(db: sqlite3.Connection, public: Public) -> None:
    known = {i.name for i in public.issues} | {f.name for f in public.funds} | {w.fund_name for w in public.windows}
    for name in (n for (n,) in db.execute("SELECT client_name FROM client") if len(n) > 2):
        assert not any(name in text for text in known), name


def test_rare_characters_take_four_bytes_and_are_no_gbk() -> None:
    for character in RARE:
        assert len(character.encode("gb18030")) == 4
        with pytest.raises(UnicodeEncodeError):
            character.encode("gbk")


def test_numbers_of_a_hundred_thousand_clients_differ() -> None:
    numbers = Numbers(3)
    for label, digits in (("mobile", 9), ("client", 10), ("fund", 12), ("sh", 8)):
        assert len({numbers.of(label, n, digits) for n in range(100_000)}) == 100_000


def test_shares_of_names_and_codes_follow_the_table() -> None:
    numbers = Numbers(5)
    people = [person(5, n, numbers) for n in range(20_000)]
    assert len(GIVEN) == len(set(GIVEN))
    persons = [p for p in people if p.organ_flag == "0"]
    assert 0.77 < sum(len(p.name) == 3 for p in persons) / len(persons) < 0.83
    assert 0.007 < sum(p.mobile is None for p in people) / len(people) < 0.013
    assert 0.965 < sum(p.status == "0" for p in people) / len(people) < 0.977


def test_allotments_owe_price_times_quantity_once_corrected(office: BackOffice, db: sqlite3.Connection) -> None:
    query = (
        "SELECT business_price, business_amount, business_balance FROM sh_allotment"
        " WHERE valid_from <= ? AND ? < valid_to"
    )
    wrong = {
        at: sum(Decimal(p) * int(q) != Decimal(due) for p, q, due in db.execute(query, (at, at)))
        for at in (MORNING, NOON)
    }
    assert wrong == {MORNING: office.dirty.get("allotment_amount_corrected", 0), NOON: 0}
    assert set(db.execute("SELECT DISTINCT stock_code, business_price, exchange_type FROM sh_allotment")) == {
        ("688584", "22.66", "1")
    }


def test_shenzhens_winners_stand_in_the_dbf_one_row_a_number(office: BackOffice, db: sqlite3.Connection) -> None:
    rows = dbf_rows(office.folder / "sjsfx_20240201.dbf")
    won = [r for r in rows if r[4] == "A3"]
    assert {(r[2], r[7].strip(), r[8].strip()) for r in won} == {("301589", "500.00", "126.89")}
    accounts = {a for (a,) in db.execute("SELECT stock_account FROM stock_account WHERE exchange_type = '2'")}
    strangers = [r for r in won if r[3].strip() not in accounts]
    blanks = [r for r in won if r[3] != r[3].strip()]
    zeros = [r for r in won if r[10] == "00000000"]
    dirty = office.dirty
    assert len(strangers) == dirty.get("dbf_account_unknown", 0)
    assert len(blanks) == dirty.get("dbf_account_blanks", 0)
    assert len(zeros) == dirty.get("dbf_date_zero", 0)
    assert len(won) - len(set(won)) == dirty.get("dbf_row_doubled", 0)
    assert {r[10] for r in won} - {"00000000"} == {"20240201"}


def test_a_session_without_payments_has_an_empty_dbf(office: BackOffice) -> None:
    assert dbf_rows(office.folder / "sjsfx_20240328.dbf") == []


def test_a_flag_says_the_size_and_stands_beside_each_file(office: BackOffice) -> None:
    for name in office.files:
        path = office.folder / name
        said = dict(line.split("=", 1) for line in path.with_suffix(".flg").read_text("ascii").splitlines())
        assert said["size"] == str(path.stat().st_size) and said["rows"] == str(office.files[name])
        assert said["as_of"] == f"{said['business_date']}T06:00:00+08:00"


def test_balances_follow_on_one_another_without_gap(db: sqlite3.Connection) -> None:
    chains: dict[str, list[tuple[str, str]]] = {}
    for client, start, end in db.execute("SELECT client_id, valid_from, valid_to FROM cash_balance_at ORDER BY 1, 2"):
        chains.setdefault(client, []).append((start, end))
    for chain in chains.values():
        assert chain[0][0] == ALWAYS and chain[-1][1] == FOREVER
        assert all(a[1] == b[0] for a, b in itertools.pairwise(chain))
        assert all(start < end for start, end in chain)


def test_some_are_short_in_the_morning_and_have_paid_in_by_noon(db: sqlite3.Connection) -> None:
    query = (
        "SELECT count(*) FROM sh_allotment a JOIN cash_balance_at c ON c.client_id = a.client_id"
        " WHERE a.valid_from <= ? AND ? < a.valid_to AND c.valid_from <= ? AND ? < c.valid_to"
        " AND CAST(c.enable_balance AS NUMERIC) < CAST(a.business_balance AS NUMERIC)"
    )
    morning, noon = (db.execute(query, (at,) * 4).fetchone()[0] for at in (MORNING, NOON))
    assert 0 < noon < morning


def test_ratios_agree_with_the_figures_but_for_the_spoiled(office: BackOffice, db: sqlite3.Connection) -> None:
    differing = missing = 0
    for cash, value, other, fin, short, fee, ratio in db.execute(
        "SELECT cash_asset, market_value, other_assets, fin_compact_balance, short_value, fare_interest,"
        " per_assurescale_value FROM margin_assets"
    ):
        debts = Decimal(fin) + Decimal(short) + Decimal(fee)
        if ratio is None:
            missing += debts != 0
            continue
        own = (Decimal(cash) + Decimal(value) + Decimal(other)) / debts * 100
        differing += abs(own - Decimal(ratio)) > Decimal("0.01")
    assert differing == office.dirty.get("margin_ratio_differs", 0)
    assert missing == office.dirty.get("margin_ratio_null", 0)


def test_the_limits_of_the_law_are_met_exactly(db: sqlite3.Connection) -> None:
    found = {r for (r,) in db.execute("SELECT DISTINCT per_assurescale_value FROM margin_assets")}
    assert {"130.000000", "129.999999", "300.000000", "99.447514", None} <= found


def test_a_cured_account_is_not_under_its_call_line(db: sqlite3.Connection) -> None:
    cured = db.execute(
        "SELECT per_assurescale_value, line_call FROM margin_assets JOIN margin_contract USING (credit_account)"
        " WHERE cured_flag = '1' AND per_assurescale_value IS NOT NULL"
    ).fetchall()
    assert cured and all(Decimal(ratio) >= Decimal(line) for ratio, line in cured)


def test_holdings_and_books_move_with_the_real_closes(db: sqlite3.Connection, public: Public) -> None:
    days, codes = public.closes.days, public.closes.codes
    at = days.index(PAY)
    ups = [public.closes.prices[days[at]][i] > public.closes.prices[days[at - 1]][i] for i in range(len(codes))]
    assert 0 < sum(ups) < len(codes)
    totals = dict(
        db.execute(
            "SELECT init_date, sum(CAST(market_value AS NUMERIC)) FROM margin_assets WHERE basis = 'day_end' GROUP BY 1"
        )
    )
    assert set(totals) == {"2024-01-31", "2024-02-01"} and totals["2024-02-01"] < totals["2024-01-31"]


def test_a_day_without_closes_has_no_valuation_and_is_not_settled(db: sqlite3.Connection) -> None:
    assert db.execute(
        "SELECT count(*) FROM settle_state WHERE business = 'margin' AND init_date > '2024-03'"
    ).fetchone() == (0,)


def test_families_say_which_days_have_real_facts(office: BackOffice) -> None:
    assert office.covered == {PAY: ("ipo", "margin"), FUND: ("fund",)}


def test_issues_without_a_published_price_have_no_winners(tmp_path: Path) -> None:
    day = date(2022, 4, 14)
    made = generate(tmp_path, clients=300, seed=1, days=[day], public=SAMPLE)
    assert len(made.unpriced[day]) == 6 and made.covered[day] == ()
    assert made.tables["sh_allotment"] == made.files["sjsfx_20220414.dbf"] == 0


def test_beijings_allotments_are_there_but_owe_nothing_more(tmp_path: Path) -> None:
    made = generate(tmp_path, clients=300, seed=1, days=[date(2025, 11, 3)], public=SAMPLE)
    db = sqlite3.connect(tmp_path / "counter.sqlite")
    assert {e for (e,) in db.execute("SELECT exchange_type FROM sh_allotment")} == {"9"}
    assert made.tables["cash_balance_at"] == 300  # no balance moves on that day
    assert made.covered[date(2025, 11, 3)] == ()


def test_a_nav_nobody_published_is_blank(office: BackOffice) -> None:
    records = {r[56:62].decode(): r for r in ofd_records(office.folder / "OFD_98_101_20240328_07.TXT")}
    # From byte 63: FundStatus 1, NAV 7.4, UpdateDate 8.
    assert records["012742"][62:78] == b"0" + b" " * 15
    assert records["510300"][62:78] == b" " + b"0034944" + b"20240327"
    assert {len(r) for r in records.values()} == {972}


def test_a_window_reaches_thousands_of_holders(db: sqlite3.Connection) -> None:
    (holders,) = db.execute("SELECT count(*) FROM fund_holding WHERE fund_code = '012742'").fetchone()
    assert 0.25 < holders / 3_000 < 0.35


def test_followers_lots_and_limits_are_as_the_page_says(db: sqlite3.Connection) -> None:
    def one(query: str) -> int:
        return int(db.execute(query).fetchone()[0])

    assert 60 < one("SELECT count(*) FROM fund_follow WHERE fund_code = '012742'") < 120
    assert one("SELECT count(*) FROM fund_lot WHERE confirm_date NOT BETWEEN '2023-04-03' AND '2023-11-28'") == 0
    assert 25 < one("SELECT count(DISTINCT client_id) FROM fund_lot") < 70
    assert 2_900 < one("SELECT count(*) FROM risk_assessment") < 2_990
    levels = dict(db.execute("SELECT fund_code, risk_level FROM fund_product"))
    assert (levels["012742"], levels["000834"]) == ("R2", "R4")
    assert db.execute(
        "SELECT limit_from, previous_limit, day_limit, valid_from FROM fund_limit_change"
        " WHERE fund_code = '000834' ORDER BY limit_from"
    ).fetchall() == [
        ("2026-05-27", "500.00", "100.00", "2026-05-26T15:02:02+08:00"),
        ("2026-05-28", "100.00", "50.00", "2026-05-27T18:20:15+08:00"),
        ("2026-06-05", "50.00", "10.00", "2026-06-04T18:10:19+08:00"),
    ]


def test_a_day_on_which_a_limit_falls_has_real_facts_of_funds(tmp_path: Path) -> None:
    days = [date(2026, 5, 26), date(2026, 5, 27)]
    made = generate(tmp_path, clients=5, seed=1, days=days, public=SAMPLE)
    assert [made.covered[day] for day in days] == [(), ("fund",)]


def test_an_announcement_shows_from_its_notice_on_and_a_cut_window_gets_a_revision(public: Public) -> None:
    def rows(day: date, code: str) -> list[tuple[str, ...]]:
        return [r for r in window_rows(public, day) if r[0] == code]

    assert rows(date(2024, 3, 25), "012742") == []
    assert rows(date(2024, 3, 26), "012742")[0][5:7] == ("2024-03-28", "2024-04-12")
    assert [rows(date(2023, 8, d), "012814")[0][3:7:3] for d in (9, 10)] == [("1", "2023-08-18"), ("2", "2023-08-10")]
    assert rows(date(2025, 6, 13), "014973")[0][10:12] == ("N", "stated")
    assert [w.fund_code for w in open_on(public.windows, FUND)] == ["012742"]
    assert all(w.start for w in announced(public.windows, date(2026, 6, 1)))


def test_every_query_of_the_readme_runs_and_counts_its_rows(office: BackOffice, db: sqlite3.Connection) -> None:
    text = (ROOT / "daemon/demo/README.md").read_text("utf-8")
    queries: dict[str, dict[str, str]] = {}
    for name, form, sql in QUERY.findall(text):
        queries.setdefault(name, {})[form] = sql
    assert len(queries) == 11 and all(set(q) == {"whole", "count", "keyed"} for q in queries.values())
    for name, forms in queries.items():
        day = "2024-01-31" if name == "margin_day_end" else "2024-02-01"
        binds = {"business_date": day, "now": NOON}
        whole = db.execute(forms["whole"], binds)
        columns = [d[0] for d in whole.description]
        rows = whole.fetchall()
        keys = ("client_id", "fund_code") if name == "holding" else (key_of(name, columns),)
        asked = sorted({tuple(r[columns.index(k)] for k in keys) for r in rows})[:5]
        listed = ", ".join(f"({', '.join(map(quoted, k))})" for k in asked)
        keyed = db.execute(forms["keyed"].replace(":keys", f"(VALUES {listed})"), binds).fetchall()
        assert keyed == [r for r in rows if tuple(r[columns.index(k)] for k in keys) in asked], name
        count = db.execute(forms["count"], binds)
        said = dict(zip([d[0] for d in count.description], count.fetchone(), strict=True))
        assert int(said["rows"]) == len(rows) > 0, name


def key_of(name: str, columns: list[str]) -> str:
    wanted = {"stock_account": "stock_account", "issue": "stock_code"}
    return wanted.get(name, "credit_account" if "credit_account" in columns else "client_id")


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def test_counts_say_not_settled_before_the_input_lands(db: sqlite3.Connection) -> None:
    counts = {
        name: sql
        for name, form, sql in QUERY.findall((ROOT / "daemon/demo/README.md").read_text("utf-8"))
        if form == "count"
    }
    for name, at in (
        ("allotment_sh", "2024-02-01T05:59:00+08:00"),
        ("margin_day_end", "2024-02-01T21:29:00+08:00"),
        ("margin_intraday", "2024-02-01T09:59:00+08:00"),
        ("holding", "2024-02-01T05:59:00+08:00"),
    ):
        row = db.execute(counts[name], {"business_date": "2024-02-01", "now": at})
        said = dict(zip([d[0] for d in row.description], row.fetchone(), strict=True))
        assert (said["settled"], said["business_date"]) == ("0", None), name


def test_the_public_files_have_the_columns_their_page_names() -> None:
    for name in ("issues", "funds", "fund_windows", "fund_nav", "fund_limits", "closes"):
        with (SAMPLE / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        assert rows and all(r["source"] for r in rows), name


def test_generate_refuses_no_days_and_no_clients(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="0 days"):
        generate(tmp_path, seed=1, days=[], public=SAMPLE)
    with pytest.raises(ValueError, match="0 clients"):
        generate(tmp_path, clients=0, seed=1, days=[PAY], public=SAMPLE)


@given(st.integers(-(10**14), 10**14))
def test_yuan_writes_cents_exactly(cents: int) -> None:
    text = yuan(cents)
    assert Decimal(text) * 100 == cents and re.fullmatch(r"-?[0-9]+\.[0-9]{2}", text)


@given(st.integers(0, 10**15), st.integers(1, 10**15))
def test_percent_is_the_ratio_to_half_a_millionth(assets: int, debts: int) -> None:
    text = percent(assets, debts)
    assert text is not None and re.fullmatch(r"[0-9]+\.[0-9]{6}", text)
    whole, part = text.split(".")
    twice = 2 * (int(whole) * 10**6 + int(part))  # in half millionths of a percent
    assert -debts < twice * debts - assets * 2 * 10**8 <= debts


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.integers(1, 60))
def test_a_text_cell_has_its_width_in_bytes_and_is_cut_between_characters(text: str, width: int) -> None:
    raw = ofd_cell(("FundName", "C", width, 0), text)
    assert len(raw) == width
    assert text.encode("gb18030").startswith(raw.rstrip(b" ")) and raw.decode("gb18030")


@given(st.integers(0, 10**7 - 1))
def test_a_number_cell_implies_its_point(n: int) -> None:
    value = f"{n // 10_000}.{n % 10_000:04d}"
    assert ofd_cell(("NAV", "N", 7, 4), value) == f"{n:07d}".encode()


@pytest.mark.parametrize("value", ["1000.0000", "1.00001", "-1"])
def test_a_number_that_does_not_fit_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="NAV: found"):
        ofd_cell(("NAV", "N", 7, 4), value)
