"""The folder of an evidence: what a person reads, and beside it what a machine checks without this program's store.

    evidence.pdf                      the document
    evidence.json                     the same for machines
    proofs.json                       every record named, with its inclusion proof and the signed head (audit/proofs.py)
    opened/KEY                        the client's commitment key, hexadecimal
    opened/<record id>.<path>         the value to which that record commits under `com[path]`
    rules/<sha256>                    listing and files of every rule set that decided, by their hash
    approvals/<sha256>, .sig          the statements of those who approved it, and their signatures
    SHA256SUMS                        hashes of all of these, as `sha256sum -c` reads them

The commitment key lets whoever has the folder open every commitment to this one client, in the whole log: who hands it over tells
about the client all the same. The verifier key of the log is never inside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from daemon.audit.checkpoint import Checkpoint, VerifierKey, parse
from daemon.audit.proofs import check as check_proofs
from daemon.audit.proofs import prove
from daemon.audit.record import commit
from daemon.audit.tree import Read
from daemon.report.evidence import Evidence, NotPublished
from daemon.rules.digest import listing

SUMS = "SHA256SUMS"
LONGEST = 64 * 1024 * 1024
"""Bytes of a file that is checked."""

_LINE = re.compile(r"([0-9a-f]{64})  ((?:[A-Za-z0-9_-][A-Za-z0-9_.-]*/)?[A-Za-z0-9_-][A-Za-z0-9_.-]*)")
_OPENED = re.compile(r"([0-9A-Za-z]+)\.([a-z.]+)")

NAMES = {1: "sums", 2: "proofs", 3: "opened", 4: "rule sets", 5: "approvals"}


@dataclass(frozen=True, slots=True)
class Check:
    """One numbered check of a folder, and what it found."""

    number: int
    ok: bool
    detail: str

    @property
    def name(self) -> str:
        return NAMES[self.number]


def files_of(evidence: Evidence, read: Read) -> dict[str, bytes]:
    """Path -> bytes of all but the document and its twin for machines. `read` gives the published log. Raises NotPublished where
    that has no proof of a record."""
    indexes = [leaf.index for leaf in evidence.records if leaf.index is not None]
    try:
        proofs = prove(read, indexes)
    except (ValueError, FileNotFoundError) as reason:
        raise NotPublished(f"{reason}, expected each record in the signed log") from None
    files = {"proofs.json": orjson.dumps(proofs, option=orjson.OPT_INDENT_2)}
    files["opened/KEY"] = evidence.commitment_key.hex().encode() + b"\n"
    files |= {f"opened/{one.record}.{one.path}": one.value for one in evidence.opened}
    for rules in evidence.rules:
        files |= {f"rules/{sha256(raw).hexdigest()}": raw for raw in (listing(rules.files), *rules.files.values())}
        for row in rules.approvals:
            files[f"approvals/{row['sha256']}"] = bytes(row["statement"])
            files[f"approvals/{row['sha256']}.sig"] = bytes(row["signature"])
    return files


def head_of(files: Mapping[str, bytes]) -> Checkpoint:
    """The head up to which the proofs of these files go."""
    return parse(orjson.loads(files["proofs.json"])["checkpoint"].encode()).checkpoint


def write(out: Path, files: Mapping[str, bytes]) -> str:
    """Write the files and their sums into the folder `out`; returns the hash of the sums, which names all of them."""
    for path, raw in files.items():
        (out / path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (out / path).write_bytes(raw)
    sums = "".join(f"{sha256(raw).hexdigest()}  {path}\n" for path, raw in sorted(files.items())).encode()
    (out / SUMS).write_bytes(sums)
    return sha256(sums).hexdigest()


def check(folder: Path, keys: Sequence[VerifierKey]) -> tuple[tuple[Check, ...], Checkpoint | None]:
    """Hold a folder against itself and the keys given, which come from elsewhere: the checks in their order, and the signed head
    where it is good. What is not a folder of an evidence is a check that fails, never an exception."""
    files, sums = _files(folder)
    head, records, proofs = _proofs(files, keys)
    rules = [record["set"] for record in records.values() if record["kind"] == "notice" and "set" in record]
    checks = (sums, proofs, _opened(files, records), _rule_sets(files, set(rules)), _approvals(files, records))
    return checks, head


def _files(folder: Path) -> tuple[dict[str, bytes], Check]:
    """The files that the sums name, as far as they have their hashes."""
    try:
        lines = _bytes(folder / SUMS).decode().removesuffix("\n").split("\n")
    except (OSError, UnicodeError, ValueError) as reason:
        return {}, Check(1, False, f"{SUMS}: found none that can be read ({reason}), expected the sums of the folder")
    files: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        given = _LINE.fullmatch(line)
        if given is None:
            return files, Check(1, False, f"{SUMS}:{number}: found {line[:80]!r}, expected a hash, two spaces, a path")
        digest, path = given.groups()
        try:
            raw = _bytes(folder / path)
        except (OSError, ValueError) as reason:
            return files, Check(1, False, f"{path}: found no file that can be read ({reason}), expected one")
        if sha256(raw).hexdigest() != digest:
            return files, Check(1, False, f"{path}: found {sha256(raw).hexdigest()}, expected {digest}")
        files[path] = raw
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    if extra := sorted(there - files.keys() - {SUMS}):
        return files, Check(1, False, f"{extra[0]}: found a file that {SUMS} does not name, expected none")
    return files, Check(1, True, f"{len(files)} files")


def _bytes(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise ValueError("no plain file")
    if path.stat().st_size > LONGEST:
        raise ValueError(f"longer than {LONGEST} bytes")
    return path.read_bytes()


def _proofs(
    files: Mapping[str, bytes], keys: Sequence[VerifierKey]
) -> tuple[Checkpoint | None, dict[str, dict[str, Any]], Check]:
    """The signed head, the proved records by id, the check."""
    try:
        head, records = check_proofs(files.get("proofs.json", b""), keys)
    except ValueError as reason:
        return None, {}, Check(2, False, f"proofs.json: {reason}")
    detail = f"{len(records)} records in the signed log of {head.origin}, {head.size} records"
    return head, {record["id"]: record for record in records.values()}, Check(2, bool(records), detail)


def _opened(files: Mapping[str, bytes], records: Mapping[str, dict[str, Any]]) -> Check:
    try:
        key = bytes.fromhex(files["opened/KEY"].decode().strip())
    except (KeyError, ValueError):
        return Check(3, False, "opened/KEY: found no key in hexadecimal, expected one")
    count = 0
    for path, value in files.items():
        if not path.startswith("opened/") or path == "opened/KEY":
            continue
        named = _OPENED.fullmatch(path.removeprefix("opened/"))
        committed = records.get(named[1], {}).get("com", {}).get(named[2]) if named else None
        if named is None or committed is None or commit(key, named[1], named[2], value) != committed:
            return Check(
                3, False, f"{path}: found bytes to which no proved record commits, expected those it commits to"
            )
        count += 1
    promised = sum(len(record.get("com", {})) for record in records.values())
    return Check(3, True, f"{count} of {promised} values that the records commit to")


def _rule_sets(files: Mapping[str, bytes], digests: set[str]) -> Check:
    """Each set's listing has the digest that the records name, and each file in it is there."""
    for path, raw in files.items():
        if path.startswith("rules/") and path != f"rules/{sha256(raw).hexdigest()}":
            return Check(4, False, f"{path}: found {sha256(raw).hexdigest()}, expected the hash that is its name")
    for digest in sorted(digests):
        if f"rules/{digest}" not in files:
            return Check(4, False, f"rules/{digest}: found no listing of the rule set that a notice names, expected it")
        for line in files[f"rules/{digest}"].decode("utf-8", "replace").splitlines():
            if f"rules/{line[:64]}" not in files:
                return Check(4, False, f"rules/{line[:64]}: found no file {line[66:]}, expected it")
    return Check(
        4, bool(digests), f"{len(digests)} rule sets, {sum(path.startswith('rules/') for path in files)} files"
    )


def _approvals(files: Mapping[str, bytes], records: Mapping[str, dict[str, Any]]) -> Check:
    """Each statement is one that a proved record names. That the signature is its signer's, `ssh-keygen -Y verify` says."""
    named = {record["data"]["statement"] for record in records.values() if "statement" in record["data"]}
    there = [path for path in files if path.startswith("approvals/") and not path.endswith(".sig")]
    for path in there:
        digest = sha256(files[path]).hexdigest()
        if path != f"approvals/{digest}" or digest not in named or f"{path}.sig" not in files:
            return Check(5, False, f"{path}: found a statement that no proved record names, expected one that does")
    return Check(5, True, f"{len(there)} statements" if there else "none: nobody signed these rule sets")
