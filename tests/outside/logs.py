"""Logs for tests: records as a day would write them, a trail in memory, and a log published from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from daemon.audit.checkpoint import Checkpoint, sign
from daemon.audit.record import Record, encode, new_id
from daemon.audit.tree import Growing, Read, bundle_path, bundles, encode_bundle, leaf_hash, tile_path
from daemon.heads import HeadStore
from daemon.publish import Publisher
from daemon.security.envelope import Alg, Key
from daemon.security.keyring import IndexKey, Keyring
from daemon.security.signing import SigningKey

ORIGIN = "audit.firm.example/duenotice/2024"
START = datetime(2024, 2, 1, tzinfo=UTC)
KEK = Key(bytes(16), Alg.AES_256_GCM, bytes(32))
INDEX = IndexKey(b"\1" * 16, bytes(32))
SIGNING = SigningKey(bytes(range(32)))


def ring(*signing: SigningKey) -> Keyring:
    """A keyring with these log signing keys, primary first."""
    return Keyring((KEK,), (INDEX,), signing)


RING = ring(SIGNING)
SET = sha256(b"rule set").hexdigest()


def record(number: int, cause: int | None = None, **changes: Any) -> bytes:
    """The bytes of record `number`; `cause` is the number of another one."""
    given: dict[str, Any] = {
        "id": new_id(sha256(str(number).encode()).digest()[:9], number),
        "t": START + timedelta(microseconds=number),
        "node": "n1",
        "kind": "attempt",
        "actor": "sys:duenotice/0.1.0",
        "cause": None if cause is None else new_id(sha256(str(cause).encode()).digest()[:9], cause),
        "rule_set": SET,
        "data": {"message": "00ff00ff", "n": 1, "gateway": "ctcu-a"},
    }
    return encode(Record(**(given | changes)))


def chain(count: int, first: int = 0) -> list[bytes]:
    """`count` records, each the effect of the one before."""
    return [record(number, number - 1 if number else None) for number in range(first, first + count)]


@dataclass
class MemoryTrail:
    """A trail in memory with the interface that the publisher takes from the store; rows are numbered from 1."""

    rows: list[bytes] = field(default_factory=list)
    index_of: dict[int, int] = field(default_factory=dict)

    def unpublished(self, limit: int) -> Sequence[tuple[int, bytes]]:
        waiting = [(row, raw) for row, raw in enumerate(self.rows, 1) if row not in self.index_of]
        return waiting[:limit]

    def assign(self, pairs: Sequence[tuple[int, int]]) -> None:
        for expected, (row, index) in enumerate(pairs, self.size()):
            if row in self.index_of or index != expected or not 1 <= row <= len(self.rows):
                raise ValueError(f"row {row} cannot have index {index}")
        self.index_of.update(pairs)

    def size(self) -> int:
        return len(self.index_of)

    def indexed(self, start: int, limit: int) -> Sequence[bytes]:
        by_index = {index: row for row, index in self.index_of.items()}
        return [self.rows[by_index[index] - 1] for index in range(start, min(start + limit, self.size()))]


def publisher(folder: Path, trail: MemoryTrail, **more: Any) -> Publisher:
    """A publisher of `folder/log` with its heads in `folder/heads.db`."""
    folder.mkdir(parents=True, exist_ok=True)
    return Publisher(folder / "log", HeadStore(folder / "heads.db"), more.pop("ring", RING), ORIGIN, trail, **more)


def published(folder: Path, records: Sequence[bytes]) -> Publisher:
    """A log of these records in `folder/log`."""
    made = publisher(folder, MemoryTrail(list(records)))
    while made.publish():
        pass
    return made


def files_of(log: Path) -> dict[str, bytes]:
    """The files of a log by path, without what is staged."""
    found = {path.relative_to(log).as_posix(): path.read_bytes() for path in log.rglob("*") if path.is_file()}
    return {path: raw for path, raw in found.items() if not path.startswith("tmp/")}


def log_of(records: Sequence[bytes]) -> dict[str, bytes]:
    """The files of a signed log of whatever is given, good or not."""
    files: dict[str, bytes] = {}
    tree = Growing(lambda level, number, row: files.update({tile_path(level, number, len(row)): b"".join(row)}))
    for raw in records:
        tree.append(leaf_hash(raw))
    for level, number, row in tree.rest():
        files[tile_path(level, number, len(row))] = b"".join(row)
    for number, width in bundles(len(records)):
        files[bundle_path(number, width)] = encode_bundle(records[number * 256 : number * 256 + width])
    return files | {"checkpoint": sign(Checkpoint(ORIGIN, tree.size, tree.root()), SIGNING.public, SIGNING.sign)}


def reader(files: Mapping[str, bytes]) -> Read:
    """Reads a log that lies in memory."""

    def read(path: str) -> bytes:
        if path not in files:
            raise FileNotFoundError(path)
        return files[path]

    return read
