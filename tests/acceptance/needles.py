"""Searches bytes for personal data of the sample in every form in which it could have leaked.

A needle is a value as UTF-8 and GBK (GB18030 for what GBK lacks), and each of these as base64 at its three alignments, in both
alphabets, and as hex. The search itself is `grep -F`, so that tens of thousands of needles are one pass.
"""

from __future__ import annotations

import base64
import os
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

SHORTEST_NAME = 3
"""Characters; two-character names are ordinary words."""

COLUMNS = {
    "phone": (("client", "mobile"), ("contact", "address")),
    "name": (("client", "client_name"),),
    "account": (
        ("client", "client_id"),
        ("stock_account", "stock_account"),
        ("stock_account", "fund_account"),
        ("cash_balance_at", "fund_account"),
        ("margin_contract", "credit_account"),
        ("margin_assets", "credit_account"),
    ),
}
"""Where the sample counter holds what must not be found."""


def personal(counter: sqlite3.Connection) -> dict[str, set[str]]:
    """Every phone, name and account of the back office, by kind."""
    found: dict[str, set[str]] = {}
    for kind, places in COLUMNS.items():
        rows = (row[0] for table, column in places for row in counter.execute(f"SELECT {column} FROM {table}"))
        found[kind] = {value for value in rows if value and (kind != "name" or len(value) >= SHORTEST_NAME)}
    return found


@dataclass(frozen=True)
class Form:
    """One way in which a value may stand in bytes. `align`: its offset in base64, None elsewhere."""

    value: str
    raw: bytes
    coding: str
    align: int | None = None


def forms(values: Iterable[str]) -> dict[bytes, Form]:
    """Needle -> what it is a form of."""
    found: dict[bytes, Form] = {}
    for value in values:
        for coding in ("utf-8", "gb18030"):
            raw = value.encode(coding)
            found.setdefault(raw, Form(value, raw, coding))
            found.setdefault(raw.hex().encode(), Form(value, raw, f"hex of {coding}"))
            found.setdefault(raw.hex().upper().encode(), Form(value, raw, f"hex of {coding}"))
            for align in range(3):
                for text in _base64(raw, align):
                    found.setdefault(text, Form(value, raw, f"base64 of {coding}", align))
    return found


def _base64(raw: bytes, align: int) -> Iterator[bytes]:
    """The characters that depend on `raw` alone, when it begins `align` bytes after a group's start."""
    first, end = -(-8 * align // 6), 8 * (align + len(raw)) // 6
    yield base64.b64encode(bytes(align) + raw)[first:end]
    yield base64.urlsafe_b64encode(bytes(align) + raw)[first:end]


def _is_there(form: Form, raw: bytes, at: int) -> bool:
    """Whether base64 at this place decodes to the whole value: at its ends a needle lacks up to six bits of it."""
    if form.align is None:
        return True
    start = at - -(-8 * form.align // 6)
    if start < 0:
        return False
    groups = raw[start : start + 4 * -(-(form.align + len(form.raw)) // 3)]
    try:
        text = base64.b64decode(groups.translate(bytes.maketrans(b"-_", b"+/")) + b"=" * (-len(groups) % 4))
    except ValueError:
        return False
    return text[form.align :].startswith(form.raw)


def search(needles: Mapping[bytes, Form], paths: Iterable[Path], scratch: Path) -> list[str]:
    """What is found where, as sentences; empty when nothing is. Raises AssertionError where nothing can be searched."""
    list_file = scratch / "needles"
    list_file.write_bytes(b"".join(needle + b"\n" for needle in needles))
    argv = ["grep", "-a", "-o", "-b", "-H", "-Z", "-F", "-f", str(list_file), "--", *map(str, paths)]
    done = subprocess.run(argv, capture_output=True, env=os.environ | {"LC_ALL": "C"}, check=False)
    assert done.returncode in (0, 1), done.stderr
    found = []
    for line in done.stdout.splitlines():
        name, _, rest = line.partition(b"\0")
        at, _, needle = rest.partition(b":")
        path, form = Path(os.fsdecode(name)), needles[needle]
        if _is_there(form, path.read_bytes(), int(at)):
            found.append(f"{path.name}:{int(at)}: {form.value!r} as {form.coding}")
    return found
