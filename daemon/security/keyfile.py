"""The key file's bytes: its form, reading it safely, writing it whole.

JSON, at most 64 kB, mode 0600 or stricter (or inside the service's credentials folder), owned by the reader or root; the
first entry of each list is the primary, the others are readers::

    {"v":1,
     "keks":   [{"id":"<32 hex>","alg":"aes-256-gcm","key":"<base64, 32 bytes>"}],      sm4-gcm: 16 bytes
     "index":  [{"id":"<32 hex>","alg":"hmac-sha256","key":"<base64, 32 bytes>"}],      or hmac-sm3
     "signing":[{"id":"<32 hex>","alg":"ed25519","key":"<base64 seed, 32 bytes>"}]}

A change is written beside the file and renamed over it, both synced: a crash leaves the old file or the new one. Anything
wrong raises KeyUnusable, which names a key's id and never its bytes. What the keys mean is `keyring.py`.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import stat
from pathlib import Path
from typing import Any, TypeAlias

from daemon.errors import KeyUnusable
from daemon.security.envelope import KEY_ID_BYTES

MAX_FILE_BYTES = 65_536
LISTS = ("keks", "index", "signing")

Entry: TypeAlias = tuple[bytes, str, bytes]
"""Id, algorithm, secret."""


def new_entry(alg: str, size: int) -> Entry:
    """A random key of `size` bytes with a random id."""
    return os.urandom(KEY_ID_BYTES), alg, os.urandom(size)


def to_bytes(lists: dict[str, list[Entry]]) -> bytes:
    """The file that says `lists`; the inverse of `parse`."""
    document = {"v": 1} | {
        name: [
            {"id": id.hex(), "alg": alg, "key": base64.b64encode(secret).decode()}
            for id, alg, secret in lists.get(name, [])
        ]
        for name in LISTS
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def create(path: Path, lists: dict[str, list[Entry]]) -> None:
    """Write a new file with mode 0600. Raises KeyUnusable when there is one already."""
    try:
        _write(path, to_bytes(lists))
    except FileExistsError:
        raise KeyUnusable(f"{path}: there is a key file already; it is never overwritten") from None


def add_primary(path: Path, name: str, entry: Entry) -> None:
    """Put a key in front of the list `name`; the keys that were there stay, as readers."""
    lists = parse(read_private(path, None), str(path))
    lists[name].insert(0, entry)
    _replace(path, lists)


def remove(path: Path, id: bytes) -> None:
    """Take out the key of an id. Raises KeyUnusable when it is not there, or is the primary of its list."""
    lists = parse(read_private(path, None), str(path))
    for entries in lists.values():
        ids = [found for found, _, _ in entries]
        if id in ids:
            if ids[0] == id:
                raise KeyUnusable(f"{path}: key {id.hex()} is the primary, expected an older one")
            del entries[ids.index(id)]
            return _replace(path, lists)
    raise KeyUnusable(f"{path}: key {id.hex()} is not in the file")


def _replace(path: Path, lists: dict[str, list[Entry]]) -> None:
    raw = to_bytes(lists)
    if len(raw) > MAX_FILE_BYTES:
        raise KeyUnusable(f"{path}: would be {len(raw)} bytes, no key file is longer than {MAX_FILE_BYTES}")
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    owner = path.stat()
    _write(beside, raw)
    if (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
        os.chown(beside, owner.st_uid, owner.st_gid)
    beside.rename(path)
    _sync(path.parent)


def _write(path: Path, raw: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        target.write(raw)
        target.flush()
        os.fsync(target.fileno())
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_private(path: Path, credentials: Path | None) -> bytes:
    """The bytes of a file that nobody else may read. Follows no link in the last place."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as reason:
        raise KeyUnusable(f"{path}: cannot be read ({reason.strerror}), expected a key file") from None
    try:
        facts = os.fstat(descriptor)
        mode = stat.S_IMODE(facts.st_mode)
        if not stat.S_ISREG(facts.st_mode):
            raise KeyUnusable(f"{path}: not a regular file, expected a key file")
        entrusted = credentials is not None and path.absolute().parent == credentials.absolute()
        if not entrusted and (mode & 0o177 or facts.st_uid not in {0, os.geteuid()}):
            raise KeyUnusable(f"{path}: mode {mode:04o}, owner {facts.st_uid}; expected 0600 and the reader's own")
        if facts.st_size > MAX_FILE_BYTES:
            raise KeyUnusable(f"{path}: {facts.st_size} bytes, no key file is longer than {MAX_FILE_BYTES}")
        return os.read(descriptor, MAX_FILE_BYTES)
    finally:
        os.close(descriptor)


def parse(raw: bytes, name: str) -> dict[str, list[Entry]]:
    """The lists of a file; `name` is used in errors."""
    try:
        document = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        # The decoder's message is not passed on: it may quote the text.
        raise KeyUnusable(f"{name}: not JSON with unique keys") from None
    if not isinstance(document, dict) or document.get("v") != 1 or set(document) - {"v", *LISTS}:
        raise KeyUnusable(f"{name}: expected an object with v = 1 and the lists {', '.join(LISTS)}")
    return {key: _parsed(document.get(key, []), f"{name}: {key}") for key in LISTS}


def _parsed(entries: Any, place: str) -> list[Entry]:
    if not isinstance(entries, list):
        raise KeyUnusable(f"{place}: expected a list")
    found = []
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or set(entry) != {"id", "alg", "key"} or not _all_text(entry):
            raise KeyUnusable(f"{place}[{number}]: expected exactly id, alg and key, all text")
        try:
            id, secret = bytes.fromhex(entry["id"]), base64.b64decode(entry["key"], validate=True)
        except (ValueError, binascii.Error):
            raise KeyUnusable(f"{place}[{number}]: expected a hexadecimal id and a base64 key") from None
        if len(id) != KEY_ID_BYTES:
            raise KeyUnusable(f"{place}[{number}]: an id of {len(id)} bytes, expected {KEY_ID_BYTES}")
        found.append((id, entry["alg"], secret))
    return found


def _all_text(entry: dict[str, Any]) -> bool:
    return all(isinstance(value, str) for value in entry.values())


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise ValueError("a key occurs twice")
    return keys
