"""What two people sign: which signatures make a set approved, and everything that does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from daemon.rules.approvals import EMERGENCY, Baseline, Judgement, judge, read_statement
from daemon.rules.schema import RuleSet
from daemon.rules.signers import NotApproved, SignerList, accept_next, allowed_signers, read_signers
from daemon.security import sshsig
from daemon.security.sshkey import SK_ED25519, SshKey, string
from daemon.yamlfile import FindingsError
from tests.builders_rules import load_changed, shipped
from tests.builders_signing import PEOPLE, TODAY, approved, entry, key, list_bytes, signed, signers, statement

OLD = "0d" * 32


def other() -> RuleSet:
    return load_changed("rules/parameters/margin.yaml", "value: 1.30", "value: 1.31").required()


def verdict(files: Any, *, who: SignerList | None = None, after: Baseline = Baseline(), day: date = TODAY) -> Judgement:  # noqa: B008
    return judge(shipped(), files, who or signers(), after, day)


def test_an_author_and_another_approver_approve() -> None:
    found = verdict(approved(shipped()))
    assert found.state == "approved"
    assert {one.person for one in found.approvals} == {"wang", "li"}
    assert found.reasons == ()


@pytest.mark.parametrize(
    "people",
    [
        [("author", "wang", "wang")],
        [("approver", "li", "li")],
        [("author", "zhao", "zhao"), ("approver", "zhao", "zhao")],
        [("author", "wang", "wang"), ("approver", "li", "wang")],  # his key under her name
        [("author", "wang", "wang"), ("approver", "Ｗang", "wang")],  # full width: the same name
        [("author", "wang", "wang"), ("approver", "wang", "wang")],  # a role he has not
        [("author", "wang", "wang"), ("approver", "chen", "chen")],  # nobody on the list
        [("author", "wang", "wang"), ("approver", "sun", "sun")],
        [("author", "wang", "wang"), ("author", "zhao", "zhao")],
    ],
)
def test_these_do_not_approve(people: list[tuple[str, str, str]]) -> None:
    files = [signed(statement(shipped(), role, name), with_key) for role, name, with_key in people]
    found = verdict(files)
    assert found.state == "unsigned"
    assert found.reasons


def test_both_sign_one_text() -> None:
    for change in ({"version": 2}, {"expires": date(2024, 6, 30)}, {"accepted": ("FIRM-1",)}, {"test_report": None}):
        files = [
            signed(statement(shipped(), "author", "wang")),
            signed(statement(shipped(), "approver", "li", **change)),
        ]
        assert verdict(files).state == "unsigned"


def test_a_signature_for_another_set_is_none_for_this() -> None:
    assert verdict(approved(other())).state == "unsigned"
    moved = approved(shipped(), set=other().digest)
    assert verdict(moved).state == "unsigned"
    assert "not of" in verdict(moved).reasons[0]


def test_versions_rise_and_follow_what_was_approved_last() -> None:
    after = Baseline(OLD, 4)
    assert verdict(approved(shipped(), version=5, previous=OLD), after=after).state == "approved"
    assert verdict(approved(shipped(), version=4, previous=OLD), after=after).state == "unsigned"
    assert verdict(approved(shipped(), version=5, previous="1d" * 32), after=after).state == "unsigned"
    assert verdict(approved(shipped(), version=5), after=after).state == "unsigned"


def test_what_is_active_says_nothing_against_its_own_signatures() -> None:
    found = verdict(approved(shipped()), after=Baseline(shipped().digest, 1))
    assert (found.state, found.reasons) == ("unsigned", ())


def test_a_set_waits_for_its_day_and_is_over_after_its_last() -> None:
    files = approved(shipped(), effective=date(2024, 2, 5), expires=date(2024, 2, 9))
    states = {day: verdict(files, day=date(2024, 2, day)).state for day in (4, 5, 9, 10)}
    assert states == {4: "waiting", 5: "approved", 9: "approved", 10: "unsigned"}


def test_a_signer_who_has_left_signs_nothing_any_more() -> None:
    left = entry("li", ("approver",), until="2024-01-31")
    who = signers(people={n: r for n, r in PEOPLE.items() if n != "li"}, more=left)
    assert verdict(approved(shipped()), who=who).state == "unsigned"
    assert verdict(approved(shipped()), who=who, day=date(2024, 1, 31)).state == "waiting"


def test_any_changed_byte_of_a_statement_voids_it() -> None:
    author, approver = approved(shipped())
    for raw in (
        approver.raw + b"\n",
        approver.raw.replace(b'"version":1', b'"version":2'),
        approver.raw.replace(b",", b", ", 1),
    ):
        assert verdict([author, replace(approver, raw=raw)]).state == "unsigned"


def test_a_statement_reads_back_as_it_was_made() -> None:
    made = statement(shipped(), "author", "wang", accepted=("FIRM-1",), starts=("margin/maintenance",))
    assert read_statement(made.raw()) == made
    for raw in (
        b"",
        b"[]",
        b"{}",
        b"null",
        made.raw()[:-1],
        made.raw().replace(b'"reason":""', b'"reason":1'),
        b"[" * 50_000,
    ):
        with pytest.raises(NotApproved):
            read_statement(raw)


def emergency(**given: Any) -> Any:
    one_day = {
        "purpose": EMERGENCY,
        "version": 5,
        "previous": OLD,
        "expires": TODAY,
        "reason": "the exchange moved a day",
    }
    role, name = given.pop("role", "approver"), given.pop("name", "li")
    return [signed(statement(shipped(), role, name, **(one_day | given)))]


def test_an_emergency_is_one_approvers_word_on_one_day() -> None:
    after = Baseline(OLD, 4)
    assert verdict(emergency(), after=after).state == "emergency"
    assert verdict(emergency(), after=after, day=date(2024, 2, 2)).state == "unsigned"
    assert verdict(emergency(role="author", name="wang"), after=after).state == "unsigned"
    assert verdict(emergency(reason=" "), after=after).state == "unsigned"
    assert verdict(emergency(expires=date(2024, 2, 5)), after=after).state == "unsigned"
    assert verdict(emergency(), after=replace(after, emergency_used=True)).state == "unsigned"
    assert verdict(emergency(previous=""), after=Baseline()).state == "unsigned"


def test_two_emergencies_are_no_approval() -> None:
    files = emergency() + emergency(role="author", name="wang")
    assert verdict(files, after=Baseline(OLD, 4)).state == "emergency"


def test_one_person_or_key_stands_once_in_a_list() -> None:
    line = key("wang").public.line
    token = SshKey.from_blob(string(SK_ED25519.encode()) + string(key("wang").public.point) + string(b"ssh:")).line
    for more in (entry("ＷANG", ("approver",), line=key("x").public.line), entry("chen", ("approver",), line=line),
                 entry("chen", ("approver",), line=token)):  # fmt: skip
        with pytest.raises(FindingsError):
            signers(more=more)
    for people in ({"wang": ("author", "approver"), "sun": PEOPLE["sun"], "zhou": PEOPLE["zhou"]},
                   {"wang": ("author",), "li": ("approver",), "sun": PEOPLE["sun"]}):  # fmt: skip
        with pytest.raises(FindingsError):
            signers(people=people)


def test_a_mistake_in_a_list_has_its_place() -> None:
    raw = list_bytes().replace(b"roles: [approver]", b"roles: [aprover]").replace(b"ssh-ed25519", b"ssh-rsa", 1)
    with pytest.raises(FindingsError) as wrong:
        read_signers(raw, "1.yaml")
    assert [(f.key, f.line > 0) for f in wrong.value.findings] == [
        ("signers[1].keys", True),
        ("signers[2].roles", True),
    ]


def next_list(by: list[str], version: int = 2, raw: bytes = b"") -> tuple[str, ...]:
    made = raw or list_bytes(version)
    signatures = [sshsig.sign(key(name), "signers@duenotice", made) for name in by]
    return accept_next(signers(), read_signers(made, "2.yaml"), signatures, TODAY)


def test_two_security_administrators_of_the_old_list_make_the_next() -> None:
    assert next_list(["sun", "zhou"]) == ("sun", "zhou")
    for by in ([], ["sun"], ["sun", "sun"], ["sun", "wang"], ["sun", "chen"]):
        with pytest.raises(NotApproved):
            next_list(by)
    with pytest.raises(NotApproved, match="version 3, expected 2"):
        next_list(["sun", "zhou"], version=3)


def test_a_new_list_cannot_vouch_for_itself() -> None:
    people = {"wang": ("author",), "li": ("approver",), "me": PEOPLE["sun"], "myself": PEOPLE["zhou"]}
    with pytest.raises(NotApproved, match="signed by 0"):
        next_list(["me", "myself"], raw=list_bytes(2, people))


def test_a_signature_for_a_set_is_none_for_a_list() -> None:
    raw = list_bytes(2)
    signatures = [sshsig.sign(key(name), "rules@duenotice", raw) for name in ("sun", "zhou")]
    with pytest.raises(NotApproved, match="namespace"):
        accept_next(signers(), read_signers(raw, "2.yaml"), signatures, TODAY)


def test_the_list_for_openssh_has_a_line_a_key() -> None:
    lines = allowed_signers(signers(), "rules@duenotice").splitlines()
    assert len(lines) == len(PEOPLE)
    assert lines[0].startswith(
        'wang namespaces="rules@duenotice",valid-after="20191231160000Z",valid-before="20991231160000Z" ssh-ed'
    )
