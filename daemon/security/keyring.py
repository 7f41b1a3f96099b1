"""The keys of an installation, from one file that is never in the database.

The file is JSON, at most 64 kB, mode 0600 or stricter (or inside the service's credentials folder), owned by the reader
or root; the first entry of each list is the primary, the others are readers::

    {"v":1,
     "keks":   [{"id":"<32 hex>","alg":"aes-256-gcm","key":"<base64, 32 bytes>"}],      sm4-gcm: 16 bytes
     "index":  [{"id":"<32 hex>","alg":"hmac-sha256","key":"<base64, 32 bytes>"}],
     "signing":[{"id":"<32 hex>","alg":"ed25519","key":"<base64 seed, 32 bytes>"}]}

Key-encryption keys (KEK) wrap the keys that live, wrapped, in the store: per client a rotatable data key and a stable
commitment key, per month one for sheets and one for the intake. Wrapping is `envelope.seal`; where wrapped keys lie,
who rotates and who destroys them is left to the store. Anything wrong raises KeyUnusable, which names the key's id and
never its bytes.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon.errors import KeyUnusable
from daemon.security.envelope import KEY_ID_BYTES, Alg, Key, blind_index, derive, open_sealed, seal
from daemon.security.signing import SigningKey

MAX_FILE_BYTES = 65_536
LISTS = ("keks", "index", "signing")
COMMITMENT_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """A client's rotatable data key and stable commitment key, in clear; the caller wraps both before storing them."""

    data_key: Key
    commitment_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class IndexKey:
    """A blind-index key and its id."""

    id: bytes
    secret: bytes = field(repr=False)


class Keyring:
    """Key-encryption, index and signing keys; primary first in each. Values are checked when it is made."""

    def __init__(
        self, keks: tuple[Key, ...], index: tuple[IndexKey, ...], signing: tuple[SigningKey, ...] = ()
    ) -> None:
        if not keks or not index:
            raise KeyUnusable("key file: expected at least one key-encryption key and one index key")
        self._keks = {kek.id: kek for kek in keks}
        self._index = index
        self._signing = signing
        ids = [kek.id for kek in keks] + [key.id for key in index]
        if len(set(ids)) != len(ids):
            raise KeyUnusable(f"key file: an id occurs twice among {', '.join(i.hex() for i in ids)}")
        self.primary = keks[0]

    def __repr__(self) -> str:
        return f"Keyring(keks {', '.join(i.hex() for i in self._keks)})"

    @classmethod
    def load(cls, path: Path, credentials: Path | None = None) -> Keyring:
        """Read a key file. `credentials` is the service's credentials folder, whose files carry modes of their own."""
        return cls.parse(_read_private(path, credentials), str(path))

    @classmethod
    def parse(cls, raw: bytes, name: str = "key file") -> Keyring:
        """A keyring from the bytes of a key file; `name` is used in errors."""
        lists = _lists(raw, name)
        keks = tuple(Key(id, Alg.of(alg), secret) for id, alg, secret in lists["keks"])
        index = tuple(IndexKey(id, secret) for id, _, secret in _only(lists["index"], "hmac-sha256", name))
        signing = tuple(SigningKey(seed) for _, _, seed in _only(lists["signing"], "ed25519", name))
        return cls(keks, index, signing)

    @classmethod
    def create(cls, path: Path, alg: Alg = Alg.AES_256_GCM) -> Keyring:
        """Write a new key file with mode 0600 and load it. Raises KeyUnusable when there is a file already."""
        lists = {"keks": alg.label, "index": "hmac-sha256", "signing": "ed25519"}
        sizes = {"keks": alg.key_bytes}
        document = {"v": 1} | {name: [_entry(label, sizes.get(name, 32))] for name, label in lists.items()}
        raw = (json.dumps(document, indent=1) + "\n").encode()
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            raise KeyUnusable(f"{path}: there is a key file already; it is never overwritten") from None
        with os.fdopen(descriptor, "wb") as target:
            target.write(raw)
            target.flush()
            os.fsync(target.fileno())
        return cls.load(path)

    def kek(self, id: bytes) -> Key:
        """The key-encryption key of an id. Raises KeyUnusable when this file does not hold it."""
        try:
            return self._keks[id]
        except KeyError:
            raise KeyUnusable(f"key-encryption key {id.hex()} is not in the key file") from None

    def kek_ids(self) -> tuple[bytes, ...]:
        """All readable key-encryption keys, primary first."""
        return tuple(self._keks)

    def wrap(self, key_bytes: bytes, aad: bytes) -> bytes:
        """Seal a key under the primary key-encryption key."""
        return seal(self.primary, key_bytes, aad)

    def unwrap(self, blob: bytes, aad: bytes) -> bytes:
        """Open what `wrap` made, under whichever readable key it was. Raises SealBroken."""
        return open_sealed(self.kek, blob, aad)

    def wrap_key(self, key: Key, aad: bytes) -> bytes:
        """Seal a Key with its algorithm and id: alg(1) | id(16) | secret."""
        return self.wrap(bytes((key.alg,)) + key.id + key.secret(), aad)

    def unwrap_key(self, blob: bytes, aad: bytes) -> Key:
        """The inverse of `wrap_key`. Raises SealBroken, or KeyUnusable when the content is no key."""
        raw = self.unwrap(blob, aad)
        if not raw or raw[0] not in set(Alg):
            raise KeyUnusable(f"wrapped key: algorithm byte {raw[:1].hex() or 'missing'}, expected one of 01, 02")
        return Key(raw[1 : 1 + KEY_ID_BYTES], Alg(raw[0]), raw[1 + KEY_ID_BYTES :])

    def new_client_keys(self) -> ClientKeys:
        """Random keys for a new client, of the primary's algorithm."""
        return ClientKeys(Key.new(self.primary.alg), os.urandom(COMMITMENT_KEY_BYTES))

    def new_month_key(self) -> Key:
        """A random key for one month of sheets or intake, of the primary's algorithm."""
        return Key.new(self.primary.alg)

    def index(self, kind: str, value: str) -> bytes:
        """The blind index under the primary index key. Raises ValueError for an empty value."""
        return blind_index(self._index[0].secret, kind, value)

    def indexes(self, kind: str, value: str) -> tuple[bytes, ...]:
        """The blind index under every index key, primary first: what a search looks for while index keys rotate."""
        return tuple(blind_index(key.secret, kind, value) for key in self._index)

    @property
    def signing_keys(self) -> tuple[SigningKey, ...]:
        """All log signing keys, primary first; the others only vouch for what they signed before."""
        return self._signing

    @property
    def signing(self) -> SigningKey:
        """The primary log signing key. Raises KeyUnusable when this file holds none."""
        if not self._signing:
            raise KeyUnusable("key file: no signing key, expected one under `signing`")
        return self._signing[0]

    def check_value(self, id: bytes) -> bytes:
        """The key check value of a key-encryption or index key: 16 bytes of HKDF that say nothing about the key."""
        secrets = {key.id: key.secret for key in self._index} | {kek.id: kek.secret() for kek in self._keks.values()}
        if id not in secrets:
            raise KeyUnusable(f"key {id.hex()} is not in the key file")
        return derive(secrets[id], "duenotice/key-check/v1/" + id.hex(), 16)

    def check_values(self) -> dict[bytes, bytes]:
        """Id -> check value of every key, what a store keeps to compare at the next start."""
        return {id: self.check_value(id) for id in (*self._keks, *(key.id for key in self._index))}

    def compare(self, stored: Mapping[bytes, bytes]) -> None:
        """Compare stored check values with the keys here. Raises KeyUnusable for a key that is absent or another."""
        for id, value in stored.items():
            if not hmac.compare_digest(self.check_value(id), value):
                raise KeyUnusable(f"key {id.hex()}: its check value is not the stored one; this is another key")


def _entry(alg: str, size: int) -> dict[str, str]:
    return {"id": os.urandom(KEY_ID_BYTES).hex(), "alg": alg, "key": base64.b64encode(os.urandom(size)).decode()}


def _read_private(path: Path, credentials: Path | None) -> bytes:
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


def _lists(raw: bytes, name: str) -> dict[str, list[tuple[bytes, str, bytes]]]:
    try:
        document = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        # The decoder's message is not passed on: it may quote the text.
        raise KeyUnusable(f"{name}: not JSON with unique keys") from None
    if not isinstance(document, dict) or document.get("v") != 1 or set(document) - {"v", *LISTS}:
        raise KeyUnusable(f"{name}: expected an object with v = 1 and the lists {', '.join(LISTS)}")
    return {key: _parsed(document.get(key, []), f"{name}: {key}") for key in LISTS}


def _parsed(entries: Any, place: str) -> list[tuple[bytes, str, bytes]]:
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


def _only(entries: list[tuple[bytes, str, bytes]], alg: str, name: str) -> list[tuple[bytes, str, bytes]]:
    for id, found, secret in entries:
        if found != alg or len(secret) != 32:
            raise KeyUnusable(f"{name}: key {id.hex()}: {found!r} with {len(secret)} bytes, expected {alg} with 32")
    return entries


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise ValueError("a key occurs twice")
    return keys
