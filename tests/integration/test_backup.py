"""`duenotice backup`, `restore`: what was committed before is in it, what was changed is refused, nothing is laid over anything."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from daemon import backup
from daemon.cli import main
from daemon.errors import ConfigError, SealBroken, StoreConflict
from daemon.security.keyring import Keyring
from daemon.store import trail
from daemon.store.db import Store
from daemon.store.tables import records
from tests.builders_day import DAY, Place, install, live
from tests.builders_store import NOW, key_file, keyring, new_store

WHO = ("--by", "zhang", "--reason", "nightly")


def quiet(what: str, done: int, whole: int) -> None:
    """Nobody looks."""


def made(store: Store, out: Path, progress: backup.Progress = quiet) -> backup.Manifest:
    log = store.folder / "log"
    return backup.make(store.folder, log, out, keyring(), node="n1", origin="x/log", now=NOW, progress=progress)


def note(store: Store) -> str:
    """One committed record."""
    with store.write() as tx:
        return trail.append(tx, "heartbeat", t=NOW, actor="sys:test", data={"queued": 1})


def ids_in(state: Path) -> set[str]:
    store = Store.open(state, keyring=keyring(), node="n1")
    with store.read() as tx:
        found = set(tx.execute(select(records.c.id)).scalars())
    store.close()
    return found


def test_what_was_committed_before_is_in_a_backup_made_while_others_write(tmp_path: Path) -> None:
    store = new_store(tmp_path / "state")
    before = {note(store) for _ in range(500)}
    during: list[str] = []
    copied, stop = threading.Event(), threading.Event()

    def write() -> None:
        while not stop.is_set():
            during.append(note(store))
            if len(during) == 20:
                copied.set()

    def progress(what: str, done: int, whole: int) -> None:
        if what == "copy":
            assert copied.wait(20), "a writer does not wait for the copy"

    thread = threading.Thread(target=write)
    thread.start()
    try:
        made(store, tmp_path / "one.backup", progress)
    finally:
        stop.set()
        thread.join()
    backup.unpack(tmp_path / "one.backup", keyring(), tmp_path / "again", tmp_path / "log", quiet)
    found = ids_in(tmp_path / "again")
    assert before <= found
    assert found - before < set(during), "the copy is of its beginning, not of its end"
    store.close()


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backup")
    store = new_store(folder / "state")
    for _ in range(2000):
        note(store)
    (folder / "state" / "sheets" / "2024-02").mkdir(parents=True)
    (folder / "state" / "sheets" / "2024-02" / "1-a.sheet").write_bytes(random.Random(1).randbytes(300_000))
    made(store, folder / "one.backup")
    store.close()
    return folder / "one.backup"


def test_it_lays_out_what_was_there_and_only_for_its_owner(sealed: Path, tmp_path: Path) -> None:
    backup.unpack(sealed, keyring(), tmp_path / "again", tmp_path / "log", quiet)
    sheet = tmp_path / "again" / "sheets" / "2024-02" / "1-a.sheet"
    assert sheet.read_bytes() == (sealed.parent / "state" / "sheets" / "2024-02" / "1-a.sheet").read_bytes()
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "again").rglob("*") if path.is_file()} == {0}
    assert sealed.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_no_change_of_a_backup_goes_unseen_and_nothing_of_it_is_laid_out(sealed: Path, tmp_path: Path) -> None:
    raw, rng = sealed.read_bytes(), random.Random(7)
    changed = [raw[: rng.randrange(len(raw))] for _ in range(20)]
    changed += [raw[:-1], raw + b"\0", raw[: len(raw) // 2] + raw[len(raw) // 2 + 65_552 :], b""]
    for _ in range(60):
        at = rng.randrange(len(raw))
        changed.append(raw[:at] + bytes((raw[at] ^ 1 << rng.randrange(8),)) + raw[at + 1 :])
    file = tmp_path / "changed.backup"
    for one in changed:
        file.write_bytes(one)
        with pytest.raises((SealBroken, ConfigError)):
            backup.unpack(file, keyring(), tmp_path / "again", tmp_path / "log", quiet)
        assert [path.name for path in tmp_path.iterdir()] == ["changed.backup"]


def test_a_backup_is_unreadable_without_the_key_that_made_it(sealed: Path, tmp_path: Path) -> None:
    other = Keyring.parse(key_file(keks=("another",)))
    with pytest.raises(SealBroken, match=r"key [0-9a-f]{32}: that key is not here"):
        backup.unpack(sealed, other, tmp_path / "again", tmp_path / "log", quiet)


@pytest.mark.parametrize("keeps_log", [False, True])
def test_the_log_may_lie_inside_the_state_as_it_does_where_nothing_is_configured(
    tmp_path: Path, keeps_log: bool
) -> None:
    store = new_store(tmp_path / "state")
    wanted = note(store)
    (tmp_path / "state" / "log" / "tile").mkdir(parents=True)
    (tmp_path / "state" / "log" / "checkpoint").write_text("then")
    made(store, tmp_path / "one.backup")
    store.close()
    again = tmp_path / "again"
    if keeps_log:
        (again / "log").mkdir(parents=True)
        (again / "log" / "checkpoint").write_text("now")
    backup.unpack(tmp_path / "one.backup", keyring(), again, again / "log", quiet)
    assert wanted in ids_in(again)
    assert (again / "log" / "checkpoint").read_text() == ("now" if keeps_log else "then")


def test_nothing_is_laid_over_a_state_or_a_log_that_is_there(sealed: Path, tmp_path: Path) -> None:
    state, log = tmp_path / "state", tmp_path / "log"
    state.mkdir()
    (state / "x").write_text("kept")
    with pytest.raises(FileExistsError):
        backup.unpack(sealed, keyring(), state, log, quiet)
    assert (state / "x").read_text() == "kept"
    with pytest.raises(FileExistsError):
        backup.make(state, log, sealed, keyring(), node="n1", origin="x/log", now=NOW, progress=quiet)


def test_what_is_unpacked_has_never_been_without_its_mark(sealed: Path, tmp_path: Path) -> None:
    backup.unpack(sealed, keyring(), tmp_path / "again", tmp_path / "log", quiet)
    store = Store.open(tmp_path / "again", keyring=keyring(), node="n1")
    with pytest.raises(ConfigError, match="restore --reconcile"):
        store.lock()
    store.close()


def test_a_backup_that_was_killed_leaves_no_copy_of_the_database_for_long(tmp_path: Path) -> None:
    store = new_store(tmp_path / "state")
    note(store)
    pid = os.fork()
    if not pid:
        made(store, tmp_path / "one.backup", lambda what, done, whole: os.kill(os.getpid(), signal.SIGKILL))
        os._exit(0)
    os.waitpid(pid, 0)
    left = tmp_path / "state" / "backup.tmp"
    assert (left / "duenotice.db").exists() and not (tmp_path / "one.backup").exists()
    made(store, tmp_path / "one.backup")
    assert not left.exists()
    store.close()


def test_two_backups_at_once_do_not_share_a_copy(tmp_path: Path) -> None:
    store = new_store(tmp_path / "state")

    def second(what: str, done: int, whole: int) -> None:
        with pytest.raises(StoreConflict, match="another process works there"):
            made(store, tmp_path / "two.backup")

    made(store, tmp_path / "one.backup", second)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.backup", "state"]
    store.close()


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = install(tmp_path_factory.mktemp("day") / "installation", clients=40, days=[DAY])
    live(place, DAY)
    return place


@pytest.fixture
def run(lived: Place, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def command(*argv: str) -> tuple[int, str]:
        code = main(["--config", str(lived.config), "--lang", "en", *argv])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return command


def test_a_lost_database_by_commands_alone(run: Callable[..., tuple[int, str]], lived: Place, tmp_path: Path) -> None:
    code, said = run("backup", str(tmp_path), *WHO)
    assert code == 0 and "read back" in said, said
    (file,) = tmp_path.iterdir()
    code, said = run("restore", "--drill", str(file), *WHO)
    assert code == 0 and "whole and of this log's history" in said, said
    listed = json.loads(run("notices", "list", "--json")[1])
    state = lived.folder / "state"
    assert run("restore", str(file), *WHO)[0] != 0, "there is a state"
    shutil.move(state, tmp_path / "lost")
    code, said = run("restore", str(file), *WHO)
    assert code == 0 and "does not start before" in said, said
    code, said = run("once")
    assert code == 78 and "restore --reconcile" in said, said
    code, said = run("restore", "--reconcile", *WHO)
    assert code == 0 and "records taken over from the log" in said, said
    assert {n["id"] for n in json.loads(run("notices", "list", "--json")[1])} == {n["id"] for n in listed}
    assert run("audit", "verify")[0] == 0
    kinds = {record["kind"] for record in json.loads(run("audit", "show", "--json")[1])}
    assert {"export", "access"} <= kinds


def test_wrong_use_is_said(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    assert run("restore", *WHO)[0] == 2
    assert run("restore", "x", "--reconcile", *WHO)[0] == 2
    assert run("restore", "x", "--restored", *WHO)[0] == 2
    code, said = run("restore", "--reconcile", *WHO)
    assert code != 0 and "--restored" in said, "nothing shows that this store was restored"
    (tmp_path / "x").write_bytes(b"no backup")
    code, said = run("restore", "--drill", str(tmp_path / "x"), *WHO)
    assert code == 1 and "sealed file" in said
