"""A database that is lost and restored from a backup of any earlier moment: nothing leaves before it is held against the log,
nothing is told twice by a gateway that would double a repeat, no obligation is forgotten, and there is one log.
"""

from __future__ import annotations

import pickle
import random
import shutil
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from daemon import backup
from daemon.audit.checkpoint import VerifierKey
from daemon.audit.folder import verify_folder
from daemon.errors import ConfigError
from daemon.heads import HeadStore
from daemon.reconcile import Reconciled, reconcile
from daemon.store import acts, consents, trail
from daemon.store.consents import Said
from daemon.store.tables import notices, tasks
from tests.builders_store import keyring
from tests.crash import matrix
from tests.crash.matrix import Life
from tests.fakes import FarSide
from tests.world import Store, at, make_world, shipped

ORIGIN = "test.example/trail"


class Restored(Life):
    """A life after a restore: what the log tells and the rows lack is known to differ, and is not looked for here."""

    def _prove(self) -> None:
        """Left to the test."""


def lived(folder: Path, steps: set[int]) -> Life:
    """A life of the crash matrix's day over a gateway that doubles what is repeated, copied after these steps."""
    scenario = matrix.scenario("blind", folder / "far")
    play = Life.new(scenario, folder)
    play.wanted = steps.__contains__
    play.run()
    return play


def restore(crashed: Path, copy: Path, work: Path) -> Path:
    """The folder as it crashed, its database that of a backup made of `copy`."""
    file = work / "one.backup"
    backup.make(
        copy / "state", copy / "trail", file, keyring(), node="n1", origin=ORIGIN, now=at("08:00"), progress=quiet
    )
    place = work / "restored"
    shutil.copytree(crashed, place)
    shutil.rmtree(place / "state")
    backup.unpack(file, keyring(), place / "state", place / "trail", quiet)
    return place


def quiet(what: str, done: int, whole: int) -> None:
    """Nobody looks."""


def opened(place: Path) -> Store:
    return Store.open(place / "state", keyring=keyring(), node="n1")


def reconciled(place: Path, now: datetime, **more: Any) -> Reconciled:
    store = opened(place)
    world = make_world(store, shipped().required(), {})
    lock = store.lock(restoring=True)
    try:
        heads = HeadStore(place / "heads" / "heads.db")
        return reconcile(
            store, place / "trail", heads, ORIGIN, lambda digest: world, by="ops", reason="disk lost", now=now, **more
        )
    finally:
        lock.release()
        store.close()


def one_log(place: Path) -> None:
    """The log verifies but for sheets that are lost, and no size has had two heads."""
    keys = [VerifierKey(ORIGIN, key.public) for key in keyring().signing_keys]
    assert verify_folder(place / "trail", keys).ok
    with sqlite3.connect(place / "heads" / "heads.db") as db:
        sizes = [size for (size,) in db.execute("SELECT size FROM past")]
    assert len(sizes) == len(set(sizes))


def told_or_in_hand(place: Path, far: FarSide) -> None:
    """Every client of the day has been told, or a person has a task for it."""
    told = {one.recipient for one in far.taken.values()}
    store = opened(place)
    with store.read() as tx:
        asked = set(tx.execute(select(tasks.c.notice).where(tasks.c.closed_at.is_(None))).scalars())
        unserved = select(notices.c.id).where(notices.c.outcome.in_(("in_doubt", "undeliverable", "expired")))
        assert set(tx.execute(unserved).scalars()) <= asked
        waiting = tx.execute(select(tasks.c.id).where(tasks.c.notice.is_not(None))).all()
    store.close()
    assert len(told) == 3 or waiting


def case(tmp_path: Path, number: int, rng: random.Random, copies: list[tuple[Path, FarSide, datetime]]) -> str:
    """One restore: a backup of one moment, a crash at a later one."""
    first, second = sorted(rng.sample(range(len(copies)), 2))
    (old, _, _), (crashed, far, now) = copies[first], copies[second]
    work = tmp_path / f"case-{number}"
    work.mkdir()
    place = restore(crashed, old, work)
    life = Restored(matrix.scenario("blind", place / "far"), place, now, far.copy())
    (place / "far").write_bytes(pickle.dumps(life.far))
    requests = life.far.requests
    with pytest.raises(ConfigError, match="restore --reconcile"):
        life.run()
    assert life.far.requests == requests, "nothing is sent before"
    found = reconciled(place, now)
    again = Restored(matrix.scenario("blind", place / "far"), place, now, far.copy())
    again.run()
    doubled = [one for one in again.channel.far.taken.values() if one.times > 1]
    assert not doubled, (first, second, doubled)
    one_log(place)
    told_or_in_hand(place, again.channel.far)
    shutil.rmtree(work)
    return ", ".join(found.outcomes)


@pytest.mark.slow
def test_fifty_restores_of_random_older_states_tell_nobody_twice(tmp_path: Path) -> None:
    rng = random.Random(20260101)
    whole = lived(tmp_path / "whole", set())
    wanted = set(rng.sample(range(1, whole.steps), 30))
    play = lived(tmp_path / "play", wanted)
    copies = [(one.folder, one.far, one.now) for one in play.copies]
    assert len(copies) == 30
    seen = {case(tmp_path, number, rng, copies) for number in range(50)}
    assert len(seen) > 1, "some restores had something to close"


def test_what_people_stopped_after_the_backup_stays_stopped(tmp_path: Path) -> None:
    play = lived(tmp_path / "play", set())
    shutil.copytree(tmp_path / "play", tmp_path / "old")
    store = opened(tmp_path / "play")
    with store.write() as tx:
        acts.stop(tx, "margin/call", by="owner", reason="figures are wrong", now=at("18:30"), rule_set=None)
        consents.take_over(tx, [Said(1, "marketing", "*", consents.OUT)], origin="uplink", now=at("18:30"))
    store.close()
    publish(play)
    place = restore(tmp_path / "play", tmp_path / "old", tmp_path)
    found = reconciled(place, play.now)
    assert (found.stopped, found.refusals) == (("margin/call",), 1)
    store = opened(place)
    with store.read() as tx:
        assert acts.stopped_rules(tx, play.now) == {"margin/call"}
        assert consents.consents_of(tx, [1]) == {1: {("marketing", "*"): "out"}}
    store.close()


def brought_back(tmp_path: Path) -> Life:
    """A life whose state folder is replaced by a copy of an earlier moment, not by `restore`."""
    scenario = matrix.scenario("blind", tmp_path / "play" / "far")
    play = Life.new(scenario, tmp_path / "play")
    play.wanted = {40}.__contains__
    play.run()
    (old,) = play.copies
    shutil.rmtree(tmp_path / "play" / "state")
    shutil.copytree(old.folder / "state", tmp_path / "play" / "state")
    return play


def test_a_copy_brought_back_otherwise_is_held_against_the_log_before_anything_leaves(tmp_path: Path) -> None:
    play = brought_back(tmp_path)
    requests = play.far.requests
    shutil.copytree(play.folder, tmp_path / "tried")
    tried = Restored(play.scenario, tmp_path / "tried", play.now, play.far.copy())
    with pytest.raises(ConfigError, match="restore --reconcile"):
        tried.run()

    def killed(done: int, whole: int) -> None:
        if done == whole:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reconciled(play.folder, play.now, progress=killed)
    again = Restored(play.scenario, play.folder, play.now, play.far.copy())
    with pytest.raises(ConfigError, match="restore --reconcile"):
        again.run()
    sent = tried.far.requests, again.far.requests
    assert sent == (requests, requests), "its records are complete, what they tell of is not yet known"
    assert reconciled(play.folder, play.now).outcomes
    again = Restored(play.scenario, play.folder, play.now, play.far.copy())
    again.run()
    assert {one.times for one in again.channel.far.taken.values()} == {1}


def test_a_store_that_nobody_restored_is_left_alone_unless_a_person_says_so(tmp_path: Path) -> None:
    play = lived(tmp_path / "play", set())
    with pytest.raises(ConfigError, match=r"not behind the log.*--restored"):
        reconciled(tmp_path / "play", play.now)
    Restored(play.scenario, play.folder, play.now, play.far).run()
    assert reconciled(tmp_path / "play", play.now, restored_otherwise=True).records == 0


def test_records_that_had_their_index_and_were_not_published_keep_it(tmp_path: Path) -> None:
    """The log's folder was full when the database was copied."""
    play = lived(tmp_path / "play", set())
    store = opened(tmp_path / "play")
    with store.write() as tx:
        trail.append(tx, "heartbeat", t=play.now, actor="sys:test", data={"queued": 1})
    source = trail.TrailStore(store)
    source.assign([(row, source.size() + n) for n, (row, _) in enumerate(source.unpublished(100))])
    size = source.size()
    store.close()
    place = restore(tmp_path / "play", tmp_path / "play", tmp_path)
    assert reconciled(place, play.now).records == 0
    Restored(play.scenario, place, play.now, play.far).run()
    one_log(place)
    store = opened(place)
    assert trail.TrailStore(store).size() > size
    store.close()


def publish(play: Life) -> None:
    """What waits in the store of a life that is over."""
    from daemon.publish import Publisher
    from daemon.store.trail import TrailStore

    store = opened(play.folder)
    heads = HeadStore(play.folder / "heads" / "heads.db")
    publisher = Publisher(play.folder / "trail", heads, keyring(), ORIGIN, TrailStore(store))
    while publisher.publish():
        pass
    store.close()
