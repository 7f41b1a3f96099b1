"""An export: a log that stands alone, as a folder or one tar file, for someone who does not trust us.

    checkpoint  tile/…            the log up to that checkpoint, nothing narrower and nothing later
    schemas/KIND.json             JSON Schema of each kind's `data`
    rules/<digest>                the bytes of each rule set given, named by their SHA-256
    SHA256SUMS                    hashes of schemas, rule sets and procedure
    PROCEDURE.md                  how to verify all this with openssl and sha256sum

Keys are never inside: a verifier key must come another way. What is copied is not verified here; the reader verifies.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from daemon.audit.checkpoint import Checkpoint, parse
from daemon.audit.procedure import PROCEDURE
from daemon.audit.schemas import documents
from daemon.audit.tree import (
    Read,
    bundle_path,
    bundles,
    encode_bundle,
    read_bundle,
    read_tile,
    tile_path,
    tiles,
)


def export_folder(read: Read, out: Path, rule_sets: Mapping[str, bytes]) -> Checkpoint:
    """Write an export of the log that `read` gives into the new folder `out`; `rule_sets` are bytes by digest.

    Raises ValueError when a rule set's bytes are not those of its digest, FileExistsError when `out` exists,
    FileNotFoundError or ValueError when the log itself lacks a file or has one of the wrong length.
    """
    for digest, raw in rule_sets.items():
        if sha256(raw).hexdigest() != digest:
            raise ValueError(f"rule set {digest}: its bytes hash to {sha256(raw).hexdigest()}")
    note = read("checkpoint")
    head = parse(note).checkpoint
    out.mkdir(parents=True)
    _copy_log(read, out, head.size)
    (out / "checkpoint").write_bytes(note)
    others = {f"rules/{digest}": raw for digest, raw in rule_sets.items()}
    for kind, schema in documents().items():
        others[f"schemas/{kind}.json"] = (json.dumps(schema, indent=1, sort_keys=True) + "\n").encode()
    others["PROCEDURE.md"] = PROCEDURE.encode()
    for path, raw in sorted(others.items()):
        _put(out / path, raw)
    sums = "".join(f"{sha256(raw).hexdigest()}  {path}\n" for path, raw in sorted(others.items()))
    (out / "SHA256SUMS").write_text(sums, "utf-8")
    return head


def _copy_log(read: Read, out: Path, size: int) -> None:
    for number, width in bundles(size):
        _put(out / bundle_path(number, width), encode_bundle(read_bundle(read, number, width)))
    for level, number, width in tiles(size):
        _put(out / tile_path(level, number, width), b"".join(read_tile(read, level, number, width)))


def _put(path: Path, raw: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)


def pack(folder: Path, out: Path) -> None:
    """The folder as one tar file: sorted, without owners and times, so that equal exports are equal bytes."""
    with out.open("xb") as target, tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            entry = tarfile.TarInfo(f"{out.name.removesuffix('.tar')}/{path.relative_to(folder).as_posix()}")
            entry.size = path.stat().st_size
            entry.mode = 0o644
            with path.open("rb") as source:
                archive.addfile(entry, source)
