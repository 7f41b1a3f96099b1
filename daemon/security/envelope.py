"""Sealed values: authenticated encryption bound to a place, committed to one key; keyed ids and blind indexes.

A sealed value is these bytes, nothing else::

    version(1) = 1 | alg(1) | key id(16) | nonce(12) | key commitment(32) | ciphertext | tag(16)

- alg 1 is AES-256-GCM (NIST SP 800-38D), alg 2 is SM4-GCM (GB/T 32907, RFC 8998); any other byte is refused.
- The nonce is 96 random bits, so one key seals at most 2^32 values (SP 800-38D section 8.3).
- GCM does not commit to its key: two keys can open one ciphertext. The 32-byte commitment, HKDF-SHA256 (RFC 5869) of
  the secret with info `duenotice/key-commitment/v1`, is compared before decrypting.
- The additional data is version, alg, key id and commitment, then the caller's `aad` (see `aad`): a ciphertext moved to
  another row, column or client does not open.

Storing, rotating and destroying keys is left to the caller; long files are sealed by `stream.py`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import unicodedata
from collections.abc import Callable
from enum import IntEnum
from functools import cached_property
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from daemon.errors import KeyUnusable, SealBroken

VERSION = 1
KEY_ID_BYTES = 16
NONCE_BYTES = 12
COMMITMENT_BYTES = 32
TAG_BYTES = 16
HEADER_BYTES = 2 + KEY_ID_BYTES + NONCE_BYTES + COMMITMENT_BYTES
OVERHEAD = HEADER_BYTES + TAG_BYTES
"""How many bytes longer a sealed value is than its plain bytes: 78."""


class Alg(IntEnum):
    """The algorithm byte."""

    AES_256_GCM = 1
    SM4_GCM = 2

    @property
    def key_bytes(self) -> int:
        return 32 if self is Alg.AES_256_GCM else 16

    @property
    def label(self) -> str:
        """The name used in key files and settings."""
        return "aes-256-gcm" if self is Alg.AES_256_GCM else "sm4-gcm"

    @classmethod
    def of(cls, label: str) -> Alg:
        """The inverse of `label`. Raises KeyUnusable for any other name."""
        for alg in cls:
            if alg.label == label:
                return alg
        raise KeyUnusable(f"algorithm {label!r}: expected one of {', '.join(a.label for a in cls)}")


class Aead(Protocol):
    """An authenticated cipher under one key; `decrypt` raises InvalidTag."""

    def encrypt(self, nonce: bytes, plain: bytes, aad: bytes, /) -> bytes: ...

    def decrypt(self, nonce: bytes, sealed: bytes, aad: bytes, /) -> bytes: ...


class Sm4Gcm:
    """SM4-GCM with a 96-bit nonce and a full tag, in the shape of the library's own AESGCM."""

    def __init__(self, secret: bytes) -> None:
        self._alg = algorithms.SM4(secret)

    def encrypt(self, nonce: bytes, plain: bytes, aad: bytes, /) -> bytes:
        sealer = Cipher(self._alg, modes.GCM(nonce)).encryptor()
        sealer.authenticate_additional_data(aad)
        return sealer.update(plain) + sealer.finalize() + sealer.tag

    def decrypt(self, nonce: bytes, sealed: bytes, aad: bytes, /) -> bytes:
        if len(sealed) < TAG_BYTES:
            raise InvalidTag
        opener = Cipher(self._alg, modes.GCM(nonce, sealed[-TAG_BYTES:])).decryptor()
        opener.authenticate_additional_data(aad)
        return opener.update(sealed[:-TAG_BYTES]) + opener.finalize()


def aead(alg: Alg, secret: bytes) -> Aead:
    """The cipher of an algorithm byte under a secret of the right length."""
    return AESGCM(secret) if alg is Alg.AES_256_GCM else Sm4Gcm(secret)


def derive(secret: bytes, info: str, length: int = 32, salt: bytes | None = None) -> bytes:
    """HKDF-SHA256 (RFC 5869) of a secret for one purpose."""
    return HKDF(hashes.SHA256(), length, salt, info.encode()).derive(secret)


class Key:
    """A symmetric key: 16-byte id, algorithm, secret. Its repr shows the id only; cipher and commitment are kept."""

    def __init__(self, id: bytes, alg: Alg, secret: bytes) -> None:
        if len(id) != KEY_ID_BYTES:
            raise KeyUnusable(f"key id of {len(id)} bytes: expected {KEY_ID_BYTES}")
        if len(secret) != alg.key_bytes:
            raise KeyUnusable(f"key {id.hex()}: {len(secret)} bytes, expected {alg.key_bytes} for {alg.label}")
        self.id = id
        self.alg = alg
        self._secret = secret

    def __repr__(self) -> str:
        return f"Key({self.id.hex()}, {self.alg.label})"

    @classmethod
    def new(cls, alg: Alg) -> Key:
        """A random key with a random id."""
        return cls(os.urandom(KEY_ID_BYTES), alg, os.urandom(alg.key_bytes))

    def secret(self) -> bytes:
        """The secret bytes, for wrapping and deriving only."""
        return self._secret

    @cached_property
    def cipher(self) -> Aead:
        return aead(self.alg, self._secret)

    @cached_property
    def commitment(self) -> bytes:
        return derive(self._secret, "duenotice/key-commitment/v1")

    @cached_property
    def head(self) -> bytes:
        """Version, algorithm and id: the first 18 bytes of everything this key seals."""
        return bytes((VERSION, self.alg)) + self.id

    @cached_property
    def prefix(self) -> bytes:
        """What the additional data begins with."""
        return self.head + self.commitment


def seal(key: Key, plain: bytes, aad: bytes) -> bytes:
    """Seal `plain` for the place that `aad` names."""
    nonce = os.urandom(NONCE_BYTES)
    return key.head + nonce + key.commitment + key.cipher.encrypt(nonce, plain, key.prefix + aad)


def key_id(blob: bytes) -> bytes:
    """The id of the key that sealed `blob`. Raises SealBroken when that cannot be read."""
    if len(blob) < OVERHEAD:
        raise SealBroken(f"sealed value of {len(blob)} bytes: expected at least {OVERHEAD}")
    if blob[0] != VERSION:
        raise SealBroken(f"sealed value: version byte {blob[0]}, expected {VERSION}")
    return blob[2 : 2 + KEY_ID_BYTES]


def open_sealed(keys: Callable[[bytes], Key], blob: bytes, aad: bytes) -> bytes:
    """Open a sealed value; `keys` gives the key of an id. Raises SealBroken on anything that is not exactly right."""
    key = find_key(keys, key_id(blob), blob[1])
    at = 2 + KEY_ID_BYTES
    nonce, commitment = blob[at : at + NONCE_BYTES], blob[at + NONCE_BYTES : HEADER_BYTES]
    if not hmac.compare_digest(commitment, key.commitment):
        raise SealBroken(f"sealed value: its commitment is not that of key {key.id.hex()}")
    try:
        return key.cipher.decrypt(nonce, blob[HEADER_BYTES:], key.prefix + aad)
    except InvalidTag:
        raise SealBroken(f"sealed value under key {key.id.hex()}: changed, or sealed for another place") from None


def find_key(keys: Callable[[bytes], Key], id: bytes, alg: int) -> Key:
    """The key of an id, of that very algorithm. Raises SealBroken when there is none."""
    try:
        key = keys(id)
    except (LookupError, KeyUnusable) as absent:
        raise SealBroken(f"sealed under key {id.hex()}: that key is not here") from absent
    if key.id != id or key.alg != alg:
        raise SealBroken(f"sealed under key {id.hex()}: algorithm byte {alg}, the key here is {key!r}")
    return key


def encode_parts(*parts: str | bytes) -> bytes:
    """Parts, each behind its length in 4 bytes, big-endian: no two sequences give the same bytes. Text is UTF-8."""
    raw = [part.encode() if isinstance(part, str) else part for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in raw)


def aad(table: str, column: str, row: str | int | bytes, client: int | None) -> bytes:
    """The additional data of a field: `encode_parts` of version, table, column, row key with its type, client."""
    kind, key = ("b", row) if isinstance(row, bytes) else ("i" if isinstance(row, int) else "s", str(row))
    return encode_parts("duenotice/aad/v1", table, column, kind, key, "" if client is None else str(client))


def hmac_id(key: bytes, *parts: str | bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104) over `encode_parts`: 32 bytes, the source of notice, message and obligation ids."""
    return hmac.digest(key, encode_parts(*parts), hashlib.sha256)


def normalise(kind: str, value: str) -> str:
    """What a blind index is made of: NFKC, trimmed; a `msisdn` as its digits without China's +86, 0086 or 86.

    Raises ValueError when nothing is left: an empty key would make strangers one client.
    """
    text = unicodedata.normalize("NFKC", value).strip()
    if kind == "msisdn":
        international = text.startswith("+86")
        text = "".join(c for c in text if c in "0123456789")
        if text.startswith("0086"):
            text = text[4:]
        elif text.startswith("86") and (international or len(text) == 13):
            text = text[2:]
    if not text:
        raise ValueError(f"{kind}: nothing is left of the value, expected a non-empty key")
    return text


def blind_index(index_key: bytes, kind: str, value: str, *, sm3: bool = False) -> bytes:
    """The 16 bytes by which an encrypted value is found: HMAC over SHA-256, or SM3 (GB/T 32905). Equality only; how often a
    value occurs stays visible."""
    parts = ("duenotice/blind-index/v1", kind, normalise(kind, value))
    if not sm3:
        return hmac_id(index_key, *parts)[:16]
    keyed = HMAC(index_key, hashes.SM3())
    keyed.update(encode_parts(*parts))
    return keyed.finalize()[:16]
