"""A client's data restricted and shredded by two people: what is left leads nowhere, and all that was said still verifies."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select, text

from daemon.cli import main
from daemon.security.keyring import Keyring
from daemon.store import subjects
from daemon.store.tables import metadata, notices
from tests.builders_day import DAY, Place, install, live

LI = ("--by", "li", "--reason", "the client asked")
WANG = ("--by", "wang", "--reason", "the client asked")
WAIVER = ("--waiver", "5e" * 32)


@dataclass(frozen=True)
class Person:
    """A client of the back office that was told something."""

    key: str
    number: int
    phones: frozenset[str]
    contracts: frozenset[str]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = install(tmp_path_factory.mktemp("day") / "installation", clients=120, days=[DAY])
    live(place, DAY)
    return place


@pytest.fixture
def place(lived: Place, tmp_path: Path) -> Place:
    return lived.copy(tmp_path / "installation")


@pytest.fixture
def run(place: Place, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def command(*argv: str) -> tuple[int, str]:
        code = main(["--config", str(place.config), "--lang", "en", *argv])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return command


@pytest.fixture
def person(place: Place) -> Iterator[Person]:
    store = place.store()
    counter = sqlite3.connect(place.folder / "backoffice" / "counter.sqlite")
    try:
        keys = [row[0] for row in counter.execute("SELECT client_id FROM client ORDER BY client_id")]
        with store.read() as tx:
            told = set(tx.execute(select(notices.c.client).where(notices.c.outcome.is_not(None))).scalars())
            told -= set(tx.execute(select(notices.c.client).where(notices.c.outcome.is_(None))).scalars())
            key, number = next((k, n) for k, n in subjects.look_up(tx, "client", keys).items() if n in told)
        phones = {row[0] for row in counter.execute("SELECT mobile FROM client WHERE client_id = ?", (key,))}
        contracts = {
            row[0] for row in counter.execute("SELECT credit_account FROM margin_contract WHERE client_id = ?", (key,))
        }
        yield Person(key, number, frozenset(phones - {None, ""}), frozenset(contracts))
    finally:
        counter.close()
        store.close()


def cells(place: Place) -> set[bytes]:
    """Every bytes value of every table."""
    store = place.store()
    try:
        with store.read() as tx:
            return {
                bytes(value)
                for table in metadata.sorted_tables
                for row in tx.execute(select(table))
                for value in row
                if isinstance(value, bytes)
            }
    finally:
        store.close()


def blinds(place: Place, person: Person) -> set[bytes]:
    ring = Keyring.load(place.folder / "keys.json")
    return {
        *(blind for phone in person.phones for blind in ring.indexes("msisdn", phone)),
        *ring.indexes("client", person.key),
        *(blind for contract in person.contracts for blind in ring.indexes("contract", contract)),
    }


def test_after_shredding_no_index_leads_to_the_client_and_everything_verifies(
    place: Place, person: Person, run: Callable[..., tuple[int, str]]
) -> None:
    wanted = blinds(place, person)
    assert wanted & cells(place)
    shown = json.loads(run("notices", "list", "--json")[1])
    proof = run("report", "completeness", "--day", str(DAY), "--json")
    assert run("clients", "restrict", person.key, "--until", "2026-01-01", *LI)[0] == 0
    code, said = run("clients", "shred", person.key, *WANG, *WAIVER)
    assert code == 0, said
    assert not wanted & cells(place)
    assert run("audit", "verify")[0] == 0
    assert json.loads(run("notices", "list", "--json")[1]) == shown
    for notice in shown:
        code, said = run("notices", "show", notice["id"])
        assert code == 0 and "Traceback" not in said
    after = run("report", "completeness", "--day", str(DAY), "--json")
    assert after[0] == proof[0]
    code, said = run("clients", "consents", person.key)
    assert code == 1 and "no such client" in said
    code, said = run("clients", "shred", f"#{person.number}", *WANG, *WAIVER)
    assert code != 0 and "not restricted" in said


def test_one_person_alone_shreds_nobody(person: Person, run: Callable[..., tuple[int, str]]) -> None:
    code, said = run("clients", "shred", person.key, *WANG, *WAIVER)
    assert code != 0 and "it is not restricted" in said
    assert run("clients", "restrict", person.key, "--until", "2026-01-01", *LI)[0] == 0
    code, said = run("clients", "shred", person.key, "--by", "LI", "--reason", "x", *WAIVER)
    assert code != 0 and "another person" in said


def test_a_hold_the_day_and_the_time_of_keeping_are_in_the_way(
    person: Person, run: Callable[..., tuple[int, str]]
) -> None:
    assert run("clients", "restrict", person.key, *LI)[0] == 0
    assert run("clients", "hold", person.key, *LI)[0] == 0
    code, said = run("clients", "shred", person.key, *WANG)
    assert code != 0
    assert "its day is" in said and "legal hold" in said and "kept until 2044-" in said
    assert run("clients", "release", person.key, "--legal-hold", *WANG)[0] == 0
    assert "legal hold" not in run("clients", "shred", person.key, *WANG)[1]


def test_an_open_obligation_is_in_the_way(place: Place, person: Person, run: Callable[..., tuple[int, str]]) -> None:
    store = place.store()
    with store.write() as tx:
        tx.execute(text("UPDATE notices SET outcome = NULL WHERE client = :n"), {"n": person.number})
    store.close()
    run("clients", "restrict", person.key, "--until", "2026-01-01", *LI)
    code, said = run("clients", "shred", person.key, *WANG, *WAIVER)
    assert code != 0 and "have no outcome yet" in said


def test_a_restricted_client_gets_no_marketing_and_what_must_be_sent_is_sent(
    person: Person, run: Callable[..., tuple[int, str]]
) -> None:
    assert run("clients", "restrict", person.key, *LI)[0] == 0
    said = json.loads(run("clients", "consents", person.key, "--json")[1])
    out = {row["category"]: row["state"] for row in said if row["origin"] == "restricted"}
    assert out == {"education": "out", "marketing": "out"}
    code, told = run("clients", "restrict", person.key, *LI)
    assert code != 0 and "restricted already" in told


def test_a_client_that_nobody_knows_is_a_wrong_use(run: Callable[..., tuple[int, str]]) -> None:
    for key in ("S-nobody", "#99999999", "#x", "#"):
        assert run("clients", "restrict", key, *LI)[0] == 2


def test_the_database_is_written_anew_and_says_the_same(place: Place, run: Callable[..., tuple[int, str]]) -> None:
    shown = run("notices", "list", "--json")
    assert run("clients", "purge", *LI)[0] == 0
    assert run("notices", "list", "--json") == shown
    assert run("audit", "verify")[0] == 0
    _, said = run("audit", "show", "--kind", "access", "--json")
    assert json.loads(said)[0]["data"] == {"by": "li", "reason": "the client asked", "what": "purge"}
