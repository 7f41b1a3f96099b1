"""Backups made by a process of its own while another one sends, which is then killed: what was acknowledged before a backup is in
it, and after the restore nobody is told twice, by a carrier that honours ids nor by one that is blind.
"""

from __future__ import annotations

import os
import pickle
import shutil
import signal
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from daemon import backup
from daemon.store.db import Store
from daemon.store.tables import notices, records, tasks
from tests.builders_store import keyring
from tests.crash import matrix
from tests.crash.matrix import Case
from tests.fakes import Arrival
from tests.scenarios.plays import LOT
from tests.scenarios.test_restore import ORIGIN, Restored, one_log, quiet, reconciled
from tests.world import DAY, Office, Scenario, at

CLIENTS, STAGES = 60, 3


def fill(office: Office) -> None:
    """Clients who must pay."""
    for number in range(1, CLIENTS + 1):
        client = office.client(number)
        office.won(client, ("", 500, LOT))
        office.cash(client, ("", "1000.00"))


def scenario(carrier: str, file: Path) -> Scenario:
    """All of them are told at one instant of the morning."""
    made = matrix.scenario(carrier, file)
    return Scenario(
        fill, frozenset({"contacts", "consents", "allotments"}), gateway=made.gateway, until=at("18:00"), days=(DAY,)
    )


def acknowledged(state: Path) -> set[str]:
    """The records that a reader sees now."""
    store = Store.open(state, keyring=keyring(), node="reader")
    with store.read() as tx:
        found = set(tx.execute(select(records.c.id)).scalars())
    store.close()
    return found


def requests_at(file: Path) -> int:
    """What the carrier has been asked so far."""
    return pickle.loads(file.read_bytes()).requests if file.exists() else 0


@dataclass
class Made:
    """A backup, what a reader saw before it was begun, and what the carrier had been asked by then."""

    file: Path
    before: set[str]
    requests: int


def made_under_load(case: Case, work: Path, enough: int) -> list[Made]:
    """Backups made one after the other while a process sends; it is killed once the carrier has been asked often enough."""
    pid = os.fork()
    if not pid:
        try:
            now = datetime.fromisoformat((case.folder / "now").read_text())
            Restored(scenario(case.carrier, case.file), case.folder, now).run()
        finally:
            os._exit(1)
    found: list[Made] = []
    try:
        while (asked := requests_at(case.file)) < enough:
            assert os.waitpid(pid, os.WNOHANG) == (0, 0), "it ended before it could be killed"
            one = Made(work / f"{len(found)}.backup", acknowledged(case.folder / "state"), asked)
            backup.make(
                case.folder / "state", case.folder / "trail", one.file, keyring(), node="n1", origin=ORIGIN, now=at("08:00"),
                progress=quiet,
            )  # fmt: skip
            found.append(one)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return found


@pytest.mark.parametrize("carrier", ["honours", "blind"])
def test_nothing_acknowledged_before_a_backup_is_lost_and_nobody_is_told_twice_after_it(
    tmp_path: Path, carrier: str
) -> None:
    matrix.warm(tmp_path / "warm")
    case = Case(carrier, tmp_path / "day")
    case.folder.mkdir()
    Restored.new(scenario(carrier, case.file), case.folder)
    backups = made_under_load(case, tmp_path, enough=CLIENTS)
    while_sending = [one for one in backups if one.requests]
    assert while_sending, "a backup was begun and ended while messages left"
    for number, one in enumerate(backups):
        state = tmp_path / f"looked-at-{number}"
        backup.unpack(one.file, keyring(), state, tmp_path / "no-log", quiet)
        assert one.before <= acknowledged(state)
    far = pickle.loads(case.file.read_bytes())
    far_before = far.requests
    now = datetime.fromisoformat((case.folder / "now").read_text())
    shutil.rmtree(case.folder / "state")
    backup.unpack(while_sending[0].file, keyring(), case.folder / "state", case.folder / "trail", quiet)
    assert reconciled(case.folder, now).outcomes
    again = Restored(scenario(carrier, case.file), case.folder, now, far)
    again.run()
    one_log(case.folder)
    taken = list(again.channel.far.taken.values())
    said = Counter((one.recipient, one.channel, title(one)) for one in taken)
    assert set(said.values()) == {1}, "one card, one text of a stage at most, whatever ids they had"
    assert {len(one.hashes) for one in taken} == {1}, "and no request again"
    assert again.channel.far.requests > far_before, "later stages go as ever"
    told_or_tasked(case.folder, len({(to, what) for to, _, what in said}))


def title(one: Arrival) -> str:
    """What tells the three stages of a payment apart."""
    return one.text.partition("\n")[0]


def told_or_tasked(place: Path, told: int) -> None:
    """Of every client three stages: told, or a person has a task for the notice of which that is not known."""
    store = Store.open(place / "state", keyring=keyring(), node="n1")
    with store.read() as tx:
        asked = set(tx.execute(select(tasks.c.notice).where(tasks.c.notice.is_not(None))).scalars())
        ended = {row.id: row.outcome for row in tx.execute(select(notices.c.id, notices.c.outcome))}
    store.close()
    assert len(ended) == STAGES * CLIENTS and None not in ended.values()
    assert {id for id, outcome in ended.items() if outcome in ("in_doubt", "undeliverable", "expired")} <= asked
    assert STAGES * CLIENTS - told <= len(asked)
