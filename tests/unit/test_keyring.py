"""The key file: what is accepted, what is refused and how, and that no error shows a secret."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from daemon.errors import KeyUnusable, SealBroken
from daemon.security.envelope import Alg, Key
from daemon.security.keyring import Keyring
from daemon.security.signing import SigningKey, verifies

ALGS = pytest.mark.parametrize("alg", list(Alg), ids=lambda alg: alg.label)
SECRET = base64.b64encode(b"S" * 32).decode()


def entry(id: int, alg: str = "aes-256-gcm", key: str = SECRET) -> dict[str, Any]:
    return {"id": f"{id:032x}", "alg": alg, "key": key}


def document(**changes: Any) -> dict[str, Any]:
    whole = {"v": 1, "keks": [entry(1)], "index": [entry(2, "hmac-sha256")], "signing": [entry(3, "ed25519")]}
    return whole | changes


def raw(**changes: Any) -> bytes:
    return json.dumps(document(**changes)).encode()


@ALGS
def test_a_created_file_is_private_and_loads_again(tmp_path: Path, alg: Alg) -> None:
    path = tmp_path / "keys.json"
    made = Keyring.create(path, alg)
    assert path.stat().st_mode & 0o777 == 0o600
    again = Keyring.load(path)
    assert again.check_values() == made.check_values()
    assert again.signing.public == made.signing.public
    assert again.primary.alg is alg


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(b"precious")
    with pytest.raises(KeyUnusable, match="never overwritten"):
        Keyring.create(path)
    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o700, 0o644])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keys.json"
    Keyring.create(path)
    path.chmod(mode)
    with pytest.raises(KeyUnusable, match=f"{mode:04o}"):
        Keyring.load(path)


def test_a_credentials_folder_vouches_for_its_own_files_only(tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    Keyring.create(folder / "keys.json")
    (folder / "keys.json").chmod(0o440)
    assert Keyring.load(folder / "keys.json", folder).primary
    with pytest.raises(KeyUnusable, match="0440"):
        Keyring.load(folder / "keys.json", tmp_path)


def test_an_absent_file_a_link_and_a_folder_are_refused(tmp_path: Path) -> None:
    Keyring.create(tmp_path / "keys.json")
    (tmp_path / "link").symlink_to(tmp_path / "keys.json")
    for name in ("absent", "link", "."):
        with pytest.raises(KeyUnusable):
            Keyring.load(tmp_path / name)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"[" * 3000,
        b'{"v":1,"v":1}',
        raw(v=2),
        raw(more=[]),
        raw(keks=[]),
        raw(index=[]),
        raw(keks={}),
        raw(keks=[entry(1, "des")]),
        raw(keks=[entry(1, "sm4-gcm")]),
        raw(keks=[entry(1, key="not base64")]),
        raw(keks=[entry(1, key=SECRET[:-4])]),
        raw(keks=[entry(1) | {"note": "x"}]),
        raw(keks=[entry(1) | {"key": 5}]),
        raw(keks=[entry(1) | {"id": "01"}]),
        raw(keks=[entry(1), entry(1)]),
        raw(index=[entry(1, "hmac-sha256")]),
        raw(index=[entry(2, "hmac-md5")]),
        raw(signing=[entry(3, "rsa")]),
    ],
)
def test_a_malformed_file_is_refused_without_showing_a_secret(bad: bytes) -> None:
    with pytest.raises(KeyUnusable) as reason:
        Keyring.parse(bad)
    assert SECRET[:8] not in str(reason.value)
    assert reason.value.__cause__ is None


def test_a_file_too_long_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(raw() + b" " * 70_000)
    path.chmod(0o600)
    with pytest.raises(KeyUnusable, match="longer than"):
        Keyring.load(path)


def test_the_first_key_wraps_and_all_unwrap() -> None:
    second = base64.b64encode(b"T" * 32).decode()
    old = Keyring.parse(raw())
    new = Keyring.parse(raw(keks=[entry(9, key=second), entry(1)]))
    blob = old.wrap(b"k" * 32, b"place")
    assert new.unwrap(blob, b"place") == b"k" * 32
    assert new.primary.id == bytes.fromhex(f"{9:032x}")
    with pytest.raises(SealBroken, match=f"{9:032x}"):
        old.unwrap(new.wrap(b"k", b"place"), b"place")


@ALGS
def test_client_keys_survive_wrapping(tmp_path: Path, alg: Alg) -> None:
    ring = Keyring.create(tmp_path / "keys.json", alg)
    keys = ring.new_client_keys()
    again = ring.unwrap_key(ring.wrap_key(keys.data_key, b"place"), b"place")
    assert (again.id, again.alg, again.secret()) == (keys.data_key.id, alg, keys.data_key.secret())
    assert len(keys.commitment_key) == 32
    assert ring.new_client_keys().commitment_key != keys.commitment_key


def test_what_is_wrapped_must_be_a_key(tmp_path: Path) -> None:
    ring = Keyring.create(tmp_path / "keys.json")
    for content in (b"", b"\x07" + bytes(48), b"\x01" + bytes(20)):
        with pytest.raises(KeyUnusable):
            ring.unwrap_key(ring.wrap(content, b""), b"")


def test_check_values_tell_another_key_and_an_absent_one(tmp_path: Path) -> None:
    ring = Keyring.parse(raw())
    ring.compare(ring.check_values())
    other = Keyring.parse(raw(keks=[entry(1, key=base64.b64encode(b"X" * 32).decode())]))
    with pytest.raises(KeyUnusable, match=f"{1:032x}.*another key"):
        other.compare(ring.check_values())
    with pytest.raises(KeyUnusable, match=f"{7:032x}"):
        ring.compare({bytes.fromhex(f"{7:032x}"): b""})
    assert all(len(value) == 16 for value in ring.check_values().values())


def test_index_keys_search_under_all_and_write_under_the_first() -> None:
    second = entry(8, "hmac-sha256", base64.b64encode(b"T" * 32).decode())
    old, both = Keyring.parse(raw()), Keyring.parse(raw(index=[second, entry(2, "hmac-sha256")]))
    assert both.indexes("client", "A1") == (both.index("client", "A1"), old.index("client", "A1"))


def test_signing_needs_a_signing_key() -> None:
    assert Keyring.parse(raw()).signing_keys
    with pytest.raises(KeyUnusable, match="no signing key"):
        _ = Keyring.parse(raw(signing=[])).signing


def test_ed25519_is_that_of_rfc_8032() -> None:
    key = SigningKey(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    assert key.public.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    signature = key.sign(b"")
    assert signature.hex()[:64] == "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
    assert verifies(key.public, b"", signature)
    assert not verifies(key.public, b"x", signature)
    assert not verifies(b"short", b"", signature)
    assert not verifies(key.public, b"", b"short")


def test_nothing_that_can_be_printed_shows_a_secret() -> None:
    ring = Keyring.parse(raw())
    keys = ring.new_client_keys()
    shown = f"{ring!r} {ring.primary!r} {ring.signing!r} {keys!r} {Key.new(Alg.SM4_GCM)!r}"
    secrets = [b"S" * 32, keys.commitment_key, keys.data_key.secret()]
    assert not any(secret.hex() in shown or repr(secret) in shown for secret in secrets)
