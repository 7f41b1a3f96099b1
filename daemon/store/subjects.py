"""Numbers for those a notice concerns, and the keys of clients (DESIGN section 7, *Numbers* and *Keys*).

A back-office key (client id, contract number) stands nowhere in the store: `subject_index` holds its blind index, a
keyed 16-byte HMAC. A subject for which no client is named is a client itself and gets a data key and a commitment key,
both wrapped by the key-encryption key; a contract's row names its client's number. Numbers are never given out twice.
Several index entries may lead to one number (aliases). Rotating and destroying keys is left to others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from sqlalchemy import RowMapping, insert, select

from daemon.clock import micros
from daemon.errors import DueNoticeError
from daemon.security.envelope import Key, aad
from daemon.security.keyring import ClientKeys
from daemon.store.db import Store, Tx, TxState, must_write, of
from daemon.store.engine import hold_keys
from daemon.store.rows import chunks, next_numbers
from daemon.store.tables import meta, subject_index, subjects

CLIENT = "client"
COUNTER = "subject"
EPOCH = "subjects_epoch"
"""The meta row that changes when a client is shredded or an alias given: what processes remember is then dropped."""

KEYS_EPOCH = "keys_epoch"
"""The meta row that changes with every step of a rotation: remembered keys are then dropped, the key file is read again."""

BATCH = 200
"""Subjects made in one transaction of `ensure`: below 20 ms with two wrapped keys each."""


class Shredded(DueNoticeError):
    """The client's keys are destroyed: nothing of it can be opened, committed to or told any more."""


def number_of(tx: Tx, kind: str, key: str, client_key: str | None = None, *, now: datetime) -> int:
    """The number of one subject, made if it is new."""
    return numbers(tx, kind, [key], None if client_key is None else [client_key], now=now)[key]


def numbers(
    tx: Tx, kind: str, keys: Sequence[str], clients: Sequence[str] | None = None, *, now: datetime
) -> dict[str, int]:
    """Key -> number; missing subjects are made. `clients[i]` is the key of the client that `keys[i]` belongs to.

    Raises ValueError for an empty key. A subject that is known keeps the client it was first seen with.
    """
    blinds = _blinds(tx, kind, keys)
    known = _known(tx, kind, blinds)
    missing = [key for key, blind in blinds.items() if blind not in known]
    if missing:
        store = must_write(tx).store
        owner = None if clients is None else dict(zip(keys, clients, strict=True))
        owned = None if owner is None else numbers(tx, CLIENT, [owner[key] for key in missing], now=now)
        made = next_numbers(tx, COUNTER, len(missing))
        if owned is None or owner is None:
            _insert_clients(tx, kind, made, now)
        else:
            rows = [
                {"number": n, "kind": kind, "client": owned[owner[key]], "created_at": micros(now)}
                for n, key in zip(made, missing, strict=True)
            ]
            tx.execute(insert(subjects), rows)
        new = {blinds[key]: number for number, key in zip(made, missing, strict=True)}
        tx.execute(insert(subject_index), [{"kind": kind, "blind": b, "number": n} for b, n in new.items()])
        _remember(tx, lambda: store.known.add_numbers(kind, new))
        known = known | new
    return {key: known[blind] for key, blind in blinds.items()}


def look_up(tx: Tx, kind: str, keys: Sequence[str]) -> dict[str, int]:
    """Key -> number of those that are known; nothing is made."""
    blinds = _blinds(tx, kind, keys)
    known = _known(tx, kind, blinds)
    return {key: known[blind] for key, blind in blinds.items() if blind in known}


def find(tx: Tx, kind: str, key: str) -> int | None:
    """The number of a subject, None when it is not known."""
    return look_up(tx, kind, [key]).get(key)


def ensure(
    store: Store, kind: str, keys: Sequence[str], clients: Sequence[str] | None = None, *, now: datetime
) -> dict[str, int]:
    """`numbers` for bulk work: looks up in one snapshot, makes what is missing in short transactions."""
    with store.read() as tx:
        found = look_up(tx, kind, keys)
    owner = None if clients is None else dict(zip(keys, clients, strict=True))
    missing = [key for key in dict.fromkeys(keys) if key not in found]
    for part in chunks(missing, BATCH):
        with store.write(yield_lock=True) as tx:
            found |= numbers(tx, kind, part, None if owner is None else [owner[key] for key in part], now=now)
    return found


def client_of(tx: Tx, number: int) -> int:
    """The client that a subject belongs to. Raises LookupError for an unknown number."""
    return clients_of(tx, [number])[number]


def clients_of(tx: Tx, wanted: Iterable[int]) -> dict[int, int]:
    """Subject number -> client number. Raises LookupError when one is unknown."""
    renew(tx)
    known = of(tx).store.known
    ask = list(dict.fromkeys(wanted))
    missing = [n for n in ask if n not in known.clients]
    found: dict[int, int] = {}
    for part in chunks(missing):
        rows = tx.execute(select(subjects.c.number, subjects.c.client).where(subjects.c.number.in_(part)))
        found.update({number: client for number, client in rows})  # noqa: C416
    if absent := [n for n in missing if n not in found]:
        raise LookupError(f"subject {absent[0]}: no such number in the store")
    if found:
        _remember(tx, lambda: known.add_clients(found))
    return {n: found[n] if n in found else known.clients[n] for n in ask}


def clients_known(tx: Tx, wanted: Sequence[int]) -> set[int]:
    """Those of `wanted` that are numbers of clients."""
    query = select(subjects.c.number).where(subjects.c.number.in_(wanted), subjects.c.number == subjects.c.client)
    return set(tx.execute(query).scalars())


def keys_of(tx: Tx, client: int) -> ClientKeys:
    """A client's keys. Raises Shredded when they are destroyed, LookupError when there is no such client."""
    return keys_of_many(tx, [client])[client]


def keys_of_many(tx: Tx, clients: Iterable[int]) -> dict[int, ClientKeys]:
    """Client number -> keys, in one statement for those not used lately. Raises Shredded or LookupError."""
    renew(tx)
    state = of(tx)
    found: dict[int, ClientKeys] = {}
    missing = []
    for client in dict.fromkeys(clients):
        keys = state.keys.get(client) or state.store.known.keys(client)
        if keys is None:
            missing.append(client)
        else:
            found[client] = keys
    for part in chunks(missing):
        for row in tx.execute(select(subjects).where(subjects.c.number.in_(part))).mappings():
            keys = unwrap(state.store, row)
            found[row["number"]] = keys
            _remember_keys(state, row["number"], keys)
    if absent := [client for client in missing if client not in found]:
        raise LookupError(f"client {absent[0]}: no such number in the store")
    return found


def _remember(tx: Tx, what: Callable[[], None]) -> None:
    """Remember what a reader found at once, what a writer found or made when it is committed."""
    if of(tx).writing:
        of(tx).after_commit.append(what)
    else:
        what()


def _remember_keys(state: TxState, client: int, keys: ClientKeys) -> None:
    """In a writing transaction for that transaction only: the client may be made in it, and a rollback would give its
    number to another one."""
    if state.writing:
        state.keys[client] = keys
    else:
        state.store.known.add_keys(client, keys)


def opener(tx: Tx, client: int) -> Key:
    """The data key that opens what is sealed under a client."""
    return keys_of(tx, client).data_key


def _blinds(tx: Tx, kind: str, keys: Sequence[str]) -> dict[str, bytes]:
    index = of(tx).store.keyring.index
    return {key: index(kind, key) for key in dict.fromkeys(keys)}


def renew(tx: Tx) -> None:
    """Once a transaction: drop what is remembered of subjects if a client was shredded or an alias given since, and what is
    remembered of keys if some were rotated."""
    state = of(tx)
    if state.epoch_seen:
        return
    state.epoch_seen = True
    if state.writing:
        hold_keys(tx, alone=False)
    found = dict(tx.execute(select(meta.c.key, meta.c.value).where(meta.c.key.in_((EPOCH, KEYS_EPOCH)))).all())
    state.store.known.renew(found.get(EPOCH, ""))
    if state.store.known.renew_keys(found.get(KEYS_EPOCH, "")):
        state.store.keyring.renew()


def _known(tx: Tx, kind: str, blinds: dict[str, bytes]) -> dict[bytes, int]:
    """Blind index -> number of those in the index, from memory or the table; older index keys are tried last."""
    renew(tx)
    store = of(tx).store
    remembered = store.known.numbers.get(kind, {})
    known = {blind: remembered[blind] for blind in blinds.values() if blind in remembered}
    missing = [blind for blind in blinds.values() if blind not in known]
    found = _from_index(tx, kind, missing)
    older = {} if len(found) == len(missing) else _by_older_keys(tx, kind, blinds, known.keys() | found.keys())
    found |= older
    if found:
        _remember(tx, lambda: store.known.add_numbers(kind, found))
    return known | found


def _from_index(tx: Tx, kind: str, blinds: Sequence[bytes]) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for part in chunks(blinds):
        where = (subject_index.c.kind == kind) & subject_index.c.blind.in_(part)
        for blind, number in tx.execute(select(subject_index.c.blind, subject_index.c.number).where(where)):
            found[bytes(blind)] = number
    return found


def _by_older_keys(tx: Tx, kind: str, blinds: dict[str, bytes], done: Iterable[bytes]) -> dict[bytes, int]:
    """While index keys rotate: primary blind index -> number found under an older index key."""
    have, keyring = set(done), of(tx).store.keyring
    older: dict[bytes, bytes] = {}
    for key, primary in blinds.items():
        if primary not in have:
            older.update(dict.fromkeys(keyring.indexes(kind, key)[1:], primary))
    return {older[blind]: number for blind, number in _from_index(tx, kind, list(older)).items()}


def _insert_clients(tx: Tx, kind: str, made: Iterable[int], now: datetime) -> None:
    keyring = of(tx).store.keyring
    kek, rows = keyring.primary.id, []
    for number in made:
        keys = keyring.new_client_keys()
        rows.append(
            {
                "number": number,
                "kind": kind,
                "client": number,
                "data_key": keyring.wrap_key(keys.data_key, aad("subjects", "data_key", number, number)),
                "commitment_key": keyring.wrap(keys.commitment_key, aad("subjects", "commitment_key", number, number)),
                "kek": kek,
                "created_at": micros(now),
            }
        )
    tx.execute(insert(subjects), rows)


def unwrap(store: Store, row: RowMapping) -> ClientKeys:
    """The keys of a client's row. Raises Shredded when it has none."""
    number = row["number"]
    if row["data_key"] is None or row["commitment_key"] is None:
        raise Shredded(f"client {number}: its keys are destroyed, or it is no client")
    keyring = store.keyring
    return ClientKeys(
        keyring.unwrap_key(row["data_key"], aad("subjects", "data_key", number, number)),
        keyring.unwrap(row["commitment_key"], aad("subjects", "commitment_key", number, number)),
        row["key_version"],
    )
