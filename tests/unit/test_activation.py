"""Which rule set is active: signed ones, waiting ones, emergencies, restarts, bad folders, lists of signers, stopped rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.errors import ConfigError, StoreConflict
from daemon.rules.approvals import EMERGENCY
from daemon.store import acts, pages, trail
from tests.builders_signing import PEOPLE, approved, list_bytes, put, put_list, signed, statement
from tests.office import SignedOffice, variant

OLD, NEW, NEWER = variant(0), variant(1), variant(2)
RULE = "margin/maintenance"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[SignedOffice]:
    made = SignedOffice(tmp_path / "office")
    yield made
    made.close()


@pytest.fixture
def running(office: SignedOffice) -> SignedOffice:
    """One whose first set two people signed."""
    sign(office, OLD)
    office.boot()
    return office


def sign(office: SignedOffice, ruleset: Any, **other: Any) -> None:
    given = {**office.following, "effective": office.day, "signed_on": office.day, **other}
    put(office.root, ruleset.digest, approved(ruleset, **given))


def alone(office: SignedOffice, ruleset: Any, name: str = "li", **other: Any) -> None:
    """An emergency statement of one person."""
    day = {"effective": office.day, "expires": office.day, "signed_on": office.day}
    said = {"purpose": EMERGENCY, "reason": "the exchange moved a day", **day, **office.following, **other}
    put(office.root, ruleset.digest, [signed(statement(ruleset, "approver", name, **said))])


def records(office: SignedOffice, kind: str) -> list[Any]:
    with office.store.read() as tx:
        return [record for _, record in trail.of_kind(tx, kind)]


def sentences(office: SignedOffice) -> list[str]:
    with office.store.read() as tx:
        return [row["sentence"] for row in pages.pages_of(tx)]


def test_without_signatures_nothing_starts(office: SignedOffice) -> None:
    with pytest.raises(ConfigError, match="not approved"):
        office.boot()
    assert office.active is None


def test_a_signed_set_is_active_with_the_record_of_who_signed(running: SignedOffice) -> None:
    active = running.active
    assert active is not None
    assert (active.digest, active.mode, active.version) == (OLD.digest, "signed", 1)
    (proposed,), (said,), (done,) = (records(running, f"rules.{k}") for k in ("proposed", "signed", "activated"))
    assert (proposed.actor, said.actor) == ("person:wang", "person:li")
    assert proposed.data["reports"]["test"]["headline"] == {"cases": 10}
    assert done.data["principals"] == ["wang", "li"]
    assert sentences(running) == []


def test_a_restart_and_a_reload_change_nothing(running: SignedOffice) -> None:
    running.later(days=400)  # past the approval's last day
    assert running.boot() == running.reload() == OLD.digest
    assert len(records(running, "rules.activated")) == 1
    assert sentences(running) == []


def test_an_edit_stays_outside_until_two_have_signed(running: SignedOffice) -> None:
    running.write(NEW)
    assert running.reload() == OLD.digest
    assert running.boot() == OLD.digest
    assert any("not approved" in one for one in sentences(running))
    sign(running, NEW)
    assert running.reload() == NEW.digest
    assert sentences(running) == []


def test_going_back_needs_a_new_version(running: SignedOffice) -> None:
    running.write(NEW)
    sign(running, NEW)
    assert running.reload() == NEW.digest
    running.write(OLD)
    assert running.reload() == NEW.digest
    sign(running, OLD)
    assert running.reload() == OLD.digest
    assert running.active is not None
    assert running.active.version == 3


def test_a_set_signed_for_a_later_day_waits_for_it(running: SignedOffice) -> None:
    running.write(NEW)
    sign(running, NEW, effective=running.day + timedelta(days=1))
    assert running.reload() == OLD.digest
    assert any("signed for" in one for one in sentences(running))
    running.later(hours=11)
    assert running.active is not None
    assert running.active.digest == OLD.digest
    running.later(hours=1)  # midnight in Shanghai
    assert running.active.digest == NEW.digest


@pytest.mark.parametrize("what", ["mistake", "link", "gone"])
def test_a_bad_folder_never_changes_what_is_active(running: SignedOffice, what: str) -> None:
    file = running.root / "rules" / "links.yaml"
    raw = file.read_bytes()
    file.unlink()
    if what == "mistake":
        file.write_text("hosts: [x\n")
    elif what == "link":
        elsewhere = running.root / "elsewhere"
        elsewhere.write_bytes(raw)
        file.symlink_to(elsewhere)
    else:
        (running.root / "rules").rename(running.root / "gone")
    assert running.reload() == OLD.digest
    assert running.boot() == OLD.digest
    assert any("unusable" in one for one in sentences(running))


def test_an_error_of_ours_over_a_folder_ends_no_daemon(running: SignedOffice) -> None:
    def breaks(folder: Path) -> Mapping[str, bytes]:
        raise KeyError("fund_cde")

    running.reader = breaks
    assert running.reload() == OLD.digest
    assert running.boot() == OLD.digest
    assert any("unusable" in one for one in sentences(running))


def test_an_unsigned_set_runs_in_development_mode_until_one_was_signed(tmp_path: Path) -> None:
    office = SignedOffice(tmp_path / "office", unsigned=True)
    assert office.boot() == OLD.digest
    assert office.active is not None
    assert office.active.mode == "unsigned"
    sign(office, OLD)
    office.reload()
    assert office.active.mode == "signed"
    office.write(NEW)
    assert office.reload() == office.boot() == OLD.digest
    office.close()


def test_what_development_mode_left_active_does_not_start_without_it(tmp_path: Path) -> None:
    office = SignedOffice(tmp_path / "office", unsigned=True)
    office.boot()
    office.unsigned = False
    with pytest.raises(ConfigError):
        office.boot()
    office.close()


def test_an_emergency_start_is_loud_and_ends_with_the_next_session(running: SignedOffice) -> None:
    running.write(NEW)
    alone(running, NEW)
    assert running.reload() == NEW.digest
    active = running.active
    assert active is not None
    assert (active.mode, active.until) == ("emergency", datetime(2024, 2, 2, 7, tzinfo=UTC))
    assert any("li alone" in one and "the exchange moved a day" in one for one in sentences(running))
    running.later(hours=26.9)
    assert running.boot() == NEW.digest
    running.later(hours=0.1)
    assert running.active is not None
    assert (running.active.digest, running.active.mode) == (OLD.digest, "signed")
    assert any("is over" in one for one in sentences(running))
    assert running.reload() == running.boot() == OLD.digest


def test_an_emergency_ends_also_where_nothing_ran_at_its_end(running: SignedOffice) -> None:
    running.write(NEW)
    alone(running, NEW)
    running.reload()
    running.now += timedelta(days=3)
    assert running.boot() == OLD.digest


def test_one_emergency_until_two_have_signed_again(running: SignedOffice) -> None:
    running.write(NEW)
    alone(running, NEW)
    running.reload()
    running.later(days=4)
    for ruleset, name in ((NEW, "li"), (NEWER, "zhao")):
        running.write(ruleset)
        alone(running, ruleset, name)
        assert running.reload() == OLD.digest
    sign(running, NEWER)
    assert running.reload() == NEWER.digest
    running.write(NEW)
    alone(running, NEW)
    assert running.reload() == NEW.digest


def test_two_signatures_end_an_emergency_for_good(running: SignedOffice) -> None:
    running.write(NEW)
    alone(running, NEW)
    running.reload()
    sign(running, NEW)
    assert running.reload() == NEW.digest
    assert running.active is not None
    assert (running.active.mode, running.active.until) == ("signed", None)


def test_lists_of_signers_follow_one_another(running: SignedOffice) -> None:
    people = {**PEOPLE, "chen": ("approver",)}
    put_list(running.root, 2, list_bytes(2, people), ["sun"])
    running.write(NEW)
    sign(running, NEW, approver="chen")
    assert running.reload() == OLD.digest
    put_list(running.root, 2, list_bytes(2, people), ["sun", "zhou"])
    assert running.reload() == NEW.digest
    (record,) = records(running, "rules.signers")[1:]
    assert (record.data["version"], record.data["principals"]) == (2, ["sun", "zhou"])


def test_the_pinned_list_holds_whatever_lies_in_the_folder(running: SignedOffice) -> None:
    people = {"me": ("author",), "myself": ("approver",), "sun": PEOPLE["sun"], "zhou": PEOPLE["zhou"]}
    put_list(running.root, 1, list_bytes(1, people))
    running.write(NEW)
    sign(running, NEW, author="me", approver="myself")
    assert running.reload() == OLD.digest
    with running.store.write() as tx, pytest.raises(StoreConflict):
        acts.keep_list(tx, 1, "0" * 64, list_bytes(1, people), by=(), actor="person:me", now=running.now)


def test_a_stopped_rule_starts_again_by_two_only(running: SignedOffice) -> None:
    with running.store.write() as tx:
        acts.stop(tx, RULE, by="me", reason="wrong amounts", now=running.now, rule_set=OLD.digest)
    running.reload()
    sign(running, OLD, starts=())
    running.reload()
    assert stopped(running) == {RULE}
    sign(running, OLD, starts=(RULE,))
    running.reload()
    assert stopped(running) == set()
    (record,) = records(running, "rules.started")
    assert record.rule == RULE


def test_an_emergency_lets_a_stopped_rule_run_until_its_end(running: SignedOffice) -> None:
    with running.store.write() as tx:
        acts.stop(tx, RULE, by="me", reason="wrong amounts", now=running.now, rule_set=OLD.digest)
    alone(running, OLD, starts=(RULE,))
    running.reload()
    assert stopped(running) == set()
    running.later(hours=27)
    assert stopped(running) == {RULE}


def test_a_rule_let_run_by_an_emergency_can_be_stopped_again(running: SignedOffice) -> None:
    for _ in range(2):
        with running.store.write() as tx:
            acts.stop(tx, RULE, by="me", reason="wrong amounts", now=running.now, rule_set=OLD.digest)
        alone(running, OLD, starts=(RULE,)) if not records(running, "rules.started") else None
        running.reload()
    assert stopped(running) == {RULE}
    with running.store.write() as tx, pytest.raises(StoreConflict, match="already"):
        acts.stop(tx, RULE, by="me", reason="wrong amounts", now=running.now, rule_set=OLD.digest)


def stopped(office: SignedOffice) -> set[str]:
    with office.store.read() as tx:
        return set(acts.stopped_rules(tx, office.now))
