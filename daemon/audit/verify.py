"""Numbered checks over a log, live or exported, given the verifier keys. Needs no database and no network.

    1 head       the checkpoint is well formed and signed by a key given
    2 entries    every record, re-hashed, is the hash in its tile of level 0
    3 tiles      every tile above is what the tiles below give
    4 root       the root over all re-hashed records is the signed one
    5 records    every record is canonical, of a known kind, by its schema
    6 causes     every cause is a record earlier in the log
    7 sheets     every sheet that a poll names has the hash that it names (skipped when no sheets are given)
    8 ids        no id occurs twice
    9 seen       a head seen earlier is the beginning of this log (skipped when none is given)
   10 beside     rule sets, schemas and procedure of an export have the hashes in SHA256SUMS, rule sets also the hash that
                 is their name (skipped for a live log, which has none)

Each says ok, not ok with the first bad index, or skipped. Without a head kept elsewhere the verdict is never
"complete": whoever holds the signing key can sign a shorter log. One pass, bundle by bundle; memory is the tree's edge
and the set of ids, about 130 bytes a record. `folder.py` gives the files and the keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeAlias

from daemon.audit.checkpoint import Checkpoint, VerifierKey, open_checkpoint, parse
from daemon.audit.record import parse as parse_record
from daemon.audit.tree import (
    EMPTY_ROOT,
    WIDTH,
    Growing,
    Read,
    bundle_path,
    bundles,
    read_bundle,
    read_tile,
    tile_path,
)
from daemon.errors import SealBroken

NAMES = {
    1: "head", 2: "entries", 3: "tiles", 4: "root", 5: "records", 6: "causes", 7: "sheets", 8: "ids", 9: "seen",
    10: "beside",
}  # fmt: skip

SUMS = "SHA256SUMS"
_SUM = re.compile(r"([0-9a-f]{64})  ((?:[A-Za-z0-9_][A-Za-z0-9_.-]*/)*[A-Za-z0-9_][A-Za-z0-9_.-]*)")
"""A line of it. Paths stay inside the export."""

Sheets: TypeAlias = Callable[[Mapping[str, Any]], Iterable[bytes] | None]
"""Gives the plain bytes of the sheet that an entry of a poll's `data.sheets` names, in pieces; None when it is past its
`keep:`. Raises FileNotFoundError when it should be there and is not, SealBroken when it does not open."""


@dataclass(frozen=True, slots=True)
class Check:
    """One numbered check. `ok` is None when it was skipped; `first_bad` is the index of the first bad record."""

    number: int
    name: str
    ok: bool | None
    detail: str
    first_bad: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` found. `head` is None when the checkpoint could not be read."""

    checks: tuple[Check, ...]
    head: Checkpoint | None

    @property
    def ok(self) -> bool:
        return all(check.ok is not False for check in self.checks)

    @property
    def complete(self) -> bool:
        """Good, and a head seen earlier is contained."""
        return self.ok and any(check.number == 9 and check.ok for check in self.checks)

    @property
    def first_bad(self) -> int | None:
        """The lowest bad index that any check names."""
        return min((check.first_bad for check in self.checks if check.first_bad is not None), default=None)

    @property
    def verdict(self) -> str:
        if not self.ok:
            return "broken"
        return "complete" if self.complete else "consistent; completeness not proven"


class _Findings:
    """Per check: how many findings, and the first."""

    def __init__(self) -> None:
        self._first: dict[int, tuple[str, int | None]] = {}
        self._count: dict[int, int] = {}

    def bad(self, number: int, detail: str, index: int | None = None) -> None:
        self._count[number] = self._count.get(number, 0) + 1
        known = self._first.get(number)
        if known is None or (index is not None and (known[1] is None or index < known[1])):
            self._first[number] = (detail, index)

    def check(self, number: int, good: str, skipped: bool = False) -> Check:
        if number not in self._first:
            return Check(number, NAMES[number], None if skipped else True, good)
        detail, index = self._first[number]
        more = f" (and {self._count[number] - 1} more)" if self._count[number] > 1 else ""
        return Check(number, NAMES[number], False, detail + more, index)


def verify(
    read: Read, keys: Sequence[VerifierKey], *, seen: bytes | None = None, sheets: Sheets | None = None
) -> Report:
    """Run all checks over the log that `read` gives. `seen` is a signed checkpoint kept from earlier."""
    found = _Findings()
    head = _head(read, keys, found)
    if head is None:
        return _without_head(found)
    earlier = None if seen is None else _seen(seen, keys, head, found)
    walk = _Walk(read, head, found, sheets, None if earlier is None else earlier.size)
    whole = walk.run()
    if whole and walk.tree.root() != head.root:
        found.bad(4, f"root of the records is {walk.tree.root().hex()}, signed is {head.root.hex()}")
    if not whole:
        found.bad(4, f"root not computed: {walk.tree.size} of {head.size} records could be read")
    if earlier is not None and earlier.size <= head.size and walk.earlier_root != earlier.root:
        found.bad(9, f"the first {earlier.size} records are not those of the head seen earlier")
    beside = _beside(read, found)
    return Report((*_checks(found, head, walk, sheets is None, earlier), beside), head)


def _beside(read: Read, found: _Findings) -> Check:
    """Check 10: what an export holds beside the log."""
    try:
        sums = read(SUMS).decode("utf-8", "replace")
    except FileNotFoundError:
        return found.check(10, "none: not an export", skipped=True)
    lines = sums.removesuffix("\n").split("\n")
    for number, line in enumerate(lines, 1):
        given = _SUM.fullmatch(line)
        if given is None:
            found.bad(10, f"{SUMS}:{number}: found {line[:80]!r}, expected a hash, two spaces, a path")
            continue
        digest, path = given.groups()
        try:
            actual = sha256(read(path)).hexdigest()
        except FileNotFoundError:
            actual = "no file"
        if actual != digest:
            found.bad(10, f"{path}: found {actual}, expected {digest}")
        elif path.startswith("rules/") and path != f"rules/{actual}":
            found.bad(10, f"{path}: found {actual}, expected the hash that is its name")
    if lines != sorted(lines, key=lambda line: line.partition("  ")[2]) or not sums.endswith("\n"):
        found.bad(10, f"{SUMS}: found lines out of order or an end without a line feed")
    return found.check(10, f"{len(lines)} files")


def _checks(
    found: _Findings, head: Checkpoint, walk: _Walk, no_sheets: bool, earlier: Checkpoint | None
) -> tuple[Check, ...]:
    given = "none given" if no_sheets else f"{walk.hashed} hashed, {walk.expired} past their keep"
    seen = "none given; completeness not proven" if earlier is None else f"contains the head of {earlier.size} records"
    return (
        found.check(1, f"{head.origin}, {head.size} records, signed"),
        found.check(2, f"{walk.records} records re-hashed"),
        found.check(3, f"{walk.tiles} tiles above the records"),
        found.check(4, head.root.hex()),
        found.check(5, f"{walk.records} records"),
        found.check(6, f"{walk.caused} causes"),
        found.check(7, f"{walk.named} sheets named, {given}", no_sheets and walk.named > 0),
        found.check(8, f"{len(walk.ids)} ids"),
        found.check(9, seen, earlier is None),
    )


def _without_head(found: _Findings) -> Report:
    rest = (Check(number, NAMES[number], None, "not run: there is no head") for number in range(2, 11))
    return Report((found.check(1, ""), *rest), None)


def _head(read: Read, keys: Sequence[VerifierKey], found: _Findings) -> Checkpoint | None:
    """The checkpoint; one that is only unsigned is still used, so that the other checks can say more."""
    try:
        note = read("checkpoint")
    except FileNotFoundError:
        found.bad(1, "there is no checkpoint")
        return None
    try:
        return open_checkpoint(note, keys)
    except ValueError as reason:
        found.bad(1, str(reason))
    try:
        return parse(note).checkpoint
    except ValueError:
        return None


def _seen(note: bytes, keys: Sequence[VerifierKey], head: Checkpoint, found: _Findings) -> Checkpoint | None:
    try:
        earlier = open_checkpoint(note, keys)
    except ValueError as reason:
        found.bad(9, f"the head seen earlier: {reason}")
        return None
    if earlier.origin != head.origin:
        found.bad(9, f"the head seen earlier is of {earlier.origin}, this log is {head.origin}")
    if earlier.size > head.size:
        found.bad(9, f"the head seen earlier has {earlier.size} records, this log only {head.size}", head.size)
    return earlier


class _Walk:
    """The one pass over bundles and tiles."""

    def __init__(
        self, read: Read, head: Checkpoint, found: _Findings, sheets: Sheets | None, earlier: int | None
    ) -> None:
        self._read, self._found, self._sheets = read, found, sheets
        self._size, self._earlier = head.size, earlier
        self.earlier_root: bytes | None = EMPTY_ROOT if earlier == 0 else None
        self.tree = Growing(self._tile)
        self.ids: set[str] = set()
        self._changed: list[int] = []
        """The first record of each bundle that is not the one in its tile: a hash above it is wrong for that, from there on."""
        self.records = self.tiles = self.caused = self.named = self.hashed = self.expired = 0

    def run(self) -> bool:
        """Whether every bundle, or at least its tile, could be read."""
        for number, width in bundles(self._size):
            base = number * WIDTH
            records = self._bundle(number, width)
            hashes = None if records is None else [sha256(b"\x00" + record).digest() for record in records]
            claimed = self._level_0(number, width)
            if hashes is not None and claimed is not None and hashes != claimed:
                wrong = next(i for i in range(width) if hashes[i] != claimed[i])
                self._found.bad(2, f"record {base + wrong} does not hash to what its tile says", base + wrong)
                self._changed.append(base + wrong)
            if (leaves := hashes or claimed) is None:
                return False
            self._append(leaves)
            self._meaning(base, records or [])
        for level, number, row in self.tree.rest():
            self._tile(level, number, row)
        return True

    def _bundle(self, number: int, width: int) -> list[bytes] | None:
        try:
            return read_bundle(self._read, number, width)
        except (FileNotFoundError, ValueError) as reason:
            self._found.bad(2, f"{bundle_path(number, width)}: {_text(reason)}", number * WIDTH)
            return None

    def _level_0(self, number: int, width: int) -> list[bytes] | None:
        try:
            return read_tile(self._read, 0, number, width)
        except (FileNotFoundError, ValueError) as reason:
            self._found.bad(2, f"{tile_path(0, number, width)}: {_text(reason)}", number * WIDTH)
            return None

    def _append(self, leaves: list[bytes]) -> None:
        append, earlier = self.tree.append, self._earlier
        if earlier is None or not self.tree.size < earlier <= self.tree.size + len(leaves):
            for leaf in leaves:
                append(leaf)
            return
        for leaf in leaves:
            append(leaf)
            if self.tree.size == earlier:
                self.earlier_root = self.tree.root()

    def _tile(self, level: int, number: int, row: list[bytes]) -> None:
        """Compare a computed tile with the file; level 0 has been compared with the records already."""
        if level == 0:
            return
        self.tiles += 1
        first = number * WIDTH * WIDTH**level
        try:
            claimed = read_tile(self._read, level, number, len(row))
        except (FileNotFoundError, ValueError) as reason:
            self._found.bad(3, f"{tile_path(level, number, len(row))}: {_text(reason)}", first)
            return
        if claimed != row:
            wrong = next(i for i in range(len(row)) if claimed[i] != row[i])
            place, span = first + wrong * WIDTH**level, WIDTH**level
            place = next((index for index in self._changed if place <= index < place + span), place)
            self._found.bad(3, f"{tile_path(level, number, len(row))}: hash {wrong} is wrong", place)

    def _meaning(self, base: int, records: list[bytes]) -> None:
        ids, bad = self.ids, self._found.bad
        for index, raw in enumerate(records, base):
            try:
                leaf = parse_record(raw)
            except ValueError as reason:
                bad(5, f"record {index}: {reason}", index)
                continue
            id = leaf["id"]
            cause = leaf.get("cause")
            if cause is not None:
                self.caused += 1
                if cause not in ids:
                    bad(6, f"record {index}: its cause {cause} is not earlier in the log", index)
            if id in ids:
                bad(8, f"record {index}: the id {id} has occurred before", index)
            ids.add(id)
            if leaf["kind"] == "poll":
                self._poll(index, leaf["data"].get("sheets", ()))
        self.records += len(records)

    def _poll(self, index: int, named: Iterable[Mapping[str, Any]]) -> None:
        for sheet in named:
            self.named += 1
            if self._sheets is not None:
                self._sheet(index, sheet)

    def _sheet(self, index: int, sheet: Mapping[str, Any]) -> None:
        assert self._sheets is not None
        label = f"record {index}: sheet {sheet.get('file', sheet['sha256'])} of rule {sheet['rule']}"
        digest = sha256()
        try:
            pieces = self._sheets(sheet)
            if pieces is None:
                self.expired += 1
                return
            for piece in pieces:
                digest.update(piece)
        except FileNotFoundError:
            self._found.bad(7, f"{label} is not there", index)
            return
        except SealBroken as reason:
            self._found.bad(7, f"{label}: {reason}", index)
            return
        self.hashed += 1
        if digest.hexdigest() != sheet["sha256"]:
            self._found.bad(7, f"{label} hashes to {digest.hexdigest()}, recorded is {sheet['sha256']}", index)


def _text(reason: Exception) -> str:
    return "missing" if isinstance(reason, FileNotFoundError) else str(reason)
