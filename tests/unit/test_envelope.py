"""Sealed values and files: what opens, what never opens, and the bytes themselves."""

from __future__ import annotations

import hashlib
import io
import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.errors import KeyUnusable, SealBroken
from daemon.security.envelope import (
    OVERHEAD,
    Alg,
    Key,
    Sm4Gcm,
    aad,
    blind_index,
    encode_parts,
    hmac_id,
    key_id,
    normalise,
    open_sealed,
    seal,
)
from daemon.security.stream import CHUNK, HEADER_BYTES, open_bytes, open_file, open_stream, seal_bytes, seal_file

AES = Key(bytes(range(16)), Alg.AES_256_GCM, bytes(range(32)))
SM4 = Key(bytes(range(16, 32)), Alg.SM4_GCM, bytes(range(16)))
BOTH = pytest.mark.parametrize("key", [AES, SM4], ids=["aes", "sm4"])
PLACE = aad("contacts", "value", 7, 1041)


def ring(id: bytes) -> Key:
    return {AES.id: AES, SM4.id: SM4}[id]


@BOTH
@settings(max_examples=60)
@given(plain=st.binary(max_size=300), place=st.binary(max_size=40))
def test_what_is_sealed_opens_in_its_place(key: Key, plain: bytes, place: bytes) -> None:
    blob = seal(key, plain, place)
    assert len(blob) == len(plain) + OVERHEAD
    assert key_id(blob) == key.id
    assert open_sealed(ring, blob, place) == plain


@BOTH
def test_every_flipped_bit_is_refused(key: Key) -> None:
    blob = seal(key, b"13800001111", PLACE)
    for position in range(len(blob) * 8):
        changed = bytearray(blob)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(SealBroken):
            open_sealed(ring, bytes(changed), PLACE)


@BOTH
def test_every_shortened_value_is_refused(key: Key) -> None:
    blob = seal(key, b"x", PLACE)
    for length in range(len(blob)):
        with pytest.raises(SealBroken):
            open_sealed(ring, blob[:length], PLACE)


@pytest.mark.parametrize(
    "place",
    [
        aad("contacts", "value", 8, 1041),
        aad("contacts", "name", 7, 1041),
        aad("consents", "value", 7, 1041),
        aad("contacts", "value", 7, 1042),
        aad("contacts", "value", 7, None),
        aad("contacts", "value", "7", 1041),
        b"",
    ],
)
def test_a_value_moved_to_another_place_does_not_open(place: bytes) -> None:
    with pytest.raises(SealBroken, match="another place"):
        open_sealed(ring, seal(AES, b"x", PLACE), place)


def test_another_key_under_the_same_id_is_refused_by_its_commitment() -> None:
    other = Key(AES.id, Alg.AES_256_GCM, bytes(32))
    with pytest.raises(SealBroken, match="commitment"):
        open_sealed(lambda id: other, seal(AES, b"x", PLACE), PLACE)


def test_an_unknown_key_or_algorithm_is_refused_by_name() -> None:
    blob = seal(AES, b"x", PLACE)
    with pytest.raises(SealBroken, match=AES.id.hex()):
        open_sealed({}.__getitem__, blob, PLACE)
    with pytest.raises(SealBroken, match="algorithm byte 9"):
        open_sealed(ring, blob[:1] + b"\x09" + blob[2:], PLACE)


def test_the_format_of_a_sealed_value_is_fixed() -> None:
    sealed = bytes.fromhex(GOLDEN_AES)
    assert open_sealed(ring, sealed, PLACE) == "张三".encode()
    assert open_sealed(ring, bytes.fromhex(GOLDEN_SM4), PLACE) == "张三".encode()


def test_sm4_gcm_is_that_of_rfc_8998() -> None:
    secret = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    nonce = bytes.fromhex("00001234567800000000ABCD")
    extra = bytes.fromhex("FEEDFACEDEADBEEFFEEDFACEDEADBEEFABADDAD2")
    plain = bytes.fromhex("".join(c * 16 for c in "AABBCCDDEEFFEEAA"[::2]))
    want = bytes.fromhex(
        "17F399F08C67D5EE19D0DC9969C4BB7D5FD46FD3756489069157B282BB200735"
        "D82710CA5C22F0CCFA7CBF93D496AC15A56834CBCF98C397B4024A2691233B8D83DE3541E4C2B58177E065A9BF7B62EC"
    )
    assert Sm4Gcm(secret).encrypt(nonce, plain, extra) == want
    assert Sm4Gcm(secret).decrypt(nonce, want, extra) == plain


def test_keys_show_their_id_and_never_their_bytes() -> None:
    assert repr(AES) == f"Key({AES.id.hex()}, aes-256-gcm)"
    assert AES.secret().hex() not in repr(AES) + str(AES) + f"{AES!r}"
    with pytest.raises(KeyUnusable, match="31 bytes, expected 32") as wrong:
        Key(AES.id, Alg.AES_256_GCM, AES.secret()[:31])
    assert AES.secret()[:31].hex() not in str(wrong.value)


@given(st.lists(st.binary(max_size=6), max_size=5), st.lists(st.binary(max_size=6), max_size=5))
def test_different_parts_never_encode_alike(left: list[bytes], right: list[bytes]) -> None:
    assert (encode_parts(*left) == encode_parts(*right)) == (left == right)


def test_keyed_ids_are_fixed_and_depend_on_every_part() -> None:
    key = bytes(32)
    assert hmac_id(key, "ipo-payment", "1041").hex() == GOLDEN_ID
    made = [hmac_id(key, "a", "bc"), hmac_id(key, "ab", "c"), hmac_id(key, "abc"), hmac_id(b"\1" * 32, "a", "bc")]
    assert len(set(made)) == 4


@pytest.mark.parametrize(
    "written",
    [
        "10212345678",
        "+86 102 1234 5678",
        "0086-10212345678",
        "8610212345678",
        "１０２１２３４５６７８",
        " 10212345678 ",
    ],
)
def test_one_phone_has_one_index_however_it_is_written(written: str) -> None:
    assert normalise("msisdn", written) == "10212345678"
    assert blind_index(bytes(32), "msisdn", written).hex() == GOLDEN_INDEX


def test_indexes_of_different_kinds_and_keys_differ() -> None:
    made = {blind_index(key, kind, "10212345678") for key in (bytes(32), b"\1" * 32) for kind in ("msisdn", "client")}
    assert len(made) == 4


@pytest.mark.parametrize(("kind", "value"), [("client", "  "), ("msisdn", "n/a"), ("client", "")])
def test_an_empty_key_has_no_index(kind: str, value: str) -> None:
    with pytest.raises(ValueError, match="nothing is left"):
        blind_index(bytes(32), kind, value)


@BOTH
@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5])
def test_files_of_every_size_open_again(key: Key, size: int) -> None:
    plain = bytes(size)
    blob = seal_bytes(key, plain, PLACE)
    assert open_bytes(ring, blob, PLACE) == plain
    assert len(blob) == HEADER_BYTES + size + 16 * max(1, -(-size // CHUNK))


def test_a_file_read_in_driblets_opens_too() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 1000) if size and size > 0 else size)

    blob = seal_bytes(AES, bytes(CHUNK * 2), PLACE)
    assert b"".join(open_stream(ring, Slow(blob), PLACE)) == bytes(CHUNK * 2)


def test_a_file_cut_at_any_chunk_or_byte_is_refused() -> None:
    blob = seal_bytes(AES, bytes(3 * CHUNK), PLACE)
    cuts = [*range(0, HEADER_BYTES + 1, 7), *(HEADER_BYTES + n * (CHUNK + 16) for n in (0, 1, 2)), len(blob) - 1]
    for cut in cuts:
        with pytest.raises(SealBroken):
            open_bytes(ring, blob[:cut], PLACE)


def test_chunks_cannot_be_swapped_repeated_or_appended() -> None:
    blob = seal_bytes(AES, bytes(3 * CHUNK), PLACE)
    head, step = blob[:HEADER_BYTES], CHUNK + 16
    one, two, three = (blob[HEADER_BYTES + n * step : HEADER_BYTES + (n + 1) * step] for n in range(3))
    wrong = [[two, one, three], [one, one, three], [one, two, three, three], [one, three], [one, two, three, b"\0"]]
    for chunks in wrong:
        with pytest.raises(SealBroken):
            open_bytes(ring, head + b"".join(chunks), PLACE)


@settings(max_examples=80)
@given(st.integers(0, (HEADER_BYTES + 216) * 8 - 1))
def test_a_flipped_bit_in_a_file_is_refused(position: int) -> None:
    blob = bytearray(seal_bytes(AES, bytes(200), PLACE))
    blob[position // 8] ^= 1 << position % 8
    with pytest.raises(SealBroken):
        open_bytes(ring, bytes(blob), PLACE)


def test_a_file_opens_only_for_its_place_and_is_no_sealed_value() -> None:
    blob = seal_bytes(AES, b"x" * 100, PLACE)
    with pytest.raises(SealBroken):
        open_bytes(ring, blob, b"elsewhere")
    with pytest.raises(SealBroken, match="version byte 2"):
        open_sealed(ring, blob, PLACE)
    with pytest.raises(SealBroken, match="version 2"):
        open_bytes(ring, seal(AES, b"x", PLACE), PLACE)


@pytest.mark.parametrize("as_path", [False, True])
def test_a_sealed_file_replaces_the_old_one_whole_and_is_private(tmp_path: Path, as_path: bool) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"rows" * 50_000)
    out = tmp_path / "sheet"
    out.write_bytes(b"old")
    seal_file(AES, plain if as_path else plain.read_bytes(), out, PLACE)
    assert open_file(ring, out, PLACE) == plain.read_bytes()
    assert out.stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["plain", "sheet"]


def test_a_failed_sealing_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    out = tmp_path / "sheet"
    out.write_bytes(b"old")
    with pytest.raises(FileNotFoundError):
        seal_file(AES, tmp_path / "absent", out, PLACE)
    assert out.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["sheet"]


def test_no_nonce_is_used_twice() -> None:
    nonces = {seal(AES, b"", b"")[18:30] for _ in range(20_000)}
    assert len(nonces) == 20_000
    salts = {hashlib.sha256(seal_bytes(AES, b"", b"")).digest() for _ in range(500)}
    assert len(salts) == 500


GOLDEN_AES = (
    "0101000102030405060708090a0b0c0d0e0fbea2c2851c54d5096653580bd6e1da2f0ec6eb8ef03358bec1e234afd312e4a84513"
    "8b99115d5ae63fad89e731990d44ef9fcb56d3b1d307c6ecad437b668c00ce5c"
)
GOLDEN_SM4 = (
    "0102101112131415161718191a1b1c1d1e1ff48f273ae6828148ad0ca23d2f3ce5b66ba11f08c5953571fc4901d1e150ecd5a58a"
    "5296d7b82cf080487970f5b1ad783317232df30e15cfa9f42b75696ced983dcd"
)
GOLDEN_ID = "48d263ad4d076b79d60fb43612b73041e68423afa608a4f0a4dfee5b624447cb"
GOLDEN_INDEX = "28115d0187773a2fc200a26759728494"


def test_sm3_and_sm4_are_those_of_the_standards() -> None:
    """GB/T 32905 appendix A, GB/T 32907 appendix A: what the blind index and SM4-GCM are made of."""
    digest = hashes.Hash(hashes.SM3())
    digest.update(b"abc")
    assert digest.finalize().hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    block = bytes.fromhex("0123456789abcdeffedcba9876543210")
    sealer = Cipher(algorithms.SM4(block), modes.ECB()).encryptor()
    assert sealer.update(block).hex() == "681edf34d206965e86b3e94f536e4246"


def test_a_blind_index_over_sm3_is_hmac_of_its_parts() -> None:
    """HMAC (RFC 2104) written out over SM3's 64-byte blocks."""

    def sm3(*parts: bytes) -> bytes:
        digest = hashes.Hash(hashes.SM3())
        for part in parts:
            digest.update(part)
        return digest.finalize()

    key, said = bytes(range(32)), encode_parts("duenotice/blind-index/v1", "msisdn", "13900000001")
    padded = key + bytes(32)
    inner = sm3(bytes(b ^ 0x36 for b in padded), said)
    outer = sm3(bytes(b ^ 0x5C for b in padded), inner)
    assert blind_index(key, "msisdn", "+86 139 0000 0001", sm3=True) == outer[:16]
    assert blind_index(key, "msisdn", "13900000001") != outer[:16]


@BOTH
def test_ten_thousand_values_moved_to_another_place_do_not_open(key: Key) -> None:
    places = [
        aad(table, "bytes", row, client) for table in ("sealed", "x") for row in range(10) for client in (1, 2, None)
    ]
    sealed = [seal(key, b"%d" % number, place) for number, place in enumerate(places)]
    draw, refused = random.Random(20240201), 0
    while refused < 10_000:
        one, other = draw.randrange(len(places)), draw.randrange(len(places))
        if one != other:
            with pytest.raises(SealBroken):
                open_sealed(ring, sealed[one], places[other])
            refused += 1
    assert [open_sealed(ring, blob, place) for blob, place in zip(sealed, places, strict=True)] == [
        b"%d" % number for number in range(len(places))
    ]
