"""Proposing and signing a rule set: what a signer says, what bars a signature, where the files lie.

Refused are: a set that does not load or whose cases fail, a report of another set or one that does not come out again, a
change of logic that its cases do not cover, a review that is overdue, a reference of confidence C or D that the signers do
not take over by id, a difference of another pair of sets. An emergency needs no difference and no coverage, but all the
rest. The files:

    rules/approvals/DIGEST/files.sha256                        the listing whose SHA-256 is DIGEST, for `sha256sum -c`
    rules/approvals/DIGEST/VERSION-ROLE-NAME.json, .json.sig   statement and signature
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from daemon.errors import ConfigError, Finding
from daemon.model.values import canonical
from daemon.report.simulated import digest_of
from daemon.rules.approval_files import FOLDER, LISTING
from daemon.rules.approvals import (
    APPROVAL,
    EMERGENCY,
    LANGUAGE,
    NAMESPACE,
    Baseline,
    Report,
    Statement,
    parts_of,
)
from daemon.rules.changes import Change, sufficient
from daemon.rules.digest import listing
from daemon.rules.reviews import not_ok, weak_references
from daemon.rules.schema import RuleSet
from daemon.rules.signers import APPROVER, NotApproved, SignerList, folded
from daemon.rules.testing import Progress, test_report
from daemon.security import sshsig
from daemon.security.signerkey import SignerKey

MAX_REPORT = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wish:
    """What a signer wants to say about a set. Days are those of Asia/Shanghai."""

    role: str
    principal: str
    effective: date
    expires: date
    accepted: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    emergency: bool = False
    reason: str = ""


def statement_of(
    ruleset: RuleSet, wish: Wish, baseline: Baseline, version: int, test: Report | None, diff: Report | None, day: date
) -> Statement:
    """The statement that says it, dated `day`. `version` is that of the set, as its signers count."""
    return Statement(
        purpose=EMERGENCY if wish.emergency else APPROVAL,
        set=ruleset.digest,
        parts=parts_of(ruleset.files),
        language=LANGUAGE,
        version=version,
        previous=baseline.digest,
        effective=wish.effective,
        expires=wish.expires,
        role=wish.role,
        principal=wish.principal,
        signed_on=day,
        accepted=tuple(sorted(set(wish.accepted))),
        starts=tuple(sorted(set(wish.starts))),
        test_report=test,
        diff_report=diff,
        reason=wish.reason,
    )


def obstacles(ruleset: RuleSet, wish: Wish, version: int, baseline: Baseline, day: date) -> list[Finding]:
    """What bars a signature on this day, apart from the reports."""
    found = [
        Finding(
            one.path,
            one.line,
            1,
            f"parameters.{one.parameter}.reviewed_on",
            f"a review that was due by {one.due_on}",
            "a review, before this is signed",
        )
        for one in not_ok(ruleset, day)
        if one.state == "overdue"
    ]
    weak = {one.reference.id: one for one in weak_references(ruleset)}
    for name, one in sorted(weak.items()):
        if name not in wish.accepted:
            what = f"confidence {one.reference.confidence}, used by {', '.join(one.used_by)}"
            allowed = f"a signer who has read it and says so: --accept {name}"
            found.append(Finding("rules/references.yaml", one.reference.line, 1, name, what, allowed))
    found += [
        _said("--accept", name, f"a reference of confidence C or D: {', '.join(sorted(weak)) or 'there is none'}")
        for name in wish.accepted
        if name not in weak
    ]
    found += [
        _said("--start", name, ", ".join(sorted(ruleset.rules))) for name in wish.starts if name not in ruleset.rules
    ]
    if version <= baseline.version:
        found.append(_said("--version", str(version), f"above {baseline.version}"))
    if wish.expires < max(wish.effective, day):
        found.append(_said("--expires", str(wish.expires), f"a day from {max(wish.effective, day)} on"))
    if wish.emergency:
        found += _of_emergency(wish, baseline, day)
    return found


def _of_emergency(wish: Wish, baseline: Baseline, day: date) -> list[Finding]:
    found = []
    if wish.role != APPROVER:
        found.append(_said("--role", wish.role, f"{APPROVER}, for an emergency start"))
    if not wish.reason.strip():
        found.append(_said("--reason", "nothing", "why it cannot wait for a second person"))
    if (wish.effective, wish.expires) != (day, day):
        found.append(_said("--effective, --expires", f"{wish.effective}, {wish.expires}", f"{day}, the day it starts"))
    if not baseline.digest:
        found.append(_said("--emergency", "a store in which no signed set was active", "one to fall back on"))
    if baseline.emergency_used:
        found.append(_said("--emergency", "a second one", "one, until two people have approved a set again"))
    return found


def _said(key: str, found: str, allowed: str) -> Finding:
    return Finding("rules sign", 0, 0, key, found, allowed)


def read_report(path: Path) -> dict[str, Any]:
    """A report's JSON. Raises ConfigError for anything that is no JSON object; OSError passes."""
    if path.stat().st_size > MAX_REPORT:
        raise ConfigError(f"{path}: {path.stat().st_size} bytes, expected at most {MAX_REPORT}")
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise ConfigError(f"{path}: found no JSON, expected a report as --json writes it") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: found JSON of another shape, expected a report as --json writes it")
    return found


def diff_report_of(
    found: Mapping[str, Any], ruleset: RuleSet, baseline: Baseline
) -> tuple[Report | None, list[Finding]]:
    """A difference (report/diff.py) as a statement names it, and why it is none of this change."""
    wrong = []
    try:
        pair = found["before"]["rule_set"], found["after"]["rule_set"]
        clients = {name: len(found["clients"][name]) for name in ("added", "removed", "differently")}
        parts = sum(int(one["after_parts"]) - int(one["before_parts"]) for one in found["sms"])
        late = len(found["deadlines"]["after"])
        days, rules = found["days"], set(found["rules"])
    except (KeyError, TypeError, ValueError):
        return None, [_said("--diff-report", "another document", "the result of `duenotice rules diff --json`")]
    if found.get("digest") != digest_of(found):
        wrong.append(_said("--diff-report", "a result that was changed", "one whose digest is its own"))
    if pair != (baseline.digest, ruleset.digest):
        here = f"{baseline.digest[:12]} to {ruleset.digest[:12]}"
        wrong.append(_said("--diff-report", f"a difference of {str(pair[0])[:12]} to {str(pair[1])[:12]}", here))
    if missing := sorted(set(ruleset.rules) - rules):
        wrong.append(_said("--diff-report", f"a difference without {', '.join(missing)}", "one of all rules"))
    span = f"{days[0]}..{days[-1]}" if days else ""
    return Report(str(found.get("digest")), {"days": span, **clients, "sms_parts": parts, "late": late}), wrong


def may_sign(signers: SignerList, wish: Wish, key: SignerKey | None, day: date) -> None:
    """That the list of signers has this person in this role with this key. Raises NotApproved."""
    mine = [one for one in signers.signers if one.person == folded(wish.principal)]
    if not mine:
        raise NotApproved(f"{wish.principal}: not in version {signers.version} of the signers")
    if wish.role not in mine[0].roles:
        raise NotApproved(f"{wish.principal}: signs as {', '.join(mine[0].roles)}, not as {wish.role}")
    if key is not None and signers.who(key.public, day).person != mine[0].person:
        raise NotApproved(f"key {key.public.fingerprint}: another signer's than {wish.principal}'s")


def write(root: Path, ruleset: RuleSet, said: Statement, key: SignerKey | None) -> Path:
    """Write the statement, and its signature where there is a key; returns the statement's path. A signature beside it that is
    of another statement is removed: it would count for nothing."""
    folder = root / FOLDER / said.set
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / LISTING, listing(ruleset.files))
    path = folder / f"{said.version}-{said.role}-{folded(said.principal)}.json"
    raw = said.raw()
    signature = path.with_name(path.name + ".sig")
    if not path.exists() or path.read_bytes() != raw:
        signature.unlink(missing_ok=True)
        _write(path, raw)
    if key is not None:
        _write(signature, sshsig.sign(key, NAMESPACE, raw))
    return path


def _write(path: Path, raw: bytes) -> None:
    """The whole file or none of it."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(file.name, 0o644)  # noqa: PTH101 - what is signed is public
    os.replace(file.name, path)  # noqa: PTH105


def test_report_of(
    found: Mapping[str, Any],
    ruleset: RuleSet,
    change: Change,
    minimum: Decimal,
    progress: Progress = lambda rule, done, of: None,
) -> tuple[Report | None, list[Finding]]:
    """A test report (rules/testing.py) as a statement names it, and why it is none that may be signed.

    What the change asks for is made again from the set, all mutants for a change of logic, and must be what the report says.
    `minimum`: the mutation score asked for; 0 asks of cases only that they pass.
    """
    wanted = change if minimum else Change()
    mutants = bool(wanted.logic or wanted.values)
    only = wanted.asks_for if mutants and not wanted.logic else None
    made = test_report(ruleset, mutants=mutants, only=only, progress=progress)
    wrong = sufficient(wanted, made, minimum)
    said = {name: value for name, value in found.items() if name != "digest"}
    again = json.loads(made.text())
    if said.get("rule_set") != ruleset.digest or set(said) != set(again):
        wrong.append(
            _said(
                "--test-report", "a report of another set", f"`duenotice rules test --report` of {ruleset.digest[:12]}"
            )
        )
        return None, wrong
    try:
        differs = said != again if made.complete else _without_mutants(said) != _without_mutants(again)
        scores = [Decimal(one["mutants"]["score"]) for one in said["rules"].values() if one["mutants"]]
        cases = sum(int(one["cases"]) for one in said["rules"].values())
    except (KeyError, TypeError, ArithmeticError, AttributeError):
        differs, scores, cases = True, [], 0
    if differs:
        wrong.append(_said("--test-report", "figures that do not come out again", "the report as it was written"))
    score = {"score": str(min(scores))} if scores else {}
    digest = hashlib.sha256(canonical(said).encode()).hexdigest()
    return Report(digest, {"rules": len(again["rules"]), "cases": cases, **score}), wrong


test_report_of.__test__ = False  # type: ignore[attr-defined]


def _without_mutants(report: Mapping[str, Any]) -> dict[str, Any]:
    """Cases and coverage by rule: what a report says whether or not mutants were asked for."""
    return {name: {key: rule[key] for key in ("cases", "failed", "coverage")} for name, rule in report["rules"].items()}
