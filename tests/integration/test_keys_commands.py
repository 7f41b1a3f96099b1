"""`duenotice keys` on an installation that has lived through a day: the rotation of a year, by commands alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from daemon.cli import main
from daemon.store.tables import messages
from tests.builders_day import DAY, Place, install, live

WHO = ("--by", "zhang", "--reason", "yearly")


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


def keks(run: Callable[..., tuple[int, str]]) -> list[dict[str, Any]]:
    return [key for key in json.loads(run("keys", "status", "--json")[1])["keys"] if key["use"] == "kek"]


def test_a_year_s_rotation_changes_the_algorithm_and_leaves_nothing_under_the_older_key(
    run: Callable[..., tuple[int, str]],
) -> None:
    (old,) = keks(run)
    notices = json.loads(run("notices", "list", "--json")[1])
    shown = run("notices", "show", notices[0]["id"], "--json")
    assert run("keys", "status")[0] == 0
    code, said = run("keys", "rotate", "--alg", "sm4-gcm", *WHO)
    assert code == 0 and "sm4-gcm" in said
    assert run("keys", "status")[0] == 1
    code, said = run("keys", "shred", old["id"], *WHO)
    assert code != 0 and "still wraps" in said
    code, said = run("keys", "rewrap", "--data", *WHO)
    assert code == 0 and "0 keys" not in said and "0 values" not in said
    new, older = keks(run)
    assert new["alg"] == "sm4-gcm" and new["wraps"]["clients"] > 0 and older["wraps"] == {}
    assert run("keys", "shred", old["id"], *WHO)[0] == 0
    assert [key["id"] for key in keks(run)] == [new["id"]]
    assert run("keys", "status")[0] == 0
    assert run("notices", "show", notices[0]["id"], "--json") == shown
    assert run("rules", "replay", "--day", str(DAY))[0] == 0
    assert run("audit", "verify")[0] == 0


def test_a_message_that_nobody_sends_does_not_keep_an_older_key_alive(
    run: Callable[..., tuple[int, str]], lived: Place
) -> None:
    """No daemon runs and one message is long due: the work goes on after a while."""
    with closing(lived.store()) as store, store.write() as tx:
        id = tx.execute(select(messages.c.id).order_by(messages.c.id).limit(1)).scalar_one()
        tx.execute(update(messages).where(messages.c.id == id).values(state="queued", due=1))
    assert run("keys", "rotate", *WHO)[0] == 0
    code, said = run("keys", "rewrap", "--data", *WHO)
    assert code == 0 and "0 keys" not in said
    assert run("keys", "status")[0] == 0


def test_a_key_file_is_never_overwritten(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    assert run("keys", "init", str(file), "--alg", "sm4-gcm")[0] == 0
    made = file.read_bytes()
    code, said = run("keys", "init", str(file))
    assert code == 1 and "never overwritten" in said
    assert file.read_bytes() == made and file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("id", ["", "zz", "00" * 15])
def test_a_key_id_is_32_hexadecimal_digits(run: Callable[..., tuple[int, str]], id: str) -> None:
    assert run("keys", "shred", id, *WHO)[0] == 2


def test_a_key_that_is_not_in_the_file_is_named(run: Callable[..., tuple[int, str]]) -> None:
    code, said = run("keys", "shred", "ab" * 16, *WHO)
    assert code == 1 and "ab" * 16 in said
