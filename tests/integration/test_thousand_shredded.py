"""A thousand clients shredded: the log verifies unchanged, and neither name, phone, account nor anything that leads to them is in
what the daemon keeps: database and its write-ahead log, sheets, opened sheets, log, exports, backups made later; earlier backups
are unreadable once the key-encryption key that they are under is destroyed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from daemon import backup, log
from daemon.cli import main
from daemon.errors import KeyUnusable, SealBroken
from daemon.security.keyring import Keyring
from daemon.store import restrictions, subjects
from daemon.store.db import Store
from daemon.store.engine import FILE_NAME
from daemon.store.tables import episodes, messages, notices
from daemon.store.tables import subjects as subjects_table
from tests.builders_day import DAY, Place, install, live, publish

CLIENTS, SHREDDED = 5_000, 1_000
NOW = datetime(2026, 6, 1, tzinfo=UTC)
WHO = ("--by", "wang", "--reason", "test")


@dataclass(frozen=True)
class Canaries:
    """What belonged to the thousand: words in clear, the blind indexes that lead from them to numbers, and their numbers."""

    words: frozenset[str]
    blinds: frozenset[bytes]
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Site:
    """An installation on which a thousand were shredded, with what was made of it before and after."""

    place: Place
    canaries: Canaries
    earlier: Path
    later: Path
    exports: Path
    said: str
    before: dict[str, bytes]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The day lived; an export and a backup; the thousand shredded while the store is open; then the same again."""
    folder = tmp_path_factory.mktemp("thousand")
    place = install(folder / "installation", clients=CLIENTS, days=[DAY])
    said = (folder / "said").open("w+")
    with said, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stderr", said)
        log.start("DEBUG")
        live(place, DAY)
        (folder / "exports").mkdir()
        run(place, "audit", "export", str(folder / "exports" / "earlier"), *WHO)
        run(place, "backup", str(folder / "earlier.backup"), *WHO)
        with closing(place.store()) as store:
            canaries = chosen(store, place)
            publish(store, place.settings)
            before = files_of(place.folder / "trail")
            shred(store, canaries.numbers)
            run(place, "clients", "purge", *WHO)
            publish(store, place.settings)
            # a daemon goes on: its database is copied as it lies, open, with its write-ahead log
            shutil.copytree(place.folder / "state", folder / "open")
        run(place, "audit", "export", str(folder / "exports" / "later"), *WHO)
        run(place, "backup", str(folder / "later.backup"), *WHO)
        said.seek(0)
        text = said.read()
        yield Site(
            place, canaries, folder / "earlier.backup", folder / "later.backup", folder / "exports", text, before
        )
    log.start("ERROR")


def run(place: Place, *argv: str) -> None:
    assert main(["--config", str(place.config), "--lang", "en", *argv]) == 0


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def chosen(store: Store, place: Place) -> Canaries:
    """A thousand clients of whom nothing is open, those first who were told something; everything theirs in the back office."""
    with closing(sqlite3.connect(place.folder / "backoffice" / "counter.sqlite")) as counter:
        people = {
            row[0]: {*row[1:]} - {None, ""}
            for row in counter.execute("SELECT client_id, client_name, mobile FROM client")
        }
        for query in (
            "SELECT client_id, credit_account FROM margin_contract",
            "SELECT client_id, stock_account FROM stock_account",
            "SELECT client_id, fund_account FROM stock_account",
            "SELECT client_id, address FROM contact",
        ):
            for client, word in counter.execute(query):
                people[client].add(word)
    with store.read() as tx:
        numbers = subjects.look_up(tx, "client", list(people))
        told = set(tx.execute(select(notices.c.client).where(notices.c.outcome.is_not(None))).scalars())
        open_ = set(tx.execute(select(notices.c.client).where(notices.c.outcome.is_(None))).scalars())
        falling = select(subjects_table.c.client).join(episodes, episodes.c.subject == subjects_table.c.number)
        open_ |= set(tx.execute(falling.where(episodes.c.ended_at.is_(None))).scalars())
        sent = set(tx.execute(select(messages.c.client).where(messages.c.address.is_not(None))).scalars())
    closed = [key for key, number in numbers.items() if number not in open_]
    keys = sorted(closed, key=lambda key: numbers[key] not in told & sent)[:SHREDDED]
    assert len(keys) == SHREDDED
    assert sum(numbers[key] in told & sent for key in keys) > SHREDDED // 3
    shared = set().union(*(words for key, words in people.items() if key not in set(keys)))
    words = set(keys) | set().union(*(people[key] for key in keys)) - shared
    ring = store.keyring
    blinds = {
        blind for word in words for kind in ("client", "contract", "msisdn") for blind in indexes(ring, kind, word)
    }
    return Canaries(frozenset(words), frozenset(blinds), tuple(numbers[key] for key in keys))


def indexes(ring: Keyring, kind: str, word: str) -> list[bytes]:
    """The blind indexes of a word, as far as it can be such a key at all."""
    try:
        return list(ring.indexes(kind, word))
    except ValueError:
        return []


def shred(store: Store, numbers: tuple[int, ...]) -> None:
    for number in numbers:
        with store.write() as tx:
            restrictions.restrict(tx, number, until=date(2026, 1, 1), by="li", reason="asked", now=NOW)
        with store.write() as tx:
            restrictions.shred(tx, number, by="wang", reason="asked", waiver="5e" * 32, now=NOW)


def hits(canaries: Canaries, folder: Path, work: Path) -> list[str]:
    """The files of a folder in which any word or index stands: in clear, in hexadecimal, or an index as bytes."""
    words = work / "words"
    hexed = {blind.hex() for blind in canaries.blinds} | {word.encode().hex() for word in canaries.words}
    words.write_text("\n".join(sorted(canaries.words | hexed)) + "\n")
    clear = subprocess.run(
        ["grep", "-r", "-l", "-a", "-F", "-f", str(words), str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"LC_ALL": "C"},
    )
    assert clear.returncode < 2, clear.stderr
    heads = {int.from_bytes(blind[:8], sys.byteorder): blind for blind in canaries.blinds}
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return [*clear.stdout.splitlines(), *(str(path) for path in files if holds(path.read_bytes(), heads))]


def holds(raw: bytes, heads: Mapping[int, bytes]) -> bool:
    """Whether any of these byte strings, by the number that its first eight bytes are, stands anywhere in `raw`."""
    for start in range(8):
        end = len(raw) - (len(raw) - start) % 8
        numbers = memoryview(raw)[start:end].cast("Q") if end > start else ()
        if any(heads[number] in raw for number in heads.keys() & set(numbers)):
            return True
    return False


@pytest.mark.slow
def test_what_is_looked_for_was_there_before(site: Site, tmp_path: Path) -> None:
    """The search itself finds: indexes in the earlier backup's database, words in the back office."""
    backup.unpack(site.earlier, Keyring.load(site.place.folder / "keys.json"), tmp_path / "s", tmp_path / "l", quiet)
    assert any(path.endswith(FILE_NAME) for path in hits(site.canaries, tmp_path / "s", tmp_path))
    assert hits(site.canaries, site.place.folder / "backoffice", tmp_path)


@pytest.mark.slow
def test_the_log_verifies_and_nothing_that_was_in_it_has_changed(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    run(site.place, "audit", "verify")
    after = files_of(site.place.folder / "trail")
    changed = {path for path, raw in site.before.items() if after.get(path) != raw}
    assert all(path == "checkpoint" or ".p/" in path for path in changed), changed
    capsys.readouterr()
    run(site.place, "audit", "verify", "--seen", str(_seen(site)))


def _seen(site: Site) -> Path:
    return site.exports / "earlier" / "checkpoint"


@pytest.mark.slow
@pytest.mark.parametrize(
    "what", ["state", "open", "trail", "heads", "exports", "later backup", "opened sheets", "said"]
)
def test_nothing_of_a_thousand_is_found(site: Site, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "looked-at"
    if what in ("state", "trail", "heads"):
        folder = site.place.folder / what
    elif what == "open":
        folder = site.earlier.parent / "open"
        assert (folder / f"{FILE_NAME}-wal").is_file()
    elif what == "exports":
        folder = site.exports
    elif what == "later backup":
        keys = Keyring.load(site.place.folder / "keys.json")
        backup.unpack(site.later, keys, folder / "state", folder / "log", quiet)
    elif what == "opened sheets":
        folder.mkdir()
        for number, (poll, rule) in enumerate(sheets_of(site.place)):
            run(
                site.place,
                "report",
                "sheet",
                "--poll",
                str(poll),
                "--rule",
                rule,
                "--out",
                str(folder / f"{number}.parquet"),
                *WHO,
            )
        assert any(folder.iterdir())
    else:
        folder.mkdir()
        (folder / "said").write_text(site.said)
        assert site.said
    assert hits(site.canaries, folder, tmp_path) == []


def sheets_of(place: Place) -> list[tuple[int, str]]:
    with closing(sqlite3.connect(place.folder / "state" / FILE_NAME)) as db:
        return list(db.execute("SELECT DISTINCT runs.poll, sheets.rule FROM sheets JOIN runs ON runs.id = sheets.run"))


@pytest.mark.slow
def test_an_earlier_backup_is_unreadable_once_its_key_is_destroyed(site: Site, tmp_path: Path) -> None:
    """Laid out before that, its database is a database without keys: no client's data key opens any more."""
    place = site.place.copy(tmp_path / "installation")
    backup.unpack(site.earlier, Keyring.load(place.folder / "keys.json"), tmp_path / "s", tmp_path / "l", quiet)
    before = keks(place)
    run(place, "keys", "rotate", *WHO)
    run(place, "keys", "rewrap", *WHO)
    run(place, "keys", "shred", before[0], *WHO)
    ring = Keyring.load(place.folder / "keys.json")
    with pytest.raises(SealBroken, match="that key is not here"):
        backup.unpack(site.earlier, ring, tmp_path / "s2", tmp_path / "l2", quiet)
    with pytest.raises(KeyUnusable, match=before[0]):
        Store.open(tmp_path / "s", keyring=ring, node="n1")
    with closing(sqlite3.connect(tmp_path / "s" / FILE_NAME)) as old:
        wrapped = dict(old.execute("SELECT number, kek FROM subjects WHERE data_key IS NOT NULL"))
    assert set(site.canaries.numbers) <= wrapped.keys()
    assert not {bytes(kek) for kek in wrapped.values()} & set(ring.kek_ids())


def keks(place: Place) -> list[str]:
    """The ids of the key-encryption keys in the key file."""
    return [id.hex() for id in Keyring.load(place.folder / "keys.json").kek_ids()]


def quiet(what: str, done: int, whole: int) -> None:
    """Nobody looks."""
