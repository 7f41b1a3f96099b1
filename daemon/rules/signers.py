"""Who may sign: a list of people with their keys and roles, in versions that follow from one another. Pure.

    rules/approvals/signers/1.yaml                         the first list, pinned by `rules signers init`
    rules/approvals/signers/2.yaml, 2.yaml.NAME.sig        the next one, and its signatures (SSHSIG, `signers@duenotice`)

    version: 2
    signers:
      - name: wang                       # no spaces; one person, one entry
        keys: ["ssh-ed25519 AAAA…"]      # lines of .pub files
        roles: [author]                  # author, approver, security_administrator
        from: 2026-11-01                 # days in Asia/Shanghai, both inclusive
        until: 2027-12-31

A version counts once two security administrators of the version before it have signed its bytes, two people with two keys.
Names are compared after NFKC, case folding and trimming; a key is the same whatever type it is written as.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from daemon.clock import SHANGHAI
from daemon.errors import DueNoticeError, Finding, KeyUnusable
from daemon.security import sshsig
from daemon.security.sshkey import SshKey
from daemon.yamlfile import FindingsError, Reader, load

AUTHOR, APPROVER, ADMINISTRATOR = "author", "approver", "security_administrator"
ROLES = (AUTHOR, APPROVER, ADMINISTRATOR)
NAMESPACE = "signers@duenotice"
NEEDED = 2
"""Security administrators who sign the next list."""
_NAME = re.compile(r"[^\s\x00-\x1f\x7f-\xa0:,*?!\"/\\]{1,64}")


class NotApproved(DueNoticeError):
    """A signature, a list or a set that does not count, and why."""


@dataclass(frozen=True, slots=True)
class Signer:
    """One person of a list. `since` and `until` are days in Asia/Shanghai, both inclusive."""

    name: str
    keys: tuple[SshKey, ...]
    roles: tuple[str, ...]
    since: date
    until: date

    @property
    def person(self) -> str:
        """The name as names are compared."""
        return folded(self.name)


@dataclass(frozen=True, slots=True)
class SignerList:
    """One version of the list; `digest` is the SHA-256 of its bytes."""

    version: int
    digest: str
    signers: tuple[Signer, ...]
    raw: bytes

    def who(self, key: SshKey, day: date) -> Signer:
        """Whose key it is on a day. Raises NotApproved."""
        for signer in self.signers:
            if any(mine.blob == key.blob for mine in signer.keys):
                if not signer.since <= day <= signer.until:
                    raise NotApproved(f"{signer.name}: signs from {signer.since} until {signer.until}, not on {day}")
                return signer
        raise NotApproved(f"key {key.fingerprint}: of nobody in version {self.version} of the signers")


def folded(name: str) -> str:
    """A name as names are compared: NFKC, case folded, trimmed."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


def read_signers(raw: bytes, path: str) -> SignerList:
    """A list by its bytes. Raises FindingsError with every mistake and its place."""
    findings: list[Finding] = []
    r = Reader(load(raw, path), findings)
    version = r.integer("version", 1, 10**6)
    signers = [_signer(each) for each in r.maps("signers", 3)]
    r.done()
    if not findings:
        findings += [Finding(path, 0, 0, "signers", found, allowed) for found, allowed in _clashes(signers)]
    if findings:
        raise FindingsError(findings)
    return SignerList(version, hashlib.sha256(raw).hexdigest(), tuple(signers), raw)


def _signer(r: Reader) -> Signer:
    name = r.text("name", 64)
    if not _NAME.fullmatch(name):
        r.refuse("name", repr(name), 'a name without spaces and : , * ? ! " / \\')
    keys = []
    for line in r.texts("keys"):
        try:
            keys.append(SshKey.from_line(line))
        except KeyUnusable as wrong:
            r.refuse("keys", str(wrong), "the line of a .pub file: Ed25519 or P-256, also of a token")
    roles = r.texts("roles")
    for role in roles:
        if role not in ROLES:
            r.refuse("roles", f"'{role}'", ", ".join(ROLES))
    since, until = r.date("from"), r.date("until")
    if until < since:
        r.refuse("until", str(until), f"a day from {since} on")
    r.done()
    return Signer(name, tuple(keys), roles, since, until)


def _clashes(signers: Sequence[Signer]) -> Iterable[tuple[str, str]]:
    """(found, allowed) of what a list as a whole may not be."""
    people = [signer.person for signer in signers]
    for signer in signers:
        if people.count(signer.person) > 1:
            yield f"'{signer.name}' twice, as names are compared", "each person once"
    points: dict[bytes, str] = {}
    for signer in signers:
        for key in signer.keys:
            if key.point in points:
                yield f"key {key.fingerprint} of {points[key.point]} and {signer.name}", "each key once"
            points[key.point] = signer.name
    for role, least in ((AUTHOR, 1), (APPROVER, 1), (ADMINISTRATOR, NEEDED)):
        count = sum(role in signer.roles for signer in signers)
        if count < least:
            yield f"{count} with the role {role}", f"at least {least}"
    ready = {signer.person for signer in signers if {AUTHOR, APPROVER} & set(signer.roles)}
    if len(ready) < 2:
        yield "one person for author and approver", "two different people"


def accept_next(current: SignerList, found: SignerList, signatures: Sequence[bytes], day: date) -> tuple[str, ...]:
    """The names of the security administrators whose signatures make `found` the list after `current`. Raises NotApproved."""
    if found.version != current.version + 1:
        raise NotApproved(f"signers: version {found.version}, expected {current.version + 1}")
    names: dict[str, str] = {}
    points: set[bytes] = set()
    why = []
    for armored in signatures:
        try:
            key = sshsig.verify(armored, NAMESPACE, found.raw)
            signer = current.who(key, day)
        except (sshsig.NotSigned, NotApproved) as wrong:
            why.append(str(wrong))
            continue
        if ADMINISTRATOR in signer.roles and key.point not in points:
            points.add(key.point)
            names[signer.person] = signer.name
    if len(names) < NEEDED:
        text = f"version {found.version} of the signers: signed by {len(names)} security administrators"
        raise NotApproved("; ".join([f"{text} of version {current.version}, expected {NEEDED}", *why]))
    return tuple(sorted(names.values()))


def allowed_signers(found: SignerList, namespace: str) -> str:
    """The list as `ssh-keygen -Y verify -f` reads it (ssh-keygen(1), ALLOWED SIGNERS), for those who sign rule sets."""
    lines = []
    for signer in found.signers:
        for key in signer.keys:
            # days of Asia/Shanghai as UTC: from 16:00 of the day before, a bound that ssh-keygen reads with a Z
            since, until = _utc(signer.since, 0), _utc(signer.until, 1)
            options = f'namespaces="{namespace}",valid-after="{since}",valid-before="{until}"'
            lines.append(f"{signer.name} {options} {key.line}\n")
    return "".join(lines)


def _utc(day: date, days: int) -> str:
    moment = datetime.combine(day + timedelta(days=days), datetime.min.time(), SHANGHAI)
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%SZ")
