"""The keys of an installation, from one file that is never in the database.

Its bytes are described in `keyfile.py`; the first entry of each list is the primary, the others are readers.

Key-encryption keys (KEK) wrap the keys that live, wrapped, in the store: per client a rotatable data key and a stable
commitment key, per month one for sheets and one for the intake. Wrapping is `envelope.seal`; where wrapped keys lie,
who rotates and who destroys them is left to the store. Anything wrong raises KeyUnusable, which names the key's id and
never its bytes.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from daemon.errors import KeyUnusable
from daemon.security import keyfile
from daemon.security.envelope import KEY_ID_BYTES, Alg, Key, blind_index, derive, open_sealed, seal
from daemon.security.signing import SigningKey

COMMITMENT_KEY_BYTES = 32
HMAC_SHA256, HMAC_SM3 = "hmac-sha256", "hmac-sm3"


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """A client's rotatable data key and stable commitment key, in clear; the caller wraps both before storing them."""

    data_key: Key
    commitment_key: bytes = field(repr=False)
    version: int = 1
    """How many data keys the client has had."""


@dataclass(frozen=True, slots=True)
class IndexKey:
    """A blind-index key: its id, and whether HMAC is over SHA-256 or SM3."""

    id: bytes
    secret: bytes = field(repr=False)
    alg: str = HMAC_SHA256

    def blind(self, kind: str, value: str) -> bytes:
        """The 16 bytes by which `value` is found (`envelope.blind_index`). Raises ValueError for an empty value."""
        return blind_index(self.secret, kind, value, sm3=self.alg == HMAC_SM3)


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
        self._source: Callable[[], Keyring] | None = None
        self.fixed = False
        """Whether its file is a credential, which stays as it is until the service starts again."""

    def __repr__(self) -> str:
        return f"Keyring(keks {', '.join(i.hex() for i in self._keks)})"

    @classmethod
    def load(cls, path: Path, credentials: Path | None = None) -> Keyring:
        """Read a key file. `credentials` is the service's credentials folder, whose files carry modes of their own."""
        keyring = cls.parse(keyfile.read_private(path, credentials), str(path))
        keyring._source = lambda: cls.parse(keyfile.read_private(path, credentials), str(path))
        keyring.fixed = credentials is not None and path.absolute().parent == credentials.absolute()
        return keyring

    def renew(self) -> None:
        """Read the key file again and take the key-encryption keys it holds now. Index and signing keys stay as they were
        read: what they make is compared over a whole run. Raises KeyUnusable and keeps what it has when the file is unusable."""
        if self._source is not None:
            fresh = self._source()
            self._keks, self.primary = fresh._keks, fresh.primary

    @classmethod
    def parse(cls, raw: bytes, name: str = "key file") -> Keyring:
        """A keyring from the bytes of a key file; `name` is used in errors."""
        lists = keyfile.parse(raw, name)
        keks = tuple(Key(id, Alg.of(alg), secret) for id, alg, secret in lists["keks"])
        index = tuple(
            IndexKey(id, secret, alg) for id, alg, secret in _only(lists["index"], (HMAC_SHA256, HMAC_SM3), name)
        )
        signing = tuple(SigningKey(seed) for _, _, seed in _only(lists["signing"], ("ed25519",), name))
        return cls(keks, index, signing)

    @classmethod
    def create(cls, path: Path, alg: Alg = Alg.AES_256_GCM) -> Keyring:
        """Write a new key file with mode 0600 and load it; with SM4 the blind index is over SM3. Raises KeyUnusable when
        there is a file already."""
        lists = {
            "keks": [keyfile.new_entry(alg.label, alg.key_bytes)],
            "index": [keyfile.new_entry(HMAC_SM3 if alg is Alg.SM4_GCM else HMAC_SHA256, 32)],
            "signing": [keyfile.new_entry("ed25519", 32)],
        }
        keyfile.create(path, lists)
        return cls.load(path)

    def kek(self, id: bytes) -> Key:
        """The key-encryption key of an id; one that is not known is looked for in the file as it is now. Raises KeyUnusable when
        the file does not hold it."""
        if id not in self._keks:
            self.renew()
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
        return self._index[0].blind(kind, value)

    def indexes(self, kind: str, value: str) -> tuple[bytes, ...]:
        """The blind index under every index key, primary first: what a search looks for while index keys rotate."""
        return tuple(key.blind(kind, value) for key in self._index)

    @property
    def index_keys(self) -> tuple[IndexKey, ...]:
        """All blind-index keys, primary first."""
        return self._index

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


def _only(entries: list[keyfile.Entry], algs: tuple[str, ...], name: str) -> list[keyfile.Entry]:
    for id, found, secret in entries:
        if found not in algs or len(secret) != 32:
            wanted = " or ".join(algs)
            raise KeyUnusable(f"{name}: key {id.hex()}: {found!r} with {len(secret)} bytes, expected {wanted} with 32")
    return entries
