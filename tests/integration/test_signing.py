"""`rules sign`, `verify`, `history`, `stop`, `start` and what `status` says, on an installation as `init` makes it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.activation import Activation
from daemon.cli import main
from daemon.cli.place import now, today
from daemon.compose import rulebook
from daemon.report.diff import difference
from daemon.rules.load import load, read_folder
from daemon.rules.reviews import weak_references
from daemon.security import signerkey
from tests.builders_day import Place
from tests.builders_rules import shipped
from tests.builders_signing import entry, list_bytes, put, signed, statement
from tests.unit.test_diff import notice, simulation

PASSPHRASE = "four words and a number 7"
RULE = "margin/maintenance"
WHO = ("--by", "sun", "--reason", "checked")
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def firm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    """An installation with reviews done today, a list of signers pinned, and a test report."""
    place = Place(tmp_path / "firm")
    assert main(["init", str(place.folder)]) == 0
    for path in (place.folder / "rules" / "parameters").glob("*.yaml"):
        path.write_text(re.sub(r"reviewed_on: \S+", f"reviewed_on: {today()}", path.read_text()))
    main_file = place.config.read_text()
    assert "mutation_score: 0.95" in main_file
    place.config.write_text(main_file.replace("mutation_score: 0.95", "mutation_score: 0"))  # mutants take a minute
    (place.folder / "secret").write_text(PASSPHRASE)
    (place.folder / "secret").chmod(0o600)
    people = {
        "wang": ["author"],
        "li": ["approver"],
        "sun": ["security_administrator"],
        "zhou": ["security_administrator"],
    }
    made = {name: signerkey.make(place.folder / f"{name}.key", PASSPHRASE).public.line for name in people}
    text = "version: 1\nsigners:\n" + "".join(entry(name, roles, line=made[name]) for name, roles in people.items())
    folder = place.folder / "rules" / "approvals" / "signers"
    folder.mkdir(parents=True)
    (folder / "1.yaml").write_text(text)
    capsys.readouterr()
    return place


@pytest.fixture
def run(firm: Place, capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*argv: str) -> tuple[int, str]:
        code = main(["--config", str(firm.config), "--lang", "en", *argv])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return command


def test_report(firm: Place, run: Run) -> str:
    path = firm.folder / "test.json"
    path.write_text(run("rules", "test", "--json")[1])
    return str(path)


test_report.__test__ = False  # type: ignore[attr-defined]


def weak(firm: Place) -> list[str]:
    return [one.reference.id for one in weak_references(load(read_folder(firm.folder)).required())]


def sign(firm: Place, run: Run, name: str, role: str, *more: str, accept: bool = True) -> tuple[int, str]:
    key = ("--key", str(firm.folder / f"{name}.key"), "--passphrase-file", str(firm.folder / "secret"))
    report = ("--test-report", test_report(firm, run))
    said = ("--expires", str(today() + timedelta(days=30)), "--accept", *weak(firm)) if accept else ()
    return run("rules", "sign", "--as", name, "--role", role, *key, *report, *more, *said)


def reload(firm: Place) -> str:
    """What the daemon does at its start and at SIGHUP."""
    from daemon.app_parts import worlds_of

    store = firm.store()
    try:
        return Activation(store, rulebook(firm.settings), worlds_of(store, {})).take(now()).digest
    finally:
        store.close()


def status(run: Run) -> Any:
    return json.loads(run("status", "--json")[1])["rules"]


def test_two_people_sign_and_the_history_says_so(firm: Place, run: Run) -> None:
    assert run("rules", "signers", "init", *WHO)[0] == 0
    code, out = sign(firm, run, "wang", "author")
    assert code == 0, out
    code, out = run("rules", "verify")
    assert (code, "not approved" in out) == (1, True)
    code, out = sign(firm, run, "li", "approver", accept=False)
    assert code == 0, out
    assert run("rules", "verify")[0] == 0
    digest = reload(firm)
    found = status(run)
    assert (found["digest"], found["mode"], found["version"], found["signers"]) == (digest, "signed", 1, 1)
    rows = json.loads(run("rules", "history", "--json")[1])
    assert [row["kind"] for row in rows] == ["rules.signers", "rules.proposed", "rules.signed", "rules.activated"]
    assert rows[1]["reports"]["test"]["headline"]["cases"] > 0
    assert rows[3]["principals"] == ["wang", "li"]
    out = run("rules", "history")[1]
    assert "signed by two" in out
    assert run("rules", "verify") == (0, f"{digest}: active\n")


def test_a_list_is_pinned_once(firm: Place, run: Run) -> None:
    assert run("rules", "signers", "init", *WHO)[0] == 0
    (firm.folder / "rules" / "approvals" / "signers" / "1.yaml").write_bytes(list_bytes())
    code, out = run("rules", "signers", "init", *WHO)
    assert (code, "version 1" in out) == (1, True)
    shown = json.loads(run("rules", "signers", "show", "--json")[1])
    assert {one["name"] for one in shown["signers"]} == {"wang", "li", "sun", "zhou"}


def test_signing_names_everything_that_is_missing(firm: Place, run: Run) -> None:
    run("rules", "signers", "init", *WHO)
    path = firm.folder / "rules" / "parameters" / "ipo.yaml"
    path.write_text(
        path.read_text().replace(f"reviewed_on: {today()}", f"reviewed_on: {today() - timedelta(days=366)}")
    )
    code, out = sign(firm, run, "wang", "author", "--expires", str(today()), accept=False)
    assert code == 1
    assert "a review that was due by" in out
    for name in weak(firm):
        assert f"--accept {name}" in out
    assert not list((firm.folder / "rules" / "approvals").glob("*/*.json"))


@pytest.mark.parametrize(
    ("name", "role", "key", "says"),
    [
        ("li", "author", "li", "signs as approver"),
        ("chen", "approver", "li", "not in version 1"),
        ("li", "approver", "wang", "another signer's"),
    ],
)
def test_signing_looks_at_the_list(firm: Place, run: Run, name: str, role: str, key: str, says: str) -> None:
    run("rules", "signers", "init", *WHO)
    (firm.folder / f"{key}.key").rename(firm.folder / f"{name}.mine")
    (firm.folder / f"{name}.mine").rename(firm.folder / f"{name}.key")
    code, out = sign(firm, run, name, role)
    assert (code, says in out) == (1, True), out


def test_a_report_of_another_set_is_refused(firm: Place, run: Run) -> None:
    run("rules", "signers", "init", *WHO)
    report = test_report(firm, run)
    path = firm.folder / "rules" / "parameters" / "margin.yaml"
    path.write_text(path.read_text() + "# one more line\n")
    expires = ("--expires", str(today()), "--accept", *weak(firm))
    code, out = run("rules", "sign", "--as", "wang", "--role", "author", "--test-report", report, *expires)
    assert (code, "--test-report" in out) == (1, True)


def test_a_change_of_what_is_active_needs_its_difference(firm: Place, run: Run) -> None:
    run("rules", "signers", "init", *WHO)
    sign(firm, run, "wang", "author")
    sign(firm, run, "li", "approver", accept=False)
    old = reload(firm)
    path = firm.folder / "rules" / "parameters" / "margin.yaml"
    path.write_text(path.read_text() + "# one more line\n")
    code, out = sign(firm, run, "wang", "author")
    assert (code, "--diff-report" in out) == (1, True)
    new = load(read_folder(firm.folder)).required().digest
    for before, good in (("0" * 64, False), (old, True)):
        path = firm.folder / "diff.json"
        path.write_text(json.dumps(differing(before, new)))
        code, out = sign(firm, run, "wang", "author", "--diff-report", str(path))
        assert (code == 0) is good, out
    assert "added 1" in out
    changed = json.loads(path.read_text()) | {"sms": []}
    path.write_text(json.dumps(changed))
    code, out = sign(firm, run, "wang", "author", "--diff-report", str(path))
    assert (code, "was changed" in out) == (1, True)
    assert reload(firm) == old


def differing(before: str, after: str) -> dict[str, Any]:
    """The result of a difference in which one client is added."""
    old, new = (
        simulation(name[0], *notices) for name, notices in ((before, [notice(1)]), (after, [notice(1), notice(2)]))
    )
    every = tuple(sorted(shipped().rules))
    return difference(replace(old, digest=before, rules=every), replace(new, digest=after, rules=every))


def test_one_person_stops_a_rule_and_status_shows_it(firm: Place, run: Run) -> None:
    run("rules", "signers", "init", *WHO)
    reload(firm)  # in development mode, as shipped
    code, out = run("rules", "stop", "margin/maintenence", *WHO)
    assert (code, RULE in out) == (2, True)
    assert run("rules", "stop", RULE, *WHO)[0] == 0
    assert run("rules", "stop", RULE, *WHO)[0] == 1
    (stopped,) = status(run)["stopped"]
    assert (stopped["rule"], stopped["by"], stopped["reason"]) == (RULE, "person:sun", "checked")
    assert "stopped rules" in run("status")[1]
    assert run("rules", "start", RULE, *WHO)[0] == 0
    assert status(run)["stopped"] == []


def test_where_sets_are_signed_one_person_starts_nothing(firm: Place, run: Run) -> None:
    run("rules", "signers", "init", *WHO)
    sign(firm, run, "wang", "author")
    sign(firm, run, "li", "approver", accept=False)
    reload(firm)
    run("rules", "stop", RULE, *WHO)
    code, out = run("rules", "start", RULE, *WHO)
    assert (code, "two signatures" in out) == (2, True)
    assert sign(firm, run, "wang", "author", "--start", RULE)[0] == 0
    reload(firm)
    assert status(run)["stopped"]
    assert sign(firm, run, "li", "approver", accept=False)[0] == 0
    reload(firm)
    assert status(run)["stopped"] == []


def test_an_emergency_start_is_loud_on_status(firm: Place, run: Run) -> None:
    calendar = load(read_folder(firm.folder)).required().calendar
    if calendar.last < today() + timedelta(days=12):
        pytest.skip(f"the shipped calendar ends on {calendar.last}: an emergency start would have no end")
    run("rules", "signers", "init", *WHO)
    alone = ("--emergency", "--reason", "the exchange moved a day", "--accept", *weak(firm))
    code, out = sign(firm, run, "li", "approver", *alone, accept=False)
    assert (code, "one to fall back on" in out) == (1, True)
    sign(firm, run, "wang", "author")
    sign(firm, run, "li", "approver", accept=False)
    reload(firm)
    path = firm.folder / "rules" / "parameters" / "margin.yaml"
    path.write_text(path.read_text() + "# one more line\n")
    code, out = sign(firm, run, "li", "approver", *alone, accept=False)
    assert code == 0, out
    digest = reload(firm)
    code, out = run("status")
    assert (code, "EMERGENCY START" in out) == (1, True)
    assert "li alone" in out
    found = status(run)
    assert (found["digest"], found["mode"]) == (digest, "emergency")
    assert found["until"] is not None


def test_without_development_mode_an_unsigned_set_does_not_start(firm: Place, run: Run) -> None:
    run("rules", "signers", "init", *WHO)
    firm.config.write_text(firm.config.read_text().replace("unsigned: allow", "unsigned: refuse"))
    code, out = run("once")
    assert (code, "is not approved: no signature" in out) == (78, True), out
    assert run("rules", "history")[1].count("activated") == 0


def test_an_approver_follows_an_author_of_the_list_only(firm: Place, run: Run) -> None:
    """A statement with a higher version that somebody signed in the author's name is none that the approver takes over."""
    run("rules", "signers", "init", *WHO)
    sign(firm, run, "wang", "author")
    ruleset = load(read_folder(firm.folder)).required()
    forged = statement(ruleset, "author", "wang", version=900, expires=today() + timedelta(days=99))
    put(firm.folder, ruleset.digest, [signed(forged, "me")])
    code, out = sign(firm, run, "li", "approver", accept=False)
    assert code == 0, out
    assert run("rules", "verify")[0] == 0
