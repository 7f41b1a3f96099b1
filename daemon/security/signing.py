"""Ed25519 signatures (RFC 8032) over bytes: what the log's checkpoints are signed with. Knows no note format."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from daemon.errors import KeyUnusable

SEED_BYTES = 32
PUBLIC_BYTES = 32
SIGNATURE_BYTES = 64


class SigningKey:
    """An Ed25519 key made from its 32-byte seed. Its repr shows the public half only."""

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise KeyUnusable(f"signing key: a seed of {len(seed)} bytes, expected {SEED_BYTES}")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"SigningKey(public {self.public.hex()})"

    def sign(self, message: bytes) -> bytes:
        """64 bytes, the same for the same message."""
        return self._key.sign(message)


def verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is that of `message` under a 32-byte public key; False for malformed input too."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
