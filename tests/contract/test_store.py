"""What every store promises, whichever database it is on: transactions, migrations, numbers, trail, sealed values."""

from __future__ import annotations

import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, event, func, insert, inspect, select, text, update

from daemon.audit.record import commit as commitment
from daemon.errors import ConfigError, KeyUnusable, SealBroken, StoreConflict
from daemon.store import seals, subjects, trail
from daemon.store.db import SCHEMA, CommitUnknown, Store, StoreBusy
from daemon.store.engine import FILE_NAME
from daemon.store.migrate import newest
from daemon.store.month_keys import INTAKE, SHEETS, month_key
from daemon.store.rows import get_meta, put_meta
from daemon.store.tables import meta, metadata, month_keys, records, sealed, subject_index
from daemon.store.tables import subjects as subject_rows
from tests.builders_store import NOW, SET, keyring, new_store, reopen


@pytest.fixture
def store(any_store: Store) -> Store:
    return any_store


def append(tx, **more):
    return trail.append(tx, "notice", t=NOW, actor="sys:test", data={"notice": "ab" * 16}, **more)


# --- transactions ----------------------------------------------------------------------------------------------------


def test_a_body_that_raises_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.write() as tx:
        put_meta(tx, "a", "1")
        append(tx)
        raise RuntimeError
    with store.read() as tx:
        assert get_meta(tx, "a") is None
        assert tx.execute(select(func.count()).select_from(records)).scalar() == 0


def test_an_orphan_found_before_the_commit_writes_nothing(store: Store) -> None:
    def orphaned() -> None:
        raise SystemExit(0)

    store.before_commit = orphaned
    with pytest.raises(SystemExit), store.write() as tx:
        put_meta(tx, "a", "1")
    store.before_commit = None
    with store.read() as tx:
        assert get_meta(tx, "a") is None


def test_a_commit_that_fails_is_unknown_and_the_store_goes_on(store: Store) -> None:
    with store.write() as tx:
        tx.execute(text("CREATE TABLE parent (id INTEGER PRIMARY KEY)"))
        tx.execute(text("CREATE TABLE child (p INTEGER REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)"))
    with pytest.raises(CommitUnknown), store.write() as tx:
        tx.execute(text("INSERT INTO child VALUES (1)"))
    with store.write() as tx:
        assert tx.execute(text("SELECT count(*) FROM child")).scalar() == 0
        put_meta(tx, "a", "1")


def test_a_lock_that_cannot_be_had_says_busy_and_nothing_happened(store: Store, tmp_path: Path) -> None:
    if store.engine.dialect.name != "sqlite":
        pytest.skip("only SQLite has one writer")
    other = reopen(store)
    other.engine.dispose()
    event.listen(other.engine, "connect", lambda raw, _: raw.execute("PRAGMA busy_timeout=1"))
    with store.write() as tx:
        put_meta(tx, "a", "1")
        with pytest.raises(StoreBusy), other.write() as late:
            put_meta(late, "a", "2")
    with other.read() as tx:
        assert get_meta(tx, "a") == "1"
    other.close()


def test_a_reader_sees_one_snapshot(store: Store) -> None:
    with store.read() as tx:
        assert get_meta(tx, "a") is None
        with store.write() as writing:
            put_meta(writing, "a", "1")
        assert get_meta(tx, "a") is None


def test_a_reader_makes_nothing(store: Store) -> None:
    for make in (
        lambda tx: subjects.number_of(tx, "client", "S1", now=NOW),
        lambda tx: month_key(tx, SHEETS, NOW),
        append,
    ):
        with pytest.raises(TypeError, match="reading"), store.read() as tx:
            make(tx)


def test_a_child_leaves_the_lock_as_long_as_it_held_it(store: Store) -> None:
    rests: list[float] = []
    moments = iter([10.0, 10.015, 20.0, 20.5])
    store.elapsed, store.rest = (lambda: next(moments)), rests.append
    with store.write(yield_lock=True) as tx:
        put_meta(tx, "a", "1")
    with store.write() as tx:
        put_meta(tx, "a", "2")
    assert rests == [pytest.approx(0.015)]


def test_a_killed_writer_leaves_nothing(store: Store) -> None:
    if store.engine.dialect.name != "sqlite":
        pytest.skip("the child opens the SQLite file")
    script = """
        import os, sys
        from pathlib import Path
        from tests.builders_store import NOW, keyring
        from daemon.store import trail
        from daemon.store.db import Store
        from daemon.store.rows import put_meta
        store = Store.open(Path(sys.argv[1]), keyring=keyring(), node="n1")
        with store.write() as tx:
            put_meta(tx, "first", "kept")
        store.before_commit = lambda: os.kill(os.getpid(), 9)
        with store.write() as tx:
            put_meta(tx, "second", "lost")
            trail.append(tx, "stop", t=NOW, actor="sys:test", data={})
    """
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(store.folder)], cwd=root, check=False)
    assert done.returncode == -9
    with store.read() as tx:
        assert (get_meta(tx, "first"), get_meta(tx, "second")) == ("kept", None)
        assert tx.execute(select(func.count()).select_from(records)).scalar() == 0


# --- opening ---------------------------------------------------------------------------------------------------------


def test_only_the_owner_may_read_it(store: Store) -> None:
    with store.write() as tx:
        put_meta(tx, "a", "1")
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    for path in store.folder.glob(f"{FILE_NAME}*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


def test_one_parent_at_a_time_and_each_starts_a_boot(store: Store) -> None:
    child = reopen(store)
    with store.lock():
        first = store.boot
        with pytest.raises(StoreConflict, match="another parent"):
            child.lock()
    with child.lock():
        assert child.boot != first
    assert reopen(store).boot == child.boot


def test_another_key_under_a_known_id_is_refused(store: Store) -> None:
    with store.write() as tx:
        tx.execute(update(meta).where(meta.c.key.startswith("key_check:")).values(value="00" * 16))
    with pytest.raises(KeyUnusable, match="check value"):
        reopen(store)


def test_an_absent_key_is_refused(store: Store) -> None:
    with pytest.raises(KeyUnusable):
        reopen(store, keks=("another",))


def test_a_store_of_a_newer_program_is_refused(store: Store) -> None:
    with store.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="9999"):
        reopen(store)


def test_migrations_and_tables_agree(store: Store) -> None:
    assert newest() == SCHEMA
    with store.read() as tx:
        assert compare_metadata(MigrationContext.configure(tx), metadata) == []
        migrated = _columns(tx)
    plain = create_engine("sqlite://")
    metadata.create_all(plain)
    if store.engine.dialect.name == "sqlite":
        with plain.connect() as tx:
            assert migrated == _columns(tx)


def _columns(tx) -> dict[tuple[str, str], tuple[str, bool, str | None]]:
    """Type, nullability and default of every column, which Alembic's own comparison judges loosely."""
    found = inspect(tx)
    return {
        (table, column["name"]): (str(column["type"]), column["nullable"], column["default"])
        for table in metadata.tables
        for column in found.get_columns(table)
    }


def test_a_fresh_store_is_made_by_migrations(tmp_path: Path) -> None:
    with Store.open(tmp_path / "new", keyring=keyring(), node="n1").read() as tx:
        assert tx.execute(text("SELECT version_num FROM alembic_version")).scalar() == SCHEMA


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_a_subject_keeps_its_number_for_ever(store: Store) -> None:
    with store.write() as tx:
        first = subjects.numbers(tx, "client", ["S1", "S2", "S1"], now=NOW)
    again = reopen(store)
    with again.read() as tx:
        assert subjects.look_up(tx, "client", ["S1", "S2", "S3"]) == first
        assert subjects.find(tx, "client", "S3") is None
        assert subjects.find(tx, "contract", "S1") is None


def test_a_contract_names_its_client_and_has_no_keys(store: Store) -> None:
    with store.write() as tx:
        made = subjects.numbers(tx, "contract", ["C1", "C2"], ["S1", "S1"], now=NOW)
    with store.read() as tx:
        client = subjects.find(tx, "client", "S1")
        assert subjects.clients_of(tx, made.values()) == {made["C1"]: client, made["C2"]: client}
        assert client is not None
        assert subjects.client_of(tx, client) == client
        with pytest.raises(subjects.Shredded):
            subjects.keys_of(tx, made["C1"])
        with pytest.raises(LookupError):
            subjects.client_of(tx, 999)


def test_no_key_of_the_back_office_stands_in_the_file(store: Store) -> None:
    with store.write() as tx:
        number = subjects.number_of(tx, "client", "S0012345678", now=NOW)
        seals.put(tx, number, "body", b"10812345678 in a body", NOW)
    store.close()
    raw = b"".join(path.read_bytes() for path in store.folder.glob(f"{FILE_NAME}*"))
    assert b"S0012345678" not in raw
    assert b"10812345678" not in raw


def test_a_number_given_back_by_a_rollback_is_not_remembered(store: Store) -> None:
    with pytest.raises(RuntimeError), store.write() as tx:
        lost = subjects.number_of(tx, "client", "S1", now=NOW)
        keys = subjects.keys_of(tx, lost)
        raise RuntimeError
    with store.write() as tx:
        other = subjects.number_of(tx, "client", "S2", now=NOW)
        assert subjects.keys_of(tx, other).commitment_key != keys.commitment_key
    with store.read() as tx:
        assert subjects.find(tx, "client", "S1") is None


def test_two_processes_agree_on_a_new_client(store: Store) -> None:
    other = reopen(store)
    first = subjects.ensure(store, "client", ["S1", "S2"], now=NOW)
    second = subjects.ensure(other, "client", ["S2", "S3"], now=NOW)
    assert first["S2"] == second["S2"]
    assert len({*first.values(), *second.values()}) == 3


def test_a_rotated_index_key_still_finds_old_entries(store: Store) -> None:
    with store.write() as tx:
        number = subjects.number_of(tx, "client", "S1", now=NOW)
    rotated = reopen(store, index=("newer", "index"))
    with rotated.write() as tx:
        assert subjects.number_of(tx, "client", "S1", now=NOW) == number
        assert subjects.number_of(tx, "client", "S2", now=NOW) != number


def test_a_shredded_client_is_forgotten_by_every_process(store: Store) -> None:
    with store.write() as tx:
        number = subjects.number_of(tx, "client", "S1", now=NOW)
        id = seals.put(tx, number, "body", b"x", NOW)
    with store.read() as tx:
        assert subjects.keys_of(tx, number)
        assert subjects.find(tx, "client", "S1") == number
    with reopen(store).write() as tx:
        gone = {"data_key": None, "commitment_key": None}
        tx.execute(update(subject_rows).where(subject_rows.c.number == number).values(**gone))
        tx.execute(subject_index.delete().where(subject_index.c.number == number))
        put_meta(tx, subjects.EPOCH, "1")
    with store.read() as tx:
        assert subjects.find(tx, "client", "S1") is None
        with pytest.raises(subjects.Shredded):
            seals.get(tx, id)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.text(min_size=1).filter(str.strip), max_size=6), max_size=5))
def test_numbers_are_a_function_of_the_normalised_key(batches: list[list[str]]) -> None:
    import tempfile
    import unicodedata

    with tempfile.TemporaryDirectory() as folder:
        store = new_store(Path(folder))
        seen: dict[str, int] = {}
        for batch in batches:
            with store.write() as tx:
                for key, number in subjects.numbers(tx, "client", batch, now=NOW).items():
                    plain = unicodedata.normalize("NFKC", key).strip()
                    assert seen.setdefault(plain, number) == number
        assert len(set(seen.values())) == len(seen)
        store.close()


# --- trail -----------------------------------------------------------------------------------------------------------


def test_a_record_says_what_was_appended(store: Store) -> None:
    with store.write() as tx:
        client = subjects.number_of(tx, "client", "S1", now=NOW)
        cause = append(tx)
        id = append(tx, cause=cause, client=client, rule="ipo/payment", rule_set=SET, card="c", commit={"body": "text"})
        key = subjects.keys_of(tx, client).commitment_key
    with store.read() as tx:
        found = trail.read(tx, id)
        assert found is not None
        assert (found.cause, found.client, found.node, found.t) == (cause, client, "n1", NOW)
        assert found.com == {"body": commitment(key, id, "body", "text")}
        assert [r.id for r in trail.of_client(tx, client)] == [id]
        assert [r.id for _, r in trail.of_kind(tx, "notice")] == [cause, id]


def test_a_commitment_without_a_client_is_refused(store: Store) -> None:
    with store.write() as tx, pytest.raises(ValueError, match="client"):
        append(tx, commit={"body": "text"})


def test_the_publisher_gets_causes_before_effects_and_assigns_once(store: Store) -> None:
    with store.write() as tx:
        ids = [append(tx) for _ in range(5)]
    log = trail.TrailStore(store)
    pending = log.unpublished(3)
    assert [trail.decode(leaf).id for _, leaf in pending] == ids[:3]
    pairs = [(row, i) for i, (row, _) in enumerate(pending)]
    log.assign(pairs)
    log.assign(pairs)
    assert (log.size(), log.waiting()) == (3, 2)
    rest = log.unpublished(10)
    assert [trail.decode(leaf).id for _, leaf in rest] == ids[3:]


@pytest.mark.parametrize("pair", [(1, 7), (2, 0), (99, 5)], ids=["moved", "taken", "unknown"])
def test_a_position_never_changes(store: Store, pair: tuple[int, int]) -> None:
    with store.write() as tx:
        append(tx)
        append(tx)
    log = trail.TrailStore(store)
    log.assign([(1, 0)])
    with pytest.raises(StoreConflict):
        log.assign([pair])
    assert (log.size(), log.waiting()) == (1, 1)


# --- sealed values ---------------------------------------------------------------------------------------------------


def test_a_sealed_value_opens_for_its_place_only(store: Store) -> None:
    with store.write() as tx:
        one, two = (subjects.number_of(tx, "client", key, now=NOW) for key in ("S1", "S2"))
        first, second = seals.put(tx, one, "body", b"first", NOW), seals.put(tx, one, "body", b"second", NOW)
        other = seals.put(tx, two, "body", b"other", NOW)
        assert seals.get_many(tx, [first, second, other]) == {first: b"first", second: b"second", other: b"other"}
    with store.write() as tx:
        raw = tx.execute(select(sealed.c.bytes).where(sealed.c.id == first)).scalar()
        tx.execute(update(sealed).where(sealed.c.id == second).values(bytes=raw))
        with pytest.raises(SealBroken):
            seals.get(tx, second)
        tx.execute(update(sealed).where(sealed.c.id == other).values(client=one))
        with pytest.raises(SealBroken):
            seals.get(tx, other)
        with pytest.raises(LookupError):
            seals.get(tx, "00" * 16)


def test_what_nobody_is_known_for_lies_under_the_months_intake_key(store: Store) -> None:
    with store.write() as tx:
        stranger = seals.put(tx, None, "reject", b"raw", NOW)
        assert seals.get(tx, stranger) == b"raw"
    again = reopen(store)
    with again.write() as tx:
        client = subjects.number_of(tx, "client", "S1", now=NOW)
        assert seals.get(tx, stranger) == b"raw"
        seals.reseal(tx, stranger, client)
        with pytest.raises(SealBroken, match="already"):
            seals.reseal(tx, stranger, client)
    with again.write() as tx:
        tx.execute(update(month_keys).values(wrapped=None))
    with reopen(store).write() as tx:
        assert seals.get(tx, stranger) == b"raw"
        with pytest.raises(LookupError, match="destroyed"):
            seals.put(tx, None, "reject", b"later", NOW)


def test_a_month_has_one_key_for_each_purpose_and_making_it_is_recorded(store: Store) -> None:
    with store.write() as tx:
        first = month_key(tx, SHEETS, NOW)
        assert month_key(tx, SHEETS, NOW).id == first.id
        assert month_key(tx, INTAKE, NOW).id != first.id
    with reopen(store).write() as tx:
        assert month_key(tx, SHEETS, NOW).id == first.id
        assert month_key(tx, SHEETS, NOW.replace(month=4)).id != first.id
        made = [r.data["purpose"] for _, r in trail.of_kind(tx, "key.created")]
    assert made == ["sheets 2024-02", "intake 2024-02", "sheets 2024-04"]


def test_a_month_is_one_of_shanghai(store: Store) -> None:
    with store.write() as tx:
        before = NOW.replace(month=1, day=31, hour=15, minute=59)
        after = NOW.replace(month=1, day=31, hour=16)
        assert month_key(tx, SHEETS, before).id != month_key(tx, SHEETS, after).id
        assert month_key(tx, SHEETS, after).id == month_key(tx, SHEETS, NOW).id


def test_a_rolled_back_month_key_is_not_used_again(store: Store) -> None:
    with pytest.raises(RuntimeError), store.write() as tx:
        lost = month_key(tx, SHEETS, NOW)
        raise RuntimeError
    with store.write() as tx:
        assert month_key(tx, SHEETS, NOW).id != lost.id


def test_a_state_row_without_its_record_is_refused(store: Store) -> None:
    from sqlalchemy.exc import IntegrityError

    from daemon.store.tables import tasks

    with pytest.raises(IntegrityError), store.write() as tx:
        tx.execute(insert(tasks).values(key="k", reason="r", opened_at=1))
