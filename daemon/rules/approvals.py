"""What two people sign, and whether what is there is enough to activate a rule set. Pure.

A statement is one line of canonical JSON without a line feed: the digests of all that decides, which set it follows, from
when, until when it may be activated, who says so in which role, and the reports they saw. It is signed with SSHSIG in the
namespace `rules@duenotice`, so that `ssh-keygen -Y verify` checks it and `ssh-keygen -Y sign`, a FIDO token included, makes
it. Two statements approve a set when they say the same in all but `role`, `principal` and `signed_on`, one by an author and
one by an approver: two people, two keys. An emergency is one statement of an approver; when it ends is not the signer's
choice (`activation.py`).

A signature says what its key's owner may on the day of activation: a signer who has left, or a statement past `expires`,
activates nothing any more. What is active stays so.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

from daemon.model.values import canonical
from daemon.rules.digest import digest
from daemon.rules.load import SORTS, sort_of
from daemon.rules.schema import RuleSet
from daemon.rules.signers import APPROVER, AUTHOR, NotApproved, SignerList, folded
from daemon.security import sshsig
from daemon.security.sshkey import SshKey
from daemon.yamlfile import parse_date

NAMESPACE = "rules@duenotice"
APPROVAL, EMERGENCY = "duenotice/rule-approval/v1", "duenotice/rule-emergency/v1"
LANGUAGE = 1
"""Version of the language of rules (LANGUAGE.md): a set is approved in the meaning that it had."""
MAX_VERSION = 10**9
LONGEST = 64 * 1024
_OWN = ("role", "principal", "signed_on")
"""What differs between two statements of one approval."""
_HASH = re.compile(r"[0-9a-f]{64}")


def parts_of(files: Mapping[str, bytes]) -> dict[str, str]:
    """Sort of file -> digest of the files of that sort (`digest.py`), so that a signer sees which sort has changed."""
    found: dict[str, dict[str, bytes]] = {}
    for path, raw in files.items():
        found.setdefault(sort_of(path)[0], {})[path] = raw
    return {sort: digest(some) for sort, some in sorted(found.items())}


@dataclass(frozen=True, slots=True)
class Report:
    """A report that the signer saw: SHA-256 of its canonical JSON, and its headline figures by name."""

    digest: str
    headline: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {"digest": self.digest, "headline": dict(self.headline)}


@dataclass(frozen=True, slots=True)
class Statement:
    """What one person signs. `previous`: the set that two people last approved, '' for the first; `version` rises with
    every activation; `effective`, `expires`: first and last day (Asia/Shanghai) on which it may be activated;
    `accepted`: references of confidence C or D, by id; `starts`: stopped rules that it starts again; `reason`: of an
    emergency, why."""

    purpose: str
    set: str
    parts: Mapping[str, str]
    language: int
    version: int
    previous: str
    effective: date
    expires: date
    role: str
    principal: str
    signed_on: date
    accepted: tuple[str, ...]
    starts: tuple[str, ...]
    test_report: Report | None
    diff_report: Report | None
    reason: str

    def to_json(self) -> dict[str, Any]:
        """By name, as it is signed."""
        made: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        made |= {name: made[name].isoformat() for name in ("effective", "expires", "signed_on")}
        made |= {name: list(made[name]) for name in ("accepted", "starts")}
        made |= {name: made[name] and made[name].to_json() for name in ("test_report", "diff_report")}
        return made | {"parts": dict(self.parts)}

    def raw(self) -> bytes:
        """The bytes that are signed."""
        return canonical(self.to_json()).encode()

    def core(self) -> str:
        """What both statements of an approval say alike."""
        return canonical({name: value for name, value in self.to_json().items() if name not in _OWN})


def read_statement(raw: bytes) -> Statement:
    """A statement by its bytes, which must be exactly those that `raw()` gives. Raises NotApproved."""
    if len(raw) > LONGEST:
        raise NotApproved(f"statement: {len(raw)} bytes, expected at most {LONGEST}")
    try:
        found = json.loads(raw)
        made = _statement(found)
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError) as wrong:
        raise NotApproved(f"statement: no statement ({type(wrong).__name__}: {wrong})") from None
    if made.raw() != raw:
        raise NotApproved("statement: other bytes than its canonical JSON")
    return made


def _statement(found: Mapping[str, Any]) -> Statement:
    """Raises ValueError, TypeError, KeyError, AttributeError for anything of another shape."""
    if set(found) != {f.name for f in fields(Statement)}:
        raise ValueError(f"keys {', '.join(sorted(found))}")
    days = {name: parse_date(found[name]) for name in ("effective", "expires", "signed_on")}
    effective, expires, signed_on = days["effective"], days["expires"], days["signed_on"]
    if effective is None or expires is None or signed_on is None or expires < effective:
        raise ValueError("effective, expires, signed_on: expected days, the end not before the start")
    for name in ("principal", "reason"):
        if type(found[name]) is not str:
            raise TypeError(f"{name}: expected text")
    if found["purpose"] not in (APPROVAL, EMERGENCY) or found["role"] not in (AUTHOR, APPROVER):
        raise ValueError("purpose or role of another program")
    if not _HASH.fullmatch(found["set"]) or not (found["previous"] == "" or _HASH.fullmatch(found["previous"])):
        raise ValueError("set, previous: expected SHA-256 in hex")
    if not all(sort in SORTS and _HASH.fullmatch(value) for sort, value in found["parts"].items()):
        raise ValueError("parts: expected sorts of files and their digests")
    version, language = found["version"], found["language"]
    if type(version) is not int or type(language) is not int or not 1 <= version <= MAX_VERSION:
        raise ValueError(f"version: expected 1 to {MAX_VERSION}")
    reports = [_report(found[name]) for name in ("test_report", "diff_report")]
    names = [tuple(_text(each) for each in found[name]) for name in ("accepted", "starts")]
    return Statement(
        found["purpose"], found["set"], found["parts"], language, version, found["previous"], effective, expires,
        found["role"], found["principal"], signed_on, names[0], names[1], reports[0], reports[1], found["reason"],
    )  # fmt: skip


def _text(found: Any) -> str:
    if type(found) is not str:
        raise TypeError("expected a list of names")
    return found


def _report(found: Any) -> Report | None:
    if found is None:
        return None
    if set(found) != {"digest", "headline"} or not _HASH.fullmatch(found["digest"]):
        raise ValueError("report: expected its digest and headline figures")
    if not all(type(value) in (int, str) for value in found["headline"].values()):
        raise TypeError("report: expected whole numbers and texts as headline figures")
    return Report(found["digest"], found["headline"])


@dataclass(frozen=True, slots=True)
class SignedFile:
    """A statement and a signature as they lie in `rules/approvals/`, under the file's name."""

    name: str
    raw: bytes
    armored: bytes


@dataclass(frozen=True, slots=True)
class Approval:
    """A statement whose signature is that of the person it names, in a role that the person has. `digest`: SHA-256 of the
    statement's bytes."""

    statement: Statement
    person: str
    key: SshKey
    file: SignedFile

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.file.raw).hexdigest()


def read_approval(file: SignedFile, signers: SignerList, day: date) -> Approval:
    """Who said it, by the list of signers on a day. Raises NotApproved."""
    statement = read_statement(file.raw)
    try:
        key = sshsig.verify(file.armored, NAMESPACE, file.raw)
    except sshsig.NotSigned as wrong:
        raise NotApproved(str(wrong)) from None
    signer = signers.who(key, day)
    if folded(statement.principal) != signer.person:
        raise NotApproved(f"signed with the key of {signer.name}, names {statement.principal!r}")
    if statement.role not in signer.roles:
        raise NotApproved(f"{signer.name} signs as {statement.role}, may sign as {', '.join(signer.roles)}")
    return Approval(statement, signer.person, key, file)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a new approval must follow: digest and version of the set that two people last approved ('', 0 before the
    first), and whether an emergency start has been used since."""

    digest: str = ""
    version: int = 0
    emergency_used: bool = False


STATES = ("approved", "waiting", "emergency", "unsigned")


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a set may be activated: 'approved', 'waiting' (from `statement.effective` on), 'emergency', or 'unsigned'
    with what speaks against each signature there is."""

    state: str
    statement: Statement | None
    approvals: tuple[Approval, ...]
    reasons: tuple[str, ...]


def judge(
    ruleset: RuleSet, files: Iterable[SignedFile], signers: SignerList | None, baseline: Baseline, day: date
) -> Judgement:
    """What the signatures for a rule set are worth on a day (Asia/Shanghai)."""
    files = tuple(files)
    if signers is None:
        none = "no list of signers is pinned in this store (`duenotice rules signers init`)"
        return Judgement("unsigned", None, (), (none,) if files else ())
    good, reasons = _good(ruleset, files, signers, baseline, day)
    complete = sorted(_pairs([one for one in good if one.statement.purpose == APPROVAL]), key=_order)
    for pair in reversed(complete):
        state = "approved" if pair[0].statement.effective <= day else "waiting"
        return Judgement(state, pair[0].statement, pair, tuple(reasons))
    for one in good:
        if one.statement.purpose == EMERGENCY:
            if not (why := _no_emergency(one.statement, baseline, day)):
                return Judgement("emergency", one.statement, (one,), tuple(reasons))
            reasons.append(f"{one.file.name}: {why}")
    if good and not complete:
        roles = ", ".join(sorted(f"{one.person} as {one.statement.role}" for one in good))
        reasons.append(f"signed by {roles}; expected an author and an approver, two people with two keys, of one text")
    return Judgement("unsigned", None, tuple(good), tuple(reasons))


def _good(
    ruleset: RuleSet, files: Iterable[SignedFile], signers: SignerList, baseline: Baseline, day: date
) -> tuple[list[Approval], list[str]]:
    """The statements that count for this set now, and what is wrong with the others."""
    good: list[Approval] = []
    reasons = []
    parts = parts_of(ruleset.files)
    for file in files:
        try:
            found = read_approval(file, signers, day)
            if ruleset.digest == baseline.digest and found.statement.version <= baseline.version:
                continue  # what made it active, or did so before
            _fits(found.statement, ruleset.digest, parts, baseline, day)
        except NotApproved as wrong:
            reasons.append(f"{file.name}: {wrong}")
            continue
        good.append(found)
    return good, reasons


def _fits(statement: Statement, set_digest: str, parts: Mapping[str, str], baseline: Baseline, day: date) -> None:
    """Raises NotApproved where a statement is of another set, another order of sets, or over."""
    if statement.set != set_digest or dict(statement.parts) != dict(parts):
        raise NotApproved(f"of rule set {statement.set[:12]}, not of {set_digest[:12]}")
    if statement.language != LANGUAGE:
        raise NotApproved(f"of version {statement.language} of the language, expected {LANGUAGE}")
    if statement.version <= baseline.version:
        raise NotApproved(f"version {statement.version}, expected above {baseline.version}")
    if statement.previous != baseline.digest:
        was, now = statement.previous[:12] or "nothing", baseline.digest[:12] or "nothing"
        raise NotApproved(f"follows {was}, expected what two people last approved: {now}")
    if statement.expires < day:
        raise NotApproved(f"could be activated until {statement.expires}, it is {day}")


def _pairs(good: Sequence[Approval]) -> Iterable[tuple[Approval, Approval]]:
    """Author and approver of one text: two people, two keys."""
    for author in good:
        if author.statement.role != AUTHOR:
            continue
        for approver in good:
            if (
                approver.statement.role == APPROVER
                and approver.statement.core() == author.statement.core()
                and approver.person != author.person
                and approver.key.point != author.key.point
            ):
                yield author, approver


def _order(pair: tuple[Approval, Approval]) -> tuple[Any, ...]:
    """The newest version last, what may be activated sooner behind what waits."""
    statement = pair[0].statement
    return (statement.version, -statement.effective.toordinal(), pair[0].digest, pair[1].digest)


def _no_emergency(statement: Statement, baseline: Baseline, day: date) -> str:
    """Why an emergency statement starts nothing; '' where it does."""
    if statement.role != APPROVER:
        return "an emergency is an approver's"
    if not baseline.digest:
        return "an emergency needs a set that two people approved, to fall back on"
    if baseline.emergency_used:
        return "an emergency start was used since two people last approved a set"
    if not statement.reason.strip():
        return "an emergency needs a reason"
    if not statement.effective <= day or statement.effective != statement.expires:
        return f"an emergency starts on the one day it names, {statement.effective}; it is {day}"
    return ""
