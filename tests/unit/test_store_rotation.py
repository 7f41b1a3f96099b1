"""Keys rotated while values are read and written: nothing is lost, nothing stays under an older key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from daemon.errors import StoreConflict
from daemon.security import keyfile
from daemon.security.envelope import Alg, key_id
from daemon.security.keyring import Keyring
from daemon.store import rotation, seals, subjects, trail
from daemon.store.db import Store
from daemon.store.engine import rewrite
from daemon.store.month_keys import SHEETS, month_key
from daemon.store.tables import sealed, subject_index
from daemon.store.tables import subjects as subject_rows
from tests.builders_store import NOW, key_file, keyring, new_store

BY = "person:li"
WHY = "yearly"


def ring(path: Path) -> Keyring:
    """The keys of `keyring()`, from a file, as a process loads them."""
    if not path.exists():
        path.write_bytes(key_file())
        path.chmod(0o600)
    return Keyring.load(path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def store(any_store: Store, file: Path) -> Iterator[Store]:
    any_store.keyring = ring(file)
    yield any_store


def add_key(file: Path, alg: Alg = Alg.AES_256_GCM) -> None:
    keyfile.add_primary(file, "keks", keyfile.new_entry(alg.label, alg.key_bytes))


def another(store: Store, file: Path) -> Store:
    """The store as another process has it, with what it remembers of its own."""
    return Store(store.folder, store.engine, ring(file), store.node, store.boot)


def put(store: Store, client: str, text: str) -> str:
    with store.write() as tx:
        return seals.put(tx, subjects.number_of(tx, "client", client, now=NOW), "body", text.encode(), NOW)


def read(store: Store, id: str) -> str:
    with store.read() as tx:
        return seals.get(tx, id).decode()


def begin(store: Store) -> None:
    with store.write() as tx:
        rotation.begin(tx, by=BY, reason=WHY, now=NOW)


def rewrap(store: Store) -> int:
    total = after = 0
    while True:
        with store.write() as tx:
            done, last = rotation.rewrap(tx, after, 3)
        if not done and not after:
            return total
        total, after = total + done, last if done else 0


def data_keys(store: Store) -> rotation.DataRotation:
    with store.write() as tx:
        state = rotation.begin_data_keys(tx, by=BY, reason=WHY, now=NOW)
    while state.after < state.until:
        with store.write() as tx:
            state = rotation.rotate_data_keys(tx, state)
    with store.write() as tx:
        rotation.data_keys_rotated(tx, state, by=BY, reason=WHY, now=NOW)
    return state


def test_what_lay_under_the_older_key_lies_under_the_primary_and_opens_in_a_process_that_knows_neither_step(
    store: Store, file: Path
) -> None:
    ids = [put(store, f"c{n}", f"text {n}") for n in range(7)]
    with store.write() as tx:
        month_key(tx, SHEETS, NOW)
    running = another(store, file)
    assert [read(running, id) for id in ids[:3]] == ["text 0", "text 1", "text 2"]
    old = store.keyring.primary.id
    add_key(file)
    store.keyring = ring(file)
    begin(store)
    assert rewrap(store) == 8
    with store.read() as tx:
        assert rotation.wrapped_under(tx) == {store.keyring.primary.id: {"clients": 7, "months": 1}}
    assert [read(running, id) for id in ids] == [f"text {n}" for n in range(7)]
    assert running.keyring.primary.id == store.keyring.primary.id != old


def test_a_running_process_makes_new_clients_under_the_new_primary_as_soon_as_it_is_recorded(
    store: Store, file: Path
) -> None:
    running = another(store, file)
    put(running, "first", "a")
    add_key(file, Alg.SM4_GCM)
    store.keyring = ring(file)
    begin(store)
    id = put(running, "second", "b")
    with store.read() as tx:
        row = tx.execute(select(subject_rows).order_by(subject_rows.c.number.desc())).mappings().first()
        blob = tx.execute(select(sealed.c.bytes).where(sealed.c.id == id)).scalar()
    assert row is not None and bytes(row["kek"]) == store.keyring.primary.id
    assert bytes(blob)[1] == Alg.SM4_GCM


def test_new_data_keys_seal_every_value_again_in_the_primary_s_algorithm(store: Store, file: Path) -> None:
    ids = [put(store, f"c{n % 5}", f"text {n}") for n in range(20)]
    running = another(store, file)
    before = {id: read(running, id) for id in ids}
    with store.read() as tx:
        old = {id: key_id(bytes(blob)) for id, blob in tx.execute(select(sealed.c.id, sealed.c.bytes))}
    add_key(file, Alg.SM4_GCM)
    store.keyring = ring(file)
    begin(store)
    rewrap(store)
    done = data_keys(store)
    assert (done.clients, done.values) == (5, 20)
    with store.read() as tx:
        now = {id: bytes(blob) for id, blob in tx.execute(select(sealed.c.id, sealed.c.bytes))}
    assert {blob[1] for blob in now.values()} == {Alg.SM4_GCM}
    assert not {key_id(blob) for blob in now.values()} & set(old.values())
    assert {id: read(running, id) for id in ids} == before
    assert read(running, put(running, "c1", "later")) == "later"


def test_a_primary_added_while_data_keys_are_rotated_wraps_the_rest(store: Store, file: Path) -> None:
    ids = [put(store, f"c{n}", f"text {n}") for n in range(2)]
    with store.write() as tx:
        state = rotation.begin_data_keys(tx, by=BY, reason=WHY, now=NOW)
        state = rotation.rotate_data_keys(tx, state, 1)
    first = store.keyring.primary.id
    add_key(file)
    store.keyring = ring(file)
    begin(store)
    with store.write() as tx:
        rotation.rotate_data_keys(tx, state, 1)
    with store.read() as tx:
        assert rotation.wrapped_under(tx) == {first: {"clients": 1}, store.keyring.primary.id: {"clients": 1}}
    assert [read(store, id) for id in ids] == ["text 0", "text 1"]


def test_a_stopped_rotation_of_data_keys_goes_on_where_it_was(store: Store) -> None:
    ids = [put(store, f"c{n}", f"text {n}") for n in range(5)]
    with store.write() as tx:
        state = rotation.begin_data_keys(tx, by=BY, reason=WHY, now=NOW)
    with store.write() as tx:
        state = rotation.rotate_data_keys(tx, state, 1)
    with store.read() as tx:
        assert rotation.data_rotation(tx) == state
    assert data_keys(store).clients == 5
    with store.read() as tx:
        versions = tx.execute(select(subject_rows.c.key_version).order_by(subject_rows.c.number)).scalars().all()
        assert rotation.data_rotation(tx) is None
    assert versions == [2] * 5
    assert [read(store, id) for id in ids] == [f"text {n}" for n in range(5)]


def test_an_older_key_is_destroyed_only_when_nothing_lies_under_it(store: Store, file: Path, tmp_path: Path) -> None:
    id = put(store, "c", "x")
    old = store.keyring.primary.id
    with pytest.raises(StoreConflict, match="the primary"), store.write() as tx:
        rotation.retire(tx, old, by=BY, reason=WHY, now=NOW)
    add_key(file)
    store.keyring = ring(file)
    begin(store)
    with pytest.raises(StoreConflict, match="still wraps 1 of clients"), store.write() as tx:
        rotation.retire(tx, old, by=BY, reason=WHY, now=NOW)
    rewrap(store)
    with store.write() as tx:
        rotation.retire(tx, old, by=BY, reason=WHY, now=NOW)
    keyfile.remove(file, old)
    store.keyring = ring(file)
    assert store.keyring.kek_ids() == (store.keyring.primary.id,)
    store._compare_keys()
    assert read(another(store, file), id) == "x"


def test_every_step_of_a_rotation_is_in_the_trail(store: Store, file: Path) -> None:
    put(store, "c", "x")
    old = store.keyring.primary.id
    add_key(file)
    store.keyring = ring(file)
    begin(store)
    count = rewrap(store)
    data = data_keys(store)
    with store.write() as tx:
        rotation.rewrapped(tx, count, by=BY, reason=WHY, now=NOW)
        rotation.retire(tx, old, by=BY, reason=WHY, now=NOW)
    with store.read() as tx:
        told = [
            (r.kind, r.data["purpose"])
            for kind in ("key.created", "key.rotated", "key.destroyed")
            for _, r in trail.of_kind(tx, kind)
        ]
    assert told == [
        ("key.created", "wrapping"),
        ("key.rotated", "data keys begun"),
        ("key.rotated", "data keys"),
        ("key.rotated", "wrapping"),
        ("key.destroyed", "wrapping"),
    ]
    assert data.values == 1


def test_a_daemon_that_holds_its_keys_as_a_credential_is_restarted_before_anything_is_wrapped_again(
    store: Store, file: Path, tmp_path: Path
) -> None:
    put(store, "c", "x")
    parent = another(store, file)
    parent.keyring = Keyring.load(file, credentials=tmp_path)
    with parent.lock():
        add_key(file)
        store.keyring = ring(file)
        begin(store)
        with pytest.raises(StoreConflict, match="restart it"):
            rewrap(store)
    parent.keyring = Keyring.load(file, credentials=tmp_path)
    with parent.lock():
        assert rewrap(store) == 1


STEPS = st.lists(
    st.sampled_from(("put", "read", "add", "add_sm4", "begin", "rewrap", "data", "data_step", "retire")), max_size=30
)


@given(steps=STEPS)
@settings(max_examples=60, deadline=None)
def test_whatever_the_order_of_steps_two_processes_read_all_that_was_written(
    steps: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rotation")
    file = folder / "keys.json"
    office = new_store(folder / "state")
    office.keyring = ring(file)
    running = another(office, file)
    written: dict[str, str] = {}
    try:
        for number, step in enumerate(steps):
            if step == "put":
                written[put(running, f"c{number % 3}", f"text {number}")] = f"text {number}"
            elif step == "read":
                assert {id: read(running, id) for id in written} == written
            elif step in ("add", "add_sm4"):
                add_key(file, Alg.SM4_GCM if step == "add_sm4" else Alg.AES_256_GCM)
                office.keyring = ring(file)
            elif step == "begin":
                begin(office)
            elif step == "rewrap":
                with office.write() as tx:
                    rotation.rewrap(tx, 0, 1)
            elif step in ("data", "data_step"):
                with office.write() as tx:
                    state = rotation.begin_data_keys(tx, by=BY, reason=WHY, now=NOW)
                    if step == "data_step":
                        rotation.rotate_data_keys(tx, state)
            else:
                for id in office.keyring.kek_ids()[1:]:
                    try:
                        with office.write() as tx:
                            rotation.retire(tx, id, by=BY, reason=WHY, now=NOW)
                    except StoreConflict:
                        continue
                    keyfile.remove(file, id)
                    office.keyring = ring(file)
        assert {id: read(running, id) for id in written} == written
        assert {id: read(another(office, file), id) for id in written} == written
    finally:
        office.close()


def test_a_store_opened_with_keys_from_memory_reads_no_file() -> None:
    """`keyring()` has no file: a rotation elsewhere leaves it what it holds."""
    mine = keyring()
    primary = mine.primary.id
    mine.renew()
    assert mine.primary.id == primary


def test_a_database_written_anew_says_the_same(any_store: Store) -> None:
    numbers = subjects.ensure(any_store, "client", [f"S{n}" for n in range(50)], now=NOW)
    with any_store.write() as tx:
        tx.execute(subject_index.delete().where(subject_index.c.number == numbers["S7"]))
    with any_store.read() as tx:
        before = tx.execute(select(subject_index).order_by(subject_index.c.number)).all()
    rewrite(any_store.engine)
    with any_store.read() as tx:
        assert tx.execute(select(subject_index).order_by(subject_index.c.number)).all() == before
    assert len(before) == 49
    assert subjects.ensure(any_store, "client", ["S50"], now=NOW)["S50"] == 51


def test_a_database_is_not_written_anew_while_somebody_reads_in_the_way(tmp_path: Path) -> None:
    store = new_store(tmp_path / "state")
    with store.read() as tx:
        subjects.look_up(tx, "client", ["S1"])
        subjects.ensure(store, "client", ["S2"], now=NOW)
        with pytest.raises(TimeoutError, match="write-ahead log is in use"):
            rewrite(store.engine)
    rewrite(store.engine)
    store.close()


def test_a_database_is_not_written_anew_while_somebody_writes(tmp_path: Path) -> None:
    store = new_store(tmp_path / "state")
    with store.write(), pytest.raises(TimeoutError, match="is being written"):
        rewrite(store.engine)
    rewrite(store.engine)
    store.close()
