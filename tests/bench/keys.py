"""Keys rotated: everything wrapped again under a new key-encryption key, then new data keys and every value sealed again."""

from __future__ import annotations

from pathlib import Path

from daemon.security import keyfile
from daemon.security.envelope import Alg
from daemon.security.keyring import Keyring
from daemon.store import rotation, seals, subjects
from daemon.store.db import Store
from tests.bench.clockwork import Row, timed
from tests.builders_store import NOW, key_file, new_store

BY, WHY = "person:bench", "bench"


def measure(folder: Path, clients: int) -> list[Row]:
    """A store of so many clients with a sealed value each; the second key is of the other algorithm."""
    file = folder / "keys.json"
    file.write_bytes(key_file())
    file.chmod(0o600)
    store = new_store(folder / "state")
    store.keyring = Keyring.load(file)
    store.rest = lambda held: None
    numbers = list(subjects.ensure(store, "client", [f"S{n:010d}" for n in range(clients)], now=NOW).values())
    for start in range(0, clients, 1000):
        with store.write() as tx:
            for number in numbers[start : start + 1000]:
                seals.put(tx, number, "body", b"x" * 2000, NOW)
    keyfile.add_primary(file, "keks", keyfile.new_entry(Alg.SM4_GCM.label, Alg.SM4_GCM.key_bytes))
    store.keyring = Keyring.load(file)
    with store.write() as tx:
        rotation.begin(tx, by=BY, reason=WHY, now=NOW)
    rows = [
        Row("keys wrapped again, clients", clients, timed(lambda: _rewrap(store)), 0.0),
        Row("values sealed again, AES to SM4", clients, timed(lambda: _data_keys(store)), 0.0),
    ]
    store.close()
    return rows


def _rewrap(store: Store) -> None:
    after = 0
    while True:
        with store.write() as tx:
            done, last = rotation.rewrap(tx, after)
        if not done and not after:
            return
        after = last if done else 0


def _data_keys(store: Store) -> None:
    with store.write() as tx:
        state = rotation.begin_data_keys(tx, by=BY, reason=WHY, now=NOW)
    while state.after < state.until:
        with store.write() as tx:
            state = rotation.rotate_data_keys(tx, state)
