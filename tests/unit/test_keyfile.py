"""A key more, a key less: the file is whole at every moment, private, and never without its primary."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from daemon.errors import KeyUnusable
from daemon.security import keyfile
from daemon.security.envelope import Alg
from daemon.security.keyring import HMAC_SM3, Keyring


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    Keyring.create(path)
    return path


def add(file: Path, alg: Alg = Alg.AES_256_GCM) -> bytes:
    entry = keyfile.new_entry(alg.label, alg.key_bytes)
    keyfile.add_primary(file, "keks", entry)
    return entry[0]


def test_the_new_key_is_the_primary_and_the_others_stay_readers(file: Path) -> None:
    before = Keyring.load(file)
    first, second = add(file), add(file, Alg.SM4_GCM)
    now = Keyring.load(file)
    assert now.kek_ids() == (second, first, before.primary.id)
    assert now.primary.alg is Alg.SM4_GCM
    assert now.check_value(before.primary.id) == before.check_value(before.primary.id)
    assert now.index("client", "S1") == before.index("client", "S1")
    assert [key.public for key in now.signing_keys] == [key.public for key in before.signing_keys]


def test_a_key_is_taken_out_by_its_id_and_the_primary_never(file: Path) -> None:
    old = Keyring.load(file).primary.id
    new = add(file)
    with pytest.raises(KeyUnusable, match="is the primary"):
        keyfile.remove(file, new)
    keyfile.remove(file, old)
    assert Keyring.load(file).kek_ids() == (new,)
    with pytest.raises(KeyUnusable, match="not in the file"):
        keyfile.remove(file, old)


def test_a_changed_file_is_as_private_as_before_and_leaves_nothing_beside_it(file: Path) -> None:
    beside = file.with_name(".keys.json.new")
    beside.write_text("what a crash left")
    add(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(file.parent) == [file.name]


def test_a_file_that_would_be_too_long_is_not_written(file: Path) -> None:
    while file.stat().st_size < keyfile.MAX_FILE_BYTES - 200:
        add(file)
    before = file.read_bytes()
    with pytest.raises(KeyUnusable, match="no key file is longer"):
        for _ in range(5):
            before = file.read_bytes()
            add(file)
    assert file.read_bytes() == before
    assert Keyring.load(file)


def test_a_file_that_others_can_read_is_not_changed(file: Path) -> None:
    before = file.read_bytes()
    file.chmod(0o644)
    with pytest.raises(KeyUnusable, match="expected 0600"):
        add(file)
    assert file.read_bytes() == before


def test_the_profile_of_commercial_cryptography_has_its_own_index(tmp_path: Path) -> None:
    ring = Keyring.create(tmp_path / "keys.json", Alg.SM4_GCM)
    assert [key.alg for key in ring.index_keys] == [HMAC_SM3]
    assert ring.index("client", "S1") == Keyring.load(tmp_path / "keys.json").index("client", "S1")
    assert ring.primary.alg is Alg.SM4_GCM


def test_a_running_process_takes_over_what_the_file_holds_and_keeps_what_it_has_when_it_is_unusable(file: Path) -> None:
    running = Keyring.load(file)
    old, new = running.primary.id, add(file)
    running.renew()
    assert running.kek_ids() == (new, old)
    file.write_text("{}")
    with pytest.raises(KeyUnusable):
        running.renew()
    assert running.kek_ids() == (new, old)
