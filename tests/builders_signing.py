"""Signers for tests: keys made from names, lists of signers, statements signed with any key under any name."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from daemon.rules.approvals import APPROVAL, LANGUAGE, NAMESPACE, Report, SignedFile, Statement, parts_of
from daemon.rules.schema import RuleSet
from daemon.rules.signers import SignerList, read_signers
from daemon.security import sshsig
from daemon.security.signerkey import SignerKey

TODAY = date(2024, 2, 1)
PEOPLE = {
    "wang": ("author",),
    "li": ("approver",),
    "zhao": ("author", "approver"),
    "sun": ("security_administrator",),
    "zhou": ("security_administrator",),
}


@functools.cache
def key(name: str) -> SignerKey:
    """The key of a name; always the same."""
    return SignerKey(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest()))


def entry(
    name: str, roles: Sequence[str], *, line: str = "", since: str = "2020-01-01", until: str = "2099-12-31"
) -> str:
    """One entry of a list of signers."""
    head = f'  - name: {name}\n    keys: ["{line or key(name).public.line}"]\n'
    return head + f"    roles: [{', '.join(roles)}]\n    from: {since}\n    until: {until}\n"


def list_bytes(version: int = 1, people: Mapping[str, Sequence[str]] = PEOPLE, more: str = "") -> bytes:
    """A list of signers, each with the key of their name."""
    text = f"version: {version}\nsigners:\n" + "".join(entry(name, roles) for name, roles in people.items())
    return (text + more).encode()


def signers(version: int = 1, **more: Any) -> SignerList:
    """The same, read."""
    return read_signers(list_bytes(version, **more), "signers/1.yaml")


def statement(ruleset: RuleSet, role: str, principal: str, **other: Any) -> Statement:
    """A statement about a set as `rules sign` makes the first one of a store, but for what is given."""
    report = Report("a" * 64, {"cases": 10})
    given = {
        "purpose": APPROVAL, "set": ruleset.digest, "parts": parts_of(ruleset.files), "language": LANGUAGE, "version": 1,
        "previous": "", "effective": TODAY, "expires": date(2024, 12, 31), "role": role, "principal": principal,
        "signed_on": TODAY, "accepted": (), "starts": (), "test_report": report, "diff_report": None, "reason": "",
    }  # fmt: skip
    return Statement(**(given | other))


def signed(said: Statement, with_key: str = "") -> SignedFile:
    """A statement signed with the key of its principal, or of another name."""
    made = sshsig.sign(key(with_key or said.principal), NAMESPACE, said.raw())
    return SignedFile(f"{said.role}-{said.principal}.json", said.raw(), made)


def approved(ruleset: RuleSet, *, author: str = "wang", approver: str = "li", **other: Any) -> list[SignedFile]:
    """What two people sign for a set."""
    roles = (("author", author), ("approver", approver))
    return [signed(statement(ruleset, role, name, **other)) for role, name in roles]


def put(root: Path, digest: str, files: Sequence[SignedFile]) -> None:
    """Write statements and signatures where the daemon looks for them."""
    folder = root / "rules" / "approvals" / digest
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file.name).write_bytes(file.raw)
        (folder / f"{file.name}.sig").write_bytes(file.armored)


def put_list(root: Path, version: int, raw: bytes, by: Sequence[str] = ()) -> None:
    """Write a list of signers with the signatures of these people."""
    folder = root / "rules" / "approvals" / "signers"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{version}.yaml").write_bytes(raw)
    for name in by:
        (folder / f"{version}.yaml.{name}.sig").write_bytes(sshsig.sign(key(name), "signers@duenotice", raw))
