"""Signatures of `ssh-keygen -Y`: what is made, what is refused; a token's by the words of PROTOCOL.u2f."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import KeyUnusable
from daemon.security import signerkey, sshsig
from daemon.security.sshkey import SK_ED25519, SshKey, string
from tests.builders_signing import key

SPACE = "rules@duenotice"
MESSAGE = "改一条规则\n".encode()


def armor(raw: bytes) -> bytes:
    return b"-----BEGIN SSH SIGNATURE-----\n" + base64.b64encode(raw) + b"\n-----END SSH SIGNATURE-----\n"


def bare(armored: bytes) -> bytes:
    return base64.b64decode(b"".join(armored.splitlines()[1:-1]))


def token_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)


def token_signature(message: bytes, *, flags: int = 1, application: str = "ssh:") -> bytes:
    """What a FIDO token answers to `ssh-keygen -Y sign` (PROTOCOL.u2f, SSH U2F Signatures)."""
    secret = token_key()
    public = secret.public_key().public_bytes_raw()
    blob = string(SK_ED25519.encode()) + string(public) + string(application.encode())
    digest = hashlib.sha512(message).digest()
    signed = b"SSHSIG" + string(SPACE.encode()) + string(b"") + string(b"sha512") + string(digest)
    tail = bytes([flags]) + (5).to_bytes(4, "big")
    over = hashlib.sha256(b"ssh:").digest() + tail + hashlib.sha256(signed).digest()
    made = string(SK_ED25519.encode()) + string(secret.sign(over)) + tail
    head = b"SSHSIG" + (1).to_bytes(4, "big") + string(blob) + string(SPACE.encode())
    return armor(head + string(b"") + string(b"sha512") + string(made))


def test_a_signature_names_its_key() -> None:
    assert sshsig.verify(sshsig.sign(key("wang"), SPACE, MESSAGE), SPACE, MESSAGE) == key("wang").public


def test_another_message_namespace_or_shape_is_refused() -> None:
    made = sshsig.sign(key("wang"), SPACE, MESSAGE)
    for armored, space, message in [
        (made, SPACE, MESSAGE + b" "),
        (made, "file", MESSAGE),
        (made[:-40], SPACE, MESSAGE),
        (b"", SPACE, MESSAGE),
        (made + made, SPACE, MESSAGE),
        (armor(bare(made) + b"\0"), SPACE, MESSAGE),
        (armor(bare(made).replace(b"sha512", b"sha1\0\0")), SPACE, MESSAGE),
        (made + b"x" * sshsig.LONGEST, SPACE, MESSAGE),
    ]:
        with pytest.raises(sshsig.NotSigned):
            sshsig.verify(armored, space, message)


@given(st.data())
def test_no_flipped_bit_of_key_or_signature_is_accepted(data: st.DataObject) -> None:
    raw = bytearray(bare(sshsig.sign(key("wang"), SPACE, MESSAGE)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(sshsig.NotSigned):
        sshsig.verify(armor(bytes(raw)), SPACE, MESSAGE)


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_and_nothing_else_happens(raw: bytes) -> None:
    for armored in (raw, armor(raw), armor(b"SSHSIG\0\0\0\1" + raw)):
        with pytest.raises(sshsig.NotSigned):
            sshsig.verify(armored, SPACE, MESSAGE)


def test_a_touched_token_signs_an_untouched_one_does_not() -> None:
    found = sshsig.verify(token_signature(MESSAGE), SPACE, MESSAGE)
    assert (found.type, found.application) == (SK_ED25519, "ssh:")
    with pytest.raises(sshsig.NotSigned, match="nobody touched"):
        sshsig.verify(token_signature(MESSAGE, flags=4), SPACE, MESSAGE)
    with pytest.raises(sshsig.NotSigned):
        sshsig.verify(token_signature(MESSAGE, application="ssh:other"), SPACE, MESSAGE)


def test_a_public_key_line_says_what_its_bytes_say() -> None:
    line = key("wang").public.line
    assert SshKey.from_line(line + " wang@desk") == key("wang").public
    for wrong in ("", "ssh-ed25519", "ssh-rsa " + line.split()[1], line[:-4], "ssh-ed25519 !!!!", "x" * 5000):
        with pytest.raises(KeyUnusable):
            SshKey.from_line(wrong)


def test_a_key_file_opens_with_its_passphrase_alone(tmp_path: Path) -> None:
    made = signerkey.make(tmp_path / "wang.key", "a long enough passphrase")
    assert signerkey.load(tmp_path / "wang.key", "a long enough passphrase").public == made.public
    assert SshKey.from_line((tmp_path / "wang.key.pub").read_text()) == made.public
    assert b"ENCRYPTED" in (tmp_path / "wang.key").read_bytes()
    for passphrase in ("", "another"):
        with pytest.raises(KeyUnusable):
            signerkey.load(tmp_path / "wang.key", passphrase)
    with pytest.raises(KeyUnusable, match="at least 12"):
        signerkey.make(tmp_path / "short.key", "short")
    with pytest.raises(KeyUnusable, match="there already"):
        signerkey.make(tmp_path / "wang.key", "a long enough passphrase")


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wang.key"
    signerkey.make(path, "a long enough passphrase")
    path.chmod(0o640)
    with pytest.raises(KeyUnusable, match="0640"):
        signerkey.load(path, "a long enough passphrase")
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(KeyUnusable):
        signerkey.load(tmp_path / "link", "a long enough passphrase")
