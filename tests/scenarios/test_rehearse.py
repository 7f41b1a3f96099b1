"""A rehearsed day: the promises hold in the worst weather, a seed gives the same day, a broken promise is named."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from daemon import log
from daemon.cli import main
from daemon.demo.driver import Plan
from daemon.rehearse import promises
from daemon.rehearse.network import Network
from daemon.rehearse.play import CarrierHere, play
from daemon.rehearse.promises import Played
from daemon.server import Reply, Request, Route
from daemon.settings_files import load_settings
from daemon.transport import Answer, Lost, NotSent
from tests.builders_day import Place
from tests.files import ROOT

DAY = date(2024, 2, 5)
RANDOM = re.compile(r"[0-9a-f]{32,64}|[0-9A-HJKMNP-TV-Z]{26}")
"""Ids, keys, hashes of sealed bytes: another one on every run."""


def rehearsed(folder: Path, *, clients: int = 150, seed: int = 3, **more: Any) -> Plan:
    log.start("ERROR")
    options: dict[str, Any] = {
        "profile": "worst",
        "repeat": "honour",
        "root": ROOT,
        "say": lambda before, now: None,
    } | more
    return asyncio.run(play(folder, DAY, clients=clients, seed=seed, **options))


def looked_at(plan: Plan) -> Played:
    settings = load_settings(plan.folder / "config" / "duenotice.yaml")
    store = Place(plan.folder).store()
    return promises.read_day(plan, settings, store)


def normalised(leaf: Mapping[str, Any]) -> str:
    """A record without what is drawn anew on every run."""
    kept = {key: leaf[key] for key in ("t", "kind", "actor", "client", "rule", "data") if key in leaf}
    if leaf["kind"] == "poll":  # sheets are salted
        kept["data"] = {key: value for key, value in leaf["data"].items() if key != "sheets"}
    data = dict(kept["data"])
    data.pop("boot", None)
    return RANDOM.sub("*", json.dumps(kept | {"data": data}, sort_keys=True))


class SlowCallbacks(Network):
    """Lets everything else in the loop go first, many times, before a receipt comes in."""

    async def post(self, url: str, **more: Any) -> Answer:
        if "/callbacks/" in url:
            for _ in range(1000):
                await asyncio.sleep(0)
        return await super().post(url, **more)


class SlowReceipts(CarrierHere):
    """The same carrier, whose receipts are slow to come in."""

    network_of = SlowCallbacks


@pytest.mark.slow
def test_every_promise_holds_on_the_worst_day_and_a_seed_gives_the_same_one(tmp_path: Path) -> None:
    """Also where a receipt and a timer of one instant are as far apart as they can be in real time."""
    days = []
    for name, carrier in (("one", CarrierHere), ("two", SlowReceipts)):
        day = looked_at(rehearsed(tmp_path / name, clients=400, carrier_of=carrier))
        assert promises.broken(day) == {name: [] for _, name, _ in promises.PROMISES}
        days.append(Counter(map(normalised, day.leaves)))
        day.store.close()
    assert days[0] == days[1], list((days[0] - days[1]).items())[:3]
    other = looked_at(rehearsed(tmp_path / "three", clients=400, seed=4))
    assert Counter(map(normalised, other.leaves)) != days[0], "another seed is another day"
    other.store.close()


class Doubling(CarrierHere):
    """Says that it honours ids, and does not."""

    async def start(self) -> None:
        await super().start()
        await self.tell("weather", {"repeat": "ignore", "faults": {"lost": 0.5}})


@pytest.mark.slow
def test_a_carrier_that_breaks_its_word_is_named(tmp_path: Path) -> None:
    day = looked_at(rehearsed(tmp_path / "doubling", carrier_of=Doubling))
    found = promises.broken(day)
    day.store.close()
    assert any("reached its handset 2 times" in sentence for sentence in found["One obligation, one outcome"]), found


def test_what_is_not_as_promised_is_said(tmp_path: Path) -> None:
    """Each check, on a day that was tampered with afterwards."""
    plan = rehearsed(tmp_path / "day", profile="calm", clients=100)
    day = looked_at(plan)
    assert not any(promises.broken(day).values())
    with day.store.write() as tx:
        tx.execute(text("UPDATE notices SET outcome = NULL WHERE id = (SELECT min(id) FROM notices)"))
        tx.execute(
            text("UPDATE notices SET outcome = 'in_doubt', served = 'no' WHERE id = (SELECT max(id) FROM notices)")
        )
        tx.execute(text("DELETE FROM tasks"))
        arrived = text(
            "SELECT id, notice FROM messages WHERE state = 'delivered' AND role = 'client' ORDER BY id LIMIT 2"
        )
        (one, _), (_, notice) = tx.execute(arrived).all()
        tx.execute(text("UPDATE messages SET notice = :n, generation = 9 WHERE id = :i"), {"n": notice, "i": one})
        tx.execute(text("UPDATE sheets SET sha256 = :s"), {"s": "0" * 64})
    recipient = next(request["recipient"] for request in day.requests if request["recipient"])
    (plan.folder / "state" / "note.txt").write_text(f"to {recipient}")
    day.leaves[:] = [leaf for leaf in day.leaves if leaf["kind"] != "attempt"]
    found = promises.broken(day)
    day.store.close()
    assert "has no outcome" in found["One obligation, one outcome"][0]
    assert f"notice {notice}: 2 messages to client arrived" in found["One obligation, one outcome"][1]
    assert any("expected 0000" in sentence for sentence in found["Rules are config"])
    assert found["Nothing is silent"]
    assert any("no person had a task by then" in sentence for sentence in found["In time, or a person knows"])
    assert any("no earlier attempt" in sentence for sentence in found["Provable"])
    assert found["Sealed"] == ["note.txt holds a recipient's number in clear"]


def test_the_command_prints_outcomes_and_promises(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--lang", "en", "rehearse", "--day", str(DAY), "--clients", "100", "--json"]
    assert main(argv) == 0
    found = json.loads(capsys.readouterr().out)
    assert {rule["rule"] for rule in found["rules"]} == {"ipo/payment", "margin/maintenance"}
    assert set(found["broken"]) == {name for _, name, _ in promises.PROMISES} and not any(found["broken"].values())
    assert found["again"].startswith(f"duenotice rehearse --day {DAY} --faults worst --seed 1 --clients 100")
    assert main(["rehearse", "--day", "2024-02-04"]) == 2, "no session"
    assert main(["rehearse", "--day", str(DAY), "--keep", str(tmp_path)]) == 2


async def test_the_network_keeps_what_a_fault_does_to_a_connection() -> None:
    async def answer(request: Request) -> Reply:
        return (
            Reply(cut=True)
            if request.params["what"] == "cut"
            else Reply(200, request.body, {"X-A": request.params["what"]})
        )

    network = Network()
    listening = await network.listen([Route("POST", "/a/{what}", answer)], "127.0.0.1", 0)
    url, sent = f"http://127.0.0.1:{listening.port}", []
    found = await network.post(f"{url}/a/b%20c", headers={}, body=b"x", timeout=1, on_sent=lambda: sent.append(1))
    assert (found.status_code, found.body, found.headers, sent) == (200, b"x", {"x-a": "b c"}, [1])
    assert (await network.post(f"{url}/a/b/c", headers={}, body=b"", timeout=1)).status_code == 404
    with pytest.raises(Lost):
        await network.post(f"{url}/a/cut", headers={}, body=b"", timeout=1)
    await listening.stop()
    with pytest.raises(NotSent):
        await network.post(f"{url}/a/b", headers={}, body=b"", timeout=1)
