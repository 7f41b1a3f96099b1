"""What a lock pins."""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.utils import canonicalize_name

from tests.files import ROOT

LINE = re.compile(r"^([a-z0-9.-]+(?:\[[a-z,]+\])?)==([^ ;\\]+)( ; [^\\]+)? \\$")
HASH = re.compile(r"^    --hash=sha256:([0-9a-f]{64})( \\)?$")


def _lines(name: str) -> Iterator[tuple[str, str, str]]:
    """(distribution, version, hash) of each hash; every line is a pin, one of its hashes, or a comment."""
    pin = ("", "")
    fresh = False
    for line in (ROOT / name).read_text().splitlines():
        if line.lstrip().startswith("#"):
            continue
        if made := LINE.match(line):
            assert not fresh, f"{name}: {pin[0]} has no hash"
            pin, fresh = (canonicalize_name(made[1].partition("[")[0]), made[2]), True
            continue
        found = HASH.match(line)
        assert found, f"{name}: {line}"
        fresh = False
        yield *pin, found[1]
    assert not fresh


def pinned(name: str) -> dict[str, str]:
    """Version by distribution."""
    return {distribution: version for distribution, version, _ in _lines(name)}


def hashes(name: str) -> dict[str, set[str]]:
    """SHA-256 of the files by distribution."""
    found: dict[str, set[str]] = {}
    for distribution, _, digest in _lines(name):
        found.setdefault(distribution, set()).add(digest)
    return found
