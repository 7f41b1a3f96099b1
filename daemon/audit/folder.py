"""A log or an export as a folder: its files for `verify`, its sheets, what earlier checkpoints left, and the keys.

Keys come from elsewhere: a key lying in the folder that it vouches for is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from daemon.audit.checkpoint import VerifierKey, parse_vkey
from daemon.audit.tree import HASH_BYTES, WIDTH, Growing, Read, bundle_path, read_bundle, tile_path
from daemon.audit.verify import NAMES, Check, Report, Sheets, verify
from daemon.errors import ConfigError


def folder_reader(folder: Path) -> Read:
    """`read` over a log folder."""

    def read(path: str) -> bytes:
        return (folder / path).read_bytes()

    return read


def sheets_in(folder: Path) -> Sheets:
    """Plain sheets lying in a folder under the `file` that the poll names."""

    def read(sheet: Mapping[str, Any]) -> Iterable[bytes]:
        name = str(sheet.get("file", ""))
        if not name or Path(name).name != name:
            raise FileNotFoundError(name)
        return [(folder / name).read_bytes()]

    return read


def verify_folder(
    folder: Path, keys: Sequence[VerifierKey], *, seen: bytes | None = None, sheets: Sheets | None = None
) -> Report:
    """`verify` over a folder, and with check 3 also the narrower tiles that an earlier checkpoint left behind."""
    report = verify(folder_reader(folder), keys, seen=seen, sheets=sheets)
    if report.head is None or not report.ok:
        return report
    wrong = _left_behind(folder, report.head.size)
    if wrong is None:
        return report
    bad = Check(3, NAMES[3], False, f"{wrong[0]}: not the beginning of the wider one", wrong[1])
    return Report(tuple(bad if check.number == 3 else check for check in report.checks), report.head)


def _left_behind(folder: Path, size: int) -> tuple[str, int] | None:
    """The first narrower file of an incomplete tile or bundle that is not the beginning of the current one."""
    read = folder_reader(folder)
    for level, number, row in Growing.at(read, size).rest():
        raw = b"".join(row)
        for path, width in _narrower(folder, tile_path(level, number), len(row)):
            if read(path) != raw[: width * HASH_BYTES]:
                return path, number * WIDTH ** (level + 1)
    number, width = divmod(size, WIDTH)
    whole = b"".join(len(r).to_bytes(2, "big") + r for r in read_bundle(read, number, width)) if width else b""
    for path, narrow in _narrower(folder, bundle_path(number), width):
        raw = read(path)
        if not whole.startswith(raw) or len(raw) != _length(whole, narrow):
            return path, number * WIDTH
    return None


def _narrower(folder: Path, path: str, width: int) -> list[tuple[str, int]]:
    names = (entry.name for entry in (folder / f"{path}.p").glob("*"))
    return sorted((f"{path}.p/{name}", int(name)) for name in names if name.isdecimal() and int(name) < width)


def _length(bundle: bytes, count: int) -> int:
    """How many bytes the first `count` records of a bundle take."""
    at = 0
    for _ in range(count):
        at += 2 + int.from_bytes(bundle[at : at + 2], "big")
    return at


def read_keys(path: Path, folder: Path) -> tuple[VerifierKey, ...]:
    """The verifier keys of a file, one a line, `#` for remarks. Raises ConfigError when it lies inside the log folder
    that it is to vouch for, or holds no good key."""
    if path.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"{path}: a key must come from elsewhere than the log that it vouches for ({folder})")
    lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    try:
        keys = tuple(parse_vkey(line) for line in lines if line and not line.startswith("#"))
    except ValueError as reason:
        raise ConfigError(f"{path}: {reason}") from None
    if not keys:
        raise ConfigError(f"{path}: no verifier key, expected name+id+key")
    return keys
