"""A signer's private key: an Ed25519 key in a file that a passphrase protects.

Taken are PEM files of PKCS #8 with a passphrase (PBES2; what `make` writes, and `openssl genpkey -algorithm ed25519
-aes256`) and the private key files of OpenSSH without one. OpenSSH's own passphrase format needs bcrypt, which is not
among what this program runs on: sign with `ssh-keygen -Y sign` there, as with a token.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from daemon.errors import KeyUnusable
from daemon.security.sshkey import SshKey

LONGEST = 16 * 1024
LEAST_PASSPHRASE = 12
"""Characters of the shortest passphrase that a new key is written under."""


class SignerKey:
    """An Ed25519 key that signs. Its repr shows the public half only."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = SshKey.ed25519(key.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"SignerKey({self.public.fingerprint})"

    def sign(self, message: bytes) -> bytes:
        """64 bytes (RFC 8032)."""
        return self._key.sign(message)


def make(path: Path, passphrase: str) -> SignerKey:
    """A new key, written as PKCS #8 under the passphrase (mode 0600), its public half beside it as `.pub`.

    Raises KeyUnusable for a short passphrase or a path that is taken; OSError passes.
    """
    if len(passphrase) < LEAST_PASSPHRASE:
        raise KeyUnusable(f"passphrase: {len(passphrase)} characters, expected at least {LEAST_PASSPHRASE}")
    key = Ed25519PrivateKey.generate()
    made = SignerKey(key)
    public = path.with_name(path.name + ".pub")
    if public.exists():
        raise KeyUnusable(f"{public}: is there already, expected a new name")
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase.encode()),
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise KeyUnusable(f"{path}: is there already, expected a new name") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    public.write_text(made.public.line + "\n")
    return made


def load(path: Path, passphrase: str) -> SignerKey:
    """The key in a file. Raises KeyUnusable: no file, others may read it, a wrong passphrase, another kind of key."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as wrong:
        raise KeyUnusable(f"{path}: {wrong.strerror}, expected a private key file") from None
    with os.fdopen(descriptor, "rb") as file:
        known = os.fstat(descriptor)
        if not stat.S_ISREG(known.st_mode) or known.st_mode & 0o077:
            raise KeyUnusable(f"{path}: mode {stat.S_IMODE(known.st_mode):04o}, expected a file of mode 0600")
        raw = file.read(LONGEST)
    secret = passphrase.encode() or None
    read = serialization.load_ssh_private_key if b"OPENSSH PRIVATE KEY" in raw else serialization.load_pem_private_key
    try:
        found = read(raw, secret)
    except (TypeError, ValueError):
        raise KeyUnusable(f"{path}: does not open, expected a PKCS #8 key and its passphrase") from None
    except UnsupportedAlgorithm:
        needed = "OpenSSH's passphrase format, expected PKCS #8; or sign with `ssh-keygen -Y sign`"
        raise KeyUnusable(f"{path}: found {needed}") from None
    if not isinstance(found, Ed25519PrivateKey):
        raise KeyUnusable(f"{path}: another kind of key, expected Ed25519")
    return SignerKey(found)
